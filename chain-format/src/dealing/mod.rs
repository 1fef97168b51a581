//! How an instrument is dealt in, and by which rules: at once at the price of the moment (`spot.rs`), taken now and executed at
//! the next price (`forward.rs`), or on margin (`margin.rs`).
//!
//! Institutions call [`movements`] and [`settlement_movements`] to write a chain or a settlement; everyone calls [`terms_are_met`] and
//! [`settlement_holds`] to check one. So what is moved is derived in one place, and nothing but that is moved.

mod forward;
mod margin;
mod spot;

use crate::amount::{Amount, Price, Rounding};
use crate::canonical::Canonical;
use crate::chain::Chain;
use crate::error::{Rule, Violation, ensure, same};
use crate::execution::{Deal, Outcome, Posting, PostingPurpose};
use crate::hash::{AccountId, Link, NetworkId};
use crate::instrument::InstrumentKind;
use crate::limits::{CALL_S_MAX, MARGIN_BASIS_POINTS_MAX};
use crate::listing::{Listing, Terms};
use crate::member::{MemberId, OwnAccount};
use crate::position::{self, Position, PositionState};
use crate::registry::own_account;
use crate::request::{Order, Trade};
use crate::settlement::{Settlement, SettlementAct};
pub use forward::{fill, reserved_by};
pub use margin::{Reach, Requirement, requirement};

/// How an instrument is dealt in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum Dealing {
    /// At once, at the institution's price; the whole price is paid.
    #[n(0)]
    Spot,
    /// Taken now, with what it needs reserved; executed at the next price.
    #[n(1)]
    Forward,
    /// On margin: of the price a part is put up, gains and losses are paid as they arise.
    #[n(2)]
    Margin(#[n(0)] MarginTerms),
}

/// What a futures position must put up. Margins are parts of its value, price times quantity, rounded up to smallest units of cash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct MarginTerms {
    /// What is put up when a position is opened or grows, and restored after a call, in basis points, from 1 to 10,000.
    #[n(0)]
    pub initial_basis_points: u16,
    /// Where the margin falls below this at a mark, more is called for, in basis points, from 1 to the initial.
    #[n(1)]
    pub maintenance_basis_points: u16,
    /// How long a call stands before the position may be closed out, in seconds, at most 30 days.
    #[n(2)]
    pub call_s: u32,
}

impl Dealing {
    /// The dealing's stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Forward => "forward",
            Self::Margin(_) => "margin",
        }
    }

    /// Whether a kind of instrument may be dealt in so: futures on margin and only they; funds and trusts also forward.
    pub(crate) const fn suits(&self, kind: InstrumentKind) -> bool {
        match self {
            Self::Spot => matches!(kind, InstrumentKind::Fund | InstrumentKind::Stock | InstrumentKind::Trust),
            Self::Forward => matches!(kind, InstrumentKind::Fund | InstrumentKind::Trust),
            Self::Margin(_) => matches!(kind, InstrumentKind::Future),
        }
    }

    /// The dealing's own ranges.
    pub(crate) fn check(&self, place: &str) -> Result<(), Violation> {
        let Self::Margin(MarginTerms { initial_basis_points, maintenance_basis_points, call_s }) = *self else {
            return Ok(());
        };
        let (range, place) = (Rule::Range, |field: &str| format!("{place}.margin.{field}"));
        let initial_holds = (1..=MARGIN_BASIS_POINTS_MAX).contains(&initial_basis_points);
        ensure(initial_holds, range, place("initial_basis_points"), "1 to 10000", initial_basis_points)?;
        let maintenance_holds = (1..=initial_basis_points).contains(&maintenance_basis_points);
        let expected = format_args!("1 to {initial_basis_points}");
        ensure(maintenance_holds, range, place("maintenance_basis_points"), expected, maintenance_basis_points)?;
        ensure(call_s <= CALL_S_MAX, range, place("call_s"), "at most 2592000", call_s)
    }
}

/// The accounts between which a chain or a settlement moves something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parties {
    /// The network.
    pub network: NetworkId,
    /// The customer's account.
    pub account: AccountId,
    /// The institution's settlement account: the other side of every trade.
    pub settlement: AccountId,
    /// The institution's account for fees.
    pub fees: AccountId,
}

