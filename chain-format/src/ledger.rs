//! The whole ledger: every account, inbox and listing, and how a block changes them. Pure: a state and verified entries in,
//! changes and a root out.

use std::collections::{BTreeMap, VecDeque};

use crate::account::{AccountState, AccountStatus};
use crate::cbor;
use crate::chain::{Chain, Entry, Service};
use crate::endorsement::{Credit, CreditTerms};
use crate::error::{Rule, Violation, ensure, same};
use crate::execution::Posting;
use crate::hash::{AccountId, BlockId, Digest, Link};
use crate::header::{Header, genesis_parent};
use crate::instrument::InstrumentId;
use crate::issuance::{Issuance, IssuedCredit};
use crate::lineage::{self, Listed};
use crate::member::{MemberId, OwnAccount, Role};
use crate::merkle::{OtherLeaf, SparseProof, SparseTree};
use crate::registry::{Registry, own_account};
use crate::servicing::Act;
use crate::validate::VerifiedEntry;

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

/// The state after some block.
#[derive(Debug, Clone)]
pub struct Ledger {
    registry: Registry,
    own: BTreeMap<AccountId, MemberId>,
    accounts: BTreeMap<AccountId, Account>,
    listings: BTreeMap<InstrumentId, Listed>,
    tree: SparseTree,
    head: Head,
}

/// What a block changes: the touched accounts and listings, and the tree after it.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Accounts touched, each with its whole new state and the credits that it newly received.
    pub accounts: BTreeMap<AccountId, Touched>,
    /// Instruments listed, or listed on other terms.
    pub listings: BTreeMap<InstrumentId, Listed>,
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
        Self::from_parts(registry, [], [], head)
    }

    /// A ledger from its stored parts; the members' own accounts are added where they are missing.
    pub fn from_parts(
        registry: Registry,
        accounts: impl IntoIterator<Item = Account>,
        listings: impl IntoIterator<Item = Listed>,
        head: Head,
    ) -> Self {
        let network = registry.network();
        let mut ledger = Self {
            registry,
            own: BTreeMap::new(),
            accounts: accounts.into_iter().map(|a| (a.state.account, a)).collect(),
            listings: BTreeMap::new(),
            tree: SparseTree::new(),
            head,
        };
        for member in ledger.registry.members().filter(|m| m.role != Role::Auditor) {
            for purpose in OwnAccount::ALL {
                let id = own_account(&network, &member.id, purpose);
                ledger.own.insert(id, member.id.clone());
                ledger.accounts.entry(id).or_insert_with(|| Account {
                    state: AccountState::opened(id, member.id.clone(), member.member_key, CreditTerms::default()),
                    inbox: VecDeque::new(),
                });
            }
        }
        for (id, account) in &ledger.accounts {
            ledger.tree.insert(*id, &cbor::encode(&account.state));
        }
        for listed in listings {
            let instrument = listed.listing.instrument.clone();
            ledger.tree.insert(instrument.tree_key(&network), &cbor::encode(&listed.link));
            ledger.listings.insert(instrument, listed);
        }
        ledger
    }

    /// The members and parameters in force.
    pub fn registry(&self) -> &Registry {
        &self.registry
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

    /// The proof that an account's state is what it is, or that there is none, under [`Self::root`].
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
        let network = self.registry.network();
        let listed = self.listings.values().find(|l| l.listing.instrument.tree_key(&network) == *key);
        listed.map(|listed| cbor::encode(&listed.link)).unwrap_or_default()
    }

    /// Begins the next block on top of this state.
    pub fn draft(&self) -> Draft<'_> {
        Draft {
            base: self,
            height: self.head.height.saturating_add(1),
            accounts: BTreeMap::new(),
            listings: BTreeMap::new(),
        }
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
        self.tree = changes.tree;
        self.head = Head { height: header.height, block: header.id(), time_ms: header.time_ms };
    }
}

/// A block in the making: entries are applied one by one, each wholly or not at all.
#[derive(Debug)]
pub struct Draft<'l> {
    base: &'l Ledger,
    height: u64,
    accounts: BTreeMap<AccountId, Touched>,
    listings: BTreeMap<InstrumentId, Listed>,
}

/// What one entry touches, before it is known to hold as a whole.
type Touching = BTreeMap<AccountId, Touched>;

