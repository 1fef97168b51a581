//! The credit level that a bank gives a customer: at the opening the configured one, later by a servicing record.

use stemma_chain_format::endorsement::CreditTerms;
use stemma_chain_format::holdings::Holdings;

use super::Bank;

impl Bank {
    /// The terms of a new account: the configured level, and no credit line.
    pub(super) fn first_terms(&self) -> CreditTerms {
        CreditTerms { level: self.config.credit_level, rules: self.config.rules_version, lines: Holdings::new() }
    }
}
