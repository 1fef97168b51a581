//! The ledger as it was: replayed from the blocks that the store has, every entry and every root checked again.

use std::io::{self, Write};
use std::sync::Arc;

use stemma_chain_format::bundle::{Anchor, Claim, Element};
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Digest};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::validate;
use stemma_consensus::sync::SyncedBlock;

use super::prove::{self, Looked, ProveError};
use crate::store::{Store, StoreError};

/// How far an export has come: blocks done, and blocks in all.
pub type Told<'t> = &'t mut dyn FnMut(u64, u64);

/// What an account held at a height, or that there was none: of the last block as it is stored, of an older one by a replay.
///
/// # Errors
/// [`ProveError`].
pub fn look_at(
    store: &Store,
    genesis: &GenesisFile,
    account: &AccountId,
    height: u64,
    told: Told<'_>,
) -> Result<Looked, ProveError> {
    Ok(prove::look(&ledger_at(store, genesis, height, told)?, account))
}

/// What an account held at an earlier block, for a lineage that begins there.
///
/// # Errors
/// [`ProveError`]; [`ProveError::NotThere`] where there was no such account.
pub fn anchor_at(
    store: &Store,
    genesis: &GenesisFile,
    account: &AccountId,
    height: u64,
    told: Told<'_>,
) -> Result<Anchor, ProveError> {
    let Looked::Held(proved) = look_at(store, genesis, account, height, told)? else {
        return Err(ProveError::NotThere(*account, height));
    };
    has_all_blocks(store)?;
    let header = store.certified_header(height)?.ok_or(ProveError::NotYet(height))?;
    let mut before_waiting = Digest([0; 32]);
    for place in store.lineage(account, 0..=proved.holding.account.sequence)? {
        let entry = Entry::decode(&store.entry_at(place)?)?;
        let absorbed = entry.absorbed().unwrap_or_default();
        before_waiting = absorbed.iter().fold(before_waiting, |digest, credit| credit.chained(&digest));
    }
    Ok(Anchor { header, holding: proved.holding, before_waiting })
}

/// Writes the bundle that proves the whole ledger up to a height, or up to the last block. Returns the height.
///
/// # Errors
/// [`ProveError`]; then what is written is of no use.
pub fn write_ledger_bundle(
    store: &Store,
    genesis: &GenesisFile,
    height: Option<u64>,
    to: &mut dyn Write,
    told: Told<'_>,
) -> Result<u64, ProveError> {
    let state = store.state()?.ok_or(ProveError::NoBlock)?;
    let last = state.head.header.height;
    let height = height.unwrap_or(last);
    has_all_blocks(store)?;
    let checkpoint = store.certified_header(height)?.ok_or(ProveError::NotYet(height))?;
    // What the last block came to is stored; what an older one did follows from the blocks on their way.
    let is_last = height == last;
    let mut ledger = if is_last { state.ledger(genesis)?.0 } else { before_the_first_block(genesis) };
    drop(state);
    to.write_all(&cbor::encode(&prove::head(store, checkpoint, Claim::Ledger)?))?;
    let mut write = |element: Element| to.write_all(&cbor::encode(&element));
    for at in 1..=height {
        let stored = stored_block(store, at)?;
        if !is_last {
            extend(&mut ledger, &stored)?;
        }
        let SyncedBlock { block, entries, .. } = stored;
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        write(Element::Block(block.header, count))?;
        entries.into_iter().try_for_each(|entry| write(Element::InBlock(entry.0.into())))?;
        told(at, height);
    }
    ledger.accounts().try_for_each(|account| write(Element::Account(account.state.clone())))?;
    ledger.positions().try_for_each(|(key, position)| write(Element::Position(*key, position.clone())))?;
    to.flush()?;
    Ok(height)
}

fn has_all_blocks(store: &Store) -> Result<(), ProveError> {
    let from = store.history_from()?;
    if from > 1 { Err(ProveError::NoBlocks(from)) } else { Ok(()) }
}

fn stored_block(store: &Store, height: u64) -> Result<SyncedBlock, ProveError> {
    Ok(store.block(height)?.ok_or_else(|| StoreError::Damaged(format!("there is no block {height}")))?)
}

/// The ledger after a height.
fn ledger_at(store: &Store, genesis: &GenesisFile, height: u64, told: Told<'_>) -> Result<Ledger, ProveError> {
    let state = store.state()?.ok_or(ProveError::NoBlock)?;
    let last = state.head.header.height;
    if height == last {
        return Ok(state.ledger(genesis)?.0);
    }
    if height == 0 || height > last {
        return Err(ProveError::NotYet(height));
    }
    drop(state);
    has_all_blocks(store)?;
    let mut ledger = before_the_first_block(genesis);
    for at in 1..=height {
        extend(&mut ledger, &stored_block(store, at)?)?;
        told(at, height);
    }
    Ok(ledger)
}

fn before_the_first_block(genesis: &GenesisFile) -> Ledger {
    Ledger::genesis(Registry::from_genesis(genesis), genesis.genesis().created_ms)
}

/// Takes over the next block, checked like one that somebody else made.
fn extend(ledger: &mut Ledger, stored: &SyncedBlock) -> Result<(), ProveError> {
    let entries = stored.entries.iter().map(|bytes| Entry::decode(&bytes.0)).collect::<Result<Vec<_>, Violation>>()?;
    let verified = validate::verify_entries(entries, ledger.registry());
    let verified = verified.into_iter().map(|entry| entry.map(Arc::new)).collect::<Result<Vec<_>, Violation>>()?;
    let changes = ledger.check_block(&stored.block, &verified)?;
    ledger.adopt(&stored.block.header, changes);
    Ok(())
}

impl From<io::Error> for ProveError {
    /// What a bundle was to be written to.
    fn from(e: io::Error) -> Self {
        Self::Written(e)
    }
}
