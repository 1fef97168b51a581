//! PKCS#8 as other programs write it: with another derivation of the key than ours, and without our lines.

use pkcs8::Document;
use pkcs8::der::pem::LineEnding;
use zeroize::Zeroizing;

use super::About;
use crate::decode::{Encryption, open};
use crate::envelope::{ENCRYPTED, Envelope, PLAIN};
use crate::{ExportError, ImportError, Passphrase, Purpose, ScryptCost, SecretKey, encode};

/// SubjectPublicKeyInfo of Ed25519 (RFC 8410 §4) up to the key: its length never varies.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

pub(super) fn look_at(text: &str) -> Result<About, ImportError> {
    let envelope = Envelope::parse(text).map_err(ImportError::Pkcs8)?;
    let is_encrypted = envelope.is_encrypted().map_err(ImportError::Pkcs8)?;
    Ok(About { is_encrypted, purpose: envelope.purpose })
}

pub(super) fn import(
    text: &str,
    passphrase: Option<&Passphrase>,
    purpose: Purpose,
) -> Result<(SecretKey, Option<Purpose>), ImportError> {
    let envelope = Envelope::parse(text).map_err(ImportError::Pkcs8)?;
    let is_encrypted = envelope.is_encrypted().map_err(ImportError::Pkcs8)?;
    let seed = match (is_encrypted, passphrase) {
        (true, None) => return Err(ImportError::PassphraseNeeded),
        (true, passphrase) => open(&envelope, passphrase, Encryption::AnyStrong),
        (false, _) => open(&envelope, None, Encryption::AnyStrong),
    }
    .map_err(ImportError::Pkcs8)?;
    let key = SecretKey::from_seed(&seed, purpose);
    match envelope.public_key {
        Some(named) if named != key.public_key() => Err(ImportError::KeyMismatch),
        _ => Ok((key, envelope.purpose)),
    }
}

pub(super) fn export(key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    let (label, document) = match passphrase {
        Some(passphrase) => (ENCRYPTED, encode::encrypted(key, passphrase, ScryptCost::Standard)),
        None => (PLAIN, encode::plain(key)),
    };
    let block = document.and_then(|document| encode::pem(label, &document)).map_err(ExportError::Pkcs8)?;
    Ok(Zeroizing::new(block.as_bytes().to_vec()))
}

pub(super) fn export_public(public_key: &[u8; 32]) -> Result<Vec<u8>, ExportError> {
    let der = [SPKI_PREFIX.as_slice(), public_key].concat();
    let document = Document::try_from(der).map_err(ExportError::Der)?;
    Ok(document.to_pem("PUBLIC KEY", LineEnding::LF).map_err(ExportError::Der)?.into_bytes())
}
