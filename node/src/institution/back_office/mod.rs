//! The institution's back office: who carries out what was judged, and is told what became of it at the ledger.
//!
//! Executing is a trait. The embedded back office says yes at once: its book is what the node writes with the block. The one
//! by HTTP is the institution's own system. It answers when it does, so the institution keeps an errand of each instruction
//! (`errands.rs`) from before the first call until the last one is acknowledged. What is said over HTTP is on the page
//! `node/BACK_OFFICE.md`. Nothing here touches a socket or a clock, but for [`HttpClient`].

mod breaker;
mod client;
mod embedded;
mod http;
mod signature;
mod wire;

use std::fmt;

use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::request::Side;
use stemma_node_api::config::{BackOfficeConfig, BackOfficeKind};

pub use client::{ClientError, Heard, HttpAnswer, HttpClient};

use crate::role::BackOfficeCall;
use embedded::Embedded;
use http::Http;

/// Carries out what an institution judged. Every instruction has a key; whatever is asked twice under one key happens once.
pub trait BackOffice: Send + fmt::Debug {
    /// Whether a new instruction has a chance now. While it has none, orders are not judged: their banks ask again.
    fn takes_orders(&self, _now_ms: u64) -> bool {
        true
    }

    /// Asks to carry out an instruction.
    fn execute(&mut self, instruction: &Instruction, now_ms: u64) -> Asked;

    /// Says what became of an instruction, which is not asked for any more from then on.
    fn conclude(&mut self, key: Link, conclusion: Conclusion, now_ms: u64) -> Told;

    /// Tells of a trade that the ledger committed without asking: an order that waited and was filled, a position closed out.
    fn tell(&mut self, settled: &Ticket, now_ms: u64) -> Told;

    /// The calls that are to be made now.
    fn due(&mut self, _now_ms: u64) -> Vec<BackOfficeCall> {
        Vec::new()
    }

    /// A call came to its end; what follows from it, where something does.
    fn heard(&mut self, _heard: Heard, _now_ms: u64) -> Option<News> {
        None
    }

    /// How it is, where there is something to tell of beside the node.
    fn standing(&self) -> Option<Standing> {
        None
    }
}

/// What is to be carried out: an order as it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The trade. Its key is the link of the endorsement.
    pub ticket: Ticket,
    /// The link of the customer's request.
    pub request: Link,
    /// The last height at which the ledger may commit it.
    pub expires: u64,
}

/// All that a trade comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its name for ever: the link of the endorsement that asks for it, or of the settlement that it is.
    pub key: Link,
    /// The customer's account.
    pub account: AccountId,
    /// The account's bank.
    pub bank: MemberId,
    /// Whether the customer buys or sells.
    pub side: Side,
    /// What is traded, with its decimals.
    pub instrument: (InstrumentId, u8),
    /// What it is paid in, with its decimals.
    pub cash: (InstrumentId, u8),
    /// How much is traded, in smallest units.
    pub quantity: Amount,
    /// The price of one whole unit.
    pub price: Price,
    /// What the customer pays or is paid for it, in smallest units of cash.
    pub cost: Amount,
    /// The fee beside it, in smallest units of cash.
    pub fee: Amount,
}

/// What a back office says when it is asked to carry out an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It has decided.
    Decided(Verdict),
    /// It decides later: [`BackOffice::heard`] tells.
    Later,
}

/// What a back office decides. Under one key it never decides otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It carried the instruction out.
    Filled(Fill),
    /// It did not, and never will.
    Declined(Decline),
}

/// What was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// How much, in smallest units.
    pub quantity: Amount,
    /// At which price.
    pub price: Price,
}

impl Fill {
    /// What an instruction asks for, exactly.
    pub fn of(instruction: &Instruction) -> Self {
        Self { quantity: instruction.ticket.quantity, price: instruction.ticket.price }
    }
}

/// Why an instruction was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// The reason, for the customer.
    pub reason: String,
    /// Whether the back office has settled the key itself, so that nothing of it can be open there. Where it only turned a call
    /// away, an earlier one may have been carried out unheard.
    pub is_settled: bool,
}

/// What became of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// The ledger committed it, in this chain.
    Committed(Link),
    /// It is void: whatever was carried out under its key is undone, and nothing is carried out under it any more.
    Released(Release),
}

/// Why an instruction is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The ledger did not commit it in time, and never will.
    Expired,
    /// The order was refused.
    Refused,
}

/// Whether a back office was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was.
    Now,
    /// It will be: [`BackOffice::heard`] says when.
    Later,
}

/// How a back office beside the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Calls that failed since the node started.
    pub failures: u64,
    /// The state of the circuit breaker: `closed`, `open` or `probing`.
    pub breaker: &'static str,
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// An instruction was decided.
    Decided(Link, Verdict),
    /// A conclusion, or a trade that was told, was acknowledged: nothing is open under this key.
    Concluded(Link),
}

/// The back office that the configuration names.
pub fn open(config: &BackOfficeConfig, network: NetworkId, member: &MemberId) -> Box<dyn BackOffice> {
    match config.kind {
        BackOfficeKind::Embedded => Box::new(Embedded),
        BackOfficeKind::Http => Box::new(Http::new(config, network, member.clone())),
    }
}
