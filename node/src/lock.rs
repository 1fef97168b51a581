//! One process for each home: a lock on a file in it, which the operating system lets go of whatever happens.
//!
//! The store has a lock of its own. This one is on the home, since a home is what a validator's key belongs to: two
//! processes with one key and two stores would contradict each other.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name in the home.
pub const LOCK_FILE: &str = "node.lock";
/// A process number has at most so many digits.
const PID_BYTES_MAX: u64 = 20;

/// The right to be this home's process, as long as it is kept.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// Why a home is not this process'.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another process{} uses the home {home}", numbered(.pid.as_deref()))]
    Taken {
        /// The home.
        home: PathBuf,
        /// The process, as it wrote itself down.
        pid: Option<String>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

fn numbered(pid: Option<&str>) -> String {
    pid.map(|pid| format!(" ({pid})")).unwrap_or_default()
}

impl HomeLock {
    /// Takes a home's lock and writes this process down in it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(home: &Path) -> Result<Self, LockError> {
        let path = home.join(LOCK_FILE);
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file = File::options();
        let file = file.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = file.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Whoever took it may not have written yet.
                let _unreadable = file.take(PID_BYTES_MAX).read_to_string(&mut pid);
                let pid = Some(pid.trim().to_owned()).filter(|pid| !pid.is_empty());
                return Err(LockError::Taken { home: home.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = HomeLock::take(folder.path()).unwrap();
        let taken = HomeLock::take(folder.path()).unwrap_err().to_string();
        let (pid, home) = (std::process::id(), folder.path().display());
        assert_eq!(taken, format!("another process ({pid}) uses the home {home}"));
        drop(lock);
        HomeLock::take(folder.path()).unwrap();
        let missing = HomeLock::take(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, LockError::File { .. }), "{missing}");
    }
}
