//! Identities: a request's claim names a type; the verifier stored for that type and account is fetched and compared.
//!
//! Everything here is pure: no files, no sockets, no clock. Randomness is drawn at enrolment alone. A new type is one
//! module here and one line in [`Verifiers::standard`].
//!
//! What is stored is sealed (see [`seal`](mod@seal)) for every type, so a stolen disk yields neither evidence nor
//! anything to guess it by; and bound to network, account and type, so a row moved to another account does not open.
//! The digest that goes on the ledger covers what was enrolled, with 32 random bytes inside for every type but
//! `account-key`, whose evidence the ledger shows anyway: nobody can guess an identity from the digest.

pub mod account_key;
mod argon;
pub mod attempts;
mod error;
mod image;
mod media;
mod national_id;
mod password;
pub mod policy;
pub mod seal;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod totp;
mod verifiers;
pub mod x509;

use stemma_chain_format::hash::{AccountId, NetworkId};
use stemma_chain_format::keys::PublicKey;
use zeroize::Zeroizing;

pub use error::{EnrolError, IdentityError};
pub use settings::IdentitySettings;
pub use verifiers::{Enrolment, Verified, Verifiers};

/// Evidence as it comes in beside a request. Never stored, never logged, wiped when dropped.
pub struct Evidence {
    /// The type.
    pub kind: String,
    /// The commitment's salt.
    pub salt: [u8; 32],
    /// The evidence.
    pub value: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Evidence {
    /// Shows the type alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a verification depends on besides claim, evidence and verifier.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The network.
    pub network: NetworkId,
    /// The account that claims the identity.
    pub account: AccountId,
    /// The key that signs the account's requests, as the ledger has it.
    pub account_key: PublicKey,
    /// The request's counter; at an enrolment, the number that the customer was asked to sign.
    pub counter: u64,
    /// Seconds since 1970, UTC.
    pub now_s: u64,
    /// What the bank has set.
    pub settings: &'a IdentitySettings,
}

/// Evidence that is none of its type, whoever it belongs to: told before any verifier is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What was expected instead.
    pub expected: &'static str,
}

/// Why evidence does not go with a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The evidence is not what was enrolled. In what it differs is told to nobody.
    Differs,
    /// The stored verifier cannot be read: the bank's fault, not the customer's.
    Damaged,
}

/// The evidence is what was enrolled.
#[derive(Default)]
pub struct Match {
    /// What to store in place of what was stored, where a verification uses something up.
    pub stored: Option<Zeroizing<Vec<u8>>>,
}

/// Why material is not enrolled; turned into [`EnrolError`], which adds the type.
#[derive(Debug)]
pub enum Unfit {
    /// It is not of the type, or not fit for it.
    Material(&'static str),
    /// The operating system gave no randomness.
    Random(getrandom::Error),
    /// The machine could not do the work, for want of memory above all.
    Work,
}

/// One identity type. Stored forms are sealed outside of it, by [`Verifiers`].
pub trait IdentityType: Send + Sync {
    /// Its name in requests.
    fn kind(&self) -> &'static str;

    /// Largest evidence in bytes; enrolment material has the same bound.
    fn evidence_bytes_max(&self) -> usize;

    /// Whether evidence has the form of its type. Asked alike for enrolled identities and others.
    ///
    /// # Errors
    /// [`Malformed`] says what was expected.
    fn well_formed(&self, _evidence: &[u8], _context: &Context<'_>) -> Result<(), Malformed> {
        Ok(())
    }

    /// What is to be stored for an enrolment.
    ///
    /// # Errors
    /// [`Unfit`], never with the material in it.
    fn enrol(&self, material: &[u8], context: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit>;

    /// Compares, in constant time where it is a secret.
    ///
    /// # Errors
    /// [`Mismatch`].
    fn verify(&self, stored: &[u8], evidence: &[u8], context: &Context<'_>) -> Result<Match, Mismatch>;

    /// Work of the same cost as [`Self::verify`], for an identity that is not enrolled.
    fn dummy(&self, evidence: &[u8], context: &Context<'_>);

    /// The part of the stored form that stays the same from enrolment on; the ledger's digest covers it.
    fn constant<'s>(&self, stored: &'s [u8]) -> &'s [u8] {
        stored
    }

    /// The verifier of a type that every account has without enrolment.
    fn implied(&self, _context: &Context<'_>) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

/// Random bytes from the operating system.
fn random<const N: usize>() -> Result<[u8; N], Unfit> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(Unfit::Random)?;
    Ok(bytes)
}
