//! Opening key files, for every command that signs.

use std::path::Path;

use stemma_keystore::{DecodeError, Purpose, ReadError, SecretKey, Unlock, read_key_file, read_public};

use crate::error::CliError;
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

/// Opens a key of this purpose, asking for the passphrase if need be. A key that is not encrypted is
/// used with a warning.
///
/// # Errors
/// The file can't be read, is open to others, is for another purpose, or the passphrase is wrong.
pub fn open(
    path: &Path,
    purpose: Purpose,
    passphrase: &PassphraseArgs,
    output: &Output,
) -> Result<SecretKey, CliError> {
    let public = read_public(path)?;
    // Asked here too, so that nobody types a passphrase for a file that can't be used.
    match public.purpose {
        Some(found) if found != purpose => {
            let source = DecodeError::WrongPurpose { expected: purpose, found };
            return Err(ReadError::Decode { path: path.to_owned(), source }.into());
        }
        _ => {}
    }
    if public.is_encrypted {
        let passphrase = passphrase.for_key(path, output)?;
        Ok(read_key_file(path, &passphrase, purpose)?)
    } else {
        output.warn(&format!("the key in {} is not encrypted", path.display()));
        Ok(read_key_file(path, Unlock::AllowPlain, purpose)?)
    }
}

/// The fingerprint of a public key, for people to compare: BLAKE3 in hexadecimal.
#[must_use]
pub fn fingerprint(public_key: &[u8; 32]) -> String {
    blake3::hash(public_key).to_hex().to_string()
}
