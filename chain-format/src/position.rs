//! Positions: what is neither in the account's hands nor with the institution. An order that waits for its price, with what it
//! reserves; a futures position with its margin. Each is a leaf of its own in the state tree.
//!
//! A position is changed by its account's chains and by the institution's settlements alone, and only as the ledger derives it.

use crate::account::AccountState;
use crate::amount::{Amount, AmountError, Price, Rounding};
use crate::canonical::Canonical;
use crate::cbor::{self, DecodeError};
use crate::dealing::Dealing;
use crate::execution::Outcome;
use crate::hash::{AccountId, Link, NetworkId};
use crate::instrument::InstrumentId;
use crate::request::{Order, Request, Side};
use crate::servicing::Act;

/// What the ledger knows of a position after a block: the value of its leaf in the state tree.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Position {
    /// The customer's account.
    #[n(0)]
    pub account: AccountId,
    /// The instrument; its issuer settles.
    #[n(1)]
    pub instrument: InstrumentId,
    /// The cash that pays, is received, or is the margin.
    #[n(2)]
    pub cash: InstrumentId,
    /// The entry that changed it last.
    #[n(3)]
    pub head: Link,
    /// What it is.
    #[n(4)]
    pub state: PositionState,
}

/// What a position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum PositionState {
    /// An order that waits for its price.
    #[n(0)]
    Waiting(#[n(0)] Waiting),
    /// Futures contracts with their margin.
    #[n(1)]
    Margin(#[n(0)] Margin),
}

/// An order that waits for its price, with what it reserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Waiting {
    /// The request that asked for it.
    #[n(0)]
    pub request: Link,
    /// Buy or sell.
    #[n(1)]
    pub side: Side,
    /// What is reserved, above zero: of the cash to buy, of the instrument to sell.
    #[n(2)]
    pub reserved: Amount,
    /// The highest price to buy at, or the lowest to sell at.
    #[n(3)]
    pub limit: Option<Price>,
    /// The highest fee accepted, in smallest units of cash.
    #[n(4)]
    pub fee_max: Option<Amount>,
    /// When the institution took it, in Unix milliseconds, as it claims.
    #[n(5)]
    pub accepted_ms: u64,
    /// Until when it can be cancelled, and its price is later than this; absent: until it is executed, at a price later than the
    /// acceptance.
    #[n(6)]
    pub cut_off_ms: Option<u64>,
    /// From which block time on the bank may take back what is reserved, in Unix milliseconds.
    #[n(7)]
    pub reclaim_ms: u64,
}

/// Futures contracts with their margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Margin {
    /// How many, in smallest units; below zero they are owed, the position is short. Not zero.
    #[n(0)]
    pub quantity: Amount,
    /// The price up to which gains and losses are paid.
    #[n(1)]
    pub mark: Price,
    /// The cash put up, zero or above.
    #[n(2)]
    pub margin: Amount,
    /// When it was traded or marked last, in Unix milliseconds, as the institution claims.
    #[n(3)]
    pub marked_ms: u64,
    /// Since when more margin is called for, in Unix milliseconds, as the institution claims.
    #[n(4)]
    pub called_ms: Option<u64>,
}

impl Position {
    /// Largest encoding of a position, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// Reads a leaf's value.
    ///
    /// # Errors
    /// Not the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, "position", Self::BYTES_MAX)
    }

    /// What it holds: instruments and amounts, none of zero. Contracts owed are below zero.
    pub fn holdings(&self) -> impl Iterator<Item = (&InstrumentId, Amount)> {
        let held = match self.state {
            PositionState::Waiting(Waiting { side: Side::Buy, reserved, .. }) => {
                [(&self.cash, reserved), (&self.instrument, Amount::ZERO)]
            }
            PositionState::Waiting(Waiting { side: Side::Sell, reserved, .. }) => {
                [(&self.cash, Amount::ZERO), (&self.instrument, reserved)]
            }
            PositionState::Margin(Margin { quantity, margin, .. }) => {
                [(&self.cash, margin), (&self.instrument, quantity)]
            }
        };
        held.into_iter().filter(|(_, amount)| !amount.is_zero())
    }

    /// What it holds of an instrument.
    pub fn amount_of(&self, instrument: &InstrumentId) -> Amount {
        self.holdings().find(|(held, _)| *held == instrument).map_or(Amount::ZERO, |(_, amount)| amount)
    }

    /// What it is and where it stands, in words.
    pub(crate) fn told(&self) -> String {
        format!("{:?} at {}", self.state, self.head)
    }

    /// The order that waits, where it is one.
    pub const fn waiting(&self) -> Option<&Waiting> {
        match &self.state {
            PositionState::Waiting(waiting) => Some(waiting),
            PositionState::Margin(_) => None,
        }
    }

    /// The futures contracts with their margin, where it is that.
    pub const fn margin(&self) -> Option<&Margin> {
        match &self.state {
            PositionState::Margin(margin) => Some(margin),
            PositionState::Waiting(_) => None,
        }
    }
}

