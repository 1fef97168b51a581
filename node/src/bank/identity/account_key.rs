//! The account's own key as identity: the evidence is the public key, its possession proved by the request's signature.

use stemma_chain_format::account::AccountState;
use subtle::ConstantTimeEq;

use super::Verifier;

/// The type `account-key`.
pub struct AccountKey;

impl Verifier for AccountKey {
    fn kind(&self) -> &'static str {
        "account-key"
    }

    fn stored(&self, account: &AccountState) -> Vec<u8> {
        account.key.0.to_vec()
    }

    fn matches(&self, evidence: &[u8], stored: &[u8]) -> bool {
        evidence.ct_eq(stored).into()
    }
}
