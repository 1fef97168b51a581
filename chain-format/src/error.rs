//! Why a record was refused: one rule, the field that broke it, what was expected and what was found.

use std::fmt;

use crate::cbor::DecodeError;

/// The rule that was broken; its text is stable and documented in `spec/validation.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The bytes are not the one encoding of the record.
    Encoding,
    /// The record belongs to another network.
    Network,
    /// The signature does not verify.
    Signature,
    /// The signer is not who the record needs.
    Signer,
    /// A stage does not link to the stage before it, or a listing not to the one in force.
    Link,
    /// Stages of one chain, or two listings of one instrument, disagree on a field.
    Agreement,
    /// The chain does not follow the account's head.
    Sequence,
    /// The request's counter was used before.
    Counter,
    /// A credit is not the next one in the account's inbox.
    Credit,
    /// Stated holdings are not what the lineage gives.
    Holdings,
    /// Postings do not sum to zero for an instrument.
    Balance,
    /// An account is debited that may not be.
    Debit,
    /// A holding would fall below what is allowed.
    Overdraft,
    /// Price, quantity, amount or fee break the terms of the request or of the listing.
    Terms,
    /// An instrument or its listing is not known, or not one that may be traded so.
    Listing,
    /// An account is not known.
    Account,
    /// The record is past its expiry, or its expiry lies too far ahead.
    Expiry,
    /// A field is out of its range.
    Range,
    /// A member entry breaks a rule.
    Member,
    /// The genesis breaks a rule.
    Genesis,
    /// What a governance record changes breaks a rule of the registry, or too few approved it.
    Governance,
    /// A block breaks a rule.
    Block,
    /// A certificate does not prove its block.
    Certificate,
    /// A Merkle proof does not lead to its root.
    Proof,
    /// The entry is already in the ledger.
    Duplicate,
    /// The account is frozen or closed, or its key is revoked.
    Status,
    /// A reward is paid on no good referral, or to whom it must not be.
    Referral,
}

impl Rule {
    /// The rule's stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Network => "network",
            Self::Signature => "signature",
            Self::Signer => "signer",
            Self::Link => "link",
            Self::Agreement => "agreement",
            Self::Sequence => "sequence",
            Self::Counter => "counter",
            Self::Credit => "credit",
            Self::Holdings => "holdings",
            Self::Balance => "balance",
            Self::Debit => "debit",
            Self::Overdraft => "overdraft",
            Self::Terms => "terms",
            Self::Listing => "listing",
            Self::Account => "account",
            Self::Expiry => "expiry",
            Self::Range => "range",
            Self::Member => "member",
            Self::Genesis => "genesis",
            Self::Governance => "governance",
            Self::Block => "block",
            Self::Certificate => "certificate",
            Self::Proof => "proof",
            Self::Duplicate => "duplicate",
            Self::Status => "status",
            Self::Referral => "referral",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {field}: expected {expected}, found {found}")]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The record and field, such as `execution.postings`.
    pub field: String,
    /// What the rule asks.
    pub expected: String,
    /// What the record holds.
    pub found: String,
}

impl Violation {
    /// A violation of a rule at a field.
    pub fn new(rule: Rule, field: impl fmt::Display, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        Self { rule, field: field.to_string(), expected: expected.to_string(), found: found.to_string() }
    }

    /// The same violation, its field prefixed with where it was met.
    #[must_use]
    pub fn within(mut self, place: impl fmt::Display) -> Self {
        self.field = format!("{place}.{}", self.field);
        self
    }
}

impl From<DecodeError> for Violation {
    /// Keeps record, offset and reason; nothing of the decoder's error is lost.
    fn from(e: DecodeError) -> Self {
        Self::new(Rule::Encoding, format!("{}@{}", e.record, e.offset), "the one deterministic encoding", e.reason)
    }
}

/// Refuses where two values differ. Place and values become text only then, so places are best given as `format_args!`.
pub(crate) fn same<T: PartialEq + fmt::Display>(
    rule: Rule,
    field: impl fmt::Display,
    expected: &T,
    found: &T,
) -> Result<(), Violation> {
    if expected == found { Ok(()) } else { Err(Violation::new(rule, field, expected, found)) }
}

/// Refuses where a condition does not hold. What is told of it becomes text only then, so it is best given as `format_args!`.
pub(crate) fn ensure(
    holds: bool,
    rule: Rule,
    field: impl fmt::Display,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(rule, field, expected, found)) }
}
