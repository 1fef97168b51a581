//! The whole ledger: every account, inbox, position and listing, and how a block changes them. Pure: a state and verified entries in,
//! changes and a root out.

mod block;
mod draft;
mod positions;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::account::AccountState;
use crate::cbor;
use crate::endorsement::{Credit, CreditTerms};
use crate::error::Violation;
use crate::hash::{AccountId, BlockId, Digest};
use crate::header::{Header, genesis_parent};
use crate::instrument::InstrumentId;
use crate::lineage::Listed;
use crate::member::{MemberId, OwnAccount, Role};
use crate::merkle::{OtherLeaf, SparseProof, SparseTree};
use crate::position::Position;
use crate::registry::{Registry, own_account};
use crate::validate::VerifiedEntry;
pub use draft::Draft;
use positions::Positions;

/// An account with the credits that wait in its inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What the tree's leaf holds.
    pub state: AccountState,
    /// Credits not yet absorbed, the oldest first.
    pub inbox: VecDeque<Credit>,
}

/// The last block a ledger stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its height; 0 before the first block.
    pub height: u64,
    /// Its id.
    pub block: BlockId,
    /// Its time in Unix milliseconds; before the first block, the genesis' time.
    pub time_ms: u64,
}

impl Head {
    /// Where a header's block stands.
    pub fn of(header: &Header) -> Self {
        Self { height: header.height, block: header.id(), time_ms: header.time_ms }
    }
}

/// What a ledger is stored as.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Every account with its inbox.
    pub accounts: Vec<Account>,
    /// Every listing in force.
    pub listings: Vec<Listed>,
    /// Every position with its key.
    pub positions: Vec<(AccountId, Position)>,
}

/// The state after some block.
#[derive(Debug, Clone)]
pub struct Ledger {
    registry: Arc<Registry>,
    own: BTreeMap<AccountId, MemberId>,
    accounts: BTreeMap<AccountId, Account>,
    listings: BTreeMap<InstrumentId, Listed>,
    positions: Positions,
    tree: SparseTree,
    head: Head,
}

/// What a block changes: the touched accounts, positions and listings, and the tree after it.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Accounts touched, each with its whole new state and the credits that it newly received.
    pub accounts: BTreeMap<AccountId, Touched>,
    /// Instruments listed, or listed on other terms.
    pub listings: BTreeMap<InstrumentId, Listed>,
    /// Positions opened, changed or, where there is none any more, ended, by their keys.
    pub positions: BTreeMap<AccountId, Moved>,
    /// The registry by which the next block is made and certified.
    pub registry: Arc<Registry>,
    tree: SparseTree,
}

/// One account touched by a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Its new state.
    pub state: AccountState,
    /// The credits that came into its inbox.
    pub received: Vec<Credit>,
}

/// A position that a block opened, changed or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The account that it is of.
    pub account: AccountId,
    /// The position after the block; none where it ended.
    pub after: Option<Position>,
}

/// The own accounts that a registry's banks and institutions have, as they are when membership opens them.
fn opened_by_membership(registry: &Registry) -> impl Iterator<Item = AccountState> {
    let network = registry.network();
    let members = registry.registrations().map(|r| &r.member).filter(|m| m.role != Role::Auditor);
    members.flat_map(move |member| {
        OwnAccount::ALL.map(|purpose| {
            let id = own_account(&network, &member.id, purpose);
            AccountState::opened(id, member.id.clone(), member.member_key, CreditTerms::default())
        })
    })
}

fn above(before: Option<&AccountId>) -> Bound<&AccountId> {
    before.map_or(Bound::Unbounded, Bound::Excluded)
}

impl Changes {
    /// The root of the state tree with these changes.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }
}

impl Ledger {
    /// The ledger before the first block: the members' own accounts, empty.
    pub fn genesis(registry: Registry, created_ms: u64) -> Self {
        let network = registry.network();
        let head = Head { height: 0, block: genesis_parent(&network), time_ms: created_ms };
        Self::from_parts(registry, Parts::default(), head)
    }

    /// A ledger from its stored parts; the members' own accounts are added where they are missing.
    pub fn from_parts(registry: Registry, parts: Parts, head: Head) -> Self {
        let network = registry.network();
        let mut ledger = Self {
            registry: Arc::new(registry),
            own: BTreeMap::new(),
            accounts: parts.accounts.into_iter().map(|a| (a.state.account, a)).collect(),
            listings: BTreeMap::new(),
            positions: Positions::default(),
            tree: SparseTree::new(),
            head,
        };
        for state in opened_by_membership(&ledger.registry) {
            let (id, inbox) = (state.account, VecDeque::new());
            ledger.accounts.entry(id).or_insert(Account { state, inbox });
        }
        ledger.find_own_accounts();
        for (id, account) in &ledger.accounts {
            ledger.tree.insert(*id, &cbor::encode(&account.state));
        }
        for (key, position) in parts.positions {
            ledger.tree.insert(key, &cbor::encode(&position));
            ledger.positions.put(key, Some(position));
        }
        for listed in parts.listings {
            let instrument = listed.listing.instrument.clone();
            ledger.tree.insert(instrument.tree_key(&network), &cbor::encode(&listed.link));
            ledger.listings.insert(instrument, listed);
        }
        ledger
    }

