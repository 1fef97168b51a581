//! Snapshots for others: the state of one moment, written beside the store in parts, and handed out part by part. One that is not too old
//! serves everybody who asks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, TryLockError};

use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::snapshot::{Item, Manifest};

use crate::store::{Store, StoreError};

/// How many blocks old a snapshot may become before a new one is made for who asks.
const AGE_BLOCKS_MAX: u64 = 1_000;
/// A part is closed once it has so many bytes: far enough below the most that one may have.
const PART_BYTES: usize = 1024 * 1024;
/// How many snapshots are kept: who fetches one goes on with it while the next is made.
const KEPT: usize = 2;
/// The manifest's file.
const MANIFEST: &str = "manifest";

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// A file cannot be written or read.
    #[error("the snapshot in {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl From<StoreError> for SnapshotError {
    /// The store's own words say all there is.
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// The snapshots of a node. One at a time is made, whoever asks.
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
    making: Mutex<()>,
}

impl Snapshots {
    /// Snapshots in a folder, made where it is missing.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, making: Mutex::new(()) }
    }

    /// The manifest of a snapshot that is not too old, made now where there is none; nothing before the first block.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn manifest(&self, store: &Store) -> Result<Option<Vec<u8>>, SnapshotError> {
        // Who asks while one is made asks again, rather than keep a thread waiting.
        let _one_at_a_time = match self.making.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let Some(last) = store.last_block()? else { return Ok(None) };
        let height = last.block.header.height;
        let made = self.made()?;
        let young = made.last().filter(|made| height.saturating_sub(**made) <= AGE_BLOCKS_MAX);
        let at = match young {
            Some(at) => *at,
            None => self.make(store)?,
        };
        let path = self.folder.join(at.to_string()).join(MANIFEST);
        fs::read(&path).map(Some).map_err(|source| SnapshotError::File { path, source })
    }

    /// A part of the snapshot of a height; nothing where there is none any more.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn part(&self, height: u64, index: u64) -> Result<Option<Vec<u8>>, SnapshotError> {
        let path = self.folder.join(height.to_string()).join(index.to_string());
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SnapshotError::File { path, source }),
        }
    }

    /// The heights of the snapshots that are here, ascending.
    fn made(&self) -> Result<Vec<u64>, SnapshotError> {
        let failed = |source| SnapshotError::File { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let entries = fs::read_dir(&self.folder).map_err(failed)?;
        let height = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let mut heights: Vec<u64> = entries.filter_map(height).collect();
        heights.sort_unstable();
        Ok(heights)
    }

    fn make(&self, store: &Store) -> Result<u64, SnapshotError> {
        let unfinished = self.folder.join("unfinished");
        let failed = |source| SnapshotError::File { path: unfinished.clone(), source };
        let state = store.state()?.ok_or_else(|| StoreError::Damaged("there is no block".to_owned()))?;
        let _absent = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished).map_err(failed)?;
        let mut writer = Writer { folder: &unfinished, items: Vec::new(), items_bytes: 0, parts: Vec::new(), bytes: 0 };
        state.each(|item| writer.add(item))?;
        writer.close()?;
        let height = state.head.header.height;
        let Writer { parts, bytes, .. } = writer;
        let manifest = Manifest { head: state.head.clone(), trust: state.trust.clone(), parts, bytes };
        fs::write(unfinished.join(MANIFEST), cbor::encode(&manifest)).map_err(failed)?;
        let place = self.folder.join(height.to_string());
        fs::rename(&unfinished, &place).map_err(|source| SnapshotError::File { path: place, source })?;
        tracing::info!(height, bytes, "made a snapshot of the state for others");
        let made = self.made()?;
        for old in made.iter().rev().skip(KEPT) {
            let _gone = fs::remove_dir_all(self.folder.join(old.to_string()));
        }
        Ok(height)
    }
}

/// Puts items into parts.
struct Writer<'f> {
    folder: &'f Path,
    items: Vec<Item>,
    items_bytes: usize,
    parts: Vec<Digest>,
    bytes: u64,
}

impl Writer<'_> {
    fn add(&mut self, item: Item) -> Result<(), SnapshotError> {
        self.items_bytes = self.items_bytes.saturating_add(cbor::encode(&item).len());
        self.items.push(item);
        if self.items_bytes >= PART_BYTES { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), SnapshotError> {
        if self.items.is_empty() {
            return Ok(());
        }
        let bytes = cbor::encode(&std::mem::take(&mut self.items));
        let path = self.folder.join(self.parts.len().to_string());
        fs::write(&path, &bytes).map_err(|source| SnapshotError::File { path, source })?;
        self.parts.push(Digest::of(&bytes));
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.items_bytes = 0;
        Ok(())
    }
}

/// An answer that may be nothing, as bytes.
pub(super) fn optional(found: Option<Vec<u8>>) -> Vec<u8> {
    cbor::encode(&found.map(ByteVec::from))
}
