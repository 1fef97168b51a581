//! Opening key files, for every command that signs.

use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};
use stemma_chain_format::keys::PublicKey;
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
    no_core_dumps();
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
    hex::encode(stemma_keystore::fingerprint(public_key))
}

/// A public key as people name it: 64 hexadecimal digits, or a key file, of which only the public part is read.
///
/// # Errors
/// It is neither; or the file does not say its public key.
pub fn public_key(named: &str) -> Result<(PublicKey, Option<Purpose>), CliError> {
    let looks_like_digits = named.len() == 64 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
    if looks_like_digits && let Ok(key) = named.to_ascii_lowercase().parse() {
        return Ok((key, None));
    }
    let path = Path::new(named);
    let public = read_public(path)?;
    let key = public.public_key.ok_or_else(|| {
        CliError::files(format!("{named} does not say its public key"))
            .help("name the public key itself: `stemma key show FILE` with the passphrase tells it")
    })?;
    Ok((PublicKey(key), public.purpose))
}

/// Sees to it that no crash of this process leaves its memory, with keys in it, in a file.
pub fn no_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Where the system refuses even less, there is nothing more that could be done.
    let _ = setrlimit(Resource::Core, none);
}
