//! How much history the store keeps: anchors, from which lineages are proved, and blocks that are forgotten below one.
//!
//! An anchor is what one account held at a block, with the proof. Once all accounts have theirs at a height, the entries below it are
//! needed by no proof of what came later, and go: first the height from which history is kept is moved in one transaction, then what is
//! below is removed piece by piece. Whatever is interrupted is done again. Headers with certificates, listings and steps of trust stay.

use std::collections::BTreeMap;

use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::bundle::{Anchor, Holding};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Digest};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::BUNDLE_HEAD_BYTES_MAX;
use stemma_chain_format::snapshot::Restored;
use stemma_consensus::sync::SyncedBlock;

use super::accounts::number_of;
use super::state::HISTORY_NOTE;
use super::{Store, StoreError, short, tables};

/// Accounts written, or cleaned up after, in one transaction: the node's own writes wait for it.
const ACCOUNTS_AT_ONCE: usize = 256;
/// Blocks forgotten in one transaction.
const BLOCKS_AT_ONCE: usize = 64;
/// The note that says up to which height all is removed that is not kept.
const FORGOTTEN_NOTE: &str = "forgotten-before";
/// Largest encoding of a certified header, in bytes.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// What is stored of an anchor: its header is that of its height.
#[derive(Debug, minicbor::Encode, minicbor::Decode)]
struct AnchorRow {
    #[n(0)]
    holding: Holding,
    #[n(1)]
    before_waiting: Digest,
}

/// The anchors of all customers: a member's own account has no lineage.
fn anchors<'l>(
    ledger: &'l Ledger,
    digests: &'l BTreeMap<AccountId, Digest>,
) -> impl Iterator<Item = (AccountId, AnchorRow)> {
    let customers = ledger.accounts().filter(|account| ledger.own_account_of(&account.state.account).is_none());
    customers.filter_map(|account| {
        let (id, state) = (account.state.account, &account.state);
        let before_waiting = *digests.get(&id).unwrap_or(&state.credits_digest);
        Some((id, AnchorRow { holding: Holding::of(ledger, &id)?, before_waiting }))
    })
}

fn write(txn: &WriteTransaction, height: u64, id: &AccountId, row: &AnchorRow) -> Result<(), StoreError> {
    let number = txn.open_table(tables::NUMBERS)?.get(&id.0)?.map(|value| value.value());
    let number = number.ok_or_else(|| StoreError::Damaged(format!("account {id} has no number")))?;
    txn.open_table(tables::ANCHORS)?.insert((height, number), cbor::encode(row).as_slice())?;
    Ok(())
}

/// Writes the anchors of a snapshot with which the store begins.
pub(super) fn anchor_all(txn: &WriteTransaction, height: u64, restored: &Restored) -> Result<(), StoreError> {
    let mut count = 0_u64;
    for (account, row) in anchors(&restored.ledger, &restored.digests) {
        write(txn, height, &account, &row)?;
        count = count.saturating_add(1);
    }
    txn.open_table(tables::ANCHORED)?.insert(height, count)?;
    Ok(())
}

