//! The trading conditions, each a rule with what it asks and what was found: those that are asked before there is a price, and those
//! that need one. The rules' data are the listing's terms and the configuration (`[institution.conditions]`).

use stemma_chain_format::amount::{Amount, AmountError, Price, Rounding, decimal, parse_decimal};
use stemma_chain_format::dealing::Dealing;
use stemma_chain_format::execution::Acceptance;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::listing::ListingStatus;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::request::{Side, Size};
use stemma_node_api::moment;

use super::Institution;
use super::case::Case;
use crate::calendar;
use crate::error::chain;
use crate::store::asked;

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

/// What a trade would come to.
#[derive(Debug)]
pub(super) enum Judged {
    /// It is traded.
    Traded(Deal),
    /// It is taken, and waits for its price.
    Accepted(Acceptance),
}

/// The deal that a trade would be.
#[derive(Debug)]
pub(super) struct Deal {
    pub(super) quantity: Amount,
    pub(super) price: Price,
    /// Price times quantity.
    pub(super) cost: Amount,
    pub(super) fee: Amount,
    /// What goes from the account into the margin of a futures position; below zero, what comes back.
    pub(super) margin: Option<Amount>,
    /// What of its own cash the institution pays out.
    pub(super) pays: Amount,
}

/// Takes verdicts: of an order that is to be executed the first that does not hold ends it; of a dry run all are kept.
#[derive(Debug, Default)]
pub(super) struct Judge {
    findings: Option<Vec<Finding>>,
}

/// One rule's verdict in a dry run.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) holds: bool,
    /// The refusal that it would give.
    pub(super) told: No,
}

impl Judge {
    /// A judge that keeps every verdict.
    pub(super) fn of_dry_run() -> Self {
        Self { findings: Some(Vec::new()) }
    }

    /// The verdicts that were kept.
    pub(super) fn findings(self) -> Vec<Finding> {
        self.findings.unwrap_or_default()
    }

    /// Asks for a rule; `told` gives what it asks and what was found.
    pub(super) fn require(
        &mut self,
        reason: Why,
        holds: bool,
        told: impl FnOnce() -> (String, String),
    ) -> Result<(), No> {
        if holds && self.findings.is_none() {
            return Ok(());
        }
        let (expected, found) = told();
        let told = No { reason, expected, found };
        match &mut self.findings {
            Some(findings) => findings.push(Finding { holds, told }),
            None => return Err(told),
        }
        Ok(())
    }
}

impl Institution {
    /// Judges a case by every rule; what it may come to.
    pub(super) fn judge(&self, case: &Case<'_>, ledger: &Ledger, now_ms: u64, judge: &mut Judge) -> Result<Judged, No> {
        match &case.terms.dealing {
            Dealing::Spot => self.judge_spot(case, ledger, now_ms, judge).map(Judged::Traded),
            Dealing::Forward => self.judge_forward(case, ledger, now_ms, judge).map(Judged::Accepted),
            Dealing::Margin(_) => self.judge_future(case, ledger, now_ms, judge).map(Judged::Traded),
        }
    }

    fn judge_spot(&self, case: &Case<'_>, ledger: &Ledger, now_ms: u64, judge: &mut Judge) -> Result<Deal, No> {
        self.before_the_price(case, Gate::of_side(case), ledger, now_ms, judge)?;
        let price = self.price(case.trade.instrument.code(), case.cash_decimals, now_ms, judge)?;
        let deal = size(case, price)?;
        self.with_the_price(case, &deal, ledger, now_ms, judge)?;
        Ok(deal)
    }

