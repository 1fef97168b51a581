//! Catching up: the messages by which nodes fetch blocks and missing entries from each other.

use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::Link;
use stemma_chain_format::limits::BLOCK_ENTRIES_MAX;
use stemma_consensus::sync::SyncedBlock;

use super::snapshots::{SnapshotError, Snapshots, optional};
use crate::store::{Store, StoreError};

/// What one answer holds at most, in bytes; a first block or entry is sent whatever its size.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Largest answer accepted, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most blocks in one answer.
const BLOCKS_MAX: u64 = 128;
/// Largest question accepted, in bytes.
const QUESTION_BYTES_MAX: usize = 1024 * 1024;

/// What one node asks another for, to catch up.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum SyncQuestion {
    /// So many blocks from a height on.
    #[n(0)]
    Blocks(#[n(0)] u64, #[n(1)] u64),
    /// What members announced of their addresses.
    #[n(1)]
    Announcements,
    /// A snapshot's manifest.
    #[n(2)]
    Snapshot,
    /// A part of the snapshot of a height.
    #[n(3)]
    SnapshotPart(#[n(0)] u64, #[n(1)] u64),
}

impl SyncQuestion {
    /// The question's bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a question.
    ///
    /// # Errors
    /// Not the one encoding.
    pub fn decode(question: &[u8]) -> Result<Self, Violation> {
        Ok(cbor::decode(question, "sync question", QUESTION_BYTES_MAX)?)
    }

    /// The answer's bytes.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn serve(&self, store: &Store, snapshots: &Snapshots) -> Result<Vec<u8>, SnapshotError> {
        match self {
            Self::Blocks(from_height, count) => Ok(serve_blocks(store, *from_height, *count)?),
            Self::Snapshot => Ok(optional(snapshots.manifest(store)?)),
            Self::SnapshotPart(height, index) => Ok(optional(snapshots.part(*height, *index)?)),
            Self::Announcements => {
                let announcements = store.announcements()?;
                Ok(cbor::encode(&announcements.into_iter().map(ByteVec::from).collect::<Vec<_>>()))
            }
        }
    }
}

/// Reads announcements that were asked for.
///
/// # Errors
/// Not the one encoding.
pub fn told_announcements(answer: &[u8]) -> Result<Vec<ByteVec>, Violation> {
    Ok(cbor::decode(answer, "announcements", ANSWER_BYTES_MAX)?)
}

/// The blocks asked for, as many as fit.
fn serve_blocks(store: &Store, from_height: u64, count: u64) -> Result<Vec<u8>, StoreError> {
    let mut blocks: Vec<ByteVec> = Vec::new();
    let mut bytes = 0_usize;
    for height in from_height..from_height.saturating_add(count.min(BLOCKS_MAX)) {
        let Some(block) = store.block_bytes(height)? else { break };
        bytes = bytes.saturating_add(block.len());
        if bytes > ANSWER_BYTES && !blocks.is_empty() {
            break;
        }
        blocks.push(block.into());
    }
    Ok(cbor::encode(&blocks))
}

/// Reads blocks that were asked for.
///
/// # Errors
/// Not the one encoding.
pub fn synced_blocks(answer: &[u8]) -> Result<Vec<SyncedBlock>, Violation> {
    let raw: Vec<ByteVec> = cbor::decode(answer, "sync answer", ANSWER_BYTES_MAX)?;
    raw.iter().map(|bytes| SyncedBlock::decode(bytes)).collect()
}

/// Asks for entries by id.
pub fn encode_fetch(ids: &[Link]) -> Vec<u8> {
    cbor::encode(&ids.to_vec())
}

/// Reads a question for entries.
///
/// # Errors
/// Not the one encoding, or too many.
pub fn decode_fetch(question: &[u8]) -> Result<Vec<Link>, Violation> {
    let mut ids: Vec<Link> = cbor::decode(question, "fetch question", QUESTION_BYTES_MAX)?;
    ids.truncate(BLOCK_ENTRIES_MAX);
    Ok(ids)
}

/// The entries asked for that are here, as many as fit: first those given (from the pool), then the store's.
///
/// # Errors
/// [`StoreError`].
pub fn serve_fetch(store: &Store, pooled: Vec<Vec<u8>>, others: &[Link]) -> Result<Vec<u8>, StoreError> {
    let mut entries: Vec<ByteVec> = pooled.into_iter().map(ByteVec::from).collect();
    let mut bytes = entries.iter().map(|entry| entry.len()).fold(0_usize, usize::saturating_add);
    for id in others {
        if bytes > ANSWER_BYTES {
            break;
        }
        if let Some((_, entry)) = store.entry(id)? {
            bytes = bytes.saturating_add(entry.len());
            entries.push(entry.into());
        }
    }
    Ok(cbor::encode(&entries))
}
