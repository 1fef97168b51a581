//! Accounts: state, lineage and credits by the account's number.

use std::ops::RangeInclusive;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};
use stemma_chain_format::account::AccountState;
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::endorsement::{Credit, Endorsement};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::header::Header;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::{Account, Head, Ledger, Parts};
use stemma_chain_format::lineage::Listed;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Registry;
use stemma_consensus::state::CommittedBlock;

use super::{Place, Store, StoreError, activity, book, positions, short, state, tables};

/// Largest encoding of one credit, in bytes.
const CREDIT_BYTES_MAX: usize = 256;

/// Writes what a block changes of accounts, positions and listings.
pub(super) fn write_changes(
    txn: &WriteTransaction,
    committed: &CommittedBlock<'_>,
    owner: &MemberId,
) -> Result<(), StoreError> {
    positions::write(txn, committed)?;
    write_accounts(txn, committed)?;
    write_entries(txn, committed, owner)
}

/// Writes the state of each account that a block touches, and what was credited to it.
fn write_accounts(txn: &WriteTransaction, committed: &CommittedBlock<'_>) -> Result<(), StoreError> {
    let mut numbers = txn.open_table(tables::NUMBERS)?;
    let mut accounts = txn.open_table(tables::ACCOUNTS)?;
    let mut credits = txn.open_table(tables::CREDITS)?;
    let mut rows = Vec::with_capacity(committed.changes.accounts.len());
    for (id, touched) in &committed.changes.accounts {
        let known = numbers.get(&id.0)?.map(|value| value.value());
        let number = match known {
            Some(number) => number,
            None => {
                let number = numbers.len()?;
                numbers.insert(&id.0, number)?;
                number
            }
        };
        rows.push((number, touched));
    }
    rows.sort_unstable_by_key(|(number, _)| *number);
    for (number, touched) in rows {
        accounts.insert(number, cbor::encode(&touched.state).as_slice())?;
        let first = touched.state.credits_received.saturating_sub(touched.received.len() as u64);
        for (credit, n) in touched.received.iter().zip(first..) {
            credits.insert((number, n), cbor::encode(credit).as_slice())?;
        }
    }
    Ok(())
}

/// Writes where each entry of a block belongs: to an account's lineage, the listings, the institution's book.
fn write_entries(txn: &WriteTransaction, committed: &CommittedBlock<'_>, owner: &MemberId) -> Result<(), StoreError> {
    let numbers = txn.open_table(tables::NUMBERS)?;
    let mut lineages = txn.open_table(tables::LINEAGES)?;
    let mut listings = txn.open_table(tables::LISTINGS)?;
    let height = committed.block.header.height;
    for (entry, index) in committed.entries.iter().zip(0_u32..) {
        let place = Place { height, index };
        let (account, sequence) = match entry.entry() {
            Entry::Chain(chain) => {
                let Endorsement { account, sequence, bank, .. } = chain.endorsement.record();
                if bank == owner
                    && let Some(number) = numbers.get(&account.0)?.map(|value| value.value())
                {
                    activity::count_trade(txn, number, committed.block.header.time_ms)?;
                }
                if chain.request.record().institution == *owner
                    && let Some(number) = numbers.get(&account.0)?.map(|value| value.value())
                {
                    book::write(txn, chain, (number, place), committed)?;
                }
                (*account, *sequence)
            }
            Entry::Settlement(settlement) => {
                let record = settlement.record();
                if let Some(number) = numbers.get(&record.account.0)?.map(|value| value.value()) {
                    positions::note_settlement(txn, number, &record.position, place)?;
                    if record.institution == *owner {
                        book::write_settled(txn, settlement, (number, place), committed)?;
                    }
                }
                continue;
            }
            Entry::Servicing(service) => {
                let record = service.servicing.record();
                (record.account, record.sequence)
            }
            Entry::Opening(_) => (entry.id().into(), 0),
            Entry::Listing(listing) => {
                let instrument = listing.record().instrument.to_string();
                listings.insert(instrument.as_str(), short(&entry.id().0))?;
                continue;
            }
            Entry::Issuance(_) | Entry::Governance(_) => continue,
        };
        if let Some(number) = numbers.get(&account.0)?.map(|value| value.value()) {
            lineages.insert((number, sequence), (height, index))?;
        }
    }
    Ok(())
}

impl Store {
    /// The ledger as the last committed block left it; its roots must be those that the block certifies.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the stored balances or members do not give the certified root.
    pub fn load_ledger(&self, genesis: &GenesisFile) -> Result<Ledger, StoreError> {
        let registry = self.registry(genesis)?;
        let Some(last) = self.last_block()? else {
            return Ok(Ledger::genesis(registry, genesis.genesis().created_ms));
        };
        let parts = Parts { accounts: self.load_accounts()?, listings: self.listings()?, positions: self.positions()? };
        certified(registry, parts, &last.block.header)
    }