impl Parties {
    /// An account and an institution.
    pub fn of(network: NetworkId, account: AccountId, institution: &MemberId) -> Self {
        let own = |purpose| own_account(&network, institution, purpose);
        Self { network, account, settlement: own(OwnAccount::Settlement), fees: own(OwnAccount::Fees) }
    }
}

/// What an order or a settlement moves, and what becomes of the position that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movements {
    /// Every movement but rewards, in this order.
    pub postings: Vec<Posting>,
    /// The position that is opened, changed or ended.
    pub position: Option<Change>,
}

/// What becomes of a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: AccountId,
    /// Its new state; none where it ends.
    pub after: Option<PositionState>,
}

/// An order with what became of it, as an institution decides it and a chain states it.
#[derive(Debug, Clone, Copy)]
pub struct Decided<'d> {
    /// The request's link.
    pub request: Link,
    /// What was asked for.
    pub order: &'d Order,
    /// What became of it.
    pub outcome: &'d Outcome,
    /// When, as the institution claims, in Unix milliseconds.
    pub executed_ms: u64,
}

/// What a decided order moves, but for rewards; `position` is the one that it touches, see [`position::touched_by`].
///
/// # Errors
/// The outcome is none for such an order, the position is not there or not such a one, its margin does not bear its loss, or an amount is
/// beyond 2^96.
pub fn movements(
    decided: &Decided<'_>,
    parties: &Parties,
    listing: &Listing,
    position: Option<&Position>,
) -> Result<Movements, Violation> {
    let (order, outcome) = (decided.order, decided.outcome);
    match (order, &terms_of(listing, order)?.dealing, outcome) {
        (Order::Trade(trade), Dealing::Spot, Outcome::Traded(deal)) => spot::movements(trade, deal, parties, listing),
        (Order::Trade(trade), Dealing::Forward, Outcome::Accepted(acceptance)) => {
            forward::accepted(decided, trade, acceptance, parties)
        }
        (Order::Trade(trade), Dealing::Margin(terms), Outcome::Traded(deal)) => {
            let known = position.map(|position| margin_of(position, order)).transpose()?;
            margin::traded((trade, deal), known, (terms, listing.decimals), parties, decided.executed_ms)
        }
        (Order::Cancel(cancel), _, Outcome::Done) => {
            let position = there(position, order, &parties.account)?;
            forward::cancelled(cancel, waiting_of(position, order)?, parties)
        }
        (Order::Margin(payment), Dealing::Margin(terms), Outcome::Done) => {
            let known = margin_of(there(position, order, &parties.account)?, order)?;
            margin::paid(payment, known, (terms, listing.decimals), parties)
        }
        (order, dealing, outcome) => {
            let expected = match (order, dealing) {
                (Order::Trade(_), Dealing::Spot | Dealing::Margin(_)) => "traded",
                (Order::Trade(_), Dealing::Forward) => "accepted",
                (Order::Cancel(_), _) | (Order::Margin(_), Dealing::Margin(_)) => "done",
                (Order::Margin(_), _) => {
                    let expected = "an instrument that is dealt in on margin";
                    return Err(Violation::new(Rule::Terms, order.place("instrument"), expected, dealing.as_str()));
                }
            };
            Err(Violation::new(Rule::Terms, "execution.outcome", expected, outcome.as_str()))
        }
    }
}

