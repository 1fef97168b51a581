//! Taken now, with what it needs reserved; executed at the next price, cancelled if that is asked for in time.

use super::spot::{level_suffices, side_is_open};
use super::{Change, Decided, Movements, Parties, cost, sum};
use crate::amount::{Amount, AmountError, Price, Rounding};
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Acceptance, Deal, Posting, PostingPurpose};
use crate::hash::AccountId;
use crate::instrument::InstrumentId;
use crate::listing::{Listing, Terms};
use crate::position::{Position, PositionState, Waiting, waiting_key};
use crate::request::{Cancel, Side, Size, Trade};
use crate::settlement::ReleaseReason;

/// What an order reserves: to buy, the amount of cash that it names; to sell, the quantity.
///
/// # Errors
/// [`Rule::Terms`] where a purchase names a quantity or a sale an amount: nobody knows yet what that comes to.
pub fn reserved_by(trade: &Trade) -> Result<(&InstrumentId, Amount), Violation> {
    match (trade.side, trade.size) {
        (Side::Buy, Size::Cash(amount)) => Ok((&trade.cash, amount)),
        (Side::Sell, Size::Quantity(quantity)) => Ok((&trade.instrument, quantity)),
        (side, _) => {
            let (expected, found) = match side {
                Side::Buy => ("an amount of cash, since the price is not known", "a quantity"),
                Side::Sell => ("a quantity, since the price is not known", "an amount of cash"),
            };
            Err(Violation::new(Rule::Terms, "request.trade.size", expected, found))
        }
    }
}

/// What the order needs goes from the account to the position.
pub(super) fn accepted(
    decided: &Decided<'_>,
    trade: &Trade,
    acceptance: &Acceptance,
    parties: &Parties,
) -> Result<Movements, Violation> {
    let (instrument, reserved) = reserved_by(trade)?;
    let key = waiting_key(&parties.network, &decided.request);
    let postings = Posting::transfer((key, parties.account), instrument, reserved, PostingPurpose::Reserve).collect();
    let waiting = Waiting {
        request: decided.request,
        side: trade.side,
        reserved,
        limit: trade.limit,
        fee_max: trade.fee_max,
        accepted_ms: decided.executed_ms,
        cut_off_ms: acceptance.cut_off_ms,
        reclaim_ms: acceptance.reclaim_ms,
    };
    Ok(Movements { postings, position: Some(Change { key, after: Some(PositionState::Waiting(waiting)) }) })
}

/// The listing lets this account give such an order; what is sold is within its bounds.
pub(super) fn terms_hold(
    trade: &Trade,
    listing: &Listing,
    terms: &Terms,
    endorsement: &Endorsement,
) -> Result<(), Violation> {
    side_is_open(trade.side, listing)?;
    match trade.side {
        Side::Buy => level_suffices(terms, endorsement.credit.level),
        Side::Sell => {
            let (_, quantity) = reserved_by(trade)?;
            let held = endorsement.holdings.get(&trade.instrument);
            let broken = terms.bound_broken(Side::Sell, quantity, held);
            ensure(broken.is_none(), Rule::Terms, "request.trade.size", broken.unwrap_or_default(), quantity)
        }
    }
}

/// What was reserved goes back to the account.
pub(super) fn cancelled(cancel: &Cancel, waiting: &Waiting, parties: &Parties) -> Result<Movements, Violation> {
    let key = waiting_key(&parties.network, &cancel.request);
    let instrument = if waiting.side == Side::Buy { &cancel.cash } else { &cancel.instrument };
    Ok(given_back(key, instrument, waiting, parties))
}

/// What was reserved goes back to the account: the institution does not execute the order.
pub(super) fn released(
    (key, position): (AccountId, &Position),
    waiting: &Waiting,
    parties: &Parties,
) -> Result<Movements, Violation> {
    let instrument = if waiting.side == Side::Buy { &position.cash } else { &position.instrument };
    Ok(given_back(key, instrument, waiting, parties))
}

fn given_back(key: AccountId, instrument: &InstrumentId, waiting: &Waiting, parties: &Parties) -> Movements {
    let back = (parties.account, key);
    let postings = Posting::transfer(back, instrument, waiting.reserved, PostingPurpose::Reserve).collect();
    Movements { postings, position: Some(Change { key, after: None }) }
}

