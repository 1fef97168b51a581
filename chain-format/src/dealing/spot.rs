//! At once, at the price of the moment: the whole price is paid.

use super::{Movements, Parties, cost};
use crate::amount::Amount;
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Deal, Posting, PostingPurpose};
use crate::listing::{Listing, Terms};
use crate::request::{Side, Size, Trade};

/// Units one way, their price the other, the fee to the institution.
pub(super) fn movements(
    trade: &Trade,
    deal: &Deal,
    parties: &Parties,
    listing: &Listing,
) -> Result<Movements, Violation> {
    let cost = cost(&deal.price, deal.quantity, listing.decimals, "execution.quantity")?;
    let (units, money) = match trade.side {
        Side::Buy => (deal.quantity, cost.negated()),
        Side::Sell => (deal.quantity.negated(), cost),
    };
    let Parties { account, settlement, fees, .. } = *parties;
    let units = Posting::transfer((account, settlement), &trade.instrument, units, PostingPurpose::Trade);
    let money = Posting::transfer((account, settlement), &trade.cash, money, PostingPurpose::Trade);
    let fee = Posting::transfer((fees, account), &trade.cash, deal.fee, PostingPurpose::Fee);
    Ok(Movements { postings: units.chain(money).chain(fee).collect(), position: None })
}

/// The listing lets this account trade this quantity on this side, for a fee of its schedule; the quantity is what was asked, or the
/// most that the amount asked for pays.
pub(super) fn terms_hold(
    (trade, deal): (&Trade, &Deal),
    listing: &Listing,
    terms: &Terms,
    endorsement: &Endorsement,
) -> Result<(), Violation> {
    side_is_open(trade.side, listing)?;
    if trade.side == Side::Buy {
        level_suffices(terms, endorsement.credit.level)?;
    }
    let held = endorsement.holdings.get(&trade.instrument);
    if let Some(bound) = terms.bound_broken(trade.side, deal.quantity, held) {
        return Err(Violation::new(Rule::Terms, "execution.quantity", bound, deal.quantity));
    }
    let cost = cost(&deal.price, deal.quantity, listing.decimals, "execution.quantity")?;
    fee_is_listed(terms, trade.side, cost, deal.fee, "execution.fee")?;
    let asked = match trade.size {
        Size::Quantity(asked) => Ok(asked),
        Size::Cash(asked) => terms.largest_quantity(trade.side, asked, deal.price, listing.decimals),
    };
    let asked =
        asked.map_err(|e| Violation::new(Rule::Terms, "request.trade.size", "a quantity of at most 2^96", e))?;
    ensure(deal.quantity == asked, Rule::Terms, "execution.quantity", asked, deal.quantity)
}

/// The listing's status admits the side.
pub(super) fn side_is_open(side: Side, listing: &Listing) -> Result<(), Violation> {
    let expected = format_args!("an instrument open to {side}");
    let admitted = listing.status.admits(side);
    ensure(admitted, Rule::Listing, "request.trade.instrument", expected, listing.status)
}

/// The customer's credit level is at least what the listing asks for.
pub(super) fn level_suffices(terms: &Terms, level: u8) -> Result<(), Violation> {
    let least = terms.credit_level_min;
    ensure(level >= least, Rule::Terms, "endorsement.credit.level", format_args!("at least {least}"), level)
}

/// The fee is at most the listed one.
pub(super) fn fee_is_listed(
    terms: &Terms,
    side: Side,
    cost: Amount,
    fee: Amount,
    place: &str,
) -> Result<(), Violation> {
    let most = terms.fees.fee(side, cost);
    let most = most.map_err(|e| Violation::new(Rule::Terms, place, "a fee of at most 2^96", e))?;
    ensure(fee <= most, Rule::Terms, place, format_args!("at most {most}"), fee)
}
