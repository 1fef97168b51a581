//! Builders of a trade's three stages. Each stage can be changed, and signed by another key, before the next links to it.

use ed25519_dalek::SigningKey;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::amount::Price;
use stemma_chain_format::cbor;
use stemma_chain_format::chain::{Chain, Entry, EntryKind};
use stemma_chain_format::cose;
use stemma_chain_format::dealing::{Decided, Parties, movements};
use stemma_chain_format::endorsement::{Credit, Endorsement};
use stemma_chain_format::execution::{Deal, Execution, Outcome, Posting, PostingPurpose, ReferralOutcome};
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::lineage::{self, Listed};
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::position::touched_by_order;
use stemma_chain_format::record::Record;
use stemma_chain_format::referral::Referral;
use stemma_chain_format::request::{self, IdentityClaim, Request, Side, Size, Trade};

use super::members::{cash_of, id, instrument_of, member_key};
use super::world::{Customer, World};
use super::{amount, price};

/// What a customer orders, and how the institution executes it.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    pub customer: Customer,
    pub institution: &'static str,
    /// Another instrument of the institution than its usual one.
    pub code: Option<&'static str>,
    pub side: Side,
    pub size: Size,
    pub limit: Option<Price>,
    pub price: Price,
    pub fee: i128,
    /// A reward to a customer, in cash of that customer's bank.
    pub reward: Option<(Customer, i128)>,
    /// How many waiting credits the endorsement absorbs, at most.
    pub absorb: usize,
}

impl Order {
    /// Ten whole units (of the fund) or 100,000 shares' smallest units, at a price that has a fraction.
    pub fn new(customer: Customer, institution: &'static str, side: Side) -> Self {
        let units = if institution == "broker" { 100 } else { 100_000 };
        Self {
            customer,
            institution,
            code: None,
            side,
            size: Size::Quantity(amount(units)),
            limit: None,
            price: price(123_456, 2),
            fee: 199,
            reward: None,
            absorb: usize::MAX,
        }
    }

    /// What is traded.
    pub fn instrument(&self) -> InstrumentId {
        match self.code {
            Some(code) => format!("{}/{code}", self.institution).parse().unwrap(),
            None => instrument_of(self.institution),
        }
    }

    /// What the customer asks for.
    pub fn asked(&self) -> request::Order {
        let Self { customer, side, size, limit, .. } = *self;
        let (instrument, cash) = (self.instrument(), cash_of(customer.bank));
        request::Order::Trade(Trade { side, instrument, size, cash, limit, fee_max: None })
    }

    /// At what the institution trades it.
    pub fn traded(&self, world: &World) -> Outcome {
        let listing = &world.ledger.listing(&self.instrument()).unwrap().listing;
        let Self { side, size, price, fee, .. } = *self;
        let quantity = match size {
            Size::Quantity(quantity) => quantity,
            Size::Cash(cash) => {
                listing.terms.as_ref().unwrap().largest_quantity(side, cash, price, listing.decimals).unwrap()
            }
        };
        Outcome::Traded(Deal { quantity, price, fee: amount(fee) })
    }

    /// The order's honest chain on top of a world's ledger.
    pub fn chain(self, world: &World) -> Entry {
        Plan::new(world, self).entry()
    }
}

/// An account as the next chain finds it.
#[derive(Debug, Clone)]
pub struct View {
    pub state: AccountState,
    pub inbox: Vec<Credit>,
}

impl View {
    /// As the ledger has it.
    pub fn of(world: &World, account: &AccountId) -> Self {
        let account = world.ledger.account(account).unwrap();
        Self { state: account.state.clone(), inbox: account.inbox.iter().cloned().collect() }
    }

    /// As a chain leaves it, for a second chain in the same block.
    pub fn after(&self, chain: &Chain, listed: &Listed) -> Self {
        let state = lineage::follow(&self.state, chain, self.inbox.iter(), listed, None).unwrap().state;
        let absorbed = chain.endorsement.record().absorbed.len();
        Self { state, inbox: self.inbox[absorbed..].to_vec() }
    }
}

