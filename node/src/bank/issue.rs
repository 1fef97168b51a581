//! The bank's own records: account openings and issuances of its cash.

use stemma_chain_format::account::{Nonce, Opening};
use stemma_chain_format::amount::Amount;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::issuance::{Issuance, IssuedCredit};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::validate::{self, VerifiedEntry};

use super::Bank;

/// Why a record was not made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The record would break a rule.
    #[error("the ledger would refuse it")]
    Violation(#[source] Violation),
}

impl Bank {
    /// Makes the opening record of an account for a key.
    ///
    /// # Errors
    /// The key is not acceptable.
    pub fn open_account(&self, key: PublicKey, nonce: [u8; 16], ledger: &Ledger) -> Result<VerifiedEntry, IssueError> {
        let credit = self.first_terms();
        let opening = Opening { network: self.network, bank: self.id.clone(), key, nonce: Nonce(nonce), credit };
        let signed = Signed::sign(opening, &self.key).map_err(IssueError::Violation)?;
        self.checked(Entry::Opening(Box::new(signed)), ledger)
    }

    /// Makes an issuance of this bank's cash; it follows the bank's settlement account's head, so one at a time.
    ///
    /// # Errors
    /// An account is not open, the currency not listed, an amount out of range.
    pub fn issue(
        &self,
        instrument: InstrumentId,
        credits: Vec<(AccountId, Amount)>,
        ledger: &Ledger,
    ) -> Result<VerifiedEntry, IssueError> {
        let settlement = own_account(&self.network, &self.id, OwnAccount::Settlement);
        let (parent, sequence) = match ledger.account(&settlement) {
            Some(account) => (account.state.head, account.state.sequence),
            None => (settlement.into(), 0),
        };
        let issuance = Issuance {
            network: self.network,
            issuer: self.id.clone(),
            parent,
            sequence: sequence.saturating_add(1),
            instrument,
            credits: credits.into_iter().map(|(account, amount)| IssuedCredit { account, amount }).collect(),
        };
        let signed = Signed::sign(issuance, &self.key).map_err(IssueError::Violation)?;
        self.checked(Entry::Issuance(Box::new(signed)), ledger)
    }

    /// Tries the entry on the ledger as it stands, so that an operator hears at once what is wrong.
    fn checked(&self, entry: Entry, ledger: &Ledger) -> Result<VerifiedEntry, IssueError> {
        let entry = validate::verify_entry(entry, ledger.registry()).map_err(IssueError::Violation)?;
        ledger.admits(&entry, 0).map_err(IssueError::Violation)?;
        Ok(entry)
    }
}
