//! A block in the making.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Changes, Ledger, Moved, Touched, opened_by_membership};
use crate::account::{AccountState, AccountStatus, Opening};
use crate::cbor;
use crate::chain::{Chain, Entry, Service};
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, ensure, same};
use crate::execution::{Posting, PostingPurpose};
use crate::hash::{AccountId, Link};
use crate::instrument::InstrumentId;
use crate::issuance::{Issuance, IssuedCredit};
use crate::limits::SETTLEMENT_AGE_MS_MAX;
use crate::lineage::{self, Listed};
use crate::listing::Listing;
use crate::member::OwnAccount;
use crate::position::{self, Position};
use crate::record::Signed;
use crate::registry::{Registry, own_account};
use crate::servicing::Act;
use crate::settlement::Settlement;
use crate::validate::VerifiedEntry;

/// A block in the making: entries are applied one by one, each wholly or not at all.
#[derive(Debug)]
pub struct Draft<'l> {
    base: &'l Ledger,
    height: u64,
    time_ms: u64,
    accounts: BTreeMap<AccountId, Touched>,
    listings: BTreeMap<InstrumentId, Listed>,
    positions: BTreeMap<AccountId, Moved>,
    /// The registry with what this block's governance records schedule.
    planned: Arc<Registry>,
}

/// What one entry touches, before it is known to hold as a whole.
type Touching = BTreeMap<AccountId, Touched>;

/// The position that an entry changed, with its key.
type Change = Option<(AccountId, Moved)>;

impl<'l> Draft<'l> {
    pub(super) fn new(base: &'l Ledger, time_ms: u64) -> Self {
        let height = base.head.height.saturating_add(1);
        let (accounts, listings, positions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let planned = Arc::clone(&base.registry);
        Self { base, height, time_ms, accounts, listings, positions, planned }
    }
}

impl Draft<'_> {
    /// Applies an entry.
    ///
    /// # Errors
    /// The first broken rule; the draft is then as it was before.
    pub fn apply(&mut self, entry: &VerifiedEntry) -> Result<(), Violation> {
        entry.holds_under(&self.base.registry)?;
        let mut touching = Touching::new();
        let moved = match entry.entry() {
            Entry::Chain(chain) => self.chain(chain, &mut touching)?,
            Entry::Issuance(issuance) => self.issuance(issuance.record(), entry.id(), &mut touching)?,
            Entry::Servicing(service) => self.servicing(service, &mut touching)?,
            Entry::Settlement(settlement) => self.settlement(settlement, &mut touching)?,
            Entry::Opening(opening) => self.opening(opening.record(), entry.id(), &mut touching)?,
            Entry::Listing(listing) => self.listing(listing.record(), entry.id())?,
            Entry::Governance(governance) => {
                self.planned = Arc::new(self.planned.plan(governance, self.height)?);
                None
            }
        };
        self.accounts.extend(touching);
        self.positions.extend(moved);
        Ok(())
    }

    /// Ends the draft: the changes, and the tree with them.
    pub fn finish(mut self) -> Changes {
        let registry = self.next_registry();
        let mut tree = self.base.tree.clone();
        for (id, touched) in &self.accounts {
            tree.insert(*id, &cbor::encode(&touched.state));
        }
        let network = self.base.registry.network();
        for (instrument, listed) in &self.listings {
            tree.insert(instrument.tree_key(&network), &cbor::encode(&listed.link));
        }
        for (key, moved) in &self.positions {
            match &moved.after {
                Some(position) => tree.insert(*key, &cbor::encode(position)),
                None => tree.remove(key),
            }
        }
        Changes { accounts: self.accounts, listings: self.listings, positions: self.positions, registry, tree }
    }

