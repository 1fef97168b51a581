//! Records that break a rule of their own, in their one encoding and well signed.

use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::Execution;

use stemma_chain_format::hash::Link;
use stemma_chain_format::hours::TradingHours;
use stemma_chain_format::issuance::Issuance;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::listing::{Listing, ListingStatus, Terms};
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_chain_format::request::{IdentityClaim, Request, Side, Size};

use crate::common::members::{full_terms, listing_of};
use crate::common::world::opening;
use crate::common::{
    Order, Plan, World, amount, cash_of, deal_of, forge, id, instrument_of, member_key, terms, trade_of,
};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [requests(world), seconds(world), executions(world), issuances(world), listings(world), others(world)].concat()
}

fn plan(world: &World) -> Plan<'_> {
    Plan::new(world, Order::new(world.customer("bob"), "broker", Side::Buy))
}

/// A price in another than its one form; only decoding makes one.
fn price_of(mantissa: u64, scale: u8) -> Price {
    let mut e = minicbor::Encoder::new(Vec::new());
    e.array(2).unwrap().u64(mantissa).unwrap().u8(scale).unwrap();
    cbor::decode(&e.into_writer(), "price", 64).unwrap()
}

fn claim(request: &Request, kind: &str) -> IdentityClaim {
    IdentityClaim { kind: kind.to_owned(), commitment: request.identities[0].commitment }
}

fn range(name: &str, record: &str, about: &str, field: &str, bytes: &[u8]) -> Vector {
    Vector::reject(name, ("decode", record), about, (Rule::Range, field), bytes)
}

fn requests(world: &World) -> Vec<Vector> {
    let case = |name: &str, about: &str, field: &str, change: fn(&mut Request)| {
        let bytes = plan(world).request(change).stages()[0].clone();
        range(&format!("request-{name}"), "request", about, field, &bytes)
    };
    vec![
        case("counter-zero", "A counter of zero.", "request.counter", |r| r.counter = 0),
        case("size-zero", "A size of zero.", "request.trade.size", |r| trade_of(r).size = Size::Quantity(Amount::ZERO)),
        case("size-negative", "A size below zero.", "request.trade.size", |r| {
            trade_of(r).size = Size::Cash(amount(-1))
        }),
        case("limit-zero", "A limit of nothing.", "request.trade.limit", |r| trade_of(r).limit = Some(price_of(0, 0))),
        case("limit-other-form", "The limit 1 as 10 × 10^-1.", "request.trade.limit", |r| {
            trade_of(r).limit = Some(price_of(10, 1));
        }),
        case("fee-max-negative", "Accepts at most a fee below zero.", "request.trade.fee_max", |r| {
            trade_of(r).fee_max = Some(amount(-1));
        }),
        case("limit-scale", "A limit of 13 places.", "request.trade.limit", |r| {
            trade_of(r).limit = Some(price_of(1, 13))
        }),
        case("cash-of-another-bank", "Pays in another bank's cash.", "request.trade.cash", |r| {
            trade_of(r).cash = cash_of("bank-b");
        }),
        case("instrument-of-another", "Asks for what another institution issues.", "request.trade.instrument", |r| {
            trade_of(r).instrument = instrument_of("fund-house");
        }),
        case("identity-kind", "An identity type in capitals.", "request.identities.kind", |r| {
            r.identities[0].kind = "Account-Key".to_owned();
        }),
        case("identity-none", "Claims no identity.", "request.identities", |r| r.identities.clear()),
        case("identity-twice", "Claims one type of identity twice.", "request.identities", |r| {
            r.identities.push(r.identities[0].clone());
        }),
        case("identity-five", "Claims five types of identity.", "request.identities", |r| {
            r.identities = ["a", "b", "c", "d", "e"].map(|kind| claim(r, kind)).to_vec();
        }),
        case("identity-order", "Two types of identity out of order.", "request.identities", |r| {
            r.identities = ["totp", "password"].map(|kind| claim(r, kind)).to_vec();
        }),
        case("referral-large", "A referral of 1,025 bytes.", "request.referral", |r| r.referral = Some(vec![0; 1025])),
    ]
}

