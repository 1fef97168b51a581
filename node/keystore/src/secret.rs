//! A private key in memory.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use crate::{GenerateError, Purpose};

/// An Ed25519 private key with its purpose. The seed is wiped when this is dropped.
pub struct SecretKey {
    key: SigningKey,
    purpose: Purpose,
}

/// Makes a new key from the operating system's randomness.
///
/// # Errors
/// The operating system has no randomness to give.
pub fn generate(purpose: Purpose) -> Result<SecretKey, GenerateError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(GenerateError)?;
    Ok(SecretKey::from_seed(&seed, purpose))
}

/// The fingerprint of a public key, for people to compare: BLAKE3 of its 32 bytes.
#[must_use]
pub fn fingerprint(public_key: &[u8; 32]) -> [u8; 32] {
    blake3::hash(public_key).into()
}

impl SecretKey {
    /// Takes a seed that was made elsewhere: an imported key, or a test's fixed one.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32], purpose: Purpose) -> Self {
        Self { key: SigningKey::from_bytes(seed), purpose }
    }

    /// What the key is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The key for code that signs with ed25519-dalek itself.
    #[must_use]
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// The public key, as it stands in records.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs a message. Its domain, network and height are the caller's to put in.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        // The public key is the one derived from the seed: a caller can't pass another one, which
        // would leak the key (RUSTSEC-2022-0093).
        self.key.sign(message).to_bytes()
    }

    /// The seed, for the encoder alone.
    pub(crate) fn seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SecretKey")
            .field("purpose", &self.purpose)
            .field("public_key", &hex::encode(self.public_key()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let key = SecretKey::from_seed(&[7; 32], Purpose::Member);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&hex::encode([7; 32])), "{shown}");
        assert!(!shown.contains("7, 7, 7"), "{shown}");
    }

    #[test]
    fn two_generated_keys_differ() {
        let (one, other) = (generate(Purpose::Account).unwrap(), generate(Purpose::Account).unwrap());
        assert_ne!(one.public_key(), other.public_key());
    }

    #[test]
    fn signs_what_its_public_key_verifies() {
        let key = generate(Purpose::Account).unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&key.sign(b"message"));
        key.signing_key().verifying_key().verify_strict(b"message", &signature).unwrap();
    }
}