    /// The registry of the next block. The own accounts of members that it has for the first time are opened with this block, and those
    /// of a member that signs with another key from then on say so.
    fn next_registry(&mut self) -> Arc<Registry> {
        let next_height = self.height.saturating_add(1);
        if self.planned.scheduled().first().is_none_or(|first| first.effective > next_height) {
            return Arc::clone(&self.planned);
        }
        let next = Registry::clone(&self.planned).at(next_height);
        for opened in opened_by_membership(&next) {
            let id = opened.account;
            let state = match self.find(&id).cloned() {
                Some(state) if state.key == opened.key => continue,
                Some(state) => AccountState { key: opened.key, ..state },
                None => opened,
            };
            let received = self.accounts.remove(&id).map(|touched| touched.received).unwrap_or_default();
            self.accounts.insert(id, Touched { state, received });
        }
        Arc::new(next)
    }

    fn find(&self, id: &AccountId) -> Option<&AccountState> {
        let drafted = self.accounts.get(id).map(|touched| &touched.state);
        drafted.or_else(|| self.base.accounts.get(id).map(|account| &account.state))
    }

    fn listed(&self, instrument: &InstrumentId) -> Option<&Listed> {
        self.listings.get(instrument).or_else(|| self.base.listings.get(instrument))
    }

