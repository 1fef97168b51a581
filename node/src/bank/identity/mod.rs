//! Identities: a request's claim names a type; the verifier stored for that type and account is fetched and compared.
//!
//! A new type is one module here and one line in [`Verifiers::standard`].

mod account_key;

use stemma_chain_format::account::AccountState;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::request::{IdentityClaim, commitment};
use subtle::ConstantTimeEq;

/// Evidence as it comes in beside a request. Never stored, never logged.
pub struct Evidence {
    /// The type.
    pub kind: String,
    /// The commitment's salt.
    pub salt: [u8; 32],
    /// The evidence.
    pub value: zeroize::Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Evidence {
    /// Shows the type alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why an identity was not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No verifier for the type.
    #[error("no verifier for the type {kind}; known: {known}")]
    UnknownType {
        /// The type asked for.
        kind: String,
        /// The types there are.
        known: String,
    },
    /// Claim and evidence do not belong together, or the evidence is not the enrolled one. Which of them is not told.
    #[error("the evidence does not match")]
    Mismatch,
}

/// One identity type.
pub trait Verifier: Send + Sync {
    /// Its name in requests.
    fn kind(&self) -> &'static str;

    /// What is stored for an account, as bytes: never the evidence where that is a secret.
    fn stored(&self, account: &AccountState) -> Vec<u8>;

    /// Whether evidence matches what is stored; in constant time.
    fn matches(&self, evidence: &[u8], stored: &[u8]) -> bool;
}

/// The identity types of a bank.
pub struct Verifiers(Vec<Box<dyn Verifier>>);

impl Verifiers {
    /// The types that this version knows.
    pub fn standard() -> Self {
        Self(vec![Box::new(account_key::AccountKey)])
    }

    /// Verifies a claim with its evidence; returns the digest of the verifier that it was compared with.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn verify(
        &self,
        claim: &IdentityClaim,
        evidence: &Evidence,
        account: &AccountState,
    ) -> Result<Digest, IdentityError> {
        let verifier = self.0.iter().find(|v| v.kind() == claim.kind).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|v| v.kind()).collect();
            IdentityError::UnknownType { kind: claim.kind.clone(), known: known.join(", ") }
        })?;
        let stored = verifier.stored(account);
        let committed = commitment(&evidence.salt, &evidence.value);
        let same_kind = evidence.kind == claim.kind;
        let same_commitment: bool = committed.0.ct_eq(&claim.commitment.0).into();
        let matches = verifier.matches(&evidence.value, &stored);
        if !(same_kind && same_commitment && matches) {
            return Err(IdentityError::Mismatch);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(claim.kind.as_bytes());
        hasher.update(&[0]);
        hasher.update(&stored);
        Ok(Digest(hasher.finalize().into()))
    }
}
