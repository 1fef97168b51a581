//! Files of a home: written whole or not at all, closed to others.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::CommandError;

/// Mode of a home and the folders in it.
pub(super) const FOLDER_MODE: u32 = 0o700;
/// Mode of files that hold a secret.
pub(super) const SECRET_MODE: u32 = 0o600;
/// Mode of other files: the home is closed anyway.
pub(super) const FILE_MODE: u32 = 0o600;
/// Bytes that are hashed at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Makes a folder, closed to others, with those above it where they are missing.
pub(super) fn make_folder(path: &Path) -> Result<(), CommandError> {
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    made.map_err(|e| CommandError::failure(format!("cannot make the folder {}", path.display())).caused_by(&e))
}

/// Whether a folder is missing or has nothing in it.
pub(super) fn is_empty(path: &Path) -> Result<bool, CommandError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(CommandError::file("read", path, &e)),
    }
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    fs::read(path).map_err(|e| CommandError::file("read", path, &e))
}

/// Writes a file beside its place, makes it durable, and renames it.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CommandError> {
    let part = part_of(path);
    write_part(&part, bytes, mode).and_then(|()| put_in_place(&part, path)).map_err(|e| {
        let _nothing_left = fs::remove_file(&part);
        CommandError::file("write", path, &e)
    })
}

fn write_part(part: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = File::create(part)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name beside a file's, on the same disk.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Gives a file that is durable its name.
pub(super) fn put_in_place(part: &Path, path: &Path) -> std::io::Result<()> {
    fs::rename(part, path)?;
    sync_folder(path)
}

/// A new name is durable only when its folder is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// A file's length and BLAKE3.
pub(super) fn digest(path: &Path) -> Result<(u64, String), CommandError> {
    let failed = |e: &std::io::Error| CommandError::file("read", path, e);
    let mut file = File::open(path).map_err(|e| failed(&e))?;
    let (mut hasher, mut length) = (blake3::Hasher::new(), 0_u64);
    let mut piece = vec![0_u8; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece).map_err(|e| failed(&e))?;
        let Some(taken) = piece.get(..read).filter(|taken| !taken.is_empty()) else { break };
        hasher.update(taken);
        length = length.saturating_add(read as u64);
    }
    Ok((length, hasher.finalize().to_hex().to_string()))
}

/// Who a file or folder is open to, beside its owner; nothing where it is closed to others.
pub(super) fn open_to_others(path: &Path) -> std::io::Result<Option<u32>> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    Ok(Some(mode).filter(|mode| mode & 0o077 != 0))
}

/// A random token of 64 characters.
pub(super) fn token() -> Result<zeroize::Zeroizing<String>, CommandError> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| CommandError::failure("the operating system gives no random bytes").caused_by(&e))?;
    Ok(zeroize::Zeroizing::new(format!("{}\n", hex::encode(bytes.as_slice()))))
}