/// What was decided is what was asked, on the listing's terms: its currency, status and bounds, the order's limit, highest fee,
/// quantity or amount; and the chain moves just what follows, but for rewards. Gives what becomes of the position. The parties are the
/// account and the listing's issuer.
///
/// # Errors
/// [`Rule::Terms`], [`Rule::Listing`], [`Rule::Overdraft`] or [`Rule::Agreement`] naming the field.
pub fn terms_are_met(
    chain: &Chain,
    parties: &Parties,
    listing: &Listing,
    position: Option<&Position>,
) -> Result<Option<Change>, Violation> {
    let (request, execution) = (chain.request.record(), chain.execution.record());
    let order = &request.order;
    let quoted_in = listing.quoted_in.as_deref().unwrap_or_default();
    let quoted = quoted_in == order.cash().code();
    let (place, expected) = (order.place("cash"), format_args!("cash in {quoted_in}"));
    ensure(quoted, Rule::Terms, place, expected, order.cash())?;
    let decided = Decided {
        request: chain.request.link(),
        order,
        outcome: &execution.outcome,
        executed_ms: execution.executed_ms,
    };
    let movements = movements(&decided, parties, listing, position)?;
    let terms = terms_of(listing, order)?;
    let endorsement = chain.endorsement.record();
    match (order, &execution.outcome) {
        (Order::Trade(trade), Outcome::Traded(deal)) => {
            limits_hold(trade, deal)?;
            if let Dealing::Margin(_) = terms.dealing {
                margin::terms_hold((trade, deal), listing, terms, position, endorsement.credit.level)?;
            } else {
                spot::terms_hold((trade, deal), listing, terms, endorsement)?;
            }
        }
        (Order::Trade(trade), _) => forward::terms_hold(trade, listing, terms, endorsement)?,
        (Order::Cancel(_), _) => {
            let waiting = waiting_of(there(position, order, &parties.account)?, order)?;
            let in_time = waiting.cut_off_ms.is_none_or(|last_ms| execution.executed_ms <= last_ms);
            let expected = format_args!("at most {}, the cut-off", waiting.cut_off_ms.unwrap_or_default());
            ensure(in_time, Rule::Terms, "execution.executed_ms", expected, execution.executed_ms)?;
        }
        (Order::Margin(_), _) => {}
    }
    let found = execution.postings.iter().filter(|posting| posting.purpose != PostingPurpose::Reward);
    postings_are("execution", &movements.postings, found)?;
    Ok(movements.position)
}

/// What a settlement moves, and what becomes of the position.
///
/// # Errors
/// The act is none for such a position, or not allowed on it now; or an amount is beyond 2^96.
pub fn settlement_movements(
    act: &SettlementAct,
    settled_ms: u64,
    (key, position): (AccountId, &Position),
    parties: &Parties,
    listing: &Listing,
) -> Result<Movements, Violation> {
    let place = "settlement.act";
    let other = || Violation::new(Rule::Terms, place, "an act for such a position", act.as_str());
    let terms = listing
        .terms
        .as_ref()
        .ok_or_else(|| Violation::new(Rule::Listing, "settlement.listing", "terms", &listing.instrument))?;
    match (&position.state, act) {
        (PositionState::Waiting(waiting), SettlementAct::Fill { deal, priced_ms }) => {
            let admitted = listing.status.admits(waiting.side);
            let expected = format_args!("an instrument open to {}", waiting.side);
            ensure(admitted, Rule::Listing, "settlement.listing", expected, listing.status)?;
            let after_ms = waiting.cut_off_ms.unwrap_or(waiting.accepted_ms);
            let expected = format_args!("later than {after_ms}");
            ensure(*priced_ms > after_ms, Rule::Terms, "settlement.act.priced_ms", expected, priced_ms)?;
            forward::filled(deal, (key, position), waiting, parties, listing)
        }
        (PositionState::Waiting(waiting), SettlementAct::Release(_)) => {
            forward::released((key, position), waiting, parties)
        }
        (PositionState::Margin(margin), SettlementAct::Mark { price, .. }) => {
            let Dealing::Margin(terms) = &terms.dealing else { return Err(other()) };
            margin::marked(*price, settled_ms, (key, position, margin), (terms, listing.decimals), parties)
        }
        (PositionState::Margin(margin), SettlementAct::Close { price, reason, .. }) => {
            let Dealing::Margin(terms) = &terms.dealing else { return Err(other()) };
            let stands = margin::Standing { reason: *reason, status: listing.status, settled_ms };
            margin::closed(*price, stands, (key, position, margin), (terms, listing.decimals), parties)
        }
        _ => Err(other()),
    }
}

/// A settlement moves just what follows from its act, the position and the listing. The parties are the account and the listing's issuer.
///
/// # Errors
/// The first rule that it breaks.
pub fn settlement_holds(
    settlement: &Settlement,
    position: &Position,
    parties: &Parties,
    listing: &Listing,
) -> Result<Option<PositionState>, Violation> {
    let Settlement { act, settled_ms, .. } = settlement;
    let subject = (settlement.position, position);
    let movements = settlement_movements(act, *settled_ms, subject, parties, listing)?;
    postings_are("settlement", &movements.postings, settlement.postings.iter())?;
    Ok(movements.position.and_then(|change| change.after))
}

