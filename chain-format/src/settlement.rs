//! Settlement: what an institution does with a position of a customer when its price is there.

use crate::amount::Price;
use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Deal, Posting, postings_are_formed, price_is_formed};
use crate::hash::{AccountId, Link, NetworkId};
use crate::limits::SETTLEMENT_BYTES_MAX;
use crate::member::MemberId;
use crate::record::Record;

/// The record by which an institution settles a position; signed by the institution. It moves just what the ledger derives from
/// the position, the listing and the act.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Settlement {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The institution; it signs.
    #[n(1)]
    pub institution: MemberId,
    /// The position's key.
    #[n(2)]
    pub position: AccountId,
    /// The account whose position it is.
    #[n(3)]
    pub account: AccountId,
    /// The position's head.
    #[n(4)]
    pub parent: Link,
    /// The listing in force.
    #[n(5)]
    pub listing: Link,
    /// What is done.
    #[n(6)]
    pub act: SettlementAct,
    /// Every movement.
    #[n(7)]
    pub postings: Vec<Posting>,
    /// When it was signed, as the institution claims, in Unix milliseconds: not ahead of the block's time by more than clocks may
    /// drift, nor more than ten minutes behind it.
    #[n(8)]
    pub settled_ms: u64,
}

/// What is done with a position. Prices come with their time, as the institution claims, in Unix milliseconds: not later than the
/// settlement.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum SettlementAct {
    /// The order that waits is executed.
    #[n(0)]
    Fill {
        /// At what.
        #[n(0)]
        deal: Deal,
        /// The price's time.
        #[n(1)]
        priced_ms: u64,
    },
    /// The order that waits is not executed: what it reserves goes back.
    #[n(1)]
    Release(#[n(0)] ReleaseReason),
    /// The futures position is marked to a price.
    #[n(2)]
    Mark {
        /// The price.
        #[n(0)]
        price: Price,
        /// The price's time.
        #[n(1)]
        priced_ms: u64,
    },
    /// The futures position is closed out at a price.
    #[n(3)]
    Close {
        /// The price.
        #[n(0)]
        price: Price,
        /// The price's time.
        #[n(1)]
        priced_ms: u64,
        /// Why.
        #[n(2)]
        reason: CloseReason,
    },
}

/// Why an order that waits is not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum ReleaseReason {
    /// The price is beyond the order's limit.
    #[n(0)]
    PriceOutsideLimit,
    /// The fee is above the highest that the order accepts, or above the proceeds.
    #[n(1)]
    FeeAboveLimit,
    /// The amount pays for nothing, or for less than the least quantity.
    #[n(2)]
    QuantityOutsideTerms,
    /// The instrument is not open to that side any more.
    #[n(3)]
    InstrumentClosed,
    /// The institution cannot execute it.
    #[n(4)]
    NotExecuted,
}

/// Why a futures position is closed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum CloseReason {
    /// A margin call was not met in time.
    #[n(0)]
    Called,
    /// The margin is used up.
    #[n(1)]
    Exhausted,
    /// The contract has ended.
    #[n(2)]
    Expired,
}

macro_rules! texts {
    ($name:ident: $($variant:ident $text:literal,)*) => {
        impl $name {
            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

texts! { ReleaseReason:
    PriceOutsideLimit "price-outside-limit",
    FeeAboveLimit "fee-above-limit",
    QuantityOutsideTerms "quantity-outside-terms",
    InstrumentClosed "instrument-closed",
    NotExecuted "not-executed",
}

texts! { CloseReason:
    Called "called",
    Exhausted "exhausted",
    Expired "expired",
}

impl SettlementAct {
    /// The act's stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Fill { .. } => "fill",
            Self::Release(_) => "release",
            Self::Mark { .. } => "mark",
            Self::Close { .. } => "close",
        }
    }

    /// The price's time, where there is a price.
    pub const fn priced_ms(&self) -> Option<u64> {
        match self {
            Self::Fill { priced_ms, .. } | Self::Mark { priced_ms, .. } | Self::Close { priced_ms, .. } => {
                Some(*priced_ms)
            }
            Self::Release(_) => None,
        }
    }
}

impl Record for Settlement {
    const CONTENT: ContentType = ContentType::Settlement;
    const BYTES_MAX: usize = SETTLEMENT_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        match &self.act {
            SettlementAct::Fill { deal, .. } => deal.check("settlement.act.deal")?,
            SettlementAct::Release(_) => {}
            SettlementAct::Mark { price, .. } | SettlementAct::Close { price, .. } => {
                price_is_formed(price, "settlement.act.price")?;
            }
        }
        let priced_ms = self.act.priced_ms().unwrap_or_default();
        let expected = format_args!("at most {}", self.settled_ms);
        ensure(priced_ms <= self.settled_ms, Rule::Range, "settlement.act.priced_ms", expected, priced_ms)?;
        postings_are_formed(&self.postings, "settlement.postings")
    }
}
