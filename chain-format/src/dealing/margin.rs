//! On margin: a futures position puts up a part of its value; gains and losses since the last mark are paid between its margin and the
//! institution as they arise; where the margin falls too low more is called for, and what is not paid in time is closed out.

use super::spot::{fee_is_listed, level_suffices};
use super::{Change, MarginTerms, Movements, Parties, cost, sum};
use crate::amount::{Amount, AmountError, Price, Rounding};
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Deal, Posting, PostingPurpose};
use crate::hash::AccountId;
use crate::listing::{Listing, ListingStatus, Terms};
use crate::position::{Margin, Position, PositionState, margin_key};
use crate::request::{MarginPayment, Side, Size, Trade};
use crate::settlement::CloseReason;

const OUTCOME: &str = "execution.outcome";
const ACT: &str = "settlement.act";

/// What a position must put up, in smallest units of cash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// When it is opened or grows, and to end a call.
    pub initial: Amount,
    /// Below this at a mark, more is called for.
    pub maintenance: Amount,
}

/// What a position of a quantity must put up at a price: parts of its value, rounded up.
///
/// # Errors
/// [`AmountError::TooLarge`].
pub fn requirement(
    terms: &MarginTerms,
    quantity: Amount,
    price: Price,
    decimals: u8,
) -> Result<Requirement, AmountError> {
    let value = price.cost(absolute(quantity), decimals, Rounding::HalfEven)?;
    let part = |points: u16| {
        let scaled = value.units().checked_mul(i128::from(points)).ok_or(AmountError::TooLarge)?;
        let up = scaled.checked_add(9_999).and_then(|n| n.checked_div(10_000)).ok_or(AmountError::TooLarge)?;
        Amount::new(up)
    };
    Ok(Requirement { initial: part(terms.initial_basis_points)?, maintenance: part(terms.maintenance_basis_points)? })
}

fn required(
    (terms, decimals): (&MarginTerms, u8),
    quantity: Amount,
    price: Price,
    place: &str,
) -> Result<Requirement, Violation> {
    let required = requirement(terms, quantity, price, decimals);
    required.map_err(|e| Violation::new(Rule::Terms, place, "a margin of at most 2^96", e))
}

fn absolute(quantity: Amount) -> Amount {
    if quantity.is_negative() { quantity.negated() } else { quantity }
}

fn gain_of(margin: &Margin, price: Price, decimals: u8, place: &str) -> Result<Amount, Violation> {
    let gain = margin.gain(price, decimals);
    gain.map_err(|e| Violation::new(Rule::Terms, place, "a gain or loss of at most 2^96", e))
}

/// The quantity that a trade adds to a position, below zero for a sale.
fn signed(trade: &Trade, deal: &Deal) -> Amount {
    if trade.side == Side::Buy { deal.quantity } else { deal.quantity.negated() }
}

/// A trade: the position is marked to its price, then grows or shrinks. What grows is topped up to the initial margin; what shrinks
/// gives back what is above it; what ends gives back all.
pub(super) fn traded(
    (trade, deal): (&Trade, &Deal),
    before: Option<&Margin>,
    terms: (&MarginTerms, u8),
    parties: &Parties,
    executed_ms: u64,
) -> Result<Movements, Violation> {
    let key = margin_key(&parties.network, &parties.account, &trade.instrument);
    let held = before.map_or(Amount::ZERO, |margin| margin.quantity);
    let gain = before.map_or(Ok(Amount::ZERO), |margin| gain_of(margin, deal.price, terms.1, OUTCOME))?;
    let marked = sum(before.map_or(Amount::ZERO, |margin| margin.margin), gain, OUTCOME)?;
    ensure(!marked.is_negative(), Rule::Overdraft, OUTCOME, "a margin that bears the position's loss", marked)?;
    let quantity = sum(held, signed(trade, deal), OUTCOME)?;
    let initial = required(terms, quantity, deal.price, OUTCOME)?.initial;
    let missing = sum(initial, marked.negated(), OUTCOME)?;
    // What turns to the other side is a new position, however small.
    let grows = absolute(quantity) > absolute(held) || quantity.is_negative() != held.is_negative();
    let paid_in = match grows {
        _ if quantity.is_zero() => marked.negated(),
        true => missing.max(Amount::ZERO),
        false => missing.min(Amount::ZERO),
    };
    let margin = sum(marked, paid_in, OUTCOME)?;
    let called_ms = before.and_then(|margin| margin.called_ms).filter(|_| margin < initial);
    // A trade is no daily settlement: who trades each day is settled each day nonetheless.
    let marked_ms = before.map_or(executed_ms, |margin| margin.marked_ms);
    let after = Margin { quantity, mark: deal.price, margin, marked_ms, called_ms };
    let Parties { account, settlement, fees, .. } = *parties;
    let (instrument, cash) = (&trade.instrument, &trade.cash);
    let units = Posting::transfer((key, settlement), instrument, signed(trade, deal), PostingPurpose::Trade);
    let gain = Posting::transfer((key, settlement), cash, gain, PostingPurpose::Variation);
    let paid_in = Posting::transfer((key, account), cash, paid_in, PostingPurpose::Margin);
    let fee = Posting::transfer((fees, account), cash, deal.fee, PostingPurpose::Fee);
    let after = (!quantity.is_zero()).then_some(PositionState::Margin(after));
    let postings = units.chain(gain).chain(paid_in).chain(fee).collect();
    Ok(Movements { postings, position: Some(Change { key, after }) })
}