    /// Status, hours, level, suitability, repetition.
    pub(super) fn before_the_price(
        &self,
        case: &Case<'_>,
        gate: Gate,
        ledger: &Ledger,
        now_ms: u64,
        judge: &mut Judge,
    ) -> Result<(), No> {
        let (terms, side, level) = (case.terms, case.trade.side, case.credit.level);
        let status = case.listed.listing.status;
        let why = if status == ListingStatus::Suspended { Why::InstrumentSuspended } else { Why::InstrumentClosed };
        let told = || (format!("an instrument open to {side}"), status.to_string());
        judge.require(why, gate.is_admitted, told)?;
        if gate.takes_risk {
            let least = terms.credit_level_min;
            let told = || (format!("credit level {least} or above"), level.to_string());
            judge.require(Why::CreditLevelTooLow, level >= least, told)?;
            let class = terms.risk_class;
            let suited = self.config.conditions.level_for_risk(class);
            let told = || (format!("credit level {suited} or above for risk class {class}"), level.to_string());
            judge.require(Why::UnsuitableProduct, level >= suited, told)?;
        }
        if let Some(hours) = &terms.hours {
            let closed = calendar::is_open(hours, now_ms).err();
            let told = || {
                let found = closed.as_ref().map_or("within them".to_owned(), |closed| chain(closed));
                (
                    format!("a time within {}, {}", calendar::show_sessions(&hours.sessions).join(", "), hours.zone),
                    found,
                )
            };
            judge.require(Why::OutsideHours, closed.is_none(), told)?;
        }
        self.is_no_duplicate(case, ledger, now_ms, judge)
    }

    /// An order that asks for the very same as one shortly before is taken for a repetition, if the configuration says so. What waits
    /// for its price is in no book yet.
    fn is_no_duplicate(&self, case: &Case<'_>, ledger: &Ledger, now_ms: u64, judge: &mut Judge) -> Result<(), No> {
        let window_s = self.config.conditions.duplicate_window_s;
        if window_s == 0 {
            return Ok(());
        }
        let since = now_ms.saturating_sub(window_s.saturating_mul(1_000));
        let rows = self.store.book_of(&case.account, &case.trade.instrument, since).map_err(|e| unreadable(&e))?;
        let digest = asked(case.trade);
        let traded = rows.into_iter().find(|row| row.asked == digest).map(|row| format!("chain {}", row.chain));
        let waits = || case.repeated(ledger, since).map(|request| format!("request {request}"));
        let before = traded.or_else(waits);
        let told = || {
            (format!("no order for the same within {window_s} s"), before.clone().unwrap_or_else(|| "none".to_owned()))
        };
        judge.require(Why::DuplicateOrder, before.is_none(), told)
    }

    /// Limit, quantity, fee, amounts, cash and units, caps, lock-up, the institution's own cash.
    fn with_the_price(
        &self,
        case: &Case<'_>,
        deal: &Deal,
        ledger: &Ledger,
        now_ms: u64,
        judge: &mut Judge,
    ) -> Result<(), No> {
        limit_holds(case, deal.price, judge)?;
        let broken = case.terms.bound_broken(case.trade.side, deal.quantity, case.held());
        within_bounds(broken, deal.quantity, judge)?;
        fee_holds(case, deal.fee, judge)?;
        self.amount_is_allowed(case, deal.cost, judge)?;
        match case.trade.side {
            Side::Buy => self.can_buy(case, deal, judge),
            Side::Sell => {
                self.can_sell(case, deal, now_ms, judge)?;
                self.institution_can(case, deal.pays, ledger, judge)
            }
        }
    }

    pub(super) fn amount_is_allowed(&self, case: &Case<'_>, amount: Amount, judge: &mut Judge) -> Result<(), No> {
        let Some(most) = self.config.conditions.order_amount_max.get(case.trade.cash.code()) else { return Ok(()) };
        let most = parse_decimal(most, case.cash_decimals).map_err(|e| misconfigured("order_amount_max", e))?;
        let told = || (format!("at most {} in one order", case.money(most)), case.money(amount));
        judge.require(Why::OrderTooLarge, amount <= most, told)
    }

    /// Cash for cost and fee, by the share of the credit line that the level gives; and a position within its cap.
    fn can_buy(&self, case: &Case<'_>, deal: &Deal, judge: &mut Judge) -> Result<(), No> {
        self.has_cash(case, deal.cost.plus(deal.fee).map_err(range)?, judge)?;
        self.is_within_cap(case, case.held().plus(deal.quantity).map_err(range)?, judge)
    }

    /// The account has so much cash to spend.
    pub(super) fn has_cash(&self, case: &Case<'_>, needed: Amount, judge: &mut Judge) -> Result<(), No> {
        let cash = self.spendable(case)?;
        let told = || (case.money(needed), case.money(cash));
        judge.require(Why::InsufficientCash, cash >= needed, told)
    }

