//! The ledger again, block by block from the genesis to the checkpoint; and one block with its entries. All that a node computed is
//! computed anew: every entry is judged by the registry of its height, every root follows from the entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ProvedBlock;
use super::lineage::same_account;
use super::read::{DueSignatures, Part, Place, Step};
use crate::account::AccountState;
use crate::amount::Amount;
use crate::chain::{Entry, EntryKind};
use crate::error::{Rule, Violation, ensure, same};
use crate::genesis::GenesisFile;
use crate::hash::{AccountId, Digest, Link};
use crate::header::{Block, Header, entries_root};
use crate::instrument::InstrumentId;
use crate::ledger::Ledger;
use crate::limits::{BLOCK_ENTRIES_MAX, BLOCK_STAGE_BYTES_MAX};
use crate::lineage::Listed;
use crate::position::Position;
use crate::registry::Registry;
use crate::trust::Trust;
use crate::validate::{self, VerifiedEntry};

/// Judges the entries of blocks, each by the registry of its height.
#[derive(Debug)]
pub(super) struct BlockReader {
    trust: Trust,
    height: u64,
}

impl BlockReader {
    /// Before a block of a height.
    pub(super) fn new(trust: Trust, height: u64) -> Self {
        Self { trust, height }
    }

    /// A block comes.
    pub(super) fn enter(&mut self, height: u64) {
        self.height = height;
    }

    /// Judges the next entry.
    pub(super) fn judge(&self, entry: Entry) -> Result<VerifiedEntry, Violation> {
        validate::presume(entry, self.trust.at(self.height))
    }
}

/// What a replay of the whole ledger came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Blocks.
    pub blocks: u64,
    /// Entries in them, by kind.
    pub entries: BTreeMap<EntryKind, u64>,
    /// Accounts, the members' own among them.
    pub accounts: u64,
    /// Positions.
    pub positions: u64,
    /// What customers hold in all, with what waits for them and without their positions.
    pub held: BTreeMap<InstrumentId, Amount>,
    /// The listings in force, in the order of their instruments.
    pub listings: Vec<Listed>,
}

/// A ledger on its way from the genesis to a checkpoint.
#[derive(Debug)]
pub(super) struct Replay {
    ledger: Ledger,
    checkpoint: ProvedBlock,
    /// The block whose entries come: its header, and how many are still to come.
    open: Option<(Header, u32)>,
    entries: Vec<Arc<VerifiedEntry>>,
    /// The size of their stages.
    stage_bytes: usize,
    counts: BTreeMap<EntryKind, u64>,
    accounts: u64,
    last_account: Option<AccountId>,
    positions: u64,
    last_position: Option<AccountId>,
}

impl Replay {
    /// Before the first block.
    pub(super) fn new(genesis: &GenesisFile, checkpoint: ProvedBlock) -> Self {
        Self {
            ledger: Ledger::genesis(Registry::from_genesis(genesis), genesis.genesis().created_ms),
            checkpoint,
            open: None,
            entries: Vec::new(),
            stage_bytes: 0,
            counts: BTreeMap::new(),
            accounts: 0,
            last_account: None,
            positions: 0,
            last_position: None,
        }
    }

    /// Follows the next element. The signatures of an entry are due once it stands in a block.
    ///
    /// # Errors
    /// The first step that fails, with its place.
    pub(super) fn follow(&mut self, step: Step, due: &mut DueSignatures) -> Result<(), Violation> {
        match step {
            Step::Block(header, count) => self.block(header, count),
            Step::Entry(part, judged) => self.entry(part, judged, due),
            Step::Account(state) => self.account(&state),
            Step::Position(key, position) => self.position(key, &position),
            Step::Waiting(_) => Ok(()),
        }
    }

    /// The index of the block that comes, or came last.
    fn index(&self) -> u64 {
        let done = self.ledger.head().height;
        if self.open.is_none() { done.saturating_sub(1) } else { done }
    }

    fn place(&self) -> String {
        format!("blocks[{}]", self.index())
    }

