//! The trading conditions, judged from what the second chain states: product, price, limit, quantity, cash and units.

use stemma_chain_format::amount::{Amount, AmountError, Price, Rounding, decimal};
use stemma_chain_format::hash::Link;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::request::{Request, Side, Size};
use stemma_chain_format::validate::VerifiedEndorsement;
use stemma_node_api::moment;

use super::Institution;

/// Why a trade may not be: the rule, what it asks, what was found.
#[derive(Debug)]
pub(super) struct No {
    pub(super) reason: Why,
    pub(super) expected: String,
    pub(super) found: String,
}

pub(super) fn no(reason: Why, expected: impl ToString, found: impl ToString) -> No {
    No { reason, expected: expected.to_string(), found: found.to_string() }
}

/// The terms on which a trade may be executed.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) listing: Link,
    pub(super) quantity: Amount,
    pub(super) price: Price,
    pub(super) cost: Amount,
    pub(super) fee: Amount,
}

impl Institution {
    /// Judges a question that was admitted.
    pub(super) fn conditions(&self, question: &VerifiedEndorsement, ledger: &Ledger, now_ms: u64) -> Result<Terms, No> {
        let request = question.request().record();
        let trade = &request.trade;
        let listed = ledger.listing(&trade.instrument).ok_or_else(|| {
            no(Why::UnknownInstrument, format!("an instrument that {} lists", self.id), &trade.instrument)
        })?;
        let cash = ledger
            .listing(&trade.cash)
            .ok_or_else(|| no(Why::UnknownInstrument, "cash that its bank lists", &trade.cash))?;
        let quoted_in = listed.listing.quoted_in.as_deref().unwrap_or_default();
        if quoted_in != trade.cash.code() {
            return Err(no(Why::NoPrice, format!("cash in {quoted_in}"), &trade.cash));
        }
        let price = self.price(trade.instrument.code(), cash.listing.decimals, now_ms)?;
        limit_holds(request, price, cash.listing.decimals)?;
        let terms = self.size(request, price, listed.listing.decimals, listed.link)?;
        if let Some(fee_max) = trade.fee_max.filter(|fee_max| terms.fee > *fee_max) {
            let show = |fee: Amount| format!("{} {}", decimal(fee.units(), cash.listing.decimals), trade.cash);
            return Err(no(Why::FeeAboveLimit, format!("at most {}", show(fee_max)), show(terms.fee)));
        }
        self.customer_can(question, &terms, cash.listing.decimals)?;
        self.institution_can(request, &terms, ledger)?;
        Ok(terms)
    }

    fn price(&self, code: &str, cash_decimals: u8, now_ms: u64) -> Result<Price, No> {
        let Some(quote) = self.prices.quote(code) else {
            return Err(no(Why::NoPrice, self.prices.missing(code), "none"));
        };
        if self.prices.is_stale(&quote, now_ms) {
            let seconds = self.prices.stale_after_ms().div_euclid(1_000);
            let expected = format!("a price for {code} that is at most {seconds} s old");
            let found = format!("{} of {}, at {}", quote.text, moment::show(quote.time_ms), moment::show(now_ms));
            return Err(no(Why::StalePrice, expected, found));
        }
        match Price::parse(&quote.text, cash_decimals) {
            Ok(price) if price.is_well_formed() => Ok(price),
            _ => Err(no(Why::NoPrice, "a price above 0", quote.text)),
        }
    }

