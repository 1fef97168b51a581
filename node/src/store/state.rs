//! The whole state as a snapshot: read at one moment for others, and written where this node begins with one.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::ledger::{Account, Ledger, Parts};
use stemma_chain_format::lineage::Listed;
use stemma_chain_format::snapshot::{Item, Restored};
use stemma_chain_format::trust::TrustStep;
use stemma_consensus::sync::SyncedBlock;

use super::{Store, StoreError, accounts, history, positions, registry, short, tables};

/// The name of the note that says from which height on this store has blocks.
pub(super) const HISTORY_NOTE: &str = "history-from";

/// The state at one moment, to be read piece by piece.
pub struct StateReader {
    store: Store,
    txn: ReadTransaction,
    /// The block whose state it is.
    pub head: CertifiedHeader,
    /// How trust comes there.
    pub trust: Vec<TrustStep>,
}

impl std::fmt::Debug for StateReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateReader").finish_non_exhaustive()
    }
}

/// [`Store::history_from`], as a transaction sees it.
pub(super) fn history_from(txn: &ReadTransaction) -> Result<u64, StoreError> {
    let note = txn.open_table(tables::META)?.get(HISTORY_NOTE)?.map(|value| value.value().to_owned());
    let damaged = |text: &str| StoreError::Damaged(format!("the note {HISTORY_NOTE}: {text}"));
    note.map_or(Ok(1), |text| text.parse().map_err(|_| damaged(&text)))
}

impl Store {
    /// The state after the last block, held until it is dropped; none before the first block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn state(&self) -> Result<Option<StateReader>, StoreError> {
        let txn = self.read()?;
        let last = txn.open_table(tables::BLOCKS)?.last()?.map(|(_, value)| value.value().to_vec());
        let Some(last) = last else { return Ok(None) };
        let SyncedBlock { block, certificate, .. } = SyncedBlock::decode(&last).map_err(StoreError::damaged)?;
        let head = CertifiedHeader { header: block.header, certificate };
        let trust = self.trust_steps(head.header.height)?;
        Ok(Some(StateReader { store: self.clone(), txn, head, trust }))
    }

    /// The least height of which this store has the block: above 1 where it began with a snapshot, or has forgotten older ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn history_from(&self) -> Result<u64, StoreError> {
        history_from(&self.read()?)
    }

    /// Begins with a snapshot that holds, in one transaction. The store must stand before the first block.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is there.
    pub fn begin_with(&self, restored: &Restored, head: &SyncedBlock) -> Result<(), StoreError> {
        let height = restored.head.header.height;
        let txn = self.begin()?;
        if txn.open_table(tables::BLOCKS)?.len()? > 0 {
            return Err(StoreError::Damaged("a snapshot is only for a store without blocks".to_owned()));
        }
        write_accounts(&txn, restored)?;
        write_listings(&txn, restored)?;
        {
            let mut positions = txn.open_table(tables::POSITIONS)?;
            for (key, position) in restored.ledger.positions() {
                positions.insert((position.account.0, key.0), cbor::encode(position).as_slice())?;
            }
            txn.open_table(tables::BLOCKS)?.insert(height, head.encode().as_slice())?;
            let mut entries = txn.open_table(tables::ENTRIES)?;
            for (id, index) in head.block.entries.iter().zip(0_u32..) {
                entries.insert(short(&id.0), (height, index))?;
            }
            txn.open_table(tables::META)?.insert(HISTORY_NOTE, height.to_string().as_str())?;
        }
        registry::write_at(&txn, height, restored.ledger.registry(), &restored.trust)?;
        history::anchor_all(&txn, height, restored)?;
        Ok(txn.commit()?)
    }
}

fn write_accounts(txn: &WriteTransaction, restored: &Restored) -> Result<(), StoreError> {
    let mut numbers = txn.open_table(tables::NUMBERS)?;
    let mut accounts = txn.open_table(tables::ACCOUNTS)?;
    let mut credits = txn.open_table(tables::CREDITS)?;
    let mut bases = txn.open_table(tables::CREDIT_BASES)?;
    for (account, number) in restored.ledger.accounts().zip(0_u64..) {
        let state = &account.state;
        numbers.insert(&state.account.0, number)?;
        accounts.insert(number, cbor::encode(state).as_slice())?;
        for (credit, n) in account.inbox.iter().zip(state.credits_absorbed..) {
            credits.insert((number, n), cbor::encode(credit).as_slice())?;
        }
        let digest = restored.digests.get(&state.account).unwrap_or(&state.credits_digest);
        bases.insert(number, (state.credits_absorbed, digest.0))?;
    }
    Ok(())
}