fn terms_of<'l>(listing: &'l Listing, order: &Order) -> Result<&'l Terms, Violation> {
    let missing =
        || Violation::new(Rule::Listing, order.place("instrument"), "an instrument with terms", order.instrument());
    listing.terms.as_ref().ok_or_else(missing)
}

/// The price is within the customer's limit, the fee within the highest accepted.
fn limits_hold(trade: &Trade, deal: &Deal) -> Result<(), Violation> {
    if let Some(limit) = trade.limit.filter(|limit| !trade.side.admits(limit, &deal.price)) {
        let expected = format_args!("{} {}", trade.side.bound(), limit.display(0));
        return Err(Violation::new(Rule::Terms, "execution.price", expected, deal.price.display(0)));
    }
    if let Some(fee_max) = &trade.fee_max {
        ensure(deal.fee <= *fee_max, Rule::Terms, "execution.fee", format_args!("at most {fee_max}"), deal.fee)?;
    }
    Ok(())
}

/// Price times quantity, in smallest units of cash, rounded half to even.
fn cost(price: &Price, quantity: Amount, decimals: u8, place: &str) -> Result<Amount, Violation> {
    let cost = price.cost(quantity, decimals, Rounding::HalfEven);
    cost.map_err(|e| Violation::new(Rule::Terms, place, "a cost of at most 2^96", e))
}

fn sum(one: Amount, other: Amount, place: &str) -> Result<Amount, Violation> {
    one.plus(other).map_err(|e| Violation::new(Rule::Terms, place, "an amount of at most 2^96", e))
}

/// The position that an order is about is there, and of the order's account: whose order waits, its key does not say.
fn there<'p>(position: Option<&'p Position>, order: &Order, account: &AccountId) -> Result<&'p Position, Violation> {
    let (field, expected) = match order {
        Order::Cancel(_) => ("request", "an order of this account that waits"),
        Order::Trade(_) | Order::Margin(_) => ("instrument", "a position of this account"),
    };
    let missing = |found: &str| Violation::new(Rule::Terms, order.place(field), expected, found);
    let position = position.ok_or_else(|| missing("none"))?;
    if position.account == *account { Ok(position) } else { Err(missing("one of another account")) }
}

fn agrees(position: &Position, order: &Order) -> Result<(), Violation> {
    same(Rule::Agreement, order.place("instrument"), &position.instrument, order.instrument())?;
    same(Rule::Agreement, order.place("cash"), &position.cash, order.cash())
}

fn waiting_of<'p>(position: &'p Position, order: &Order) -> Result<&'p position::Waiting, Violation> {
    agrees(position, order)?;
    match &position.state {
        PositionState::Waiting(waiting) => Ok(waiting),
        PositionState::Margin(_) => {
            Err(Violation::new(Rule::Terms, order.place("request"), "an order that waits", "a margin"))
        }
    }
}

fn margin_of<'p>(position: &'p Position, order: &Order) -> Result<&'p position::Margin, Violation> {
    agrees(position, order)?;
    match &position.state {
        PositionState::Margin(margin) => Ok(margin),
        PositionState::Waiting(_) => {
            Err(Violation::new(Rule::Terms, order.place("instrument"), "a margin", "an order that waits"))
        }
    }
}

/// Postings are just those that follow, in the same order.
fn postings_are<'p>(
    record: &str,
    expected: &[Posting],
    found: impl Iterator<Item = &'p Posting>,
) -> Result<(), Violation> {
    let (mut expected, mut found) = (expected.iter(), found);
    for index in 0_usize.. {
        let (wanted, given) = (expected.next(), found.next());
        if wanted != given {
            let told = |posting: Option<&Posting>| posting.map_or("none".to_owned(), Posting::to_string);
            let field = format_args!("{record}.postings[{index}]");
            return Err(Violation::new(Rule::Terms, field, told(wanted), told(given)));
        }
        if wanted.is_none() {
            break;
        }
    }
    Ok(())
}
