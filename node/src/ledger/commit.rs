//! Blocks into the store, atomically; and the word of it to the roles.

use std::sync::Arc;

use stemma_chain_format::validate::VerifiedEntry;
use stemma_consensus::state::{BlockSink, CommittedBlock};

use crate::store::Store;

/// Makes blocks durable, and keeps what was committed until the node tells its roles.
#[derive(Debug)]
pub struct StoreSink {
    store: Store,
    committed: Vec<(u64, Arc<VerifiedEntry>)>,
}

impl StoreSink {
    /// A sink into a store.
    pub fn new(store: Store) -> Self {
        Self { store, committed: Vec::new() }
    }

    /// The entries committed since the last call, in order, each with its height.
    pub fn take_committed(&mut self) -> Vec<(u64, Arc<VerifiedEntry>)> {
        std::mem::take(&mut self.committed)
    }
}

impl BlockSink for StoreSink {
    fn write(&mut self, committed: &CommittedBlock<'_>) -> Result<(), String> {
        self.store.write_block(committed).map_err(|e| crate::error::chain(&e))?;
        let height = committed.block.header.height;
        self.committed.extend(committed.entries.iter().map(|entry| (height, Arc::clone(entry))));
        Ok(())
    }
}