    /// Quantity, cost and fee. The cost rounds half to even, the fee up.
    fn size(&self, request: &Request, price: Price, decimals: u8, listing: Link) -> Result<Terms, No> {
        let range = |e: AmountError| no(Why::QuantityOutOfRange, "amounts of at most 2^96", e);
        let terms = |quantity| {
            let cost = price.cost(quantity, decimals, Rounding::HalfEven).map_err(range)?;
            let fee = self.fee(cost).map_err(range)?;
            Ok(Terms { listing, quantity, price, cost, fee })
        };
        let found = match request.trade.size {
            Size::Quantity(quantity) => terms(quantity)?,
            Size::Cash(budget) => {
                // The largest quantity whose cost, with the fee where it is bought, stays within the budget.
                let mut quantity = price.quantity_for(budget, decimals).map_err(range)?;
                if request.trade.side == Side::Buy {
                    let fee = self.fee(budget).map_err(range)?;
                    let net = budget.minus(fee).map_err(range)?;
                    quantity = price.quantity_for(net, decimals).map_err(range)?;
                }
                if !quantity.is_positive() {
                    let expected = format!("enough for one unit at {}", price.display(0));
                    return Err(no(Why::QuantityOutOfRange, expected, budget));
                }
                terms(quantity)?
            }
        };
        if !found.cost.is_positive() {
            return Err(no(Why::QuantityOutOfRange, "a cost above 0", found.cost));
        }
        Ok(found)
    }

    /// The fee: basis points of the cost, rounded up.
    fn fee(&self, cost: Amount) -> Result<Amount, AmountError> {
        let points = i128::from(self.config.fee_basis_points);
        let scaled = cost.units().checked_mul(points).ok_or(AmountError::TooLarge)?;
        let up = scaled.checked_add(9_999).and_then(|n| n.checked_div(10_000)).ok_or(AmountError::TooLarge)?;
        Amount::new(up)
    }

    fn customer_can(&self, question: &VerifiedEndorsement, terms: &Terms, cash_decimals: u8) -> Result<(), No> {
        let trade = &question.request().record().trade;
        let endorsement = question.endorsement().record();
        let range = |e: AmountError| no(Why::QuantityOutOfRange, "amounts of at most 2^96", e);
        let line = endorsement.credit.lines.get(&trade.cash);
        let cash = endorsement.holdings.get(&trade.cash).plus(line).map_err(range)?;
        let show = |amount: Amount| format!("{} {}", decimal(amount.units(), cash_decimals), trade.cash);
        match trade.side {
            Side::Buy => {
                let needed = terms.cost.plus(terms.fee).map_err(range)?;
                if cash < needed {
                    return Err(no(Why::InsufficientCash, show(needed), show(cash)));
                }
            }
            Side::Sell => {
                let held = endorsement.holdings.get(&trade.instrument);
                if held < terms.quantity {
                    let expected = format!("{} {}", terms.quantity, trade.instrument);
                    return Err(no(Why::InsufficientHoldings, expected, held));
                }
                let after = cash.plus(terms.cost).and_then(|sum| sum.minus(terms.fee)).map_err(range)?;
                if after.is_negative() {
                    return Err(no(Why::InsufficientCash, show(terms.fee), show(cash)));
                }
            }
        }
        Ok(())
    }

    /// What the institution pays out, it must have, beside what it has promised already.
    fn institution_can(&self, request: &Request, terms: &Terms, ledger: &Ledger) -> Result<(), No> {
        let Some(needed) = pays_out(request, terms) else { return Ok(()) };
        let cash = &request.trade.cash;
        let settlement = own_account(&self.network, &self.id, OwnAccount::Settlement);
        let held = ledger.account(&settlement).map_or(Amount::ZERO, |a| a.state.holdings.get(cash));
        let reserved = self.reserved.get(cash).copied().unwrap_or_default();
        let free = held.minus(reserved).unwrap_or_default();
        if free < needed {
            return Err(no(Why::InstitutionOutOfCash, format!("{needed} {cash}"), free));
        }
        Ok(())
    }
}

/// What of its own cash an institution pays for a trade.
pub(super) fn pays_out(request: &Request, terms: &Terms) -> Option<Amount> {
    (request.trade.side == Side::Sell).then_some(terms.cost)
}

fn limit_holds(request: &Request, price: Price, cash_decimals: u8) -> Result<(), No> {
    let Some(limit) = request.trade.limit else { return Ok(()) };
    let (holds, bound) = match request.trade.side {
        Side::Buy => (price <= limit, "at most"),
        Side::Sell => (price >= limit, "at least"),
    };
    if holds {
        return Ok(());
    }
    let expected = format!("{bound} {}", limit.display(cash_decimals));
    Err(no(Why::PriceOutsideLimit, expected, price.display(cash_decimals)))
}
