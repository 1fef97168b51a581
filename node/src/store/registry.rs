//! The member registry: that of the next block, and how trust comes to it from the genesis.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::limits::REGISTRY_BYTES_MAX;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::trust::TrustStep;
use stemma_consensus::state::CommittedBlock;

use super::{Store, StoreError, tables};

/// Largest encoding of a trust step, in bytes: a block full of governance records is far below it.
const STEP_BYTES_MAX: usize = REGISTRY_BYTES_MAX;

/// Writes the registry that a block leads to, where it is another, and the step of trust, where the block holds governance records.
pub(super) fn write(txn: &WriteTransaction, committed: &CommittedBlock<'_>) -> Result<(), StoreError> {
    let height = committed.block.header.height;
    let next = &committed.changes.registry;
    if next != committed.before.registry() {
        let from = height.saturating_add(1);
        txn.open_table(tables::REGISTRIES)?.insert(from, next.encode().as_slice())?;
    }
    let governs = |entry: &&Entry| matches!(entry, Entry::Governance(_));
    let records = committed.entries.iter().map(|entry| entry.entry()).filter(governs);
    let records: Vec<_> = records.map(|entry| entry.encode().into()).collect();
    if !records.is_empty() {
        let header =
            CertifiedHeader { header: committed.block.header.clone(), certificate: committed.certificate.clone() };
        let step = TrustStep { records, header };
        txn.open_table(tables::TRUST)?.insert(height, cbor::encode(&step).as_slice())?;
    }
    Ok(())
}

/// Writes the registry that a snapshot's block leads to, and how trust came there.
pub(super) fn write_at(
    txn: &WriteTransaction,
    height: u64,
    registry: &Registry,
    trust: &[TrustStep],
) -> Result<(), StoreError> {
    let from = height.saturating_add(1);
    txn.open_table(tables::REGISTRIES)?.insert(from, registry.encode().as_slice())?;
    let mut steps = txn.open_table(tables::TRUST)?;
    for step in trust {
        steps.insert(step.header.header.height, cbor::encode(step).as_slice())?;
    }
    Ok(())
}

/// The registry by which the block after the last one that a transaction sees is made.
pub(super) fn in_force(txn: &ReadTransaction, genesis: &GenesisFile) -> Result<Registry, StoreError> {
    match txn.open_table(tables::REGISTRIES)?.last()? {
        Some((_, value)) => Registry::decode(value.value()).map_err(StoreError::damaged),
        None => Ok(Registry::from_genesis(genesis)),
    }
}

impl Store {
    /// The registry by which the next block is made: what the last block led to, or the genesis'.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn registry(&self, genesis: &GenesisFile) -> Result<Registry, StoreError> {
        in_force(&self.read()?, genesis)
    }

    /// The steps of trust up to a height, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn trust_steps(&self, height_max: u64) -> Result<Vec<TrustStep>, StoreError> {
        let steps = self.read()?.open_table(tables::TRUST)?;
        let decode = |bytes: &[u8]| cbor::decode(bytes, "trust step", STEP_BYTES_MAX).map_err(StoreError::damaged);
        steps.range(..=height_max)?.map(|row| decode(row?.1.value())).collect()
    }
}