/// Signs a record as it is, without its own rules being asked.
pub fn forge<T: Record>(record: &T, key: &SigningKey) -> Vec<u8> {
    cose::sign(T::CONTENT, key, &cbor::encode(record))
}

/// An entry from the bytes of its stages, whatever they hold.
pub fn entry_bytes(kind: EntryKind, stages: &[Vec<u8>]) -> Vec<u8> {
    let mut e = minicbor::Encoder::new(Vec::new());
    e.array(2).unwrap().encode(kind).unwrap().array(stages.len() as u64).unwrap();
    for stage in stages {
        e.bytes(stage).unwrap();
    }
    e.into_writer()
}

type Hook<'w, T> = Box<dyn Fn(&mut T) + 'w>;

/// The trade of a request.
pub fn trade_of(request: &mut Request) -> &mut Trade {
    let request::Order::Trade(trade) = &mut request.order else { panic!("a trade") };
    trade
}

/// The deal of an execution.
pub fn deal_of(execution: &mut Execution) -> &mut Deal {
    let Outcome::Traded(deal) = &mut execution.outcome else { panic!("a deal") };
    deal
}

/// An order on its way to a chain, with changes to its stages.
pub struct Plan<'w> {
    world: &'w World,
    customer: Customer,
    institution: &'static str,
    asked: request::Order,
    outcome: Outcome,
    reward: Option<(Customer, i128)>,
    absorb: usize,
    pub view: View,
    /// Who signs request, endorsement and execution.
    pub signers: [SigningKey; 3],
    on_request: Hook<'w, Request>,
    on_endorsement: Hook<'w, Endorsement>,
    on_execution: Hook<'w, Execution>,
}

impl<'w> Plan<'w> {
    pub fn new(world: &'w World, order: Order) -> Self {
        let plan = Self::of(world, (order.customer, order.institution), order.asked(), order.traded(world));
        Self { reward: order.reward, absorb: order.absorb, ..plan }
    }