impl Margin {
    /// What the position gains from its mark to a price: its value then less its value at the mark, each rounded half to even; for a
    /// short position the other way round. So marks on the way never change what is paid in all.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn gain(&self, price: Price, decimals: u8) -> Result<Amount, AmountError> {
        let short = self.quantity.is_negative();
        let quantity = if short { self.quantity.negated() } else { self.quantity };
        let value = |price: Price| price.cost(quantity, decimals, Rounding::HalfEven);
        let gain = value(price)?.minus(value(self.mark)?)?;
        Ok(if short { gain.negated() } else { gain })
    }
}

/// The key of an order that waits, by the link of its request. It lies among the account ids and never meets one.
pub fn waiting_key(network: &NetworkId, request: &Link) -> AccountId {
    let mut hasher = blake3::Hasher::new_derive_key("stemma 2026 waiting order key");
    hasher.update(network.as_bytes());
    hasher.update(request.as_bytes());
    AccountId(hasher.finalize().into())
}

/// The key of an account's futures position in an instrument.
pub fn margin_key(network: &NetworkId, account: &AccountId, instrument: &InstrumentId) -> AccountId {
    let mut hasher = blake3::Hasher::new_derive_key("stemma 2026 futures position key");
    hasher.update(network.as_bytes());
    hasher.update(account.as_bytes());
    hasher.update(instrument.to_string().as_bytes());
    AccountId(hasher.finalize().into())
}

/// The position that an order touches, given how its instrument is dealt in; none where it is dealt in at once.
pub fn touched_by_order(
    network: &NetworkId,
    account: &AccountId,
    request: &Link,
    order: &Order,
    dealing: &Dealing,
) -> Option<AccountId> {
    match (order, dealing) {
        (Order::Trade(_), Dealing::Spot) => None,
        (Order::Trade(_), Dealing::Forward) => Some(waiting_key(network, request)),
        (Order::Trade(trade), Dealing::Margin(_)) => Some(margin_key(network, account, &trade.instrument)),
        (Order::Cancel(cancel), _) => Some(waiting_key(network, &cancel.request)),
        (Order::Margin(payment), _) => Some(margin_key(network, account, &payment.instrument)),
    }
}

/// The only position that a chain may debit, known from the chain alone: the one that its order is about.
pub fn debited_by(request: &Request, outcome: &Outcome) -> Option<AccountId> {
    let (network, account) = (&request.network, &request.account);
    match (&request.order, outcome) {
        (Order::Trade(trade), Outcome::Traded(_)) => Some(margin_key(network, account, &trade.instrument)),
        (Order::Trade(_), _) => None,
        (Order::Cancel(cancel), _) => Some(waiting_key(network, &cancel.request)),
        (Order::Margin(payment), _) => Some(margin_key(network, account, &payment.instrument)),
    }
}

/// The position that an act of servicing touches.
pub fn touched_by_act(network: &NetworkId, act: &Act) -> Option<AccountId> {
    match act {
        Act::Reclaim(request, ..) => Some(waiting_key(network, request)),
        _ => None,
    }
}

/// Counts a position that came or went in its account's state.
pub(crate) fn counted(state: &mut AccountState, before: bool, after: bool) {
    match (before, after) {
        (false, true) => state.positions = state.positions.saturating_add(1),
        (true, false) => state.positions = state.positions.saturating_sub(1),
        _ => {}
    }
}