/// What a trade makes of a futures position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The position's quantity afterwards, below zero where it is short.
    pub after: Amount,
    /// Whether the position only becomes smaller, or ends.
    pub shrinks: bool,
    traded: Amount,
}

impl Reach {
    /// A trade of a quantity on a side, on top of what is held.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn of(held: Amount, side: Side, quantity: Amount) -> Result<Self, AmountError> {
        let after = held.plus(if side == Side::Buy { quantity } else { quantity.negated() })?;
        let same_side = after.is_negative() == held.is_negative();
        let shrinks = after.is_zero() || (same_side && absolute(after) <= absolute(held));
        Ok(Self { after, shrinks, traded: quantity })
    }

    /// Whether a listing's status admits it: where the contract is closed, a position may still become smaller.
    pub const fn is_admitted(&self, status: ListingStatus) -> bool {
        match status {
            ListingStatus::Open => true,
            ListingStatus::Suspended => false,
            ListingStatus::Closed => self.shrinks,
        }
    }

    /// The bound of the terms that it breaks, in words. Who ends a position is not bound by the least.
    pub fn bound_broken(&self, terms: &Terms) -> Option<String> {
        // What ends a position is like a sale of all that is held.
        match self.after.is_zero() {
            true => terms.bound_broken(Side::Sell, self.traded, self.traded),
            false => terms.bound_broken(Side::Buy, self.traded, Amount::ZERO),
        }
    }
}

/// The listing lets this account trade this quantity on this side, for a fee of its schedule. Whoever only makes a position smaller
/// needs no credit level.
pub(super) fn terms_hold(
    (trade, deal): (&Trade, &Deal),
    listing: &Listing,
    terms: &Terms,
    position: Option<&Position>,
    level: u8,
) -> Result<(), Violation> {
    let held = position.map_or(Amount::ZERO, |position| position.amount_of(&trade.instrument));
    let reach = Reach::of(held, trade.side, deal.quantity);
    let reach = reach.map_err(|e| Violation::new(Rule::Terms, OUTCOME, "a position of at most 2^96", e))?;
    let expected = format_args!("an instrument open to {}", trade.side);
    let admitted = reach.is_admitted(listing.status);
    ensure(admitted, Rule::Listing, "request.trade.instrument", expected, listing.status)?;
    if !reach.shrinks {
        level_suffices(terms, level)?;
    }
    if let Some(bound) = reach.bound_broken(terms) {
        return Err(Violation::new(Rule::Terms, "execution.quantity", bound, deal.quantity));
    }
    let cost = cost(&deal.price, deal.quantity, listing.decimals, "execution.quantity")?;
    fee_is_listed(terms, trade.side, cost, deal.fee, "execution.fee")?;
    let asked = match trade.size {
        Size::Quantity(asked) => asked,
        Size::Cash(_) => {
            let expected = "a quantity of contracts";
            return Err(Violation::new(Rule::Terms, "request.trade.size", expected, "an amount of cash"));
        }
    };
    ensure(deal.quantity == asked, Rule::Terms, "execution.quantity", asked, deal.quantity)
}