/// The listings in force stand apart from blocks: those that held them are not here.
fn write_listings(txn: &WriteTransaction, restored: &Restored) -> Result<(), StoreError> {
    let mut listings = txn.open_table(tables::LISTINGS)?;
    let mut apart = txn.open_table(tables::ENTRIES_APART)?;
    for listed in restored.ledger.listings() {
        let instrument = listed.listing.instrument.to_string();
        listings.insert(instrument.as_str(), short(&listed.link.0))?;
    }
    for bytes in &restored.listings {
        let entry = Entry::decode(bytes).map_err(StoreError::damaged)?;
        let id: Link = entry.id();
        apart.insert(short(&id.0), bytes.as_slice())?;
    }
    Ok(())
}

impl StateReader {
    /// The ledger after the block, with the digest of each account's credits before those that wait, where some do.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where it does not give the certified roots.
    pub fn ledger(&self, genesis: &GenesisFile) -> Result<(Ledger, BTreeMap<AccountId, Digest>), StoreError> {
        let (mut parts, mut digests) = (Parts::default(), BTreeMap::new());
        self.each(|item| -> Result<(), StoreError> {
            match item {
                Item::Account(state, before, waiting) => {
                    if !waiting.is_empty() {
                        digests.insert(state.account, before);
                    }
                    parts.accounts.push(Account { state, inbox: waiting.into() });
                }
                Item::Position(key, position) => parts.positions.push((key, position)),
                Item::Listing(bytes) => {
                    if let Entry::Listing(listing) = Entry::decode(&bytes).map_err(StoreError::damaged)? {
                        parts.listings.push(Listed::of(&listing));
                    }
                }
            }
            Ok(())
        })?;
        let registry = registry::in_force(&self.txn, genesis)?;
        let ledger = accounts::certified(registry, parts, &self.head.header)?;
        Ok((ledger, digests))
    }

    /// Hands over all that the state consists of, one thing after the other.
    ///
    /// # Errors
    /// [`StoreError`], or what the taker says.
    pub fn each<E: From<StoreError>>(&self, mut take: impl FnMut(Item) -> Result<(), E>) -> Result<(), E> {
        let damaged = |e: redb::StorageError| E::from(StoreError::from(e));
        let opened = |e: redb::TableError| E::from(StoreError::from(e));
        let credits = self.txn.open_table(tables::CREDITS).map_err(opened)?;
        let bases = self.txn.open_table(tables::CREDIT_BASES).map_err(opened)?;
        let accounts = self.txn.open_table(tables::ACCOUNTS).map_err(opened)?;
        for row in accounts.iter().map_err(damaged)? {
            let (number, value) = row.map_err(damaged)?;
            let number = number.value();
            let account = accounts::stored_account(number, value.value(), &credits)?;
            let (state, waiting): (_, Vec<Credit>) = (account.state, account.inbox.into());
            let before = if waiting.is_empty() {
                state.credits_digest
            } else {
                let base = bases.get(number).map_err(damaged)?.map(|value| value.value());
                let (known, digest) = base.unwrap_or((0, [0; 32]));
                let absorbed: Vec<Credit> = accounts::credits_between(&credits, number, known..state.credits_absorbed)?;
                absorbed.iter().fold(Digest(digest), |digest, credit| credit.chained(&digest))
            };
            take(Item::Account(state, before, waiting))?;
        }
        let held = self.txn.open_table(tables::POSITIONS).map_err(opened)?;
        for row in held.iter().map_err(damaged)? {
            let (key, value) = row.map_err(damaged)?;
            let key = AccountId(key.value().1);
            take(Item::Position(key, positions::decode(value.value())?))?;
        }
        let listings = self.txn.open_table(tables::LISTINGS).map_err(opened)?;
        for row in listings.iter().map_err(damaged)? {
            let (instrument, half) = row.map_err(damaged)?;
            let bytes = self.store.entry_of_half(&self.txn, half.value())?;
            let missing = || StoreError::Damaged(format!("no listing of {}", instrument.value()));
            take(Item::Listing(bytes.ok_or_else(missing)?.into()))?;
        }
        Ok(())
    }
}