    /// What a customer asks an institution for, and what it makes of it.
    pub fn of(
        world: &'w World,
        (customer, institution): (Customer, &'static str),
        asked: request::Order,
        outcome: Outcome,
    ) -> Self {
        let signers = [customer.key(), member_key(customer.bank), member_key(institution)];
        Self {
            world,
            customer,
            institution,
            asked,
            outcome,
            reward: None,
            absorb: usize::MAX,
            view: View::of(world, &customer.account),
            signers,
            on_request: Box::new(|_| ()),
            on_endorsement: Box::new(|_| ()),
            on_execution: Box::new(|_| ()),
        }
    }

    /// Absorbs so many of the credits that wait, at most.
    pub fn absorbing(mut self, count: usize) -> Self {
        self.absorb = count;
        self
    }

    /// Changes the request before it is signed.
    pub fn request(mut self, change: impl Fn(&mut Request) + 'w) -> Self {
        self.on_request = Box::new(change);
        self
    }

    /// Changes the endorsement before it is signed.
    pub fn endorsement(mut self, change: impl Fn(&mut Endorsement) + 'w) -> Self {
        self.on_endorsement = Box::new(change);
        self
    }

    /// Changes the execution before it is signed.
    pub fn execution(mut self, change: impl Fn(&mut Execution) + 'w) -> Self {
        self.on_execution = Box::new(change);
        self
    }

    /// Has one stage (0, 1 or 2) signed by another key.
    pub fn signer(mut self, stage: usize, key: SigningKey) -> Self {
        self.signers[stage] = key;
        self
    }

    /// Puts the chain on top of another state than the ledger's.
    pub fn on_top_of(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// The three stages' bytes.
    pub fn stages(&self) -> [Vec<u8>; 3] {
        let mut request = self.request_record();
        (self.on_request)(&mut request);
        let first = forge(&request, &self.signers[0]);
        let mut endorsement = self.endorsement_record(Link::of(&first));
        (self.on_endorsement)(&mut endorsement);
        let second = forge(&endorsement, &self.signers[1]);
        let mut execution = self.execution_record((Link::of(&first), Link::of(&second)), &endorsement.holdings);
        (self.on_execution)(&mut execution);
        let third = forge(&execution, &self.signers[2]);
        [first, second, third]
    }

    /// The chain's entry as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        entry_bytes(EntryKind::Chain, &self.stages())
    }

    /// The chain's entry; its records must keep their own rules.
    pub fn entry(&self) -> Entry {
        Entry::decode(&self.bytes()).unwrap()
    }

    fn request_record(&self) -> Request {
        Request {
            network: self.world.network(),
            account: self.customer.account,
            counter: self.view.state.counter + 1,
            bank: id(self.customer.bank),
            institution: id(self.institution),
            order: self.asked.clone(),
            identities: vec![IdentityClaim::commit("account-key", &[7; 32], self.customer.name.as_bytes())],
            expires: None,
            referral: self.reward.map(|(rewarded, _)| self.referral(rewarded)),
        }
    }

    fn endorsement_record(&self, request: Link) -> Endorsement {
        let View { state, inbox } = &self.view;
        let absorbed: Vec<Credit> = inbox.iter().take(self.absorb).cloned().collect();
        let holdings = lineage::absorbed_into(&state.holdings, &absorbed).unwrap();
        Endorsement {
            network: self.world.network(),
            request,
            bank: id(self.customer.bank),
            account: self.customer.account,
            parent: state.head,
            sequence: state.sequence + 1,
            absorbed,
            holdings,
            credit: state.credit.clone(),
            verifier: Digest::of(b"the verifier of the test network"),
            expires: self.world.ledger.head().height + 100,
        }
    }

    fn execution_record(&self, (first, second): (Link, Link), before: &Holdings) -> Execution {
        let (network, account) = (self.world.network(), self.customer.account);
        let listed = self.world.ledger.listing(self.asked.instrument()).unwrap();
        let executed_ms = self.executed_ms();
        let decided = Decided { request: first, order: &self.asked, outcome: &self.outcome, executed_ms };
        let parties = Parties::of(network, account, &id(self.institution));
        let dealing = &listed.listing.terms.as_ref().unwrap().dealing;
        let key = touched_by_order(&network, &account, &first, &self.asked, dealing);
        let position = key.and_then(|key| self.world.ledger.position(&key));
        // What comes to nothing moves nothing; no chain does that.
        let moved = movements(&decided, &parties, &listed.listing, position);
        let mut postings = moved.map(|moved| moved.postings).unwrap_or_default();
        if let Some((promoter, units)) = self.reward {
            let pays = self.world.own(self.institution, OwnAccount::Promotion);
            let (cash, purpose) = (cash_of(promoter.bank), PostingPurpose::Reward);
            postings.extend(Posting::transfer((promoter.account, pays), &cash, amount(units), purpose));
        }
        let mut holdings = before.clone();
        for posting in postings.iter().filter(|posting| posting.account == account) {
            holdings.add(&posting.instrument, posting.amount).unwrap();
        }
        Execution {
            network,
            endorsement: second,
            institution: id(self.institution),
            account,
            listing: listed.link,
            outcome: self.outcome.clone(),
            postings,
            holdings,
            executed_ms,
            referral: self.reward.map(|_| ReferralOutcome::Rewarded),
        }
    }

    /// When the institution executes it.
    pub fn executed_ms(&self) -> u64 {
        self.world.ledger.head().time_ms + 500
    }

    /// A referral for the order: by who is rewarded, or by another customer where that is who trades.
    fn referral(&self, rewarded: Customer) -> Vec<u8> {
        let own = rewarded.account == self.customer.account;
        let promoter = match own {
            true => self.world.customer(if rewarded.name == "bob" { "alice" } else { "bob" }),
            false => rewarded,
        };
        let record = Referral {
            network: self.world.network(),
            bank: id(promoter.bank),
            promoter: promoter.account,
            side: None,
            instrument: self.asked.instrument().clone(),
            expires: 1_000,
            uses: 100,
            material: Digest::of(b"the material of the test network"),
        };
        forge(&record, &member_key(promoter.bank))
    }
}
