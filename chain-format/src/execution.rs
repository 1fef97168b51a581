//! The third chain: what the institution did, as postings that sum to zero for each instrument.

use crate::amount::{Amount, Price};
use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Link, NetworkId};
use crate::holdings::Holdings;
use crate::instrument::InstrumentId;
use crate::limits::{EXECUTION_BYTES_MAX, POSTINGS_MAX, WAIT_MS_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// The third chain.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
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
    /// What became of the order.
    #[n(5)]
    pub outcome: Outcome,
    /// Every movement.
    #[n(6)]
    pub postings: Vec<Posting>,
    /// What the account holds afterwards.
    #[n(7)]
    pub holdings: Holdings,
    /// When it was executed, as the institution claims, in Unix milliseconds.
    #[n(8)]
    pub executed_ms: u64,
    /// What became of the request's referral; there exactly where the request has one.
    #[n(9)]
    pub referral: Option<ReferralOutcome>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum Outcome {
    /// It was traded at a price.
    #[n(0)]
    Traded(#[n(0)] Deal),
    /// It was taken, and waits for its price; what it needs is reserved.
    #[n(1)]
    Accepted(#[n(0)] Acceptance),
    /// What it asked for was done: an order cancelled, a margin paid.
    #[n(2)]
    Done,
}

impl Outcome {
    /// The deal, where there is one already.
    pub const fn deal(&self) -> Option<&Deal> {
        match self {
            Self::Traded(deal) => Some(deal),
            Self::Accepted(_) | Self::Done => None,
        }
    }

    /// What became of it, as a word: `traded`, `accepted` or `done`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Traded(_) => "traded",
            Self::Accepted(_) => "accepted",
            Self::Done => "done",
        }
    }
}

/// At what an order was traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Deal {
    /// Smallest units of the instrument that changed hands, above zero.
    #[n(0)]
    pub quantity: Amount,
    /// The price.
    #[n(1)]
    pub price: Price,
    /// The fee in cash, zero or above.
    #[n(2)]
    pub fee: Amount,
}

impl Deal {
    /// The deal's own ranges; `place` is where it stands.
    pub(crate) fn check(&self, place: &str) -> Result<(), Violation> {
        let (quantity, fee) = (self.quantity, self.fee);
        ensure(quantity.is_positive(), Rule::Range, format_args!("{place}.quantity"), "above 0", quantity)?;
        ensure(!fee.is_negative(), Rule::Range, format_args!("{place}.fee"), "0 or above", fee)?;
        price_is_formed(&self.price, format_args!("{place}.price"))
    }
}

/// A price is above zero and in its one form.
pub(crate) fn price_is_formed(price: &Price, field: impl std::fmt::Display) -> Result<(), Violation> {
    ensure(price.is_well_formed(), Rule::Range, field, "a price above 0 in its one form", "another")
}

/// How long an order waits that was taken for the next price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Acceptance {
    /// Until when it can be cancelled, in Unix milliseconds, and its price is later than this; absent: until it is executed, and
    /// its price is later than the acceptance.
    #[n(0)]
    pub cut_off_ms: Option<u64>,
    /// From when on the bank may take back what is reserved, in Unix milliseconds: after the cut-off, and at most 31 days
    /// after the acceptance.
    #[n(1)]
    pub reclaim_ms: u64,
}

/// What became of a request's referral. A trade that goes on without a reward says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
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
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
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
    /// What an order that waits for its price reserves, or gives back.
    #[n(3)]
    Reserve,
    /// What is paid into the margin of a futures position, or out of it.
    #[n(4)]
    Margin,
    /// What a futures position gained or lost since its last mark.
    #[n(5)]
    Variation,
}

impl PostingPurpose {
    /// The purpose as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Fee => "fee",
            Self::Reward => "reward",
            Self::Reserve => "reserve",
            Self::Margin => "margin",
            Self::Variation => "variation",
        }
    }
}

impl Posting {
    /// Whether it gives something to an account.
    pub fn credits(&self, account: &AccountId) -> bool {
        self.account == *account && self.amount.is_positive()
    }

    /// The two postings by which an amount goes from one account to another; none where it is zero. An amount below zero goes the
    /// other way.
    pub fn transfer(
        (to, from): (AccountId, AccountId),
        instrument: &InstrumentId,
        amount: Amount,
        purpose: PostingPurpose,
    ) -> impl Iterator<Item = Self> + use<> {
        let pair = [(to, amount), (from, amount.negated())];
        let instrument = instrument.clone();
        let posting = move |(account, amount)| Self { account, instrument: instrument.clone(), amount, purpose };
        pair.into_iter().filter(|(_, amount)| !amount.is_zero()).map(posting)
    }
}

impl std::fmt::Display for Posting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { account, instrument, amount, purpose } = self;
        write!(f, "{amount} {instrument} to {account} ({})", purpose.as_str())
    }
}

impl Record for Execution {
    const CONTENT: ContentType = ContentType::Execution;
    const BYTES_MAX: usize = EXECUTION_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        match &self.outcome {
            Outcome::Traded(deal) => deal.check("execution")?,
            Outcome::Accepted(acceptance) => acceptance.check(self.executed_ms)?,
            Outcome::Done => {}
        }
        let count = self.postings.len();
        ensure(count >= 1, range, "execution.postings", "1 to 64", count)?;
        postings_are_formed(&self.postings, "execution.postings")
    }
}

impl Acceptance {
    /// The order can be cancelled from its acceptance on, and waits no longer than it may.
    fn check(&self, executed_ms: u64) -> Result<(), Violation> {
        let range = Rule::Range;
        let cut_off_ms = self.cut_off_ms.unwrap_or(executed_ms);
        let expected = format_args!("at least {executed_ms}");
        ensure(cut_off_ms >= executed_ms, range, "execution.accepted.cut_off_ms", expected, cut_off_ms)?;
        let last_ms = executed_ms.saturating_add(WAIT_MS_MAX);
        let holds = (cut_off_ms..=last_ms).contains(&self.reclaim_ms);
        let expected = format_args!("{cut_off_ms} to {last_ms}");
        ensure(holds, range, "execution.accepted.reclaim_ms", expected, self.reclaim_ms)
    }
}

/// At most 64 postings, none of zero.
pub(crate) fn postings_are_formed(postings: &[Posting], field: &str) -> Result<(), Violation> {
    let count = postings.len();
    ensure(count <= POSTINGS_MAX, Rule::Range, field, "at most 64", count)?;
    let moves = postings.iter().all(|posting| !posting.amount.is_zero());
    ensure(moves, Rule::Range, format_args!("{field}.amount"), "not 0", 0)
}
