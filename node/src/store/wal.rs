//! The consensus log: what one height's votes rest on. Durable before anything that rests on it is sent.

use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::keys::PublicKey;
use stemma_consensus::guard::SignedMark;
use stemma_consensus::ports::{Log, LogError};

use super::{Silence, SilenceCause, Store, StoreError, tables};
use crate::clock::now_ms;

/// The consensus log in the store. Entries are kept in memory until the flush that makes them durable together.
#[derive(Debug)]
pub struct StoreLog {
    store: Store,
    pending: Vec<(u64, Vec<u8>)>,
    next: u64,
}

impl StoreLog {
    /// The log of a store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let wal = store.read()?.open_table(tables::WAL)?;
        let next = wal.last()?.map_or(0, |(n, _)| n.value().saturating_add(1));
        Ok(Self { store, pending: Vec::new(), next })
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let txn = self.store.begin()?;
        {
            let mut wal = txn.open_table(tables::WAL)?;
            for (height, entry) in &self.pending {
                wal.insert(self.next, (*height, entry.as_slice()))?;
                self.next = self.next.saturating_add(1);
            }
        }
        txn.commit()?;
        self.pending.clear();
        Ok(())
    }

    fn read(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let wal = self.store.read()?.open_table(tables::WAL)?;
        wal.iter()?
            .map(|row| {
                let (_, value) = row?;
                let (height, entry) = value.value();
                Ok((height, entry.to_vec()))
            })
            .collect()
    }
}

fn told(e: &StoreError) -> LogError {
    LogError::Io(crate::error::chain(e))
}

impl Log for StoreLog {
    fn append(&mut self, height: u64, entry: &[u8]) -> Result<(), LogError> {
        self.pending.push((height, entry.to_vec()));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LogError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.write().map_err(|e| told(&e))
    }

    fn reset(&mut self, height: u64) -> Result<(), LogError> {
        // What is durable goes with the block's own transaction (`clear_below`): never before the block is there.
        self.pending.retain(|(at, _)| *at >= height);
        Ok(())
    }

    fn silence(&mut self, key: &PublicKey, mark: &SignedMark) -> Result<(), LogError> {
        let height = self.store.last_block().map_err(|e| told(&e))?.map_or(0, |last| last.block.header.height);
        let SignedMark { kind, height: at, round, .. } = mark;
        let cause = SilenceCause::UnknownSignature { signed: kind.to_string(), height: *at, round: *round };
        self.store.silence(key, &Silence { cause, since_ms: now_ms(), height }).map_err(|e| told(&e))
    }

    fn is_silenced(&self, key: &PublicKey) -> Result<bool, LogError> {
        Ok(self.store.silence_of(key).map_err(|e| told(&e))?.is_some())
    }

    fn replay(&self) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.read().map_err(|e| told(&e))
    }
}

/// Removes the entries of heights below one, within a block's transaction.
pub(super) fn clear_below(txn: &WriteTransaction, height: u64) -> Result<(), StoreError> {
    let mut wal = txn.open_table(tables::WAL)?;
    wal.retain(|_, (at, _)| at >= height)?;
    Ok(())
}