/// A payment into the margin, or out of it down to the initial margin.
pub(super) fn paid(
    payment: &MarginPayment,
    before: &Margin,
    terms: (&MarginTerms, u8),
    parties: &Parties,
) -> Result<Movements, Violation> {
    let place = "request.margin.amount";
    let margin = sum(before.margin, payment.amount, place)?;
    let initial = required(terms, before.quantity, before.mark, place)?.initial;
    if payment.amount.is_negative() {
        let expected = format_args!("a margin of at least {initial} left");
        ensure(margin >= initial, Rule::Terms, place, expected, margin)?;
    }
    let key = margin_key(&parties.network, &parties.account, &payment.instrument);
    let called_ms = before.called_ms.filter(|_| margin < initial);
    let after = Margin { margin, called_ms, ..*before };
    let into = (key, parties.account);
    let postings = Posting::transfer(into, &payment.cash, payment.amount, PostingPurpose::Margin).collect();
    Ok(Movements { postings, position: Some(Change { key, after: Some(PositionState::Margin(after)) }) })
}

/// The position is marked to a price; where its margin is then too low, more is called for.
pub(super) fn marked(
    price: Price,
    settled_ms: u64,
    (key, position, before): (AccountId, &Position, &Margin),
    terms: (&MarginTerms, u8),
    parties: &Parties,
) -> Result<Movements, Violation> {
    let gain = gain_of(before, price, terms.1, ACT)?;
    let margin = sum(before.margin, gain, ACT)?;
    ensure(!margin.is_negative(), Rule::Overdraft, ACT, "a margin that bears the loss, or a close-out", margin)?;
    let Requirement { initial, maintenance } = required(terms, before.quantity, price, ACT)?;
    let called_ms = match before.called_ms {
        _ if margin >= initial => None,
        None if margin < maintenance => Some(settled_ms),
        before => before,
    };
    let after = Margin { quantity: before.quantity, mark: price, margin, marked_ms: settled_ms, called_ms };
    let to = (key, parties.settlement);
    let postings = Posting::transfer(to, &position.cash, gain, PostingPurpose::Variation).collect();
    Ok(Movements { postings, position: Some(Change { key, after: Some(PositionState::Margin(after)) }) })
}

/// What a close-out stands on.
pub(super) struct Standing {
    pub(super) reason: CloseReason,
    pub(super) status: ListingStatus,
    pub(super) settled_ms: u64,
}

/// The position is closed out at a price: its loss is paid as far as its margin goes, the rest of the margin goes back to the account.
pub(super) fn closed(
    price: Price,
    stands: Standing,
    (key, position, before): (AccountId, &Position, &Margin),
    terms: (&MarginTerms, u8),
    parties: &Parties,
) -> Result<Movements, Violation> {
    let gain = gain_of(before, price, terms.1, ACT)?;
    let marked = sum(before.margin, gain, ACT)?;
    let initial = required(terms, before.quantity, price, ACT)?.initial;
    close_is_due(&stands, before, terms.0, (marked, initial))?;
    // Nobody loses more than what was put up: the institution bears the rest.
    let gain = gain.max(before.margin.negated());
    let rest = sum(before.margin, gain, ACT)?;
    let Parties { account, settlement, .. } = *parties;
    let Position { instrument, cash, .. } = position;
    let gain = Posting::transfer((key, settlement), cash, gain, PostingPurpose::Variation);
    let units = Posting::transfer((settlement, key), instrument, before.quantity, PostingPurpose::Trade);
    let rest = Posting::transfer((account, key), cash, rest, PostingPurpose::Margin);
    let postings = units.chain(gain).chain(rest).collect();
    Ok(Movements { postings, position: Some(Change { key, after: None }) })
}

fn close_is_due(
    stands: &Standing,
    before: &Margin,
    terms: &MarginTerms,
    (marked, initial): (Amount, Amount),
) -> Result<(), Violation> {
    match stands.reason {
        CloseReason::Exhausted => ensure(!marked.is_positive(), Rule::Terms, ACT, "a margin that is used up", marked),
        CloseReason::Expired => {
            let closed = stands.status == ListingStatus::Closed;
            ensure(closed, Rule::Terms, ACT, "a contract that is closed", stands.status)
        }
        CloseReason::Called => {
            let missing = || Violation::new(Rule::Terms, ACT, "a margin call that stands", "none");
            let called_ms = before.called_ms.ok_or_else(missing)?;
            let from_ms = called_ms.saturating_add(u64::from(terms.call_s).saturating_mul(1_000));
            let found = stands.settled_ms;
            ensure(found >= from_ms, Rule::Terms, "settlement.settled_ms", format_args!("at least {from_ms}"), found)?;
            ensure(marked < initial, Rule::Terms, ACT, format_args!("a margin below {initial}"), marked)
        }
    }
}
