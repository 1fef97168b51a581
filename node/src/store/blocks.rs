//! Blocks: written whole, with everything they change, in one transaction.

use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::hash::Link;
use stemma_consensus::state::CommittedBlock;
use stemma_consensus::sync::{EntryBytes, SyncedBlock};

use super::{Store, StoreError, accounts, registry, short, tables, wal};

/// Where an entry stands: height, and index in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The block's height.
    pub height: u64,
    /// The entry's index in it.
    pub index: u32,
}

impl Store {
    /// Writes a final block with all that it changes, and clears the consensus log of its height.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of the block is there.
    pub fn write_block(&self, committed: &CommittedBlock<'_>) -> Result<(), StoreError> {
        let height = committed.block.header.height;
        let stored = SyncedBlock {
            block: committed.block.clone(),
            certificate: committed.certificate.clone(),
            entries: committed.entries.iter().map(|e| EntryBytes(e.entry().encode())).collect(),
        };
        let txn = self.begin()?;
        txn.open_table(tables::BLOCKS)?.insert(height, stored.encode().as_slice())?;
        index_entries(&txn, committed)?;
        accounts::write_changes(&txn, committed, &self.owner)?;
        registry::write(&txn, committed)?;
        wal::clear_below(&txn, height.saturating_add(1))?;
        Ok(txn.commit()?)
    }

    /// The stored bytes of a block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block_bytes(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let blocks = self.read()?.open_table(tables::BLOCKS)?;
        Ok(blocks.get(height)?.map(|value| value.value().to_vec()))
    }

    /// A block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn block(&self, height: u64) -> Result<Option<SyncedBlock>, StoreError> {
        self.block_bytes(height)?.map(|bytes| SyncedBlock::decode(&bytes).map_err(StoreError::damaged)).transpose()
    }

    /// The last block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_block(&self) -> Result<Option<SyncedBlock>, StoreError> {
        let blocks = self.read()?.open_table(tables::BLOCKS)?;
        let last = blocks.last()?.map(|(_, value)| value.value().to_vec());
        last.map(|bytes| SyncedBlock::decode(&bytes).map_err(StoreError::damaged)).transpose()
    }

    /// Where an entry stands, as half of its id tells.
    pub(crate) fn place_of(&self, id: &Link) -> Result<Option<Place>, StoreError> {
        let entries = self.read()?.open_table(tables::ENTRIES)?;
        Ok(entries.get(short(&id.0))?.map(|value| value.value()).map(|(height, index)| Place { height, index }))
    }

    /// Where an entry stands, and its bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn entry(&self, id: &Link) -> Result<Option<(Place, Vec<u8>)>, StoreError> {
        let Some(place) = self.place_of(id)? else { return Ok(None) };
        let bytes = self.entry_at(place)?;
        // Half an id leads here; the whole one must match.
        let matches = Entry::decode(&bytes).map_err(StoreError::damaged)?.id() == *id;
        Ok(matches.then_some((place, bytes)))
    }

    /// The entry at a place.
    ///
    /// # Errors
    /// [`StoreError`]; a place that holds nothing is damage.
    pub fn entry_at(&self, place: Place) -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::Damaged(format!("no entry {} in block {}", place.index, place.height));
        let stored = self.block(place.height)?.ok_or_else(missing)?;
        let index = usize::try_from(place.index).map_err(|_| missing())?;
        stored.entries.into_iter().nth(index).map(|bytes| bytes.0).ok_or_else(missing)
    }

    /// How many entries, and how many trades among them, were committed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn counts(&self) -> Result<(u64, u64), StoreError> {
        let counts = self.read()?.open_table(tables::COUNTS)?;
        let count = |name| Ok::<_, StoreError>(counts.get(name)?.map_or(0, |value| value.value()));
        Ok((count("entries")?, count("trades")?))
    }
}

fn index_entries(txn: &WriteTransaction, committed: &CommittedBlock<'_>) -> Result<(), StoreError> {
    let height = committed.block.header.height;
    let mut rows: Vec<(u128, u32)> =
        committed.block.entries.iter().zip(0_u32..).map(|(id, index)| (short(&id.0), index)).collect();
    // Sorted keys touch each page once.
    rows.sort_unstable();
    let mut entries = txn.open_table(tables::ENTRIES)?;
    for (half, index) in rows {
        entries.insert(half, (height, index))?;
    }
    let trades = committed.entries.iter().filter(|e| e.entry().kind() == EntryKind::Chain).count();
    let mut counts = txn.open_table(tables::COUNTS)?;
    for (name, more) in [("entries", committed.entries.len()), ("trades", trades)] {
        let before = counts.get(name)?.map_or(0, |value| value.value());
        counts.insert(name, before.saturating_add(more as u64))?;
    }
    Ok(())
}