impl Store {
    /// Heights at which every account has an anchor, ascending.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn anchored(&self) -> Result<Vec<u64>, StoreError> {
        let anchored = self.read()?.open_table(tables::ANCHORED)?;
        anchored.iter()?.map(|row| Ok(row?.0.value())).collect()
    }

    /// What an account held where this store's history begins, where it was there by then.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn anchor_of(&self, account: &AccountId) -> Result<Option<Anchor>, StoreError> {
        let height = self.history_from()?;
        let txn = self.read()?;
        let Some(number) = number_of(&txn, account)? else { return Ok(None) };
        let row = txn.open_table(tables::ANCHORS)?.get((height, number))?.map(|value| value.value().to_vec());
        let Some(row) = row else { return Ok(None) };
        let row: AnchorRow = cbor::decode(&row, "anchor", BUNDLE_HEAD_BYTES_MAX).map_err(StoreError::damaged)?;
        let header = self.certified_header(height)?;
        let header = header.ok_or_else(|| StoreError::Damaged(format!("no block {height}, which has anchors")))?;
        Ok(Some(Anchor { header, holding: row.holding, before_waiting: row.before_waiting }))
    }

    /// A block's header with its certificate, also where its entries are not kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn certified_header(&self, height: u64) -> Result<Option<CertifiedHeader>, StoreError> {
        if let Some(SyncedBlock { block, certificate, .. }) = self.block(height)? {
            return Ok(Some(CertifiedHeader { header: block.header, certificate }));
        }
        let headers = self.read()?.open_table(tables::HEADERS)?;
        let decode = |bytes: &[u8]| cbor::decode(bytes, "header", HEADER_BYTES_MAX).map_err(StoreError::damaged);
        headers.get(height)?.map(|value| decode(value.value())).transpose()
    }

    /// Sees to it that about so many blocks are kept: makes anchors at the last block where the last ones are so many blocks old, and
    /// forgets what is below anchors that are. So at least as many are kept, and at most some more than twice as many. Returns the height at
    /// which there is something to do again; none where somebody else is at it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tend_history(&self, genesis: &GenesisFile, keep_blocks: u64) -> Result<Option<u64>, StoreError> {
        let Ok(_one_at_a_time) = self.history.try_lock() else { return Ok(None) };
        let Some(head) = self.last_block()?.map(|last| last.block.header.height) else { return Ok(Some(1)) };
        let is_old = |anchored: &u64| head.saturating_sub(*anchored) >= keep_blocks;
        if self.anchored()?.last().is_none_or(is_old) {
            self.make_anchors(genesis)?;
        }
        let anchored = self.anchored()?;
        if let Some(from) = anchored.iter().rfind(|anchored| is_old(anchored)) {
            self.forget_before(*from)?;
        }
        Ok(anchored.last().map(|last| last.saturating_add(keep_blocks)))
    }

    /// Makes anchors of all accounts at the last block.
    fn make_anchors(&self, genesis: &GenesisFile) -> Result<(), StoreError> {
        self.drop_unfinished_anchors()?;
        let Some(state) = self.state()? else { return Ok(()) };
        let height = state.head.header.height;
        let (ledger, digests) = state.ledger(genesis)?;
        let (mut rows, mut count) = (anchors(&ledger, &digests), 0_u64);
        loop {
            let some: Vec<_> = rows.by_ref().take(ACCOUNTS_AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            count = count.saturating_add(some.len() as u64);
            let txn = self.begin()?;
            some.iter().try_for_each(|(id, row)| write(&txn, height, id, row))?;
            txn.commit()?;
        }
        let txn = self.begin()?;
        txn.open_table(tables::ANCHORED)?.insert(height, count)?;
        txn.commit()?;
        tracing::info!(height, accounts = count, "lineages can be proved from this block on");
        Ok(())
    }

    fn drop_unfinished_anchors(&self) -> Result<(), StoreError> {
        let txn = self.begin()?;
        {
            let anchored = txn.open_table(tables::ANCHORED)?;
            let finished = anchored.iter()?.map(|row| Ok(row?.0.value())).collect::<Result<Vec<u64>, StoreError>>()?;
            txn.open_table(tables::ANCHORS)?.retain(|(height, _), _| finished.contains(&height))?;
        }
        Ok(txn.commit()?)
    }

    /// Forgets the entries of all blocks below a height that has anchors.
    fn forget_before(&self, height: u64) -> Result<(), StoreError> {
        let is_done = self.note(FORGOTTEN_NOTE)?.is_some_and(|note| note == height.to_string());
        if is_done || self.history_from()? > height {
            return Ok(());
        }
        // From here on nothing below is read any more.
        self.set_note(HISTORY_NOTE, &height.to_string())?;
        let blocks = self.forget_blocks(height)?;
        self.forget_lineages(height)?;
        let txn = self.begin()?;
        txn.open_table(tables::ANCHORED)?.retain(|anchored, _| anchored >= height)?;
        txn.open_table(tables::ANCHORS)?.retain(|(anchored, _), _| anchored >= height)?;
        txn.open_table(tables::META)?.insert(FORGOTTEN_NOTE, height.to_string().as_str())?;
        txn.commit()?;
        tracing::info!(before = height, blocks, "forgot the entries of old blocks; lineages are proved from there on");
        Ok(())
    }

    /// Removes blocks below a height, but for their headers and listings. Returns how many.
    fn forget_blocks(&self, height: u64) -> Result<u64, StoreError> {
        let mut forgotten = 0_u64;
        loop {
            let txn = self.begin()?;
            let count = {
                let mut blocks = txn.open_table(tables::BLOCKS)?;
                let oldest = blocks.range(..height)?.take(BLOCKS_AT_ONCE);
                let oldest: Vec<(u64, Vec<u8>)> = oldest
                    .map(|row| row.map(|(height, value)| (height.value(), value.value().to_vec())))
                    .collect::<Result<_, _>>()?;
                for (height, bytes) in &oldest {
                    forget_block(&txn, *height, bytes)?;
                    blocks.remove(height)?;
                }
                oldest.len()
            };
            txn.commit()?;
            forgotten = forgotten.saturating_add(count as u64);
            if count < BLOCKS_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    /// Removes what accounts' lineages had before their anchors.
    fn forget_lineages(&self, height: u64) -> Result<(), StoreError> {
        let mut next = 0_u64;
        loop {
            let txn = self.begin()?;
            let count = {
                let anchors = txn.open_table(tables::ANCHORS)?;
                let mut lineages = txn.open_table(tables::LINEAGES)?;
                let mut credits = txn.open_table(tables::CREDITS)?;
                let mut bases = txn.open_table(tables::CREDIT_BASES)?;
                let mut count = 0_usize;
                for row in anchors.range((height, next)..=(height, u64::MAX))?.take(ACCOUNTS_AT_ONCE) {
                    let (key, value) = row?;
                    let number = key.value().1;
                    let row: AnchorRow =
                        cbor::decode(value.value(), "anchor", BUNDLE_HEAD_BYTES_MAX).map_err(StoreError::damaged)?;
                    let state = &row.holding.account;
                    lineages.retain_in((number, 0)..=(number, state.sequence), |_, _| false)?;
                    credits.retain_in((number, 0)..(number, state.credits_absorbed), |_, _| false)?;
                    bases.insert(number, (state.credits_absorbed, row.before_waiting.0))?;
                    next = number.saturating_add(1);
                    count = count.saturating_add(1);
                }
                count
            };
            txn.commit()?;
            if count < ACCOUNTS_AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// Removes what leads to a block's entries, and keeps its header and its listings.
fn forget_block(txn: &WriteTransaction, height: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let SyncedBlock { block, certificate, entries } = SyncedBlock::decode(bytes).map_err(StoreError::damaged)?;
    let mut places = txn.open_table(tables::ENTRIES)?;
    let mut apart = txn.open_table(tables::ENTRIES_APART)?;
    for (id, bytes) in block.entries.iter().zip(&entries) {
        places.remove(short(&id.0))?;
        if Entry::decode(&bytes.0).map_err(StoreError::damaged)?.kind() == EntryKind::Listing {
            apart.insert(short(&id.0), bytes.0.as_slice())?;
        }
    }
    let header = CertifiedHeader { header: block.header, certificate };
    txn.open_table(tables::HEADERS)?.insert(height, cbor::encode(&header).as_slice())?;
    Ok(())
}
