//! The ledger of the test network and everything that was committed to it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use stemma_chain_format::account::{Nonce, Opening};
use stemma_chain_format::amount::Amount;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::dealing::{Dealing, MarginTerms, fill};
use stemma_chain_format::endorsement::{Credit, CreditTerms};
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::header::{Block, Header, entries_root};
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::instrument::{InstrumentId, InstrumentKind};
use stemma_chain_format::issuance::{Issuance, IssuedCredit};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::listing::{FeeSchedule, Listing, ListingStatus};
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::{Registry, own_account};
use stemma_chain_format::request::{Side, Size};
use stemma_chain_format::servicing::Act;
use stemma_chain_format::settlement::SettlementAct;
use stemma_chain_format::validate;

use super::members::{CREATED_MS, cash_of, founded, full_terms, id, key, listing_of, member_key};
use super::positions::{SettlePlan, accepted, margin_paid};
use super::services::{ServicePlan, terms};
use super::trades::Order;
use super::{amount, price};

/// The name in the genesis of the world that tests share.
pub const NETWORK_NAME: &str = "stemma test network";

/// One customer: a name, the bank, the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer {
    pub name: &'static str,
    pub bank: &'static str,
    pub account: AccountId,
}

impl Customer {
    /// The key that signs the customer's requests.
    pub fn key(&self) -> SigningKey {
        key(self.name)
    }
}

/// The opening record of a customer's account, signed by the bank.
pub fn opening(network: NetworkId, name: &str, bank: &str) -> Signed<Opening> {
    let mut nonce = [0; 16];
    nonce.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    let credit = CreditTerms { level: 3, rules: 1, lines: Holdings::new() };
    let record = Opening { network, bank: id(bank), key: PublicKey::of(&key(name)), nonce: Nonce(nonce), credit };
    Signed::sign(record, &member_key(bank)).unwrap()
}

/// The ledger with all that led to it.
#[derive(Clone)]
pub struct World {
    pub file: GenesisFile,
    pub registry: Registry,
    pub ledger: Ledger,
    /// Every block with the bodies of its entries.
    pub blocks: Vec<(Block, Vec<Entry>)>,
    /// Every credit that an account ever received.
    pub credits: BTreeMap<AccountId, Vec<Credit>>,
    /// By how much the next block is later than usual, in milliseconds.
    pass_ms: u64,
}

impl World {
    /// The network before its first block.
    pub fn before_the_first_block() -> Self {
        let file = founded(NETWORK_NAME);
        let registry = Registry::from_genesis(&file);
        let ledger = Ledger::genesis(registry.clone(), CREATED_MS);
        Self { file, registry, ledger, blocks: Vec::new(), credits: BTreeMap::new(), pass_ms: 0 }
    }

    /// Instruments listed, accounts opened, cash issued: two blocks. Built once, then cloned.
    pub fn funded() -> Self {
        static FUNDED: LazyLock<World> = LazyLock::new(|| {
            let mut world = World::before_the_first_block();
            world.open_and_list();
            world.issue_first_cash();
            world
        });
        FUNDED.clone()
    }

    /// The funded world after two blocks of servicing, four of positions, three of trades, one of changed listings and two of governance,
    /// with a credit in every customer's books. Built once, then cloned.
    pub fn traded() -> Self {
        static TRADED: LazyLock<World> = LazyLock::new(|| {
            let mut world = World::positioned();
            world.trade_three_blocks();
            world.govern();
            world
        });
        TRADED.clone()
    }

    /// The traded world before its trades: the positions are taken. Built once, then cloned.
    pub fn positioned() -> Self {
        static POSITIONED: LazyLock<World> = LazyLock::new(|| {
            let mut world = World::funded();
            world.service_accounts();
            world.take_positions();
            world
        });
        POSITIONED.clone()
    }

    pub fn network(&self) -> NetworkId {
        self.registry.network()
    }

    /// A customer by name: carol banks with bank-b, everyone else with bank-a. In the traded world, frida's account is
    /// frozen, gina's key revoked, hugo's account closed.
    pub fn customer(&self, name: &'static str) -> Customer {
        let bank = if name == "carol" { "bank-b" } else { "bank-a" };
        Customer { name, bank, account: opening(self.network(), name, bank).link().into() }
    }

