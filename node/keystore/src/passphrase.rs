//! Passphrases, from where a program finds them. Asking a person belongs to the tool.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::PassphraseError;

/// The longest passphrase, in bytes. OpenSSL's own tools take no more.
pub const PASSPHRASE_BYTES_MAX: usize = 1000;

/// The environment variable that may hold a passphrase.
pub const PASSPHRASE_VARIABLE: &str = "STEMMA_PASSPHRASE";

/// A passphrase: any bytes, at least one. Wiped from memory when dropped, and never shown.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the bytes, and wipes them when dropped.
    ///
    /// # Errors
    /// Empty or too long.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, PassphraseError> {
        let bytes = Zeroizing::new(bytes.into());
        match bytes.len() {
            0 => Err(PassphraseError::Empty),
            length if length > PASSPHRASE_BYTES_MAX => Err(PassphraseError::TooLong),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in characters when it is text, otherwise in bytes: for advice on its strength.
    #[must_use]
    pub fn length(&self) -> usize {
        std::str::from_utf8(&self.0).map_or(self.0.len(), |text| text.chars().count())
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passphrase(…)")
    }
}

/// A passphrase from a file, and whether others may read it.
#[derive(Debug)]
pub struct FromFile {
    /// The passphrase.
    pub passphrase: Passphrase,
    /// The permission bits, when group or others have any. Callers warn and go on: passphrase files
    /// of orchestrators and trials are often 0440 or 0644, and a refusal would only move the
    /// passphrase to the environment, which is worse.
    pub mode_open_to_others: Option<u32>,
}

/// Reads the first line of a file, without its line ending.
///
/// # Errors
/// The file can't be read, or its first line is empty or too long.
pub fn from_file(path: &Path) -> Result<FromFile, PassphraseError> {
    let failed = |source| PassphraseError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe's mode says nothing about who may read what is in it.
    let is_open = metadata.is_file() && mode & 0o077 != 0;
    Ok(FromFile { passphrase: from_reader(&mut file, path)?, mode_open_to_others: is_open.then_some(mode) })
}

/// Reads the first line of an open file descriptor, for a parent process that hands the passphrase
/// over in a pipe.
///
/// # Errors
/// The descriptor is not open for reading, or its first line is empty or too long.
pub fn from_descriptor(descriptor: u32) -> Result<Passphrase, PassphraseError> {
    // By name: taking a raw descriptor over would need unsafe code.
    let path = PathBuf::from(format!("/dev/fd/{descriptor}"));
    let mut file = File::open(&path).map_err(|source| PassphraseError::Read { path: path.clone(), source })?;
    from_reader(&mut file, &path)
}

/// Takes [`PASSPHRASE_VARIABLE`] from the environment; `None` when it isn't set. Child processes
/// and, on many systems, other processes of the same user can read it: prefer a file or descriptor.
///
/// # Errors
/// Set, but empty or too long.
pub fn from_environment() -> Result<Option<Passphrase>, PassphraseError> {
    from_variable(PASSPHRASE_VARIABLE)
}

/// The same from another variable.
///
/// # Errors
/// Set, but empty or too long.
pub fn from_variable(name: &str) -> Result<Option<Passphrase>, PassphraseError> {
    std::env::var_os(name).map(|value| Passphrase::new(value.into_vec())).transpose()
}

/// Reads the first line of a stream. `origin` is only for the error.
///
/// # Errors
/// The stream can't be read, or its first line is empty or too long.
pub fn from_reader(reader: &mut impl Read, origin: &Path) -> Result<Passphrase, PassphraseError> {
    // Byte by byte, so that nothing after the line is taken from a stream that has other readers,
    // and no buffer but this one holds the passphrase. Two bytes more than the maximum: "\r\n".
    let capacity = PASSPHRASE_BYTES_MAX.saturating_add(2);
    let mut line = Zeroizing::new(Vec::with_capacity(capacity));
    let mut byte = Zeroizing::new([0_u8; 1]);
    while line.len() < capacity {
        match reader.read(byte.as_mut_slice()) {
            Ok(0) => break,
            Ok(_) if byte.as_slice() == b"\n" => break,
            Ok(_) => line.extend_from_slice(byte.as_slice()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(PassphraseError::Read { path: origin.to_owned(), source }),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Passphrase::new(std::mem::take(&mut *line))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Vec<u8>, PassphraseError> {
        from_reader(&mut bytes, Path::new("test")).map(|passphrase| passphrase.as_bytes().to_vec())
    }

    #[test]
    fn takes_the_first_line() {
        for text in ["secret", "secret\n", "secret\r\n", "secret\nsecond\n"] {
            assert_eq!(read(text.as_bytes()).unwrap(), b"secret", "{text:?}");
        }
        assert_eq!(read(b" two words \n").unwrap(), b" two words ");
    }

    #[test]
    fn limits() {
        assert!(matches!(read(b""), Err(PassphraseError::Empty)));
        assert!(matches!(read(b"\nsecond"), Err(PassphraseError::Empty)));
        assert_eq!(read(&[b'x'; PASSPHRASE_BYTES_MAX]).unwrap().len(), PASSPHRASE_BYTES_MAX);
        let longer = [b'x'; PASSPHRASE_BYTES_MAX + 1];
        assert!(matches!(read(&longer), Err(PassphraseError::TooLong)));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Passphrase::new("secret").unwrap()), "Passphrase(…)");
    }

    #[test]
    fn mode_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        std::fs::write(&path, "secret\n").unwrap();
        for (mode, expected) in [(0o600, None), (0o644, Some(0o644)), (0o440, Some(0o440))] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(from_file(&path).unwrap().mode_open_to_others, expected);
        }
    }
}