    fn block_is_whole(&self) -> Result<(), Violation> {
        let left = self.open.as_ref().map_or(0, |(_, left)| *left);
        ensure(left == 0, Rule::Block, self.place(), "all entries of the block", format_args!("{left} too few"))
    }

    fn block(&mut self, header: Header, count: u32) -> Result<(), Violation> {
        self.block_is_whole()?;
        let place = format!("blocks[{}]", self.ledger.head().height);
        let (last, height) = (self.checkpoint.height, header.height);
        let goes_on = self.ledger.head().height < last;
        ensure(goes_on, Rule::Block, &place, format_args!("no block above the checkpoint's {last}"), height)?;
        let fits = count as usize <= BLOCK_ENTRIES_MAX;
        ensure(fits, Rule::Block, format_args!("{place}.entries"), format_args!("at most {BLOCK_ENTRIES_MAX}"), count)?;
        self.entries.clear();
        self.stage_bytes = 0;
        self.open = Some((header, count));
        self.end_block()
    }

    fn entry(
        &mut self,
        part: Part,
        judged: Result<VerifiedEntry, Violation>,
        due: &mut DueSignatures,
    ) -> Result<(), Violation> {
        let place = Place { block: Some(self.index()), part, index: self.entries.len() as u64 };
        let Some((_, left)) = &mut self.open else {
            let expected = "a block, or an account, before another entry";
            return Err(Violation::new(Rule::Block, place, expected, "an entry of no block"));
        };
        *left = left.saturating_sub(1);
        let entry = due.add(place, judged)?;
        // Before the block is whole, so that what is kept of one has a bound.
        self.stage_bytes = self.stage_bytes.saturating_add(entry.entry().stage_bytes());
        let expected = format_args!("stages of at most {BLOCK_STAGE_BYTES_MAX} bytes in all");
        ensure(self.stage_bytes <= BLOCK_STAGE_BYTES_MAX, Rule::Block, place, expected, self.stage_bytes)?;
        let count = self.counts.entry(entry.entry().kind()).or_default();
        *count = count.saturating_add(1);
        self.entries.push(Arc::new(entry));
        self.end_block()
    }

    /// The block follows, where all its entries are here.
    fn end_block(&mut self) -> Result<(), Violation> {
        let place = self.place();
        let Some((header, _)) = self.open.take_if(|(_, left)| *left == 0) else { return Ok(()) };
        let entries: Vec<Link> = self.entries.iter().map(|entry| entry.id()).collect();
        let block = Block { header, entries };
        let changes = self.ledger.check_block(&block, &self.entries).map_err(|v| v.within(&place))?;
        self.ledger.adopt(&block.header, changes);
        if block.header.height == self.checkpoint.height {
            let (expected, place) = (&self.checkpoint.block, format!("{place}.header"));
            same(Rule::Certificate, &place, expected, &block.id())?;
        }
        Ok(())
    }

    fn came_to_the_checkpoint(&self) -> Result<(), Violation> {
        self.block_is_whole()?;
        let (last, height) = (self.checkpoint.height, self.ledger.head().height);
        ensure(height == last, Rule::Block, "blocks", format_args!("blocks up to the checkpoint's {last}"), height)
    }

    fn account(&mut self, stated: &AccountState) -> Result<(), Violation> {
        self.came_to_the_checkpoint()?;
        let place = format!("accounts[{}]", self.accounts);
        ensure(self.positions == 0, Rule::Holdings, &place, "all accounts before the first position", "one after it")?;
        let derived = self.ledger.account_after(self.last_account.as_ref());
        let none = || Violation::new(Rule::Holdings, &place, "no further account", stated.account);
        let derived = &derived.ok_or_else(none)?.state;
        same(Rule::Holdings, format_args!("{place}.account"), &derived.account, &stated.account)?;
        same_account(derived, stated, &place)?;
        self.last_account = Some(stated.account);
        self.accounts = self.accounts.saturating_add(1);
        Ok(())
    }