fn seconds(world: &World) -> Vec<Vector> {
    let sequence = plan(world).endorsement(|e| e.sequence = 0).stages()[1].clone();
    let absorbing = Plan::new(world, Order::new(world.customer("alice"), "broker", Side::Buy));
    let absorbed = absorbing.endorsement(|e| e.absorbed[0].amount = Amount::ZERO).stages()[1].clone();
    let foreign = plan(world).endorsement(|e| e.credit.lines.add(&cash_of("bank-b"), amount(1)).unwrap());
    let negative = plan(world).endorsement(|e| e.credit = terms("bank-a", 3, 2, -1));
    let case = |name: &str, about: &str, field: &str, bytes: &[u8]| range(name, "endorsement", about, field, bytes);
    vec![
        case("endorsement-sequence-zero", "A sequence of zero.", "endorsement.sequence", &sequence),
        case("endorsement-credit-zero", "Absorbs a credit of nothing.", "endorsement.absorbed.amount", &absorbed),
        case(
            "endorsement-line-foreign",
            "A credit line in another bank's cash.",
            "endorsement.credit.lines.bank-b/USD",
            &foreign.stages()[1],
        ),
        case(
            "endorsement-line-negative",
            "A credit line below zero.",
            "endorsement.credit.lines.bank-a/USD",
            &negative.stages()[1],
        ),
    ]
}

fn executions(world: &World) -> Vec<Vector> {
    let case = |name: &str, about: &str, field: &str, change: fn(&mut Execution)| {
        let bytes = plan(world).execution(change).stages()[2].clone();
        range(&format!("execution-{name}"), "execution", about, &format!("execution.{field}"), &bytes)
    };
    vec![
        case("quantity-zero", "Nothing changes hands.", "quantity", |x| deal_of(x).quantity = Amount::ZERO),
        case("fee-negative", "A fee below zero.", "fee", |x| deal_of(x).fee = amount(-1)),
        case("price-zero", "A price of zero.", "price", |x| deal_of(x).price = price_of(0, 0)),
        case("no-postings", "Without a posting.", "postings", |x| x.postings.clear()),
        case("posting-zero", "A posting of nothing.", "postings.amount", |x| x.postings[0].amount = Amount::ZERO),
        case("65-postings", "One posting more than there may be.", "postings", |x| {
            x.postings = vec![x.postings[0].clone(); 65];
        }),
    ]
}

fn issuances(world: &World) -> Vec<Vector> {
    let [alice, bob] = ["alice", "bob"].map(|name| world.customer(name).account);
    let case = |name: &str, about: &str, field: &str, change: &dyn Fn(&mut Issuance)| {
        let mut record = world.issuance("bank-a", &[(alice, 5), (bob, 6)]);
        change(&mut record);
        let bytes = forge(&record, &member_key("bank-a"));
        range(&format!("issuance-{name}"), "issuance", about, &format!("issuance.{field}"), &bytes)
    };
    vec![
        case("foreign", "Issues another bank's cash.", "instrument", &|i| i.instrument = cash_of("bank-b")),
        case("no-credits", "Credits nobody.", "credits", &|i| i.credits.clear()),
        case("account-twice", "Credits one account twice.", "credits.account", &|i| i.credits[1].account = alice),
        case("credit-negative", "Takes instead of giving.", "credits.amount", &|i| i.credits[1].amount = amount(-6)),
        case("total", "The credits sum to more than 2^96.", "credits", &|i| {
            i.credits[0].amount = amount(1 << 96);
        }),
    ]
}

