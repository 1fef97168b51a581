//! Passwords: any bytes, compared as they are.

use zeroize::Zeroizing;

use super::{Context, IdentityType, Match, Mismatch, Unfit, argon};

/// Shortest password. It never stands alone, the request being signed with the account's key; for a second factor NIST
/// SP 800-63B asks for eight characters.
const BYTES_MIN: usize = 8;

/// The type `password`; stored is the PHC string of an Argon2id.
pub(super) struct Password;

impl IdentityType for Password {
    fn kind(&self) -> &'static str {
        "password"
    }

    fn evidence_bytes_max(&self) -> usize {
        1024
    }

    fn enrol(&self, material: &[u8], _: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        if material.len() < BYTES_MIN {
            return Err(Unfit::Material("a password has at least 8 bytes"));
        }
        argon::hash(material)
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], _: &Context<'_>) -> Result<Match, Mismatch> {
        argon::verify(stored, evidence)
    }

    fn dummy(&self, evidence: &[u8], _: &Context<'_>) {
        argon::dummy(evidence);
    }
}