    /// A position of so much is within its cap.
    pub(super) fn is_within_cap(&self, case: &Case<'_>, after: Amount, judge: &mut Judge) -> Result<(), No> {
        let Some(cap) = self.config.conditions.position_max.get(case.trade.instrument.code()) else { return Ok(()) };
        let cap = parse_decimal(cap, case.decimals()).map_err(|e| misconfigured("position_max", e))?;
        let told = || (format!("a position of at most {}", case.units(cap)), case.units(after));
        judge.require(Why::PositionCapExceeded, after <= cap, told)
    }

    fn can_sell(&self, case: &Case<'_>, deal: &Deal, now_ms: u64, judge: &mut Judge) -> Result<(), No> {
        self.has_units(case, deal.quantity, now_ms, judge)?;
        let cash = self.spendable(case)?;
        let after = cash.plus(deal.cost).and_then(|sum| sum.minus(deal.fee)).map_err(range)?;
        let told = || (case.money(deal.fee), case.money(cash));
        judge.require(Why::InsufficientCash, !after.is_negative(), told)
    }

    /// The account has so many units, and they are not locked up.
    pub(super) fn has_units(
        &self,
        case: &Case<'_>,
        quantity: Amount,
        now_ms: u64,
        judge: &mut Judge,
    ) -> Result<(), No> {
        let held = case.held();
        let told = || (case.units(quantity), case.units(held));
        judge.require(Why::InsufficientHoldings, held >= quantity, told)?;
        let days = u64::from(case.terms.lock_up_days);
        if days > 0 {
            let since = now_ms.saturating_sub(days.saturating_mul(moment::DAY_MS));
            let rows = self.store.book_of(&case.account, &case.trade.instrument, since).map_err(|e| unreadable(&e))?;
            let bought = rows.iter().filter(|row| row.side == Side::Buy).map(|row| row.quantity);
            let locked = bought.fold(Amount::ZERO, |sum, quantity| sum.plus(quantity).unwrap_or(sum));
            let free = held.minus(locked).unwrap_or_default().max(Amount::ZERO);
            let told = || (format!("{} held for {days} days", case.units(quantity)), case.units(free));
            judge.require(Why::LockedUp, free >= quantity, told)?;
        }
        Ok(())
    }

    /// Cash at hand and the share of the bank's credit line that counts at the customer's level, rounded down.
    fn spendable(&self, case: &Case<'_>) -> Result<Amount, No> {
        let line = case.credit.lines.get(&case.trade.cash);
        let percent = i128::from(self.config.conditions.line_percent(case.credit.level));
        let share = line.units().checked_mul(percent).and_then(|share| share.checked_div(100));
        let share = share.ok_or(AmountError::TooLarge).and_then(Amount::new).map_err(range)?;
        case.holdings.get(&case.trade.cash).plus(share).map_err(range)
    }

    /// What the institution pays out, it must have, beside what it has promised already.
    pub(super) fn institution_can(
        &self,
        case: &Case<'_>,
        pays: Amount,
        ledger: &Ledger,
        judge: &mut Judge,
    ) -> Result<(), No> {
        let free = self.free_cash(&case.trade.cash, ledger);
        let told = || (case.money(pays), case.money(free));
        judge.require(Why::InstitutionOutOfCash, free >= pays, told)
    }

    /// The institution's own cash that it has not promised.
    pub(super) fn free_cash(&self, cash: &InstrumentId, ledger: &Ledger) -> Amount {
        let settlement = own_account(&self.network, &self.id, OwnAccount::Settlement);
        let held = ledger.account(&settlement).map_or(Amount::ZERO, |a| a.state.holdings.get(cash));
        let reserved = self.reserved.get(cash).copied().unwrap_or_default();
        held.minus(reserved).unwrap_or_default()
    }

