//! The first chain: what a customer asks for, signed with the account's key.

use crate::amount::{Amount, Price};
use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Digest, Link, NetworkId};
use crate::instrument::InstrumentId;
use crate::limits::{IDENTITIES_MAX, IDENTITY_TYPE_CHARS_MAX, REFERRAL_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// The first chain.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Request {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The account that trades; its key signs.
    #[n(1)]
    pub account: AccountId,
    /// Chosen by the customer, larger than in every committed request before: a request counts once.
    #[n(2)]
    pub counter: u64,
    /// The account's bank.
    #[n(3)]
    pub bank: MemberId,
    /// The institution that is to execute.
    #[n(4)]
    pub institution: MemberId,
    /// What is asked for.
    #[n(5)]
    pub order: Order,
    /// Who the customer claims to be: one claim for each type of identity, in the order of their types.
    #[n(6)]
    pub identities: Vec<IdentityClaim>,
    /// The last height at which the chain may commit, if the customer sets one.
    #[n(7)]
    pub expires: Option<u64>,
    /// A referral for a trade, as bytes that the institution parses, at most 1,024.
    #[n(8)]
    #[cbor(with = "minicbor::bytes")]
    pub referral: Option<Vec<u8>>,
}

/// What a customer asks an institution for.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum Order {
    /// To buy or sell.
    #[n(0)]
    Trade(#[n(0)] Trade),
    /// To take back an order that waits for its price.
    #[n(1)]
    Cancel(#[n(0)] Cancel),
    /// To pay into the margin of a futures position, or out of it.
    #[n(2)]
    Margin(#[n(0)] MarginPayment),
}

/// Which waiting order is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Cancel {
    /// The link of the request that asked for it.
    #[n(0)]
    pub request: Link,
    /// The instrument that it trades; the target institution issues it.
    #[n(1)]
    pub instrument: InstrumentId,
    /// The cash that it pays or receives; the account's bank issues it.
    #[n(2)]
    pub cash: InstrumentId,
}

/// A payment into or out of the margin of a futures position.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct MarginPayment {
    /// The futures contract; the target institution issues it.
    #[n(0)]
    pub instrument: InstrumentId,
    /// The cash that the margin is kept in; the account's bank issues it.
    #[n(1)]
    pub cash: InstrumentId,
    /// The amount, not zero: above zero it is paid in, below zero it is taken out.
    #[n(2)]
    pub amount: Amount,
}

impl Order {
    /// What is asked for, as a word: `trade`, `cancel` or `margin`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Trade(_) => "trade",
            Self::Cancel(_) => "cancel",
            Self::Margin(_) => "margin",
        }
    }

    /// The instrument that it is about.
    pub const fn instrument(&self) -> &InstrumentId {
        match self {
            Self::Trade(Trade { instrument, .. })
            | Self::Cancel(Cancel { instrument, .. })
            | Self::Margin(MarginPayment { instrument, .. }) => instrument,
        }
    }

    /// The cash that moves.
    pub const fn cash(&self) -> &InstrumentId {
        match self {
            Self::Trade(Trade { cash, .. })
            | Self::Cancel(Cancel { cash, .. })
            | Self::Margin(MarginPayment { cash, .. }) => cash,
        }
    }

    /// The trade, where it is one.
    pub const fn trade(&self) -> Option<&Trade> {
        match self {
            Self::Trade(trade) => Some(trade),
            Self::Cancel(_) | Self::Margin(_) => None,
        }
    }

    /// The place of one of its fields in the request, for a verdict.
    pub fn place<'f>(&self, field: &'f str) -> impl std::fmt::Display + use<'f> {
        let order = self.as_str();
        std::fmt::from_fn(move |f| write!(f, "request.{order}.{field}"))
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        match self {
            Self::Trade(Trade { size, limit, fee_max, .. }) => {
                let (Size::Quantity(size) | Size::Cash(size)) = size;
                ensure(size.is_positive(), range, "request.trade.size", "above 0", size)?;
                let limit_holds = limit.is_none_or(|price| price.is_well_formed());
                ensure(limit_holds, range, "request.trade.limit", "a price above 0 in its one form", "another")?;
                let fee_holds = fee_max.is_none_or(|fee| !fee.is_negative());
                ensure(fee_holds, range, "request.trade.fee_max", "0 or above", fee_max.unwrap_or_default())
            }
            Self::Cancel(_) => Ok(()),
            Self::Margin(MarginPayment { amount, .. }) => {
                ensure(!amount.is_zero(), range, "request.margin.amount", "not 0", amount)
            }
        }
    }
}

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum Side {
    /// The customer pays cash and gets the instrument.
    #[n(0)]
    Buy,
    /// The customer gives the instrument and gets cash.
    #[n(1)]
    Sell,
}