    /// The members and parameters in force.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The own accounts of whoever is or was a bank or an institution: those that are there.
    fn find_own_accounts(&mut self) {
        for registration in self.registry.registrations() {
            let id = &registration.member.id;
            for account in self.registry.own_accounts(id).into_iter().filter(|a| self.accounts.contains_key(a)) {
                self.own.insert(account, id.clone());
            }
        }
    }

    /// The last block.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The root of the state tree.
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// An account by id.
    pub fn account(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// The account with the lowest id above another; the first of all above none.
    pub fn account_after(&self, before: Option<&AccountId>) -> Option<&Account> {
        self.accounts.range((above(before), Bound::Unbounded)).next().map(|(_, account)| account)
    }

    /// All accounts in the order of their ids.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The member that an account is an own account of.
    pub fn own_account_of(&self, id: &AccountId) -> Option<&MemberId> {
        self.own.get(id)
    }

    /// The listing in force of an instrument.
    pub fn listing(&self, instrument: &InstrumentId) -> Option<&Listed> {
        self.listings.get(instrument)
    }

    /// All listings in force.
    pub fn listings(&self) -> impl Iterator<Item = &Listed> {
        self.listings.values()
    }

    /// A position by its key.
    pub fn position(&self, key: &AccountId) -> Option<&Position> {
        self.positions.get(key)
    }

    /// The position with the lowest key above another, with its key; the first of all above none.
    pub fn position_after(&self, before: Option<&AccountId>) -> Option<(&AccountId, &Position)> {
        self.positions.after(before)
    }

    /// All positions with their keys, in the order of these.
    pub fn positions(&self) -> impl Iterator<Item = (&AccountId, &Position)> {
        self.positions.all()
    }

    /// The positions of an account with their keys, in the order of these.
    pub fn positions_of(&self, account: &AccountId) -> impl Iterator<Item = (&AccountId, &Position)> {
        self.positions.of_account(account)
    }

    /// The positions in an instrument with their keys, in the order of these.
    pub fn positions_in(&self, instrument: &InstrumentId) -> impl Iterator<Item = (&AccountId, &Position)> {
        self.positions.in_instrument(instrument)
    }

    /// The proof that an account's state, or a position, is what it is, or that there is none, under [`Self::root`].
    pub fn prove(&self, id: &AccountId) -> SparseProof {
        let (siblings, end) = self.tree.path(id);
        let other =
            end.filter(|key| key != id).map(|key| OtherLeaf { key, value_hash: Digest::of(&self.leaf_value(&key)) });
        SparseProof { siblings, other }
    }

    fn leaf_value(&self, key: &AccountId) -> Vec<u8> {
        if let Some(account) = self.accounts.get(key) {
            return cbor::encode(&account.state);
        }
        if let Some(position) = self.positions.get(key) {
            return cbor::encode(position);
        }
        let network = self.registry.network();
        let listed = self.listings.values().find(|l| l.listing.instrument.tree_key(&network) == *key);
        listed.map(|listed| cbor::encode(&listed.link)).unwrap_or_default()
    }

    /// Begins the next block on top of this state, at the time that its header is to state.
    pub fn draft(&self, time_ms: u64) -> Draft<'_> {
        Draft::new(self, time_ms)
    }

    /// Whether the next block may hold an entry, if it is made now, in Unix milliseconds.
    ///
    /// # Errors
    /// The first rule that the entry breaks.
    pub fn admits(&self, entry: &VerifiedEntry, now_ms: u64) -> Result<(), Violation> {
        self.draft(now_ms.max(self.head.time_ms.saturating_add(1))).apply(entry)
    }

    /// Takes over the changes of a block that is final.
    pub fn adopt(&mut self, header: &Header, changes: Changes) {
        for (id, touched) in changes.accounts {
            let account = self
                .accounts
                .entry(id)
                .or_insert_with(|| Account { state: touched.state.clone(), inbox: VecDeque::new() });
            account.inbox.extend(touched.received);
            let waiting = touched.state.credits_received.saturating_sub(touched.state.credits_absorbed);
            while account.inbox.len() as u64 > waiting {
                account.inbox.pop_front();
            }
            account.state = touched.state;
        }
        self.listings.extend(changes.listings);
        for (key, moved) in changes.positions {
            self.positions.put(key, moved.after);
        }
        self.tree = changes.tree;
        if self.registry.epoch() != changes.registry.epoch() {
            self.registry = changes.registry;
            self.find_own_accounts();
        } else {
            self.registry = changes.registry;
        }
        self.head = Head::of(header);
    }
}
