//! The third chain: what the institution did, as postings that sum to zero for each instrument.

use crate::amount::{Amount, Price};
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Link, NetworkId};
use crate::holdings::Holdings;
use crate::instrument::InstrumentId;
use crate::limits::{EXECUTION_BYTES_MAX, POSTINGS_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// The third chain.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Execution {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The endorsement that it answers.
    #[n(1)]
    pub endorsement: Link,
    /// The institution; it signs.
    #[n(2)]
    pub institution: MemberId,
    /// The account.
    #[n(3)]
    pub account: AccountId,
    /// The listing under which it traded.
    #[n(4)]
    pub listing: Link,
    /// Smallest units of the instrument that changed hands, above zero.
    #[n(5)]
    pub quantity: Amount,
    /// The price.
    #[n(6)]
    pub price: Price,
    /// The fee in cash, zero or above.
    #[n(7)]
    pub fee: Amount,
    /// Every movement.
    #[n(8)]
    pub postings: Vec<Posting>,
    /// What the account holds afterwards.
    #[n(9)]
    pub holdings: Holdings,
    /// When it was executed, as the institution claims, in Unix milliseconds.
    #[n(10)]
    pub executed_ms: u64,
    /// What became of the request's referral; there exactly where the request has one.
    #[n(11)]
    pub referral: Option<ReferralOutcome>,
}

/// What became of a request's referral. A trade that goes on without a reward says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum ReferralOutcome {
    /// Rewards were paid on it.
    #[n(0)]
    Rewarded,
    /// It is no referral of this network that its bank signed, or its promoter can't be paid.
    #[n(1)]
    Invalid,
    /// It is past its expiry.
    #[n(2)]
    Expired,
    /// As many trades as it allows have carried it.
    #[n(3)]
    Exhausted,
    /// It promotes another trade.
    #[n(4)]
    OtherTrade,
    /// The account that trades is its promoter.
    #[n(5)]
    OwnReferral,
    /// Rewards are for an account's first trade alone.
    #[n(6)]
    NotFirstTrade,
    /// The institution's budget, or a cap of its policy, is used up.
    #[n(7)]
    LimitReached,
    /// The institution rewards no such trade.
    #[n(8)]
    NoPolicy,
    /// The institution's promotion account lacks the cash.
    #[n(9)]
    Unfunded,
}

impl ReferralOutcome {
    /// The outcome's stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rewarded => "rewarded",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Exhausted => "exhausted",
            Self::OtherTrade => "other-trade",
            Self::OwnReferral => "own-referral",
            Self::NotFirstTrade => "not-first-trade",
            Self::LimitReached => "limit-reached",
            Self::NoPolicy => "no-policy",
            Self::Unfunded => "unfunded",
        }
    }

    /// Whether the referral itself is at fault, and not what the institution grants.
    pub const fn is_bad_referral(self) -> bool {
        matches!(self, Self::Invalid | Self::Expired | Self::Exhausted | Self::OtherTrade | Self::OwnReferral)
    }
}

impl std::fmt::Display for ReferralOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Posting {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// The instrument.
    #[n(1)]
    pub instrument: InstrumentId,
    /// The signed amount, not zero.
    #[n(2)]
    pub amount: Amount,
    /// Why.
    #[n(3)]
    pub purpose: PostingPurpose,
}

/// Why a posting was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum PostingPurpose {
    /// The trade itself.
    #[n(0)]
    Trade,
    /// The fee.
    #[n(1)]
    Fee,
    /// A promotion reward, from the institution's promotion account to the account that trades or to the promoter.
    #[n(2)]
    Reward,
}

impl Record for Execution {
    const CONTENT: ContentType = ContentType::Execution;
    const BYTES_MAX: usize = EXECUTION_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        let quantity = self.quantity;
        ensure(quantity.is_positive(), range, "execution.quantity", "above 0", quantity)?;
        ensure(!self.fee.is_negative(), range, "execution.fee", "0 or above", self.fee)?;
        let formed = self.price.is_well_formed();
        ensure(formed, range, "execution.price", "a price above 0 in its one form", "another")?;
        let count = self.postings.len();
        let count_holds = (1..=POSTINGS_MAX).contains(&count);
        ensure(count_holds, range, "execution.postings", "1 to 64", count)?;
        let moves = self.postings.iter().all(|posting| !posting.amount.is_zero());
        ensure(moves, range, "execution.postings.amount", "not 0", 0)
    }
}
