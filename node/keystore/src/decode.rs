//! Text into a key.

use pkcs8::pkcs5::pbes2::{self, EncryptionScheme, Kdf, Pbkdf2Prf};
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, pkcs5};
use zeroize::Zeroizing;

use crate::envelope::Envelope;
use crate::{DecodeError, Passphrase, Purpose, SecretKey, scrypt};

/// Ed25519, RFC 8410.
const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// How often PBKDF2 is run at most: a hostile file must not hold a program up for minutes.
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;

/// How a key may be stored.
#[derive(Clone, Copy, Debug)]
pub enum Unlock<'a> {
    /// Encrypted under this passphrase; a plain key is refused.
    Passphrase(&'a Passphrase),
    /// Not encrypted; an encrypted key is refused, since there is no passphrase.
    AllowPlain,
}

impl<'a> From<&'a Passphrase> for Unlock<'a> {
    fn from(passphrase: &'a Passphrase) -> Self {
        Self::Passphrase(passphrase)
    }
}

/// Decodes a key file's text. The purpose that it names must be the expected one, and its public
/// key, when it names one, that of the key inside.
///
/// # Errors
/// See [`DecodeError`]: each reason has its own.
pub fn decode_pem<'a>(text: &str, unlock: impl Into<Unlock<'a>>, expected: Purpose) -> Result<SecretKey, DecodeError> {
    let envelope = Envelope::parse(text)?;
    let is_encrypted = envelope.is_encrypted()?;
    // Asked before scrypt runs: a mistaken file is told at once, and without a passphrase.
    match envelope.purpose {
        None => return Err(DecodeError::MissingPurpose { expected }),
        Some(found) if found != expected => {
            return Err(DecodeError::WrongPurpose { expected, found });
        }
        Some(_) => {}
    }
    let passphrase = match (is_encrypted, unlock.into()) {
        (true, Unlock::Passphrase(passphrase)) => Some(passphrase),
        (true, Unlock::AllowPlain) => return Err(DecodeError::PassphraseNeeded),
        (false, Unlock::AllowPlain) => None,
        (false, Unlock::Passphrase(_)) => return Err(DecodeError::NotEncrypted),
    };
    let seed = open(&envelope, passphrase, Encryption::Ours)?;
    let key = SecretKey::from_seed(&seed, expected);
    match envelope.public_key {
        Some(named) if named != key.public_key() => Err(DecodeError::KeyMismatch),
        _ => Ok(key),
    }
}

/// Which encryption is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// scrypt with AES-256-CBC: that of our files.
    Ours,
    /// PBKDF2, too, and AES of any length: what other programs write.
    AnyStrong,
}

/// Takes the seed out of an envelope, decrypting it where there is a passphrase.
pub(crate) fn open(
    envelope: &Envelope<'_>,
    passphrase: Option<&Passphrase>,
    accepted: Encryption,
) -> Result<Zeroizing<[u8; 32]>, DecodeError> {
    let document = envelope.document()?;
    match passphrase {
        Some(passphrase) => decrypt(document.as_bytes(), passphrase, accepted),
        None => seed_of(document.as_bytes()),
    }
}

fn decrypt(der: &[u8], passphrase: &Passphrase, accepted: Encryption) -> Result<Zeroizing<[u8; 32]>, DecodeError> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(DecodeError::Structure)?;
    let params = info.encryption_algorithm.pbes2().ok_or(DecodeError::UnsupportedEncryption)?;
    check_encryption(params, accepted)?;
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let plain = params.decrypt_in_place(passphrase.as_bytes(), &mut buffer).map_err(|error| match error {
        pkcs5::Error::DecryptFailed => DecodeError::WrongPassphrase,
        _ => DecodeError::UnsupportedEncryption,
    })?;
    seed_of(plain).map_err(|error| match error {
        // One wrong passphrase in 256 leaves sound padding and decrypts to noise.
        DecodeError::Structure(_) => DecodeError::WrongPassphrase,
        other => other,
    })
}

fn check_encryption(params: &pbes2::Parameters, accepted: Encryption) -> Result<(), DecodeError> {
    let is_foreign = accepted == Encryption::AnyStrong;
    let is_cipher_accepted = match params.encryption {
        EncryptionScheme::Aes256Cbc { .. } => true,
        EncryptionScheme::Aes128Cbc { .. } | EncryptionScheme::Aes192Cbc { .. } => is_foreign,
        _ => false,
    };
    match (&params.kdf, is_cipher_accepted) {
        (Kdf::Scrypt(cost), true) if scrypt::is_acceptable(cost) => Ok(()),
        (Kdf::Scrypt(cost), true) => {
            Err(DecodeError::ScryptLimits { n: cost.cost_parameter, r: cost.block_size, p: cost.parallelization })
        }
        (Kdf::Pbkdf2(cost), true) if is_foreign && cost.prf != Pbkdf2Prf::HmacWithSha1 => match cost.iteration_count {
            1..=PBKDF2_ITERATIONS_MAX => Ok(()),
            iterations => Err(DecodeError::Pbkdf2Limit { iterations, iterations_max: PBKDF2_ITERATIONS_MAX }),
        },
        _ if is_foreign => Err(DecodeError::WeakEncryption),
        _ => Err(DecodeError::UnsupportedEncryption),
    }
}

/// Takes the seed from PKCS#8 of version 1 or 2.
fn seed_of(der: &[u8]) -> Result<Zeroizing<[u8; 32]>, DecodeError> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(DecodeError::Structure)?;
    if info.algorithm.oid != ED25519_OID {
        return Err(DecodeError::NotEd25519);
    }
    if info.algorithm.parameters.is_some() {
        return Err(DecodeError::Structure(pkcs8::Error::ParametersMalformed));
    }
    // The seed is an octet string within the octet string.
    let seed: &[u8; 32] = match info.private_key.as_bytes() {
        [0x04, 0x20, seed @ ..] => seed.try_into().ok(),
        _ => None,
    }
    .ok_or(DecodeError::Structure(pkcs8::Error::KeyMalformed(pkcs8::KeyError::Invalid)))?;
    if let Some(named) = info.public_key {
        let key = SecretKey::from_seed(seed, Purpose::Account);
        if named.as_bytes() != Some(&key.public_key()) {
            return Err(DecodeError::KeyMismatch);
        }
    }
    Ok(Zeroizing::new(*seed))
}
