//! Issuance: a bank brings cash into being and credits accounts with it. One link in the lineage of the bank's own
//! settlement account, which goes below zero by the total.

use std::collections::BTreeSet;

use crate::amount::Amount;
use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Link, NetworkId};
use crate::instrument::InstrumentId;
use crate::limits::{ISSUANCE_BYTES_MAX, ISSUANCE_CREDITS_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// The record by which an issuer credits accounts with an instrument of its own.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Issuance {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The issuer, a bank; it signs.
    #[n(1)]
    pub issuer: MemberId,
    /// The head of the issuer's settlement account.
    #[n(2)]
    pub parent: Link,
    /// One more than that account's sequence.
    #[n(3)]
    pub sequence: u64,
    /// The instrument, issued by the issuer.
    #[n(4)]
    pub instrument: InstrumentId,
    /// Who gets how much; each account once, each amount above zero.
    #[n(5)]
    pub credits: Vec<IssuedCredit>,
}

/// One account's share of an issuance.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
pub struct IssuedCredit {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// The amount, above zero.
    #[n(1)]
    pub amount: Amount,
}

impl Issuance {
    /// The sum of all credits.
    ///
    /// # Errors
    /// [`Rule::Range`] where the sum exceeds 2^96.
    pub fn total(&self) -> Result<Amount, Violation> {
        self.credits.iter().try_fold(Amount::ZERO, |sum, credit| {
            sum.plus(credit.amount)
                .map_err(|e| Violation::new(Rule::Range, "issuance.credits", "a total of at most 2^96", e))
        })
    }
}

impl Record for Issuance {
    const CONTENT: ContentType = ContentType::Issuance;
    const BYTES_MAX: usize = ISSUANCE_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        ensure(self.sequence > 0, range, "issuance.sequence", "above 0", self.sequence)?;
        let own = self.instrument.is_issued_by(&self.issuer);
        let expected = format!("an instrument of {}", self.issuer);
        ensure(own, range, "issuance.instrument", expected, &self.instrument)?;
        let count = self.credits.len();
        let count_holds = (1..=ISSUANCE_CREDITS_MAX).contains(&count);
        ensure(count_holds, range, "issuance.credits", "1 to 1024", count)?;
        let mut accounts = BTreeSet::new();
        for IssuedCredit { account, amount } in &self.credits {
            ensure(amount.is_positive(), range, "issuance.credits.amount", "above 0", amount)?;
            let fresh = accounts.insert(account);
            ensure(fresh, range, "issuance.credits.account", "each account once", account)?;
        }
        self.total().map(|_| ())
    }
}
