//! OpenSSH's key files.

use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, Cipher, HashAlg, Kdf, LineEnding, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::About;
use crate::{ExportError, ImportError, Passphrase, Purpose, SecretKey};

/// How such a file begins.
pub(super) const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// What a comment of ours begins with; the purpose follows.
const COMMENT: &str = "stemma:";
/// How often bcrypt is run when writing: some 0.3 s for each guess.
const ROUNDS: u32 = 24;
/// How often it is run at most when reading: a hostile file must not hold a program up for minutes.
const ROUNDS_MAX: u32 = 1_000;
const SALT_BYTES: usize = 16;

pub(super) fn look_at(bytes: &[u8]) -> Result<About, ImportError> {
    let key = read(bytes)?;
    let is_encrypted = key.is_encrypted();
    // The comment is encrypted with the key.
    Ok(About { is_encrypted, purpose: if is_encrypted { None } else { purpose_of(&key)? } })
}

pub(super) fn import(
    bytes: &[u8],
    passphrase: Option<&Passphrase>,
    purpose: Purpose,
) -> Result<(SecretKey, Option<Purpose>), ImportError> {
    let key = read(bytes)?;
    let key = match (key.is_encrypted(), passphrase) {
        (false, _) => key,
        (true, None) => return Err(ImportError::PassphraseNeeded),
        (true, Some(passphrase)) => decrypt(&key, passphrase)?,
    };
    let pair = key.key_data().ed25519().ok_or(ImportError::NotEd25519)?;
    let secret = SecretKey::from_seed(pair.private.as_ref(), purpose);
    let named = [&pair.public, key.public_key().key_data().ed25519().ok_or(ImportError::NotEd25519)?];
    if named.iter().any(|named| named.0 != secret.public_key()) {
        return Err(ImportError::KeyMismatch);
    }
    Ok((secret, purpose_of(&key)?))
}

pub(super) fn export(key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(key.public_key()),
        private: Ed25519PrivateKey::from_bytes(key.seed()),
    };
    let plain = PrivateKey::new(KeypairData::Ed25519(pair), format!("{COMMENT}{}", key.purpose()))
        .map_err(ExportError::OpenSsh)?;
    let written = match passphrase {
        None => plain,
        Some(passphrase) => {
            let mut salt = vec![0; SALT_BYTES];
            let mut check = [0; 4];
            getrandom::fill(&mut salt).map_err(ExportError::Random)?;
            getrandom::fill(&mut check).map_err(ExportError::Random)?;
            let kdf = Kdf::Bcrypt { salt, rounds: ROUNDS };
            plain
                .encrypt_with(Cipher::Aes256Ctr, kdf, u32::from_le_bytes(check), passphrase.as_bytes())
                .map_err(ExportError::OpenSsh)?
        }
    };
    let text = written.to_openssh(LineEnding::LF).map_err(ExportError::OpenSsh)?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

pub(super) fn export_public(public_key: &[u8; 32], purpose: Option<Purpose>) -> Result<Vec<u8>, ExportError> {
    let comment = purpose.map(|purpose| format!("{COMMENT}{purpose}")).unwrap_or_default();
    let line = PublicKey::new(key_data(public_key), comment).to_openssh().map_err(ExportError::OpenSsh)?;
    Ok(format!("{}\n", line.trim_end()).into_bytes())
}

/// The fingerprint that `ssh-keygen -l` prints: `SHA256:…`.
#[must_use]
pub fn ssh_fingerprint(public_key: &[u8; 32]) -> String {
    PublicKey::from(key_data(public_key)).fingerprint(HashAlg::Sha256).to_string()
}

fn key_data(public_key: &[u8; 32]) -> KeyData {
    KeyData::Ed25519(Ed25519PublicKey(*public_key))
}

fn read(bytes: &[u8]) -> Result<PrivateKey, ImportError> {
    let key = PrivateKey::from_openssh(bytes).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. } => ImportError::NotEd25519,
        other => ImportError::OpenSsh(other),
    })?;
    // The public half stands there in clear, so that another algorithm is told before the passphrase is asked for.
    if key.algorithm() != Algorithm::Ed25519 {
        return Err(ImportError::NotEd25519);
    }
    Ok(key)
}

fn decrypt(key: &PrivateKey, passphrase: &Passphrase) -> Result<PrivateKey, ImportError> {
    if let Kdf::Bcrypt { rounds, .. } = key.kdf()
        && *rounds > ROUNDS_MAX
    {
        return Err(ImportError::BcryptLimit { rounds: *rounds, rounds_max: ROUNDS_MAX });
    }
    key.decrypt(passphrase.as_bytes()).map_err(|error| match error {
        // Two equal numbers within tell whether it decrypted; what they hide is nothing but noise when they differ.
        ssh_key::Error::Crypto | ssh_key::Error::Encoding(_) | ssh_key::Error::FormatEncoding => {
            ImportError::WrongPassphrase
        }
        other => ImportError::OpenSsh(other),
    })
}

/// What the comment says, if it is one of ours.
fn purpose_of(key: &PrivateKey) -> Result<Option<Purpose>, ImportError> {
    key.comment().strip_prefix(COMMENT).map(str::parse).transpose().map_err(ImportError::UnknownPurpose)
}
