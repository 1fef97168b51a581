//! Orders that wait for the next price: whether one is taken, and whether it is still cancelled.

use stemma_chain_format::dealing::reserved_by;
use stemma_chain_format::execution::{Acceptance, Outcome};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::WAIT_MS_MAX;
use stemma_chain_format::position::waiting_key;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::request::{Cancel, Side};
use stemma_node_api::moment;

use super::Institution;
use super::case::Case;
use super::conditions::{Gate, Judge, No, no, within_bounds};
use super::decide::Decision;
use crate::calendar;

impl Institution {
    /// Judges an order whose price is not known yet: what can be said without it, and that what it needs is there.
    pub(super) fn judge_forward(
        &self,
        case: &Case<'_>,
        ledger: &Ledger,
        now_ms: u64,
        judge: &mut Judge,
    ) -> Result<Acceptance, No> {
        self.before_the_price(case, Gate::of_side(case), ledger, now_ms, judge)?;
        let (_, reserved) = reserved_by(case.trade).map_err(|v| no(Why::QuantityOutsideTerms, v.expected, v.found))?;
        match case.trade.side {
            Side::Buy => {
                self.amount_is_allowed(case, reserved, judge)?;
                self.has_cash(case, reserved, judge)?;
            }
            Side::Sell => {
                within_bounds(case.terms.bound_broken(Side::Sell, reserved, case.held()), reserved, judge)?;
                self.has_units(case, reserved, now_ms, judge)?;
            }
        }
        // Whoever gives an order in trading hours may take it back until the session ends; it is executed at the price after that.
        let cut_off_ms = case.terms.hours.as_ref().and_then(|hours| calendar::session_end(hours, now_ms));
        let wait_ms = u64::from(self.config.conditions.wait_days).saturating_mul(moment::DAY_MS);
        let reclaim_ms = cut_off_ms.unwrap_or(now_ms).saturating_add(wait_ms);
        Ok(Acceptance { cut_off_ms, reclaim_ms: reclaim_ms.min(now_ms.saturating_add(WAIT_MS_MAX)) })
    }

    /// Judges whether an order that waits is still cancelled.
    pub(super) fn judge_cancel(
        &self,
        account: &AccountId,
        cancel: &Cancel,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Decision, No> {
        let unknown = |found: &str| no(Why::UnknownPosition, "an order of this account that waits", found);
        let listed = ledger.listing(&cancel.instrument).ok_or_else(|| unknown("an instrument that is not listed"))?;
        let key = waiting_key(&self.network, &cancel.request);
        let position = ledger.position(&key).filter(|position| position.account == *account);
        let position = position.ok_or_else(|| unknown("none"))?;
        if (&position.instrument, &position.cash) != (&cancel.instrument, &cancel.cash) {
            return Err(unknown(&format!("one of {} paid in {}", position.instrument, position.cash)));
        }
        let waiting = position.waiting().ok_or_else(|| unknown("a future"))?;
        if let Some(last_ms) = waiting.cut_off_ms.filter(|last_ms| now_ms > *last_ms) {
            return Err(no(Why::PastCutOff, format!("until {}", moment::show(last_ms)), moment::show(now_ms)));
        }
        Ok(Decision::of(listed.link, Outcome::Done))
    }
}
