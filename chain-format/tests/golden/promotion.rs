//! Promotions and referrals: those that are accepted, and those that break a rule.

use stemma_chain_format::cose::{self, ContentType};
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::Link;
use stemma_chain_format::limits::SIGNED_REFERRAL_BYTES_MAX;
use stemma_chain_format::promotion::Promotion;
use stemma_chain_format::referral::{self, Referral};
use stemma_chain_format::request::{IdentityClaim, Side};

use crate::bytes::flipped;
use crate::common::{World, forge, founded, id, instrument_of, key, member_key};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [accepted(world), promotions(world), referrals(world)].concat()
}

/// Alice of bank-a promotes buying what the broker issues, and proves herself by a password.
fn promotion(world: &World) -> Promotion {
    Promotion {
        network: world.network(),
        account: world.customer("alice").account,
        counter: 9,
        bank: id("bank-a"),
        side: Some(Side::Buy),
        instrument: instrument_of("broker"),
        uses: 100,
        expires: 500,
        identities: vec![IdentityClaim::commit("password", &[8; 32], b"a password")],
    }
}

fn accepted(world: &World) -> Vec<Vector> {
    let plain = promotion(world);
    let mut full = Promotion { side: None, expires: u64::MAX, uses: 1_000_000, ..promotion(world) };
    full.identities.insert(0, IdentityClaim::commit("image", &[9; 32], b"a picture"));
    let asked = |name: &str, about: &str, record: &Promotion| {
        let bytes = forge(record, &key("alice"));
        Vector::accept(name, ("verify", "promotion"), about, Link::of(&bytes), &bytes)
    };
    let given = |name: &str, about: &str, record: &Promotion| {
        let bytes = forge(&record.referral(), &member_key("bank-a"));
        let vector = Vector::accept(name, ("verify", "referral"), about, Link::of(&bytes), &bytes);
        vector.with("text", referral::text(&bytes)).with("promotion", hex::encode(forge(record, &key("alice"))))
    };
    vec![
        asked("promotion", "A customer asks for a referral for buying an instrument.", &plain),
        asked("promotion-full", "For both sides, by two identities, at the greatest numbers.", &full),
        given("referral", "The bank's referral that answers it; its text is what the QR code holds.", &plain),
        given("referral-full", "The referral that answers the other.", &full),
    ]
}

fn promotions(world: &World) -> Vec<Vector> {
    let case = |name: &str, step: &str, about: &str, broken: (Rule, &str), change: fn(&mut Promotion)| {
        let mut record = promotion(world);
        change(&mut record);
        let bytes = forge(&record, &key("alice"));
        Vector::reject(&format!("promotion-{name}"), (step, "promotion"), about, broken, &bytes)
    };
    let flip = flipped(&forge(&promotion(world), &key("alice")), 1);
    let broken = (Rule::Signature, "promotion.signature");
    let about = "A bit of the signature is flipped.";
    vec![
        case("counter-zero", "decode", "A counter of zero.", (Rule::Range, "promotion.counter"), |p| p.counter = 0),
        case("uses-none", "decode", "For no use at all.", (Rule::Range, "promotion.uses"), |p| p.uses = 0),
        case("uses-many", "decode", "For 1,000,001 uses.", (Rule::Range, "promotion.uses"), |p| p.uses = 1_000_001),
        case("no-material", "decode", "Without material.", (Rule::Range, "promotion.identities"), |p| {
            p.identities.clear();
        }),
        case("bank-institution", "verify", "To an institution.", (Rule::Agreement, "promotion.bank"), |p| {
            p.bank = id("broker");
        }),
        case("network", "verify", "Belongs to another network.", (Rule::Network, "promotion.network"), |p| {
            p.network = founded("another network").network();
        }),
        Vector::reject("promotion-signature", ("verify", "promotion"), about, broken, &flip),
    ]
}

fn referrals(world: &World) -> Vec<Vector> {
    let case = |name: &str, step: &str, about: &str, broken: (Rule, &str), signer: &str, change: fn(&mut Referral)| {
        let mut record = promotion(world).referral();
        change(&mut record);
        let bytes = forge(&record, &member_key(signer));
        Vector::reject(&format!("referral-{name}"), (step, "referral"), about, broken, &bytes)
    };
    let bytes = forge(&promotion(world).referral(), &member_key("bank-a"));
    let broken = (Rule::Signature, "referral.signature");
    let about = "A bit of the signature is flipped.";
    let signer = (Rule::Signer, "referral.signer");
    let by_customer = forge(&promotion(world).referral(), &key("alice"));
    let large = cose::sign(ContentType::Referral, &member_key("bank-a"), &[0; 221]);
    assert_eq!(large.len(), SIGNED_REFERRAL_BYTES_MAX + 1);
    vec![
        case("uses-none", "decode", "For no use at all.", (Rule::Range, "referral.uses"), "bank-a", |r| r.uses = 0),
        case("uses-many", "decode", "For 1,000,001 uses.", (Rule::Range, "referral.uses"), "bank-a", |r| {
            r.uses = 1_000_001;
        }),
        case("network", "verify", "Belongs to another network.", (Rule::Network, "referral.network"), "bank-a", |r| {
            r.network = founded("another network").network();
        }),
        case("by-another-bank", "verify", "Another bank signs it.", signer, "bank-b", |_| ()),
        case("by-institution", "verify", "An institution vouches for itself.", signer, "broker", |r| {
            r.bank = id("broker");
        }),
        case("of-nobody", "verify", "Of no member.", signer, "bank-a", |r| r.bank = id("nobody")),
        Vector::reject("referral-by-customer", ("verify", "referral"), "The promoter signs it.", signer, &by_customer),
        Vector::unreadable(
            "referral-large",
            "referral",
            "One byte too large for its QR code.",
            "371 bytes, but at most 370 are allowed",
            &large,
        ),
        Vector::reject("referral-signature", ("verify", "referral"), about, broken, &flipped(&bytes, 1)),
    ]
}