    fn all_accounts_are_stated(&self) -> Result<(), Violation> {
        self.came_to_the_checkpoint()?;
        let missing = self.ledger.account_after(self.last_account.as_ref()).map(|account| account.state.account);
        match missing {
            Some(account) => {
                Err(Violation::new(Rule::Holdings, format!("accounts[{}]", self.accounts), account, "nothing"))
            }
            None => Ok(()),
        }
    }

    fn position(&mut self, key: AccountId, stated: &Position) -> Result<(), Violation> {
        self.all_accounts_are_stated()?;
        let place = format!("positions[{}]", self.positions);
        let none = || Violation::new(Rule::Holdings, &place, "no further position", key);
        let (derived_key, derived) = self.ledger.position_after(self.last_position.as_ref()).ok_or_else(none)?;
        same(Rule::Holdings, format_args!("{place}.key"), derived_key, &key)?;
        let is_same = derived == stated;
        ensure(is_same, Rule::Holdings, format_args!("{place}.position"), derived.told(), stated.told())?;
        self.last_position = Some(key);
        self.positions = self.positions.saturating_add(1);
        Ok(())
    }

    /// The file ends: all of the ledger was stated.
    ///
    /// # Errors
    /// The first step that fails.
    pub(super) fn finish(self) -> Result<Replayed, Violation> {
        self.all_accounts_are_stated()?;
        if let Some((key, _)) = self.ledger.position_after(self.last_position.as_ref()) {
            return Err(Violation::new(Rule::Holdings, format!("positions[{}]", self.positions), key, "nothing"));
        }
        Ok(Replayed {
            blocks: self.ledger.head().height,
            entries: self.counts,
            accounts: self.accounts,
            positions: self.positions,
            held: held_by_customers(&self.ledger),
            listings: self.ledger.listings().cloned().collect(),
        })
    }
}

fn held_by_customers(ledger: &Ledger) -> BTreeMap<InstrumentId, Amount> {
    let mut held = BTreeMap::new();
    let mut add = |instrument: &InstrumentId, amount: Amount| {
        let sum: &mut Amount = held.entry(instrument.clone()).or_default();
        // All that is held was issued, which keeps to an amount's range: no sum is beyond it.
        *sum = sum.plus(amount).unwrap_or(*sum);
    };
    for account in ledger.accounts().filter(|a| ledger.own_account_of(&a.state.account).is_none()) {
        account.state.holdings.iter().for_each(|(instrument, amount)| add(instrument, amount));
        account.inbox.iter().for_each(|credit| add(&credit.instrument, credit.amount));
    }
    held
}

/// One block whose entries come in order.
#[derive(Debug)]
pub(super) struct WholeBlock {
    root: Digest,
    entries: Vec<Link>,
}

impl WholeBlock {
    /// Before its first entry.
    pub(super) fn new(header: &Header) -> Self {
        Self { root: header.entries_root, entries: Vec::new() }
    }

    /// Follows the next element.
    ///
    /// # Errors
    /// The first step that fails, with its place.
    pub(super) fn follow(&mut self, step: Step, due: &mut DueSignatures) -> Result<(), Violation> {
        let Step::Entry(part, judged) = step else { return Ok(()) };
        let place = Place { block: None, part, index: self.entries.len() as u64 };
        let fits = self.entries.len() < BLOCK_ENTRIES_MAX;
        ensure(fits, Rule::Block, place, format_args!("at most {BLOCK_ENTRIES_MAX} entries"), "one more")?;
        self.entries.push(due.add(place, judged)?.id());
        Ok(())
    }

    /// The file ends: these are the block's entries, all of them and in its order. Returns how many.
    ///
    /// # Errors
    /// [`Rule::Block`].
    pub(super) fn finish(self) -> Result<u64, Violation> {
        same(Rule::Block, "checkpoint.header.entries_root", &self.root, &entries_root(&self.entries))?;
        Ok(self.entries.len() as u64)
    }
}