/// The deal that a waiting order comes to at a price, for the listed fee; or why it comes to none.
///
/// To buy: the largest quantity in whole lots that the reserved cash pays for with its fee. To sell: what is reserved.
///
/// # Errors
/// [`AmountError::TooLarge`].
pub fn fill(waiting: &Waiting, price: Price, listing: &Listing) -> Result<Result<Deal, ReleaseReason>, AmountError> {
    let Some(terms) = listing.terms.as_ref().filter(|_| listing.status.admits(waiting.side)) else {
        return Ok(Err(ReleaseReason::InstrumentClosed));
    };
    if waiting.limit.is_some_and(|limit| !waiting.side.admits(&limit, &price)) {
        return Ok(Err(ReleaseReason::PriceOutsideLimit));
    }
    let quantity = match waiting.side {
        Side::Buy => terms.largest_quantity(Side::Buy, waiting.reserved, price, listing.decimals)?,
        Side::Sell => waiting.reserved,
    };
    let too_little = terms.quantity_min.is_some_and(|least| waiting.side == Side::Buy && quantity < least);
    if !quantity.is_positive() || too_little {
        return Ok(Err(ReleaseReason::QuantityOutsideTerms));
    }
    let cost = price.cost(quantity, listing.decimals, Rounding::HalfEven)?;
    let fee = terms.fees.fee(waiting.side, cost)?;
    if waiting.fee_max.is_some_and(|most| fee > most) || (waiting.side == Side::Sell && fee > cost) {
        return Ok(Err(ReleaseReason::FeeAboveLimit));
    }
    Ok(Ok(Deal { quantity, price, fee }))
}

/// The order is executed: what was reserved pays for it, and what is left of it goes back.
pub(super) fn filled(
    deal: &Deal,
    (key, position): (AccountId, &Position),
    waiting: &Waiting,
    parties: &Parties,
    listing: &Listing,
) -> Result<Movements, Violation> {
    let place = "settlement.act.deal";
    let due = fill(waiting, deal.price, listing)
        .map_err(|e| Violation::new(Rule::Terms, place, "amounts of at most 2^96", e))?;
    let due = due.map_err(|reason| Violation::new(Rule::Terms, place, format!("a release: {reason}"), "a fill"))?;
    let quantity = deal.quantity;
    ensure(quantity == due.quantity, Rule::Terms, format_args!("{place}.quantity"), due.quantity, quantity)?;
    let fee_place = format_args!("{place}.fee");
    ensure(deal.fee <= due.fee, Rule::Terms, fee_place, format_args!("at most {}", due.fee), deal.fee)?;
    let cost = cost(&deal.price, quantity, listing.decimals, place)?;
    let Parties { account, settlement, fees, .. } = *parties;
    let Position { instrument, cash, .. } = position;
    let postings = match waiting.side {
        Side::Buy => {
            let rest = sum(waiting.reserved, sum(cost, deal.fee, place)?.negated(), place)?;
            let paid = Posting::transfer((settlement, key), cash, cost, PostingPurpose::Trade);
            let got = Posting::transfer((account, settlement), instrument, quantity, PostingPurpose::Trade);
            let fee = Posting::transfer((fees, key), cash, deal.fee, PostingPurpose::Fee);
            let rest = Posting::transfer((account, key), cash, rest, PostingPurpose::Reserve);
            paid.chain(got).chain(fee).chain(rest).collect()
        }
        Side::Sell => {
            // The account is not debited without its holder's word, so the fee is kept from what is paid out.
            let proceeds = sum(cost, deal.fee.negated(), place)?;
            let given = Posting::transfer((settlement, key), instrument, quantity, PostingPurpose::Trade);
            let paid = Posting::transfer((account, settlement), cash, proceeds, PostingPurpose::Trade);
            let fee = Posting::transfer((fees, settlement), cash, deal.fee, PostingPurpose::Fee);
            given.chain(paid).chain(fee).collect()
        }
    };
    Ok(Movements { postings, position: Some(Change { key, after: None }) })
}