fn listings(world: &World) -> Vec<Vector> {
    let case = |name: &str, member: &str, about: &str, field: &str, change: fn(&mut Listing)| {
        let mut record = listing_of(world.network(), member);
        change(&mut record);
        let bytes = forge(&record, &member_key(member));
        range(&format!("listing-{name}"), "listing", about, &format!("listing.{field}"), &bytes)
    };
    let in_terms = |name: &str, about: &str, field: &str, change: fn(&mut Terms)| {
        let mut record = Listing { terms: Some(full_terms()), ..listing_of(world.network(), "broker") };
        record.terms.as_mut().map(change).unwrap();
        let bytes = forge(&record, &member_key("broker"));
        range(&format!("listing-terms-{name}"), "listing", about, &format!("listing.terms.{field}"), &bytes)
    };
    let in_hours = |name: &str, about: &str, field: &str, change: fn(&mut TradingHours)| {
        let mut terms = full_terms();
        terms.hours.as_mut().map(change).unwrap();
        let record = Listing { terms: Some(terms), ..listing_of(world.network(), "broker") };
        let bytes = forge(&record, &member_key("broker"));
        range(&format!("listing-hours-{name}"), "listing", about, &format!("listing.terms.hours.{field}"), &bytes)
    };
    vec![
        case("decimals", "broker", "Nineteen decimals.", "decimals", |l| l.decimals = 19),
        case("nameless", "broker", "Without a name.", "name", |l| l.name.clear()),
        case("unquoted", "broker", "A stock quoted in nothing.", "quoted_in", |l| l.quoted_in = None),
        case("cash-quoted", "bank-a", "Cash quoted in something.", "quoted_in", |l| {
            l.quoted_in = Some("EUR".to_owned());
        }),
        case("cash-terms", "bank-a", "Cash with terms.", "terms", |l| l.terms = Some(full_terms())),
        case("cash-closed", "bank-a", "Cash that is closed.", "status", |l| l.status = ListingStatus::Closed),
        case("cash-isin", "bank-a", "Cash with an ISIN.", "isin", |l| l.isin = Some("US0378331005".parse().unwrap())),
        case("cash-change", "bank-a", "A change of cash.", "replaces", |l| l.replaces = Some(Link([1; 32]))),
        case("no-terms", "broker", "A stock without terms.", "terms", |l| l.terms = None),
        in_terms("lot", "Lots of nothing.", "lot", |t| t.lot = amount(0)),
        in_terms("min", "A least quantity of 0.", "quantity_min", |t| t.quantity_min = Some(amount(0))),
        in_terms("max", "A largest quantity below 0.", "quantity_max", |t| t.quantity_max = Some(amount(-1))),
        in_terms("max-below-min", "A largest quantity below the least.", "quantity_max", |t| {
            t.quantity_max = Some(amount(19));
        }),
        in_terms("fee-buy", "A fee above the whole.", "fees.buy_basis_points", |t| t.fees.buy_basis_points = 10_001),
        in_terms("fee-sell", "A fee above the whole.", "fees.sell_basis_points", |t| t.fees.sell_basis_points = 10_001),
        in_terms("fee-least", "A least fee below 0.", "fees.least", |t| t.fees.least = amount(-1)),
        in_terms("risk-none", "Class of risk 0.", "risk_class", |t| t.risk_class = 0),
        in_terms("risk-above", "Class of risk 8.", "risk_class", |t| t.risk_class = 8),
        in_terms("lock-up", "Locked up for more than ten years.", "lock_up_days", |t| t.lock_up_days = 3_661),
        in_hours("zone", "A time zone with a blank.", "zone", |h| h.zone = "New York".to_owned()),
        in_hours("sessions", "Hours without a session.", "sessions", |h| h.sessions.clear()),
        in_hours("weekday", "An eighth day of the week.", "sessions[4]", |h| h.sessions[4].weekday = 7),
        in_hours("session-empty", "A session that ends as it begins.", "sessions[0]", |h| h.sessions[0].closes = 570),
        in_hours("session-long", "A session beyond midnight.", "sessions[4]", |h| h.sessions[4].closes = 1_441),
        in_hours("sessions-unordered", "Tuesday before Monday.", "sessions", |h| h.sessions.swap(0, 1)),
        in_hours("sessions-overlap", "Two sessions at once.", "sessions", |h| h.sessions[1].weekday = 0),
        in_hours("holidays-unordered", "A later day first.", "holidays", |h| h.holidays.swap(0, 1)),
        in_hours("holidays-many", "One day too many.", "holidays", |h| h.holidays = (0..129).collect()),
    ]
}

fn others(world: &World) -> Vec<Vector> {
    let mut weak = opening(world.network(), "dora", "bank-a").record().clone();
    weak.key = PublicKey([0; 32]);
    let mut other_form = weak.clone();
    // The point y = 1 written as y = 1 + p.
    other_form.key = PublicKey({
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (0xee, 0x7f);
        bytes
    });
    // Of mixed order: case 4 of the speccheck vectors.
    let mut mixed = weak.clone();
    mixed.key = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d".parse().unwrap();
    let Entry::Chain(chain) = plan(world).entry() else { panic!("a chain") };
    let refusal = Refusal {
        network: world.network(),
        member: id("bank-a"),
        refused: chain.request.link(),
        reason: RefusalReason::Busy,
        expected: String::new(),
        found: "x".repeat(257),
        refused_ms: 0,
    };
    let key = member_key("bank-a");
    vec![
        range("opening-key-mixed", "opening", "A key with a part of small order.", "opening.key", &forge(&mixed, &key)),
        range("opening-key-weak", "opening", "A key of small order.", "opening.key", &forge(&weak, &key)),
        range(
            "opening-key-other-form",
            "opening",
            "A key not in its one form.",
            "opening.key",
            &forge(&other_form, &key),
        ),
        range("refusal-text", "refusal", "A text of 257 bytes.", "refusal.found", &forge(&refusal, &key)),
    ]
}