    pub fn own(&self, member: &str, purpose: OwnAccount) -> AccountId {
        own_account(&self.network(), &id(member), purpose)
    }

    /// An issuance on top of the issuer's settlement account, not yet committed.
    pub fn issuance(&self, bank: &str, credits: &[(AccountId, i128)]) -> Issuance {
        let state = &self.ledger.account(&self.own(bank, OwnAccount::Settlement)).unwrap().state;
        let credit = |&(account, units): &(AccountId, i128)| IssuedCredit { account, amount: amount(units) };
        Issuance {
            network: self.network(),
            issuer: id(bank),
            parent: state.head,
            sequence: state.sequence + 1,
            instrument: cash_of(bank),
            credits: credits.iter().map(credit).collect(),
        }
    }

    /// [`Self::issuance`], signed.
    pub fn issued(&self, bank: &str, credits: &[(AccountId, i128)]) -> Entry {
        Entry::Issuance(Box::new(Signed::sign(self.issuance(bank, credits), &member_key(bank)).unwrap()))
    }

    /// Commits a block of entries, or leaves the world as it was.
    pub fn commit(&mut self, entries: Vec<Entry>) -> Result<Header, Violation> {
        let verified: Result<Vec<_>, _> =
            validate::verify_entries(entries.clone(), &self.registry).into_iter().collect();
        let head = self.ledger.head();
        let time_ms = head.time_ms + 1_000 + self.pass_ms;
        let mut draft = self.ledger.draft(time_ms);
        verified?.iter().try_for_each(|entry| draft.apply(entry))?;
        let changes = draft.finish();
        let ids: Vec<Link> = entries.iter().map(Entry::id).collect();
        let header = Header {
            network: self.network(),
            height: head.height + 1,
            parent: head.block,
            time_ms,
            proposer: id("bank-a"),
            entries_root: entries_root(&ids),
            accounts_root: changes.root(),
            registry_root: changes.registry.root(),
        };
        for (account, touched) in &changes.accounts {
            self.credits.entry(*account).or_default().extend(touched.received.iter().cloned());
        }
        self.ledger.adopt(&header, changes);
        self.registry = Registry::clone(self.ledger.registry());
        self.blocks.push((Block { header: header.clone(), entries: ids }, entries));
        Ok(header)
    }

    /// The last block that holds several entries.
    pub fn last_full_block(&self) -> &(Block, Vec<Entry>) {
        self.blocks.iter().rfind(|(_, entries)| entries.len() > 1).unwrap()
    }

    /// Opens an account and issues cash to it.
    pub fn opened(&mut self, name: &'static str, cash: i128) -> Customer {
        let customer = self.customer(name);
        let entry = Entry::Opening(Box::new(opening(self.network(), name, customer.bank)));
        self.commit(vec![entry]).unwrap();
        let issued = self.issued(customer.bank, &[(customer.account, cash)]);
        self.commit(vec![issued]).unwrap();
        customer
    }

    /// Lets time go by: the next blocks are so much later.
    pub fn later(&mut self, ms: u64) {
        self.pass_ms = ms;
        self.commit(Vec::new()).unwrap();
        self.pass_ms = 0;
    }