    fn position(&self, key: &AccountId) -> Option<&Position> {
        self.positions.get(key).map_or_else(|| self.base.positions.get(key), |moved| moved.after.as_ref())
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

    fn opening(&self, record: &Opening, id: Link, touching: &mut Touching) -> Result<Change, Violation> {
        let id = id.into();
        let fresh = self.find(&id).is_none();
        ensure(fresh, Rule::Duplicate, "opening", "an account not yet open", id)?;
        let state = AccountState::opened(id, record.bank.clone(), record.key, record.credit.clone());
        touching.insert(id, Touched { state, received: Vec::new() });
        Ok(None)
    }

    fn listing(&mut self, record: &Listing, id: Link) -> Result<Change, Violation> {
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
        self.listings.insert(instrument, Listed::new(id, record.clone()));
        Ok(None)
    }

    fn chain(&self, chain: &Chain, touching: &mut Touching) -> Result<Change, Violation> {
        let endorsement = chain.endorsement.record();
        self.expiry_holds(endorsement.expires)?;
        let order = &chain.request.record().order;
        let unlisted = |field: &str, expected: &str, found: &InstrumentId| {
            Violation::new(Rule::Listing, order.place(field), expected, found)
        };
        let (instrument, cash) = (order.instrument(), order.cash());
        let listed =
            self.listed(instrument).ok_or_else(|| unlisted("instrument", "a listed instrument", instrument))?;
        self.listed(cash).ok_or_else(|| unlisted("cash", "listed cash", cash))?;
        let account = endorsement.account;
        let key = lineage::position_of(chain, listed);
        let position = key.and_then(|key| self.position(&key));
        let touched = self.touch(touching, &account, "request.account")?;
        let followed = lineage::follow(&touched.state, chain, self.inbox(&account), listed, position)?;
        touched.state = followed.state;
        let postings = &chain.execution.record().postings;
        self.post_others(touching, chain.execution.link(), postings, (Some(account), key))?;
        self.own_accounts_hold(touching, "execution.postings")?;
        Ok(moved(account, followed.position))
    }

    fn settlement(&self, settlement: &Signed<Settlement>, touching: &mut Touching) -> Result<Change, Violation> {
        let record = settlement.record();
        self.is_timely(record.settled_ms)?;
        let key = record.position;
        let missing = || Violation::new(Rule::Sequence, "settlement.position", "a position there is", record.position);
        let position = self.position(&key).ok_or_else(missing)?;
        let unlisted =
            || Violation::new(Rule::Listing, "settlement.position", "a listed instrument", &position.instrument);
        let listed = self.listed(&position.instrument).ok_or_else(unlisted)?;
        let touched = self.touch(touching, &record.account, "settlement.account")?;
        let followed = lineage::settle(&touched.state, settlement, listed, Some(position))?;
        touched.state = followed.state;
        self.post_others(touching, settlement.link(), &record.postings, (None, Some(key)))?;
        self.own_accounts_hold(touching, "settlement.postings")?;
        Ok(moved(record.account, followed.position))
    }

    /// The postings on all accounts but the one whose state says already what became of them; those on a position are in its leaf, but
    /// for a reward, which no position takes.
    fn post_others(
        &self,
        touching: &mut Touching,
        id: Link,
        postings: &[Posting],
        (account, key): (Option<AccountId>, Option<AccountId>),
    ) -> Result<(), Violation> {
        let is_done = |posting: &Posting| {
            let is_on = |known: Option<AccountId>| known == Some(posting.account);
            is_on(account) || (is_on(key) && posting.purpose != PostingPurpose::Reward)
        };
        let others = postings.iter().enumerate().filter(|(_, posting)| !is_done(posting));
        for (index, posting) in others {
            self.post(touching, id, index, posting)?;
        }
        Ok(())
    }

    fn issuance(&self, issuance: &Issuance, id: Link, touching: &mut Touching) -> Result<Change, Violation> {
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
        Ok(None)
    }

    fn servicing(&self, service: &Service, touching: &mut Touching) -> Result<Change, Violation> {
        let record = service.servicing.record();
        let account = record.account;
        let customers = !self.base.own.contains_key(&account);
        ensure(customers, Rule::Account, "servicing.account", "a customer's account", account)?;
        if let Some(last) = service.instruction.as_ref().and_then(|instruction| instruction.record().expires) {
            let expected = format!("at least {}", self.height);
            ensure(last >= self.height, Rule::Expiry, "instruction.expires", expected, last)?;
        }
        let key = position::touched_by_act(&record.network, &record.act);
        let position = key.and_then(|key| self.position(&key));
        if let (Act::Reclaim(..), Some(waiting)) = (&record.act, position.and_then(Position::waiting)) {
            let (from_ms, found) = (waiting.reclaim_ms, self.time_ms);
            let expected = format!("a block time of at least {from_ms}");
            ensure(found >= from_ms, Rule::Status, "servicing.act.reclaim", expected, found)?;
        }
        let touched = self.touch(touching, &account, "servicing.account")?;
        let followed = lineage::serve(&touched.state, service, self.inbox(&account), position)?;
        touched.state = followed.state;
        if let Act::Withdraw(instrument, amount) = &record.act {
            // The claim goes back to the bank that owes it.
            let settlement = own_account(&self.base.registry.network(), &record.bank, OwnAccount::Settlement);
            self.credit(touching, &settlement, credit(service.servicing.link(), 0, instrument, *amount))?;
        }
        Ok(moved(account, followed.position))
    }

    fn post(&self, touching: &mut Touching, id: Link, index: usize, posting: &Posting) -> Result<(), Violation> {
        let Posting { account, instrument, amount, .. } = posting;
        if amount.is_positive() {
            return self.credit(touching, account, credit(id, index, instrument, *amount));
        }
        let touched = self.touch(touching, account, "postings.account")?;
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
    fn own_accounts_hold(&self, touching: &Touching, place: &str) -> Result<(), Violation> {
        for (id, touched) in touching {
            let Some(member) = self.base.own.get(id) else { continue };
            for (instrument, amount) in touched.state.holdings.iter() {
                let holds = !amount.is_negative() || instrument.is_issued_by(member);
                let field = format!("{place}.{member}.{instrument}");
                ensure(holds, Rule::Overdraft, &field, "a balance of 0 or above", amount)?;
            }
        }
        Ok(())
    }

    /// A settlement commits about when it says that it was signed.
    fn is_timely(&self, settled_ms: u64) -> Result<(), Violation> {
        let latest = self.time_ms.saturating_add(self.base.registry.parameters().clock_drift_ms_max);
        let earliest = self.time_ms.saturating_sub(SETTLEMENT_AGE_MS_MAX);
        let holds = (earliest..=latest).contains(&settled_ms);
        ensure(holds, Rule::Expiry, "settlement.settled_ms", format_args!("{earliest} to {latest}"), settled_ms)
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

fn moved(account: AccountId, position: Option<(AccountId, Option<Position>)>) -> Change {
    position.map(|(key, after)| (key, Moved { account, after }))
}
