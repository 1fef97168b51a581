//! Futures: trades on margin, and payments into a margin or out of it.

use stemma_chain_format::amount::{Amount, Rounding};
use stemma_chain_format::dealing::{self, Dealing, Decided, Movements, Parties, Reach, requirement};
use stemma_chain_format::error::Violation;
use stemma_chain_format::execution::{Outcome, Posting, PostingPurpose};
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::position::{Position, PositionState, margin_key};
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::request::{MarginPayment, Order, Size};
use stemma_chain_format::validate::VerifiedEndorsement;

use super::Institution;
use super::case::Case;
use super::conditions::{Deal, Gate, Judge, No, fee_holds, limit_holds, no, range, within_bounds};
use super::decide::Decision;

impl Institution {
    /// Judges a trade of futures by every rule.
    pub(super) fn judge_future(
        &self,
        case: &Case<'_>,
        ledger: &Ledger,
        now_ms: u64,
        judge: &mut Judge,
    ) -> Result<Deal, No> {
        let trade = case.trade;
        let Size::Quantity(quantity) = trade.size else {
            return Err(no(Why::QuantityOutsideTerms, "a quantity of contracts", "an amount of cash"));
        };
        let key = margin_key(&self.network, &case.account, &trade.instrument);
        let position = ledger.position(&key);
        let held = position.map_or(Amount::ZERO, |position| position.amount_of(&trade.instrument));
        let reach = Reach::of(held, trade.side, quantity).map_err(range)?;
        let is_admitted = reach.is_admitted(case.listed.listing.status);
        self.before_the_price(case, Gate { is_admitted, takes_risk: !reach.shrinks }, ledger, now_ms, judge)?;
        let price = self.price(trade.instrument.code(), case.cash_decimals, now_ms, judge)?;
        limit_holds(case, price, judge)?;
        within_bounds(reach.bound_broken(case.terms), quantity, judge)?;
        let cost = price.cost(quantity, case.decimals(), Rounding::HalfEven).map_err(range)?;
        let fee = case.terms.fees.fee(trade.side, cost).map_err(range)?;
        fee_holds(case, fee, judge)?;
        self.amount_is_allowed(case, cost, judge)?;
        if !reach.shrinks {
            let after = if reach.after.is_negative() { reach.after.negated() } else { reach.after };
            self.is_within_cap(case, after, judge)?;
        }
        let outcome = Outcome::Traded(stemma_chain_format::execution::Deal { quantity, price, fee });
        let order = Order::Trade(trade.clone());
        let decided = Decided { request: Link(key.0), order: &order, outcome: &outcome, executed_ms: now_ms };
        let parties = Parties::of(self.network, case.account, &self.id);
        let moved = dealing::movements(&decided, &parties, &case.listed.listing, position);
        let postings = moved.map_err(too_little)?.postings;
        let spent = moved_on(&postings, &case.account, &trade.cash, None)?.negated();
        self.has_cash(case, spent.max(Amount::ZERO), judge)?;
        let pays = moved_on(&postings, &parties.settlement, &trade.cash, None)?.negated().max(Amount::ZERO);
        self.institution_can(case, pays, ledger, judge)?;
        let margin = moved_on(&postings, &key, &trade.cash, Some(PostingPurpose::Margin))?;
        Ok(Deal { quantity, price, cost, fee, margin: Some(margin), pays })
    }

    /// Judges a payment into a margin, or out of it.
    pub(super) fn judge_payment(
        &self,
        question: &VerifiedEndorsement,
        payment: &MarginPayment,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Decision, No> {
        let request = question.request();
        let unknown = |found: &str| no(Why::UnknownPosition, "a position in the contract", found);
        let listed = ledger.listing(&payment.instrument).ok_or_else(|| unknown("a contract that is not listed"))?;
        let account = request.record().account;
        let key = margin_key(&self.network, &account, &payment.instrument);
        let position = ledger.position(&key).ok_or_else(|| unknown("none"))?;
        let order = &request.record().order;
        let decided = Decided { request: request.link(), order, outcome: &Outcome::Done, executed_ms: now_ms };
        let parties = Parties::of(self.network, account, &self.id);
        let moved: Result<Movements, Violation> =
            dealing::movements(&decided, &parties, &listed.listing, Some(position));
        moved.map_err(too_little)?;
        if payment.amount.is_negative() {
            self.stays_covered(payment, position, ledger, now_ms)?;
        }
        let endorsement = question.endorsement().record();
        let line = endorsement.credit.lines.get(&payment.cash);
        let cash = endorsement.holdings.get(&payment.cash).plus(line).map_err(range)?;
        if cash < payment.amount {
            return Err(no(Why::InsufficientCash, payment.amount, cash));
        }
        Ok(Decision::of(listed.link, Outcome::Done))
    }
}

impl Institution {
    /// What is taken out leaves the initial margin at the price of now, too: a loss since the last settlement is not taken out before it.
    fn stays_covered(
        &self,
        payment: &MarginPayment,
        position: &Position,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<(), No> {
        let listed = |instrument: &InstrumentId| ledger.listing(instrument).map(|listed| &listed.listing);
        let (contract, cash) = (listed(&payment.instrument), listed(&payment.cash));
        let cash_decimals = cash.map_or(0, |cash| cash.decimals);
        let price = self.price(payment.instrument.code(), cash_decimals, now_ms, &mut Judge::default())?;
        let (Some(contract), PositionState::Margin(margin)) = (contract, &position.state) else { return Ok(()) };
        let Some(Dealing::Margin(terms)) = contract.terms.as_ref().map(|terms| terms.dealing) else { return Ok(()) };
        let gain = margin.gain(price, contract.decimals).map_err(range)?;
        let left = margin.margin.plus(gain).and_then(|marked| marked.plus(payment.amount)).map_err(range)?;
        let needed = requirement(&terms, margin.quantity, price, contract.decimals).map_err(range)?.initial;
        if left < needed {
            let expected =
                format!("a margin of at least {needed} left at the price of {}", price.display(cash_decimals));
            return Err(no(Why::InsufficientMargin, expected, left));
        }
        Ok(())
    }
}

fn too_little(violation: Violation) -> No {
    no(Why::InsufficientMargin, violation.expected, violation.found)
}

/// What postings move on an account in a cash, for one purpose or for all.
fn moved_on(
    postings: &[Posting],
    account: &AccountId,
    cash: &InstrumentId,
    purpose: Option<PostingPurpose>,
) -> Result<Amount, No> {
    let fits = |posting: &&Posting| {
        posting.account == *account
            && posting.instrument == *cash
            && purpose.is_none_or(|purpose| posting.purpose == purpose)
    };
    let amounts = postings.iter().filter(fits).map(|posting| posting.amount);
    amounts.into_iter().try_fold(Amount::ZERO, Amount::plus).map_err(range)
}
