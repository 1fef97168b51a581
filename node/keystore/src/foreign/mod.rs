//! Keys in the forms of other programs.
//!
//! | form | private | public |
//! |---|---|---|
//! | PKCS#8 | PEM (RFC 8410), encrypted or plain | SubjectPublicKeyInfo, PEM |
//! | OpenSSH | `openssh-key-v1`, encrypted (bcrypt, AES-256-CTR) or plain | a line of `authorized_keys` |
//! | raw | the seed's 32 bytes; read as 64 hexadecimal digits, too | 32 bytes |
//! | JWK | RFC 8037 (`OKP`, `Ed25519`) | the same without `d` |
//!
//! Raw and JWK know no encryption. OpenSSH (in its comment, `stemma:account`) and JWK (`stemma_purpose`) say what a key is for when
//! they are written here. A key that says so is imported for that purpose alone, any other for the one that is asked for.

mod jwk;
mod openssh;
mod pkcs8;
mod raw;

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

pub use self::openssh::ssh_fingerprint;
use crate::{ExportError, ImportError, Passphrase, Purpose, SecretKey};

/// A form of key files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// PKCS#8 in PEM.
    Pkcs8,
    /// OpenSSH's own form.
    OpenSsh,
    /// The bytes alone.
    Raw,
    /// JSON Web Key.
    Jwk,
}

impl Form {
    /// Every form, in the order in which they are listed to people.
    pub const ALL: [Self; 4] = [Self::Pkcs8, Self::OpenSsh, Self::Raw, Self::Jwk];

    /// The name on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs8 => "pkcs8",
            Self::OpenSsh => "openssh",
            Self::Raw => "raw",
            Self::Jwk => "jwk",
        }
    }

    /// Whether a private key can be encrypted in it.
    #[must_use]
    pub const fn can_encrypt(self) -> bool {
        matches!(self, Self::Pkcs8 | Self::OpenSsh)
    }

    /// The form that bytes look like.
    ///
    /// # Errors
    /// They look like none.
    pub fn of(bytes: &[u8]) -> Result<Self, ImportError> {
        if raw::looks_like(bytes) {
            return Ok(Self::Raw);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ImportError::UnknownForm)?;
        if text.contains(openssh::BEGIN) {
            Ok(Self::OpenSsh)
        } else if text.contains("-----BEGIN ") {
            Ok(Self::Pkcs8)
        } else if text.trim_start().starts_with('{') {
            Ok(Self::Jwk)
        } else {
            Err(ImportError::UnknownForm)
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that is no form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown form {name:?}: one of pkcs8, openssh, raw, jwk")]
pub struct UnknownForm {
    /// What was found.
    pub name: String,
}

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(name: &str) -> Result<Self, UnknownForm> {
        Self::ALL.into_iter().find(|form| form.as_str() == name).ok_or_else(|| UnknownForm { name: name.to_owned() })
    }
}

/// What bytes in a form say about themselves, without a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Whether a passphrase is needed.
    pub is_encrypted: bool,
    /// What the key is for, where that can be told.
    pub purpose: Option<Purpose>,
}

/// Looks at a private key without opening it.
///
/// # Errors
/// The bytes are not of this form.
pub fn look_at(bytes: &[u8], form: Form) -> Result<About, ImportError> {
    match form {
        Form::Pkcs8 => pkcs8::look_at(text(bytes)?),
        Form::OpenSsh => openssh::look_at(bytes),
        Form::Raw => Ok(About { is_encrypted: false, purpose: None }),
        Form::Jwk => jwk::look_at(text(bytes)?),
    }
}

/// Takes a private key over from another program's form.
///
/// # Errors
/// The bytes are not of this form, no Ed25519 key, for another purpose, or the passphrase is missing or wrong.
pub fn import(
    bytes: &[u8],
    form: Form,
    passphrase: Option<&Passphrase>,
    purpose: Purpose,
) -> Result<SecretKey, ImportError> {
    let (key, found) = match form {
        Form::Pkcs8 => pkcs8::import(text(bytes)?, passphrase, purpose)?,
        Form::OpenSsh => openssh::import(bytes, passphrase, purpose)?,
        Form::Raw => (raw::import(bytes, purpose)?, None),
        Form::Jwk => jwk::import(text(bytes)?, purpose)?,
    };
    match found {
        Some(found) if found != purpose => Err(ImportError::WrongPurpose { expected: purpose, found }),
        _ => Ok(key),
    }
}

/// Writes a private key in another program's form; without a passphrase it is not encrypted.
///
/// # Errors
/// A passphrase was given for a form that knows no encryption; no randomness; a failure of the libraries.
pub fn export(key: &SecretKey, form: Form, passphrase: Option<&Passphrase>) -> Result<Zeroizing<Vec<u8>>, ExportError> {
    if passphrase.is_some() && !form.can_encrypt() {
        return Err(ExportError::CannotEncrypt { form });
    }
    match form {
        Form::Pkcs8 => pkcs8::export(key, passphrase),
        Form::OpenSsh => openssh::export(key, passphrase),
        Form::Raw => Ok(Zeroizing::new(key.seed().to_vec())),
        Form::Jwk => Ok(jwk::export(key)),
    }
}

/// Writes a public key in another program's form.
///
/// # Errors
/// A failure of the libraries.
pub fn export_public(public_key: &[u8; 32], form: Form, purpose: Option<Purpose>) -> Result<Vec<u8>, ExportError> {
    match form {
        Form::Pkcs8 => pkcs8::export_public(public_key),
        Form::OpenSsh => openssh::export_public(public_key, purpose),
        Form::Raw => Ok(public_key.to_vec()),
        Form::Jwk => Ok(jwk::export_public(public_key, purpose)),
    }
}

fn text(bytes: &[u8]) -> Result<&str, ImportError> {
    std::str::from_utf8(bytes).map_err(|_| ImportError::NotText)
}