    /// The price of now of an instrument by its code, in cash of so many decimals.
    pub(super) fn price(&self, code: &str, cash_decimals: u8, now_ms: u64, judge: &mut Judge) -> Result<Price, No> {
        let Some(quote) = self.prices.quote(code) else {
            return Err(no(Why::NoPrice, self.prices.missing(code), "none"));
        };
        if let Some(limit_ms) = self.prices.stale_after_ms() {
            let told = || {
                let expected = format!("a price for {code} that is at most {} s old", limit_ms.div_euclid(1_000));
                (expected, format!("{} of {}, at {}", quote.text, moment::show(quote.time_ms), moment::show(now_ms)))
            };
            judge.require(Why::StalePrice, !self.prices.is_stale(&quote, now_ms), told)?;
        }
        match Price::parse(&quote.text, cash_decimals) {
            Ok(price) if price.is_well_formed() => Ok(price),
            _ => Err(no(Why::NoPrice, "a price above 0", quote.text)),
        }
    }
}

/// Quantity, cost and fee at a price. The cost rounds half to even, the fee up.
fn size(case: &Case<'_>, price: Price) -> Result<Deal, No> {
    let (side, decimals) = (case.trade.side, case.decimals());
    let quantity = match case.trade.size {
        Size::Quantity(quantity) => quantity,
        Size::Cash(budget) => {
            let quantity = case.terms.largest_quantity(side, budget, price, decimals).map_err(range)?;
            if !quantity.is_positive() {
                let lot = decimal(case.terms.lot.units(), decimals);
                let expected = format!("enough for {lot} at {}", price.display(case.cash_decimals));
                return Err(no(Why::QuantityOutOfRange, expected, case.money(budget)));
            }
            quantity
        }
    };
    let cost = price.cost(quantity, decimals, Rounding::HalfEven).map_err(range)?;
    if !cost.is_positive() {
        return Err(no(Why::QuantityOutOfRange, "a cost above 0", case.money(cost)));
    }
    let fee = case.terms.fees.fee(side, cost).map_err(range)?;
    let pays = if side == Side::Sell { cost } else { Amount::ZERO };
    Ok(Deal { quantity, price, cost, fee, margin: None, pays })
}

/// Whether an order may be given at all, and whether it takes risk, so that the customer's level counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    pub(super) is_admitted: bool,
    pub(super) takes_risk: bool,
}

impl Gate {
    /// By its side: whoever buys takes risk.
    pub(super) fn of_side(case: &Case<'_>) -> Self {
        let side = case.trade.side;
        Self { is_admitted: case.listed.listing.status.admits(side), takes_risk: side == Side::Buy }
    }
}

pub(super) fn limit_holds(case: &Case<'_>, price: Price, judge: &mut Judge) -> Result<(), No> {
    let Some(limit) = case.trade.limit else { return Ok(()) };
    let (side, show) = (case.trade.side, |price: Price| price.display(case.cash_decimals));
    let told = || (format!("{} {}", side.bound(), show(limit)), show(price));
    judge.require(Why::PriceOutsideLimit, side.admits(&limit, &price), told)
}

pub(super) fn fee_holds(case: &Case<'_>, fee: Amount, judge: &mut Judge) -> Result<(), No> {
    let Some(fee_max) = case.trade.fee_max else { return Ok(()) };
    let told = || (format!("at most {}", case.money(fee_max)), case.money(fee));
    judge.require(Why::FeeAboveLimit, fee <= fee_max, told)
}

pub(super) fn within_bounds(broken: Option<String>, quantity: Amount, judge: &mut Judge) -> Result<(), No> {
    let told = || {
        let within = || "a quantity within the instrument's terms".to_owned();
        (broken.clone().unwrap_or_else(within), quantity.to_string())
    };
    judge.require(Why::QuantityOutsideTerms, broken.is_none(), told)
}

pub(super) fn range(e: AmountError) -> No {
    no(Why::QuantityOutOfRange, "amounts of at most 2^96", e)
}

/// The configuration is checked at start, but for the instrument's decimals.
fn misconfigured(setting: &str, e: AmountError) -> No {
    tracing::error!(setting, error = %e, "institution.conditions does not fit the instrument's decimals");
    no(Why::Busy, format!("a setting {setting} that fits the instrument"), e)
}

pub(super) fn unreadable(e: &crate::store::StoreError) -> No {
    tracing::error!(error = %chain(e), "a read of the store failed");
    no(Why::Busy, "a book that can be read", "a failure of the store")
}