impl Side {
    /// Whether a limit admits a price: not above it to buy, not below it to sell.
    pub fn admits(self, limit: &Price, price: &Price) -> bool {
        match self {
            Self::Buy => price <= limit,
            Self::Sell => price >= limit,
        }
    }

    /// What a limit is on this side: `at most` or `at least`.
    pub const fn bound(self) -> &'static str {
        match self {
            Self::Buy => "at most",
            Self::Sell => "at least",
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        })
    }
}

/// What is to be traded.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Trade {
    /// Buy or sell.
    #[n(0)]
    pub side: Side,
    /// The instrument; the target institution issues it.
    #[n(1)]
    pub instrument: InstrumentId,
    /// How much.
    #[n(2)]
    pub size: Size,
    /// The cash that pays or is received; the account's bank issues it.
    #[n(3)]
    pub cash: InstrumentId,
    /// The highest price to buy at, or the lowest to sell at.
    #[n(4)]
    pub limit: Option<Price>,
    /// The highest fee accepted, in smallest units of cash; zero or above.
    #[n(5)]
    pub fee_max: Option<Amount>,
}

/// How much to trade: a quantity of the instrument, or an amount of cash. Above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum Size {
    /// So many smallest units of the instrument.
    #[n(0)]
    Quantity(#[n(0)] Amount),
    /// As much as so many smallest units of cash buy, or sell for, at most.
    #[n(1)]
    Cash(#[n(0)] Amount),
}

/// The claim on an identity: its type, and a commitment to the evidence. The evidence itself goes to the bank alone.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct IdentityClaim {
    /// The type, such as `account-key`: lowercase letters, digits and hyphens, at most 32.
    #[n(0)]
    pub kind: String,
    /// `BLAKE3 keyed(salt, evidence)` with a random 32-byte salt, so that evidence cannot be guessed from it.
    #[n(1)]
    pub commitment: Digest,
}

impl IdentityClaim {
    /// Commits to evidence under a random salt.
    pub fn commit(kind: &str, salt: &[u8; 32], evidence: &[u8]) -> Self {
        Self { kind: kind.to_owned(), commitment: commitment(salt, evidence) }
    }
}

/// Whether a text is lowercase letters, digits and hyphens, at least one and at most so many.
pub(crate) fn is_label(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Claims' own rules: one to four, each type once and in order, well formed.
pub(crate) fn identities_hold(claims: &[IdentityClaim], field: &str) -> Result<(), Violation> {
    let count = claims.len();
    ensure((1..=IDENTITIES_MAX).contains(&count), Rule::Range, field, "1 to 4 claims", count)?;
    for IdentityClaim { kind, .. } in claims {
        let holds = is_label(kind, IDENTITY_TYPE_CHARS_MAX);
        let field = format_args!("{field}.kind");
        ensure(holds, Rule::Range, field, "lowercase letters, digits, hyphens", kind)?;
    }
    let mut pairs = claims.iter().zip(claims.iter().skip(1));
    let unsorted = pairs.find(|(before, after)| before.kind >= after.kind);
    let found = unsorted.map(|(_, after)| after.kind.as_str()).unwrap_or_default();
    ensure(unsorted.is_none(), Rule::Range, field, "each type once, in ascending order", found)
}

/// The commitment to evidence under a salt.
pub fn commitment(salt: &[u8; 32], evidence: &[u8]) -> Digest {
    Digest(blake3::keyed_hash(salt, evidence).into())
}

impl Record for Request {
    const CONTENT: ContentType = ContentType::Request;
    const BYTES_MAX: usize = REQUEST_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        ensure(self.counter > 0, range, "request.counter", "above 0", self.counter)?;
        self.order.check()?;
        let (instrument, cash) = (self.order.instrument(), self.order.cash());
        let issued = instrument.is_issued_by(&self.institution);
        let expected = format_args!("an instrument of {}", self.institution);
        ensure(issued, range, self.order.place("instrument"), expected, instrument)?;
        let claim_on_bank = cash.is_issued_by(&self.bank);
        let expected = format_args!("cash of {}", self.bank);
        ensure(claim_on_bank, range, self.order.place("cash"), expected, cash)?;
        identities_hold(&self.identities, "request.identities")?;
        let referral_bytes = self.referral.as_ref().map_or(0, Vec::len);
        let referral_holds = referral_bytes <= REFERRAL_BYTES_MAX;
        ensure(referral_holds, range, "request.referral", "at most 1024 bytes", referral_bytes)?;
        let fits = self.referral.is_none() || self.order.trade().is_some();
        ensure(fits, range, "request.referral", "none but for a trade", self.order.as_str())
    }
}