impl Draft<'_> {
    /// Applies an entry.
    ///
    /// # Errors
    /// The first broken rule; the draft is then as it was before.
    pub fn apply(&mut self, entry: &VerifiedEntry) -> Result<(), Violation> {
        let mut touching = Touching::new();
        match entry.entry() {
            Entry::Chain(chain) => self.chain(chain, &mut touching)?,
            Entry::Issuance(issuance) => {
                self.issuance(issuance.record(), entry.id(), &mut touching)?;
            }
            Entry::Servicing(service) => self.servicing(service, &mut touching)?,
            Entry::Opening(opening) => {
                let id = entry.id().into();
                let fresh = self.find(&id).is_none();
                ensure(fresh, Rule::Duplicate, "opening", "an account not yet open", id)?;
                let record = opening.record();
                let state = AccountState::opened(id, record.bank.clone(), record.key, record.credit.clone());
                touching.insert(id, Touched { state, received: Vec::new() });
            }
            Entry::Listing(listing) => {
                let record = listing.record();
                let instrument = record.instrument.clone();
                match (self.listed(&instrument), &record.replaces) {
                    (Some(before), Some(_)) => record.follows(&before.listing, &before.link)?,
                    (before, _) => {
                        let fresh = before.is_none();
                        let expected = "an instrument not yet listed, or the link of its listing in `replaces`";
                        ensure(fresh, Rule::Duplicate, "listing.instrument", expected, &instrument)?;
                        let found = record.replaces.map_or(String::new(), |link| link.to_string());
                        ensure(record.replaces.is_none(), Rule::Listing, "listing.replaces", "nothing", found)?;
                    }
                }
                self.listings.insert(instrument, Listed { link: entry.id(), listing: record.clone() });
            }
        }
        self.accounts.extend(touching);
        Ok(())
    }

    /// Ends the draft: the changes, and the tree with them.
    pub fn finish(self) -> Changes {
        let mut tree = self.base.tree.clone();
        for (id, touched) in &self.accounts {
            tree.insert(*id, &cbor::encode(&touched.state));
        }
        let network = self.base.registry.network();
        for (instrument, listed) in &self.listings {
            tree.insert(instrument.tree_key(&network), &cbor::encode(&listed.link));
        }
        Changes { accounts: self.accounts, listings: self.listings, tree }
    }

    fn find(&self, id: &AccountId) -> Option<&AccountState> {
        let drafted = self.accounts.get(id).map(|touched| &touched.state);
        drafted.or_else(|| self.base.accounts.get(id).map(|account| &account.state))
    }

    fn listed(&self, instrument: &InstrumentId) -> Option<&Listed> {
        self.listings.get(instrument).or_else(|| self.base.listings.get(instrument))
    }

    /// The credits that wait for an account, the oldest first, those of this draft last.
    fn inbox(&self, id: &AccountId) -> impl Iterator<Item = &Credit> {
        let before = self.base.accounts.get(id);
        let drafted = self.accounts.get(id);
        // What earlier entries of this very draft absorbed no longer waits.
        let absorbed_before = before.map_or(0, |a| a.state.credits_absorbed);
        let absorbed_now = drafted.map_or(absorbed_before, |t| t.state.credits_absorbed);
        let gone = usize::try_from(absorbed_now.saturating_sub(absorbed_before)).unwrap_or(usize::MAX);
        let stored = before.into_iter().flat_map(|account| &account.inbox);
        stored.chain(drafted.into_iter().flat_map(|touched| &touched.received)).skip(gone)
    }

    /// An account about to be changed by the current entry.
    fn touch<'t>(&self, touching: &'t mut Touching, id: &AccountId, field: &str) -> Result<&'t mut Touched, Violation> {
        use std::collections::btree_map::Entry as Slot;
        match touching.entry(*id) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let drafted = self.accounts.get(id).cloned();
                let stored = || {
                    let account = self.base.accounts.get(id)?;
                    Some(Touched { state: account.state.clone(), received: Vec::new() })
                };
                let touched = drafted
                    .or_else(stored)
                    .ok_or_else(|| Violation::new(Rule::Account, field, "an open account", id))?;
                Ok(slot.insert(touched))
            }
        }
    }

    fn chain(&self, chain: &Chain, touching: &mut Touching) -> Result<(), Violation> {
        let endorsement = chain.endorsement.record();
        self.expiry_holds(endorsement.expires)?;
        let instrument = &chain.request.record().trade.instrument;
        let listed = self.listed(instrument).ok_or_else(|| {
            Violation::new(Rule::Listing, "request.trade.instrument", "a listed instrument", instrument)
        })?;
        let cash = &chain.request.record().trade.cash;
        ensure(self.listed(cash).is_some(), Rule::Listing, "request.trade.cash", "listed cash", cash)?;
        let account = endorsement.account;
        let touched = self.touch(touching, &account, "request.account")?;
        touched.state = lineage::follow(&touched.state, chain, self.inbox(&account), listed)?;
        let id = chain.execution.link();
        for (index, posting) in chain.execution.record().postings.iter().enumerate() {
            if posting.account != account {
                self.post(touching, id, index, posting)?;
            }
        }
        self.own_accounts_hold(touching)
    }

    fn issuance(&self, issuance: &Issuance, id: Link, touching: &mut Touching) -> Result<(), Violation> {
        let instrument = &issuance.instrument;
        let listed = self.listed(instrument).is_some();
        ensure(listed, Rule::Listing, "issuance.instrument", "a listed instrument", instrument)?;
        let network = self.base.registry.network();
        let settlement = own_account(&network, &issuance.issuer, OwnAccount::Settlement);
        let touched = self.touch(touching, &settlement, "issuance.issuer")?;
        same(Rule::Sequence, "issuance.parent", &touched.state.head, &issuance.parent)?;
        let next = touched.state.sequence.saturating_add(1);
        same(Rule::Sequence, "issuance.sequence", &next, &issuance.sequence)?;
        touched.state.holdings.add(instrument, issuance.total()?.negated())?;
        touched.state.head = id;
        touched.state.sequence = next;
        for (index, IssuedCredit { account, amount }) in issuance.credits.iter().enumerate() {
            self.credit(touching, account, credit(id, index, instrument, *amount))?;
        }
        Ok(())
    }

    fn servicing(&self, service: &Service, touching: &mut Touching) -> Result<(), Violation> {
        let record = service.servicing.record();
        let account = record.account;
        let customers = !self.base.own.contains_key(&account);
        ensure(customers, Rule::Account, "servicing.account", "a customer's account", account)?;
        if let Some(last) = service.instruction.as_ref().and_then(|instruction| instruction.record().expires) {
            let expected = format!("at least {}", self.height);
            ensure(last >= self.height, Rule::Expiry, "instruction.expires", expected, last)?;
        }
        let touched = self.touch(touching, &account, "servicing.account")?;
        touched.state = lineage::serve(&touched.state, service, self.inbox(&account))?;
        if let Act::Withdraw(instrument, amount) = &record.act {
            // The claim goes back to the bank that owes it.
            let settlement = own_account(&self.base.registry.network(), &record.bank, OwnAccount::Settlement);
            self.credit(touching, &settlement, credit(service.servicing.link(), 0, instrument, *amount))?;
        }
        Ok(())
    }

    fn post(&self, touching: &mut Touching, id: Link, index: usize, posting: &Posting) -> Result<(), Violation> {
        let Posting { account, instrument, amount, .. } = posting;
        if amount.is_positive() {
            return self.credit(touching, account, credit(id, index, instrument, *amount));
        }
        let touched = self.touch(touching, account, "execution.postings.account")?;
        touched.state.holdings.add(instrument, *amount)
    }

    /// A member's own account takes a credit at once; a customer's waits in the inbox until an endorsement absorbs it.
    fn credit(&self, touching: &mut Touching, account: &AccountId, credit: Credit) -> Result<(), Violation> {
        let touched = self.touch(touching, account, "credit.account")?;
        if self.base.own.contains_key(account) {
            return touched.state.holdings.add(&credit.instrument, credit.amount);
        }
        let closed = touched.state.status == AccountStatus::Closed;
        ensure(!closed, Rule::Status, "credit.account", "an account that is not closed", account)?;
        lineage::receive(&mut touched.state, &credit)?;
        touched.received.push(credit);
        Ok(())
    }

    /// Only the issuer of an instrument may be negative in it.
    fn own_accounts_hold(&self, touching: &Touching) -> Result<(), Violation> {
        for (id, touched) in touching {
            let Some(member) = self.base.own.get(id) else { continue };
            for (instrument, amount) in touched.state.holdings.iter() {
                let holds = !amount.is_negative() || instrument.is_issued_by(member);
                let field = format!("execution.postings.{member}.{instrument}");
                ensure(holds, Rule::Overdraft, &field, "a balance of 0 or above", amount)?;
            }
        }
        Ok(())
    }

    fn expiry_holds(&self, expires: u64) -> Result<(), Violation> {
        let last = self.height.saturating_add(self.base.registry.parameters().expiry_blocks_max);
        let holds = (self.height..=last).contains(&expires);
        let expected = format!("{} to {last}", self.height);
        ensure(holds, Rule::Expiry, "endorsement.expires", expected, expires)
    }
}

fn credit(source: Link, index: usize, instrument: &InstrumentId, amount: crate::amount::Amount) -> Credit {
    // At most 1,024 credits stand in one entry, so the index always fits.
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    Credit { source, index, instrument: instrument.clone(), amount }
}
