//! The account's own key as identity: the evidence is the public key, its possession proved by the request's signature.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Context, IdentityType, Malformed, Match, Mismatch, Unfit};

/// Its name in requests.
pub const KIND: &str = "account-key";

/// The type `account-key`; every account has it.
pub(super) struct AccountKey;

impl IdentityType for AccountKey {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn evidence_bytes_max(&self) -> usize {
        32
    }

    fn well_formed(&self, evidence: &[u8], _: &Context<'_>) -> Result<(), Malformed> {
        if evidence.len() == 32 { Ok(()) } else { Err(Malformed { expected: "the account's public key, 32 bytes" }) }
    }

    fn enrol(&self, _: &[u8], _: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        Err(Unfit::Material("every account has it"))
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], _: &Context<'_>) -> Result<Match, Mismatch> {
        if evidence.ct_eq(stored).into() { Ok(Match::default()) } else { Err(Mismatch::Differs) }
    }

    fn dummy(&self, _: &[u8], _: &Context<'_>) {}

    fn implied(&self, context: &Context<'_>) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(context.account_key.0.to_vec()))
    }
}