    fn load_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let txn = self.read()?;
        let accounts = txn.open_table(tables::ACCOUNTS)?;
        let credits = txn.open_table(tables::CREDITS)?;
        let mut loaded = Vec::new();
        for row in accounts.iter()? {
            let (number, value) = row?;
            loaded.push(stored_account(number.value(), value.value(), &credits)?);
        }
        Ok(loaded)
    }

    /// All listed instruments, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn listings(&self) -> Result<Vec<Listed>, StoreError> {
        let listings = self.read()?.open_table(tables::LISTINGS)?;
        let mut loaded = Vec::new();
        for row in listings.iter()? {
            let (instrument, _) = row?;
            let instrument: InstrumentId = instrument.value().parse().map_err(StoreError::damaged)?;
            let bytes = self.listing_of(&instrument)?;
            let bytes = bytes.ok_or_else(|| StoreError::Damaged(format!("no listing of {instrument}")))?;
            let Entry::Listing(listing) = Entry::decode(&bytes).map_err(StoreError::damaged)? else {
                return Err(StoreError::Damaged(format!("the listing of {instrument} is none")));
            };
            loaded.push(Listed::of(&listing));
        }
        Ok(loaded)
    }

    /// The bytes of a listing's entry, by its link.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn listing(&self, link: &Link) -> Result<Option<Vec<u8>>, StoreError> {
        self.entry_of_half(&self.read()?, short(&link.0))
    }

    /// The bytes of the entry of an instrument's listing in force.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn listing_of(&self, instrument: &InstrumentId) -> Result<Option<Vec<u8>>, StoreError> {
        let txn = self.read()?;
        let listings = txn.open_table(tables::LISTINGS)?;
        let Some(half) = listings.get(instrument.to_string().as_str())?.map(|value| value.value()) else {
            return Ok(None);
        };
        self.entry_of_half(&txn, half)
    }

    /// The bytes of an entry by half of its id: from its block, or from what stands apart.
    pub(super) fn entry_of_half(&self, txn: &ReadTransaction, half: u128) -> Result<Option<Vec<u8>>, StoreError> {
        let place = txn.open_table(tables::ENTRIES)?.get(half)?.map(|value| value.value());
        match place {
            Some((height, index)) => self.entry_at(Place { height, index }).map(Some),
            None => Ok(txn.open_table(tables::ENTRIES_APART)?.get(half)?.map(|value| value.value().to_vec())),
        }
    }

    /// An account as of the last block, with the height that it is true at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account(&self, id: &AccountId) -> Result<Option<(Account, u64)>, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, id)? else { return Ok(None) };
        let accounts = txn.open_table(tables::ACCOUNTS)?;
        let missing = || StoreError::Damaged(format!("account {id} has a number but no state"));
        let value = accounts.get(number)?.ok_or_else(missing)?;
        let account = stored_account(number, value.value(), &txn.open_table(tables::CREDITS)?)?;
        let height = txn.open_table(tables::BLOCKS)?.last()?.map_or(0, |(height, _)| height.value());
        Ok(Some((account, height)))
    }

    /// Account ids in ascending order, at most `count`, from the one after `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_ids(&self, after: Option<AccountId>, count: usize) -> Result<Vec<AccountId>, StoreError> {
        use std::ops::Bound;
        let numbers = self.read()?.open_table(tables::NUMBERS)?;
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0));
        let range = numbers.range::<[u8; 32]>((from, Bound::Unbounded))?.take(count);
        range.map(|row| Ok(AccountId(row?.0.value()))).collect()
    }

    /// Where the entries of an account's lineage stand, in order of their sequence; the opening's is 0.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lineage(&self, id: &AccountId, sequences: RangeInclusive<u64>) -> Result<Vec<Place>, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, id)? else { return Ok(Vec::new()) };
        let lineages = txn.open_table(tables::LINEAGES)?;
        let range = lineages.range((number, *sequences.start())..=(number, *sequences.end()))?;
        range
            .map(|row| {
                let (height, index) = row?.1.value();
                Ok(Place { height, index })
            })
            .collect()
    }

    /// Where one entry of an account's lineage stands, by its sequence, as far as its block is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lineage_at(&self, id: &AccountId, sequence: u64) -> Result<Option<Place>, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, id)? else { return Ok(None) };
        let place = txn.open_table(tables::LINEAGES)?.get((number, sequence))?.map(|value| value.value());
        let place = place.map(|(height, index)| Place { height, index });
        // Where blocks are being forgotten, what leads to them goes last.
        let from = state::history_from(&txn)?;
        Ok(place.filter(|place| place.height >= from))
    }
}

/// The ledger after a block, of what is stored: its roots must be those that the block certifies.
pub(super) fn certified(registry: Registry, parts: Parts, header: &Header) -> Result<Ledger, StoreError> {
    let height = header.height;
    let (expected, found) = (header.registry_root, registry.root());
    if expected != found {
        return Err(StoreError::Damaged(format!("members give the root {found}, block {height} certifies {expected}")));
    }
    let ledger = Ledger::from_parts(registry, parts, Head::of(header));
    let (expected, found) = (header.accounts_root, ledger.root());
    if expected != found {
        return Err(StoreError::Damaged(format!(
            "balances give the root {found}, block {height} certifies {expected}"
        )));
    }
    Ok(ledger)
}

/// An account's number, if it was ever touched.
pub(super) fn number_of(txn: &ReadTransaction, id: &AccountId) -> Result<Option<u64>, StoreError> {
    Ok(txn.open_table(tables::NUMBERS)?.get(&id.0)?.map(|value| value.value()))
}

/// An account from its stored state, with the credits that wait.
pub(super) fn stored_account(
    number: u64,
    state: &[u8],
    credits: &ReadOnlyTable<(u64, u64), &'static [u8]>,
) -> Result<Account, StoreError> {
    let state = AccountState::decode(state).map_err(StoreError::damaged)?;
    let inbox = credits_between(credits, number, state.credits_absorbed..state.credits_received)?;
    Ok(Account { state, inbox })
}

pub(super) fn credits_between<T: FromIterator<Credit>>(
    credits: &ReadOnlyTable<(u64, u64), &'static [u8]>,
    number: u64,
    places: std::ops::Range<u64>,
) -> Result<T, StoreError> {
    let decode = |bytes: &[u8]| cbor::decode(bytes, "credit", CREDIT_BYTES_MAX).map_err(StoreError::damaged);
    credits.range((number, places.start)..(number, places.end))?.map(|row| decode(row?.1.value())).collect()
}
