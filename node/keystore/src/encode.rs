//! A key into text.

use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use crate::envelope::{ENCRYPTED, PLAIN, compose};
use crate::{EncodeError, Passphrase, ScryptCost, SecretKey};

/// PKCS#8 version 1 for Ed25519 (RFC 8410) up to the seed: its length never varies, so neither do
/// these bytes. Version 2, with the public key, is not read by OpenSSL 3.0.
const PKCS8_V1_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Encodes a key as encrypted PEM, with its purpose and public key on lines before it.
///
/// # Errors
/// No randomness for the salt, or a failure of the libraries.
pub fn encode_encrypted_pem(
    key: &SecretKey,
    passphrase: &Passphrase,
    cost: ScryptCost,
) -> Result<Zeroizing<String>, EncodeError> {
    compose(key, ENCRYPTED, &encrypted(key, passphrase, cost)?)
}

/// Encodes a key as plain PEM. For keys that protect nothing, or that something else encrypts.
///
/// # Errors
/// A failure of the libraries.
pub fn encode_plain_pem(key: &SecretKey) -> Result<Zeroizing<String>, EncodeError> {
    compose(key, PLAIN, &plain(key)?)
}

/// Encrypted PKCS#8.
pub(crate) fn encrypted(
    key: &SecretKey,
    passphrase: &Passphrase,
    cost: ScryptCost,
) -> Result<SecretDocument, EncodeError> {
    let mut salt = [0; 16];
    let mut iv = [0; 16];
    getrandom::fill(&mut salt).map_err(EncodeError::Random)?;
    getrandom::fill(&mut iv).map_err(EncodeError::Random)?;
    let scrypt = cost.params().ok_or(EncodeError::Encrypt(pkcs8::Error::ParametersMalformed))?;
    let params = pbes2::Parameters::generate_scrypt_aes256cbc(scrypt, &salt, iv)
        .map_err(|error| EncodeError::Encrypt(error.into()))?;
    let plain = pkcs8_v1(key);
    PrivateKeyInfoRef::try_from(plain.as_slice())
        .and_then(|info| info.encrypt_with_params(params, passphrase.as_bytes()))
        .map_err(EncodeError::Encrypt)
}

/// PKCS#8 that is not encrypted.
pub(crate) fn plain(key: &SecretKey) -> Result<SecretDocument, EncodeError> {
    SecretDocument::try_from(pkcs8_v1(key).as_slice()).map_err(EncodeError::Pem)
}

/// A PEM block.
pub(crate) fn pem(label: &'static str, document: &SecretDocument) -> Result<Zeroizing<String>, EncodeError> {
    document.to_pem(label, LineEnding::LF).map_err(EncodeError::Pem)
}

fn pkcs8_v1(key: &SecretKey) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(Vec::with_capacity(48));
    der.extend_from_slice(&PKCS8_V1_PREFIX);
    der.extend_from_slice(key.seed());
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Purpose;

    #[test]
    fn der_is_that_of_rfc_8410() {
        let vector = include_bytes!("../tests/vectors/rfc8410-pkcs8-v1.der");
        let mut seed = [0; 32];
        seed.copy_from_slice(&vector[16..]);
        let key = SecretKey::from_seed(&seed, Purpose::Account);
        assert_eq!(pkcs8_v1(&key).as_slice(), vector);
        let public = include_bytes!("../tests/vectors/rfc8410-pubkey.der");
        assert_eq!(key.public_key(), public[12..]);
    }
}
