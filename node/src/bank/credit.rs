//! The credit level that a bank gives a customer.

use stemma_chain_format::endorsement::CreditTerms;
use stemma_chain_format::holdings::Holdings;

use super::Bank;

impl Bank {
    /// The terms for a customer: the configured level, and no credit line.
    pub(super) fn credit_terms(&self) -> CreditTerms {
        CreditTerms { level: self.config.credit_level, rules: self.config.rules_version, lines: Holdings::new() }
    }
}