    /// Every committed entry, the oldest first.
    pub fn history(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|(_, entries)| entries)
    }

    /// The sum of an instrument over all accounts, all credits that wait and all positions.
    pub fn total(&self, instrument: &InstrumentId) -> i128 {
        let waiting = self.ledger.accounts().flat_map(|account| &account.inbox);
        let waiting = waiting.filter(|credit| credit.instrument == *instrument).map(|credit| credit.amount);
        let held = self.ledger.accounts().map(|account| account.state.holdings.get(instrument));
        let positions = self.ledger.positions().map(|(_, position)| position.amount_of(instrument));
        held.chain(waiting).chain(positions).map(Amount::units).sum()
    }

    fn open_and_list(&mut self) {
        let listed = ["bank-a", "bank-b", "broker", "fund-house"].map(|member| {
            let record = listing_of(self.network(), member);
            Entry::Listing(Box::new(Signed::sign(record, &member_key(member)).unwrap()))
        });
        let opened = ["alice", "bob", "carol"].map(|name| {
            let bank = self.customer(name).bank;
            Entry::Opening(Box::new(opening(self.network(), name, bank)))
        });
        let others = [
            self.listed("broker", "HALTED", |_| ()),
            self.listed("fund-house", "ENDED", |_| ()),
            self.listed("fund-house", "STRICT", |listing| {
                let terms = listing.terms.as_mut().unwrap();
                (terms.lot, terms.credit_level_min) = (amount(10), 4);
                (terms.quantity_min, terms.quantity_max) = (Some(amount(100)), Some(amount(1_000)));
                (terms.fees.buy_basis_points, terms.fees.sell_basis_points) = (25, 10);
            }),
        ];
        self.commit(listed.into_iter().chain(opened).chain(others).collect()).unwrap();
    }

    /// The first listing of an instrument, or a change of the one in force, not yet committed.
    pub fn listing(&self, institution: &str, code: &str) -> Listing {
        let instrument: InstrumentId = format!("{institution}/{code}").parse().unwrap();
        match self.ledger.listing(&instrument) {
            Some(listed) => Listing { replaces: Some(listed.link), ..listed.listing.clone() },
            None => Listing { instrument, ..listing_of(self.network(), institution) },
        }
    }

    /// [`Self::listing`], changed and signed.
    pub fn listed(&self, institution: &str, code: &str, change: impl Fn(&mut Listing)) -> Entry {
        let mut record = self.listing(institution, code);
        change(&mut record);
        Entry::Listing(Box::new(Signed::sign(record, &member_key(institution)).unwrap()))
    }

    fn issue_first_cash(&mut self) {
        let own = |member, purpose| self.own(member, purpose);
        let institutions = ["fund-house", "broker"].map(|member| own(member, OwnAccount::Settlement));
        let promoters = ["fund-house", "broker"].map(|member| own(member, OwnAccount::Promotion));
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| self.customer(name).account);
        let members = institutions.map(|a| (a, 50_000_000)).into_iter().chain(promoters.map(|a| (a, 1_000_000)));
        let members: Vec<_> = members.collect();
        let of_a = [&[(alice, 10_000_000), (bob, 2_000_000)], members.as_slice()].concat();
        let of_b = [&[(carol, 5_000_000)], members.as_slice()].concat();
        self.commit(vec![self.issued("bank-a", &of_a), self.issued("bank-b", &of_b)]).unwrap();
    }

    /// Credit lines, a withdrawal, and an account in each state that is not the usual one.
    fn service_accounts(&mut self) {
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| self.customer(name));
        let act = |customer, act| ServicePlan::new(self, customer, act);
        let mut entries = vec![
            act(alice, Act::SetCredit(terms("bank-a", 4, 2, 100_000))).entry(),
            act(bob, Act::SetCredit(terms("bank-a", 3, 2, 1_000_000))).entry(),
            act(carol, Act::Withdraw(cash_of("bank-b"), amount(1_000))).absorb(1).entry(),
        ];
        let opened = ["frida", "gina", "hugo"].map(|name| opening(self.network(), name, "bank-a"));
        entries.extend(opened.iter().map(|opening| Entry::Opening(Box::new(opening.clone()))));
        self.commit(entries).unwrap();
        let acts = [("frida", Act::Freeze), ("gina", Act::RevokeKey), ("hugo", Act::Close)];
        let entries = acts.map(|(name, act)| ServicePlan::new(self, self.customer(name), act).entry());
        self.commit(entries.into()).unwrap();
    }

    /// One instrument is suspended, with every optional field; another is closed.
    fn change_listings(&mut self) {
        let halted = self.listed("broker", "HALTED", |listing| {
            listing.name = "Halted Holdings".to_owned();
            listing.status = ListingStatus::Suspended;
            listing.isin = Some("US0378331005".parse().unwrap());
            listing.terms = Some(full_terms());
        });
        let ended = self.listed("fund-house", "ENDED", |listing| listing.status = ListingStatus::Closed);
        self.commit(vec![halted, ended]).unwrap();
    }

    /// The funded world with a fund that is dealt in forward, a future and a trust. Built once, then cloned.
    pub fn with_positions() -> Self {
        static LISTED: LazyLock<World> = LazyLock::new(|| {
            let mut world = World::funded();
            world.list_next_and_future();
            let trust = world.listed("fund-house", "ESTATE", |listing| {
                listing.kind = InstrumentKind::Trust;
                let terms = listing.terms.as_mut().unwrap();
                (terms.lot, terms.quantity_min, terms.credit_level_min) = (amount(10), Some(amount(50)), 2);
            });
            world.commit(vec![trust]).unwrap();
            world
        });
        LISTED.clone()
    }

    fn list_next_and_future(&mut self) {
        let next = self.listed("fund-house", "NEXT", |listing| {
            let terms = listing.terms.as_mut().unwrap();
            terms.dealing = Dealing::Forward;
            terms.fees = FeeSchedule { buy_basis_points: 100, sell_basis_points: 50, least: amount(0) };
        });
        let future = self.listed("broker", "FUT", |listing| {
            listing.kind = InstrumentKind::Future;
            let terms = listing.terms.as_mut().unwrap();
            terms.fees = FeeSchedule { least: amount(250), ..FeeSchedule::default() };
            terms.dealing =
                Dealing::Margin(MarginTerms { initial_basis_points: 1_200, maintenance_basis_points: 900, call_s: 2 });
        });
        self.commit(vec![next, future]).unwrap();
    }

    /// Orders that wait, one of them filled; a long future that is called for margin, a short one.
    fn take_positions(&mut self) {
        self.list_next_and_future();
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| self.customer(name));
        let waits = |customer, cash| Order {
            code: Some("NEXT"),
            size: Size::Cash(amount(cash)),
            absorb: 0,
            ..Order::new(customer, "fund-house", Side::Buy)
        };
        let futures = |customer, side, quantity| Order {
            code: Some("FUT"),
            size: Size::Quantity(amount(quantity)),
            fee: 250,
            absorb: 0,
            ..Order::new(customer, "broker", side)
        };
        let of_alice = accepted(self, waits(alice, 50_000), None).entry();
        let of_carol = accepted(self, waits(carol, 60_000), Some(100)).entry();
        self.commit(vec![of_alice, of_carol, futures(bob, Side::Buy, 40).chain(self)]).unwrap();
        let key = |world: &Self, customer: Customer| *world.ledger.positions_of(&customer.account).next().unwrap().0;
        let priced_ms = self.ledger.head().time_ms + 400;
        let waiting = self.ledger.position(&key(self, carol)).unwrap().waiting().unwrap();
        let listing = self.listing("fund-house", "NEXT");
        let deal = fill(waiting, price(123_456, 2), &listing).unwrap().unwrap();
        let filled = SettlePlan::new(self, key(self, carol), SettlementAct::Fill { deal, priced_ms }).entry();
        let marked = SettlementAct::Mark { price: price(118_456, 2), priced_ms };
        let marked = SettlePlan::new(self, key(self, bob), marked).entry();
        self.commit(vec![filled, marked, futures(carol, Side::Sell, 25).chain(self)]).unwrap();
        let future = "broker/FUT".parse().unwrap();
        let paid = margin_paid(self, carol, "broker", &future, 1_000).absorbing(0).entry();
        self.commit(vec![paid]).unwrap();
    }

    fn trade_three_blocks(&mut self) {
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| self.customer(name));
        let buy = Order { reward: Some((bob, 500)), ..Order::new(alice, "fund-house", Side::Buy) };
        let by_cash = Order {
            size: Size::Cash(amount(1_000_000)),
            price: price(1_999, 0),
            ..Order::new(carol, "broker", Side::Buy)
        };
        let ended = Order { code: Some("ENDED"), ..Order::new(bob, "fund-house", Side::Buy) };
        self.commit(vec![buy.chain(self), by_cash.chain(self), ended.chain(self)]).unwrap();
        self.change_listings();
        let sell = Order {
            size: Size::Quantity(amount(25_000)),
            reward: Some((carol, 250)),
            ..Order::new(alice, "fund-house", Side::Sell)
        };
        self.commit(vec![sell.chain(self)]).unwrap();
        let sell_by_cash = Order {
            size: Size::Cash(amount(40_000)),
            limit: Some(price(12_000, 1)),
            reward: Some((alice, 75)),
            ..Order::new(carol, "broker", Side::Sell)
        };
        let last = Order { fee: 0, reward: Some((alice, 33)), ..Order::new(bob, "fund-house", Side::Buy) };
        let again = Order { reward: Some((alice, 40)), ..Order::new(alice, "broker", Side::Buy) };
        self.commit(vec![last.chain(self), again.chain(self), sell_by_cash.chain(self)]).unwrap();
    }
}
