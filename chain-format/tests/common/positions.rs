//! Builders of settlements, and of the orders that make positions.

use ed25519_dalek::SigningKey;
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::dealing::{Parties, settlement_movements};
use stemma_chain_format::execution::{Acceptance, Outcome};
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Cancel, MarginPayment, Order as Asked};
use stemma_chain_format::settlement::{Settlement, SettlementAct};

use super::amount;
use super::members::{cash_of, id, member_key};
use super::trades::{Order, Plan, entry_bytes, forge};
use super::world::{Customer, World};

type Hook<'w, T> = Box<dyn Fn(&mut T) + 'w>;

/// An order that is taken and waits for its price: until a cut-off so many milliseconds from now, if there is one.
pub fn accepted(world: &World, order: Order, cut_off_ms: Option<u64>) -> Plan<'_> {
    let now_ms = world.ledger.head().time_ms + 500;
    let acceptance = Acceptance { cut_off_ms: cut_off_ms.map(|ms| now_ms + ms), reclaim_ms: now_ms + 86_400_000 };
    Plan::of(world, (order.customer, order.institution), order.asked(), Outcome::Accepted(acceptance))
}

/// The cancellation of an order that waits.
pub fn cancelled<'w>(world: &'w World, order: &Order, request: Link) -> Plan<'w> {
    let cash = cash_of(order.customer.bank);
    let cancel = Asked::Cancel(Cancel { request, instrument: order.instrument(), cash });
    Plan::of(world, (order.customer, order.institution), cancel, Outcome::Done)
}

/// A payment into a margin, or out of it.
pub fn margin_paid<'w>(
    world: &'w World,
    customer: Customer,
    institution: &'static str,
    instrument: &InstrumentId,
    units: i128,
) -> Plan<'w> {
    let cash = cash_of(customer.bank);
    let payment = Asked::Margin(MarginPayment { instrument: instrument.clone(), cash, amount: amount(units) });
    Plan::of(world, (customer, institution), payment, Outcome::Done)
}

/// A settlement on its way to an entry, with changes to it.
pub struct SettlePlan<'w> {
    world: &'w World,
    key: AccountId,
    act: SettlementAct,
    settled_ms: u64,
    signer: SigningKey,
    on_settlement: Hook<'w, Settlement>,
}

impl<'w> SettlePlan<'w> {
    /// An act on a position of the ledger.
    pub fn new(world: &'w World, key: AccountId, act: SettlementAct) -> Self {
        let institution = world.ledger.position(&key).unwrap().instrument.issuer().to_owned();
        Self {
            world,
            key,
            act,
            settled_ms: world.ledger.head().time_ms + 500,
            signer: member_key(&institution),
            on_settlement: Box::new(|_| ()),
        }
    }

    /// Changes the record before it is signed.
    pub fn settlement(mut self, change: impl Fn(&mut Settlement) + 'w) -> Self {
        self.on_settlement = Box::new(change);
        self
    }

    /// Has it signed by another key.
    pub fn signer(mut self, key: SigningKey) -> Self {
        self.signer = key;
        self
    }

    /// The entry as bytes; what it moves is what follows, and nothing where nothing does.
    pub fn bytes(&self) -> Vec<u8> {
        let position = self.world.ledger.position(&self.key).unwrap();
        let listed = self.world.ledger.listing(&position.instrument).unwrap();
        let institution = id(position.instrument.issuer());
        let parties = Parties::of(self.world.network(), position.account, &institution);
        let moved = settlement_movements(&self.act, self.settled_ms, (self.key, position), &parties, &listed.listing);
        let mut record = Settlement {
            network: self.world.network(),
            institution,
            position: self.key,
            account: position.account,
            parent: position.head,
            listing: listed.link,
            act: self.act.clone(),
            postings: moved.map(|moved| moved.postings).unwrap_or_default(),
            settled_ms: self.settled_ms,
        };
        (self.on_settlement)(&mut record);
        entry_bytes(EntryKind::Settlement, &[forge(&record, &self.signer)])
    }

    /// The entry; its record must keep its own rules.
    pub fn entry(&self) -> Entry {
        Entry::decode(&self.bytes()).unwrap()
    }
}
