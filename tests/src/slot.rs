//! How many networks run at once, over all test programs on this machine that share a target folder: five processes
//! each are plenty for two processor cores.

use std::fs::{self, File};

use crate::binaries::binaries;

/// Networks at once.
const SLOTS: usize = 2;

/// The right to run one network. The operating system takes it back whatever happens to the program.
#[derive(Debug)]
pub struct Slot {
    _lock: File,
}

impl Slot {
    /// Waits for one.
    ///
    /// # Panics
    /// The lock files can't be made.
    pub async fn take() -> Self {
        let folder = &binaries().locks;
        fs::create_dir_all(folder).unwrap();
        let files: Vec<File> = (0..SLOTS)
            .map(|slot| File::options().create(true).append(true).open(folder.join(format!("slot-{slot}"))).unwrap())
            .collect();
        let mut free = None;
        // As long as the networks before take; they have deadlines of their own.
        while free.is_none() {
            free = files.iter().position(|file| file.try_lock().is_ok());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let lock = files.into_iter().nth(free.unwrap()).unwrap();
        Self { _lock: lock }
    }
}
