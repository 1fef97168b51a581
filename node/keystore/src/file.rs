//! Key files on disk.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::envelope::Envelope;
use crate::{
    EncodeError, Passphrase, Purpose, ReadError, ScryptCost, SecretKey, Unlock, WriteError, decode_pem,
    encode_encrypted_pem, encode_plain_pem,
};

/// The largest file that is read. A key file is some 600 bytes; the rest is room for explanatory text.
pub const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

const KEY_FILE_MODE: u32 = 0o600;
const KEY_FOLDER_MODE: u32 = 0o700;

/// Writes a key file: encrypted, mode 0600, whole or not at all. Missing folders are made with
/// mode 0700. An existing file is replaced only with `force`.
///
/// # Errors
/// See [`WriteError`]; what was there before is still there then.
pub fn write_key_file(
    path: &Path,
    key: &SecretKey,
    passphrase: &Passphrase,
    cost: ScryptCost,
    force: bool,
) -> Result<(), WriteError> {
    write_file(path, force, || encode_encrypted_pem(key, passphrase, cost))
}

/// Writes a key file that is **not** encrypted, otherwise like [`write_key_file`].
///
/// # Errors
/// See [`WriteError`]; what was there before is still there then.
pub fn write_plain_key_file(path: &Path, key: &SecretKey, force: bool) -> Result<(), WriteError> {
    write_file(path, force, || encode_plain_pem(key))
}

/// Reads a key file that must be for the expected purpose, and closed to others.
///
/// # Errors
/// See [`ReadError`]: each reason has its own.
pub fn read_key_file<'a>(
    path: &Path,
    unlock: impl Into<Unlock<'a>>,
    expected: Purpose,
) -> Result<SecretKey, ReadError> {
    let (text, mode) = read_text(path)?;
    if mode & 0o077 != 0 {
        return Err(ReadError::OpenToOthers { path: path.to_owned(), mode });
    }
    if let Some(mode) = folder_open_to_all(folder_of(path)) {
        return Err(ReadError::FolderOpenToAll { path: path.to_owned(), folder: folder_of(path).to_owned(), mode });
    }
    decode_pem(&text, unlock, expected).map_err(|source| ReadError::Decode { path: path.to_owned(), source })
}

/// Writes bytes that hold or restore a key, such as an export or a backup: as a key file is written, mode 0600.
///
/// # Errors
/// See [`WriteError`]; what was there before is still there then.
pub fn write_secret(path: &Path, bytes: &[u8], force: bool) -> Result<(), WriteError> {
    refuse_existing(path, force)?;
    write_bytes(path, bytes, force)
}

/// What a key file says about itself. **Not authenticated**: only [`read_key_file`], which decrypts
/// the key, shows that the public key is the one inside, and nothing shows that the purpose is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPart {
    /// The purpose line.
    pub purpose: Option<Purpose>,
    /// The public key line.
    pub public_key: Option<[u8; 32]>,
    /// Whether the PEM block says that it is encrypted.
    pub is_encrypted: bool,
    /// The file's permission bits.
    pub mode: u32,
}

/// Reads what a key file says about itself, without a passphrase and whatever its mode.
///
/// # Errors
/// See [`ReadError`].
pub fn read_public(path: &Path) -> Result<PublicPart, ReadError> {
    let (text, mode) = read_text(path)?;
    let decoded = Envelope::parse(&text).and_then(|envelope| {
        Ok(PublicPart {
            purpose: envelope.purpose,
            public_key: envelope.public_key,
            is_encrypted: envelope.is_encrypted()?,
            mode,
        })
    });
    decoded.map_err(|source| ReadError::Decode { path: path.to_owned(), source })
}

fn write_file(
    path: &Path,
    force: bool,
    encode: impl FnOnce() -> Result<Zeroizing<String>, EncodeError>,
) -> Result<(), WriteError> {
    // Told before scrypt runs.
    refuse_existing(path, force)?;
    let text = encode().map_err(|source| WriteError::Encode { path: path.to_owned(), source })?;
    write_bytes(path, text.as_bytes(), force)
}

/// Only to tell early. What decides is the rename.
fn refuse_existing(path: &Path, force: bool) -> Result<(), WriteError> {
    if !force && path.symlink_metadata().is_ok() {
        return Err(WriteError::Exists { path: path.to_owned() });
    }
    Ok(())
}

fn write_bytes(path: &Path, bytes: &[u8], force: bool) -> Result<(), WriteError> {
    let folder = folder_of(path);
    let folder_failed = |source| WriteError::Folder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(KEY_FOLDER_MODE).create(folder).map_err(folder_failed)?;
    if let Some(mode) = folder_open_to_all(folder) {
        return Err(WriteError::FolderOpenToAll { path: path.to_owned(), folder: folder.to_owned(), mode });
    }
    replace(path, folder, bytes, force).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists if !force => WriteError::Exists { path: path.to_owned() },
        _ => WriteError::Write { path: path.to_owned(), source },
    })?;
    // The new name is durable only when the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(folder_failed)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The mode of a folder in which anybody may replace the file by another. One in which everybody may write but rename only
/// what is their own (the sticky bit) is none, nor is one that others may only read: the file itself is closed to them.
fn folder_open_to_all(folder: &Path) -> Option<u32> {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = std::fs::metadata(folder).ok()?.permissions().mode() & 0o7777;
    (mode & OTHERS_WRITE != 0 && mode & STICKY == 0).then_some(mode)
}

/// Writes beside the file, makes it durable, and renames. A failure leaves nothing behind.
fn replace(path: &Path, folder: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".stemma-key-")
        .permissions(Permissions::from_mode(KEY_FILE_MODE))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    if force {
        file.persist(path)?;
    } else {
        file.persist_noclobber(path)?;
    }
    Ok(())
}

/// Reads a file that holds or restores a key, with its permission bits: whoever takes a key over from elsewhere warns where
/// others may read it. At most [`KEY_FILE_BYTES_MAX`].
///
/// # Errors
/// It can't be read, is no regular file, or is larger than that.
pub fn read_secret(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), ReadError> {
    let failed = |source| ReadError::Read { path: path.to_owned(), source };
    // Asked before it is opened, since opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ReadError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    // Of the open file, so that mode and content are of the same one.
    let metadata = file.metadata().map_err(failed)?;
    if metadata.len() > KEY_FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    Ok((read_bounded(file, path)?, metadata.permissions().mode() & 0o777))
}

/// Reads a stream that holds or restores a key. `origin` is only for the error.
///
/// # Errors
/// It can't be read, or has more than [`KEY_FILE_BYTES_MAX`].
pub fn read_bounded(stream: impl Read, origin: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let limit = KEY_FILE_BYTES_MAX.saturating_add(1);
    // Reserved at once: growing would leave copies behind, and the key may be a plain one.
    let capacity = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let read = stream.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| ReadError::Read { path: origin.to_owned(), source })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > KEY_FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { path: origin.to_owned() });
    }
    Ok(bytes)
}

/// The file's text and permission bits.
fn read_text(path: &Path) -> Result<(Zeroizing<String>, u32), ReadError> {
    let (mut bytes, mode) = read_secret(path)?;
    let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        ReadError::NotText { path: path.to_owned() }
    })?;
    Ok((Zeroizing::new(text), mode))
}
