//! Reading and writing files: whole or not at all, nothing overwritten unasked, `-` for the streams.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::error::CliError;

/// Mode of files that hold a secret.
pub const MODE_SECRET: u32 = 0o600;
/// Mode of all other files.
pub const MODE_PUBLIC: u32 = 0o644;

/// Whether a path stands for a stream.
#[must_use]
pub fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// It can't be read.
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let bytes = if is_stream(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    bytes.map_err(|error| CliError::files(format!("cannot read {}", path.display())).caused_by(&error))
}

/// Reads a file, or standard input for `-`, that is not larger than so many bytes.
///
/// # Errors
/// It can't be read, or is larger.
pub fn read_up_to(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let one_more = bytes_max.saturating_add(1);
    let taken = if is_stream(path) {
        io::stdin().lock().take(one_more).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(one_more).read_to_end(&mut bytes))
    };
    taken.map_err(|error| CliError::files(format!("cannot read {}", path.display())).caused_by(&error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(CliError::usage(format!("{} is larger than {bytes_max} bytes", path.display())));
    }
    Ok(bytes)
}

/// Reads a file of JSON of at most so many bytes, which must be what it is taken for.
///
/// # Errors
/// It can't be read, is too large, or is something else.
pub fn read_json<T: DeserializeOwned>(path: &Path, bytes_max: u64, what: &str) -> Result<T, CliError> {
    serde_json::from_slice(&read_up_to(path, bytes_max)?)
        .map_err(|error| CliError::files(format!("{} is not {what}", path.display())).caused_by(&error))
}

/// Writes a file of JSON, for everybody to read.
///
/// # Errors
/// As [`write`].
pub fn write_json(path: &Path, value: &impl Serialize, force: bool) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::files("cannot encode as JSON").caused_by(&error))?;
    text.push('\n');
    write(path, text.as_bytes(), MODE_PUBLIC, force)
}

/// Reads a file of text, or standard input for `-`.
///
/// # Errors
/// It can't be read, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(read(path)?)
        .map_err(|error| CliError::files(format!("{} is not text", path.display())).caused_by(&error))
}

/// Reads the first line of a file that holds a token.
///
/// # Errors
/// It can't be read, or its first line is empty.
pub fn read_token(path: &Path) -> Result<String, CliError> {
    let text = read_text(path)?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() {
        return Err(CliError::files(format!("the first line of {} is empty", path.display())));
    }
    Ok(token.to_owned())
}

/// Writes a file whole or not at all, making its folder if need be; `-` writes to standard output.
///
/// # Errors
/// It can't be written, or is there already and `force` is not given.
pub fn write(path: &Path, bytes: &[u8], mode: u32, force: bool) -> Result<(), CliError> {
    if is_stream(path) {
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| unwritten(path, &error));
    }
    let mut file = Unfinished::begin(path, mode)?;
    file.file.write_all(bytes).map_err(|error| unwritten(path, &error))?;
    file.finish(force).map(|_| ())
}

fn unwritten(path: &Path, error: &io::Error) -> CliError {
    CliError::files(format!("cannot write {}", path.display())).caused_by(error)
}

/// A file that is being written beside its place. Dropped before it is finished, it is gone.
#[derive(Debug)]
pub struct Unfinished<'p> {
    path: &'p Path,
    folder: &'p Path,
    file: NamedTempFile,
}

impl<'p> Unfinished<'p> {
    /// Begins a file, making its folder if need be.
    ///
    /// # Errors
    /// It can't be made.
    pub fn begin(path: &'p Path, mode: u32) -> Result<Self, CliError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let made = fs::create_dir_all(folder).and_then(|()| {
            let permissions = Permissions::from_mode(mode);
            tempfile::Builder::new().prefix(".stemma-").permissions(permissions).tempfile_in(folder)
        });
        made.map(|file| Self { path, folder, file }).map_err(|error| unwritten(path, &error))
    }

    /// Where it is written to.
    pub fn file(&mut self) -> &mut impl Write {
        &mut self.file
    }

    /// Makes it durable, and gives it its name. Returns its size in bytes.
    ///
    /// # Errors
    /// That fails, or there is one of this name already and `force` is not given.
    pub fn finish(self, force: bool) -> Result<u64, CliError> {
        let path = self.path;
        self.put_in_place(force).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if !force => {
                CliError::files(format!("{} exists and is not overwritten", path.display()))
                    .help("choose another file, or replace this one for good with --force")
            }
            _ => unwritten(path, &error),
        })
    }

    fn put_in_place(self, force: bool) -> io::Result<u64> {
        let Self { path, folder, file } = self;
        file.as_file().sync_all()?;
        let bytes = file.as_file().metadata()?.len();
        if force {
            file.persist(path)?;
        } else {
            file.persist_noclobber(path)?;
        }
        // The new name is durable only when the folder is.
        File::open(folder)?.sync_all()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file");
        write(&path, b"one", MODE_SECRET, false).unwrap();
        let refused = write(&path, b"two", MODE_SECRET, false).unwrap_err();
        assert!(refused.message().contains("exists"), "{}", refused.message());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, b"two", MODE_PUBLIC, true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_token_is_the_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, " secret \nsecond\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), "secret");
        fs::write(&path, "\n").unwrap();
        assert!(read_token(&path).is_err());
    }
}
