//! The founders, their keys from fixed seeds, and the instruments they list.

use ed25519_dalek::SigningKey;
use stemma_chain_format::dealing::Dealing;
use stemma_chain_format::genesis::{FORMAT_VERSION, Genesis, GenesisFile, Parameters, sign_genesis};
use stemma_chain_format::hash::NetworkId;
use stemma_chain_format::hours::{Session, TradingHours};
use stemma_chain_format::instrument::{InstrumentId, InstrumentKind};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::listing::{FeeSchedule, Listing, ListingStatus, Terms};
use stemma_chain_format::member::{Member, MemberId, Role};

use super::amount;

/// When the network was made, in Unix milliseconds.
pub const CREATED_MS: u64 = 1_760_000_000_000;

/// Id, role and voting power of each founder, in the order of the genesis.
pub const FOUNDERS: [(&str, Role, u64); 5] = [
    ("auditor", Role::Auditor, 0),
    ("bank-a", Role::Bank, 1),
    ("bank-b", Role::Bank, 1),
    ("broker", Role::Institution, 1),
    ("fund-house", Role::Institution, 1),
];

/// A member's id.
pub fn id(text: &str) -> MemberId {
    text.parse().unwrap()
}

/// A key whose seed is `BLAKE3 derive_key("stemma 2026 test key", label)`.
pub fn key(label: &str) -> SigningKey {
    SigningKey::from_bytes(&blake3::derive_key("stemma 2026 test key", label.as_bytes()))
}

/// The key that signs a member's records.
pub fn member_key(member: &str) -> SigningKey {
    key(&format!("{member}/member"))
}

/// The key that signs a member's votes.
pub fn validator_key(member: &str) -> SigningKey {
    key(&format!("{member}/validator"))
}

fn founder((name, role, power): (&str, Role, u64)) -> Member {
    Member {
        id: id(name),
        role,
        name: format!("{name} of the test network"),
        member_key: PublicKey::of(&member_key(name)),
        network_key: PublicKey::of(&key(&format!("{name}/network"))),
        validator_key: (power > 0).then(|| PublicKey::of(&validator_key(name))),
        power,
    }
}

/// The genesis payload of the test network under a name.
pub fn genesis(name: &str) -> Genesis {
    Genesis {
        format: FORMAT_VERSION,
        name: name.to_owned(),
        created_ms: CREATED_MS,
        members: FOUNDERS.map(founder).to_vec(),
        parameters: Parameters { expiry_blocks_max: 1_000, ..Parameters::default() },
    }
}

/// The genesis file of the test network under a name, signed by every founder.
pub fn founded(name: &str) -> GenesisFile {
    let genesis = genesis(name);
    let payload = genesis.payload();
    let signatures = FOUNDERS.map(|(founder, ..)| sign_genesis(&payload, &member_key(founder)));
    GenesisFile::assemble(&genesis, &signatures).unwrap()
}

/// The cash that a bank issues.
pub fn cash_of(bank: &str) -> InstrumentId {
    format!("{bank}/USD").parse().unwrap()
}

/// The instrument that an institution issues.
pub fn instrument_of(institution: &str) -> InstrumentId {
    let code = if institution == "broker" { "ACME" } else { "GROWTH" };
    format!("{institution}/{code}").parse().unwrap()
}

/// Any quantity at any time, for a fee of 1.99.
pub fn terms_of_trade() -> Terms {
    Terms { fees: FeeSchedule { least: amount(199), ..FeeSchedule::default() }, ..Terms::default() }
}

/// Terms with every optional field.
pub fn full_terms() -> Terms {
    Terms {
        lot: amount(10),
        quantity_min: Some(amount(20)),
        quantity_max: Some(amount(100_000)),
        fees: FeeSchedule { buy_basis_points: 25, sell_basis_points: 10, least: amount(150) },
        hours: Some(TradingHours {
            zone: "America/New_York".to_owned(),
            sessions: (0..5).map(|weekday| Session { weekday, opens: 570, closes: 960 }).collect(),
            holidays: vec![20_783, 20_812],
        }),
        credit_level_min: 2,
        risk_class: 5,
        lock_up_days: 30,
        dealing: Dealing::Spot,
    }
}

/// The listing of a founder's instrument.
pub fn listing_of(network: NetworkId, member: &str) -> Listing {
    let (kind, decimals) = match member {
        "broker" => (InstrumentKind::Stock, 0),
        "fund-house" => (InstrumentKind::Fund, 4),
        _ => (InstrumentKind::Currency, 2),
    };
    let currency = kind == InstrumentKind::Currency;
    Listing {
        network,
        instrument: if currency { cash_of(member) } else { instrument_of(member) },
        kind,
        decimals,
        name: format!("The {kind} of {member}"),
        quoted_in: (!currency).then(|| "USD".to_owned()),
        isin: None,
        status: ListingStatus::Open,
        terms: (!currency).then(terms_of_trade),
        replaces: None,
    }
}
