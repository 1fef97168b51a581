//! The second chain: the bank vouches for the customer and states what the account holds.

use crate::amount::Amount;
use crate::canonical::Canonical;
use crate::cbor;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Digest, Link, NetworkId};
use crate::holdings::Holdings;
use crate::instrument::InstrumentId;
use crate::limits::{ABSORBED_MAX, ENDORSEMENT_BYTES_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// The second chain.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Endorsement {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The request that it vouches for.
    #[n(1)]
    pub request: Link,
    /// The bank; it signs.
    #[n(2)]
    pub bank: MemberId,
    /// The account.
    #[n(3)]
    pub account: AccountId,
    /// The account's head.
    #[n(4)]
    pub parent: Link,
    /// One more than the account's sequence.
    #[n(5)]
    pub sequence: u64,
    /// The inbound credits absorbed since the chain before, the oldest first.
    #[n(6)]
    pub absorbed: Vec<Credit>,
    /// What the account holds once they are absorbed.
    #[n(7)]
    pub holdings: Holdings,
    /// How far the bank trusts the customer.
    #[n(8)]
    pub credit: CreditTerms,
    /// The digest of the verifier that the identity evidence was compared with.
    #[n(9)]
    pub verifier: Digest,
    /// The last height at which the chain may commit.
    #[n(10)]
    pub expires: u64,
}

/// A credit from another account's chain, waiting in or taken from an account's inbox.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Credit {
    /// The entry that gave it.
    #[n(0)]
    pub source: Link,
    /// Its index among that entry's postings (or the issuance's credits).
    #[n(1)]
    pub index: u32,
    /// The instrument.
    #[n(2)]
    pub instrument: InstrumentId,
    /// The amount, above zero.
    #[n(3)]
    pub amount: Amount,
}

impl Credit {
    /// The running digest after this credit: `BLAKE3(digest before ‖ credit's encoding)`, from 32 zero bytes on.
    pub fn chained(&self, before: &Digest) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&before.0);
        hasher.update(&cbor::encode(self));
        Digest(hasher.finalize().into())
    }
}

/// The bank's judgement of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct CreditTerms {
    /// Level, 0 the lowest.
    #[n(0)]
    pub level: u8,
    /// The version of the bank's rules that gave the level.
    #[n(1)]
    pub rules: u32,
    /// How far below zero the account may go, by instrument of this bank. Amounts are above zero.
    #[n(2)]
    pub lines: Holdings,
}

impl CreditTerms {
    /// The terms' own rules: every line above zero, in an instrument of the bank that gives it.
    pub(crate) fn check(&self, bank: &MemberId, place: &str) -> Result<(), Violation> {
        for (instrument, line) in self.lines.iter() {
            let place = format_args!("{place}.lines.{instrument}");
            ensure(line.is_positive(), Rule::Range, place, "above 0", line)?;
            let own = instrument.is_issued_by(bank);
            ensure(own, Rule::Range, place, format_args!("an instrument of {bank}"), instrument)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for CreditTerms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "level {} by rules {}", self.level, self.rules)?;
        self.lines.iter().try_for_each(|(instrument, line)| write!(f, ", {line} {instrument}"))
    }
}

impl Record for Endorsement {
    const CONTENT: ContentType = ContentType::Endorsement;
    const BYTES_MAX: usize = ENDORSEMENT_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        ensure(self.sequence > 0, range, "endorsement.sequence", "above 0", self.sequence)?;
        absorbed_hold(&self.absorbed, "endorsement.absorbed")?;
        self.credit.check(&self.bank, "endorsement.credit")
    }
}

/// Absorbed credits' own rules: not too many, each above zero.
pub(crate) fn absorbed_hold(absorbed: &[Credit], field: &str) -> Result<(), Violation> {
    let count = absorbed.len();
    ensure(count <= ABSORBED_MAX, Rule::Range, field, "at most 512", count)?;
    for credit in absorbed {
        let amount = credit.amount;
        ensure(amount.is_positive(), Rule::Range, format_args!("{field}.amount"), "above 0", amount)?;
    }
    Ok(())
}
