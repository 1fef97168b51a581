//! What the institution makes of an order: traded, taken to wait for its price, or done; and what that moves.

use stemma_chain_format::amount::Amount;
use stemma_chain_format::execution::{self, Outcome, ReferralOutcome};
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::position::touched_by_order;
use stemma_chain_format::request::{Order, Trade};
use stemma_chain_format::validate::VerifiedEndorsement;

use super::Institution;
use super::case::Case;
use super::conditions::{Judge, Judged, No};
use super::rewards::Bonus;

/// A decision to execute.
#[derive(Debug)]
pub(super) struct Decision {
    /// The listing under which.
    pub(super) listing: Link,
    /// What becomes of the order.
    pub(super) outcome: Outcome,
    /// What the request's referral earns, where it has one.
    pub(super) bonus: Option<Bonus>,
    /// What of its own cash the institution pays out.
    pub(super) pays: Amount,
}

impl Decision {
    /// A decision that pays nothing.
    pub(super) fn of(listing: Link, outcome: Outcome) -> Self {
        Self { listing, outcome, bonus: None, pays: Amount::ZERO }
    }
}

impl Institution {
    /// Judges an order by every condition, and what its referral earns.
    pub(super) fn decide(&self, question: &VerifiedEndorsement, ledger: &Ledger, now_ms: u64) -> Result<Decision, No> {
        match &question.request().record().order {
            Order::Trade(trade) => self.decide_trade(question, trade, ledger, now_ms),
            Order::Cancel(cancel) => self.judge_cancel(cancel, ledger, now_ms),
            Order::Margin(payment) => self.judge_payment(question, payment, ledger, now_ms),
        }
    }

    fn decide_trade(
        &self,
        question: &VerifiedEndorsement,
        trade: &Trade,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Decision, No> {
        let case = Case::of(question, trade, ledger, &self.id)?;
        let referral = question.request().record().referral.as_ref();
        let listing = case.listed.link;
        match self.judge(&case, ledger, now_ms, &mut Judge::default())? {
            Judged::Traded(deal) => {
                let until = question.endorsement().record().expires;
                let bonus = self.bonus(referral, (&case, &deal), until, ledger, now_ms)?;
                let outcome =
                    Outcome::Traded(execution::Deal { quantity: deal.quantity, price: deal.price, fee: deal.fee });
                Ok(Decision { listing, outcome, bonus, pays: deal.pays })
            }
            Judged::Accepted(acceptance) => {
                // What it comes to nobody knows yet, and it may be taken back: nothing is paid on it.
                let bonus = referral.map(|_| Bonus::without(ReferralOutcome::NoPolicy));
                Ok(Decision { bonus, ..Decision::of(listing, Outcome::Accepted(acceptance)) })
            }
        }
    }

    /// The position that an order touches, by the listing in force.
    pub(super) fn touched(&self, question: &VerifiedEndorsement, ledger: &Ledger) -> Option<AccountId> {
        let request = question.request();
        let record = request.record();
        let listed = ledger.listing(record.order.instrument())?;
        let dealing = &listed.listing.terms.as_ref()?.dealing;
        touched_by_order(&self.network, &record.account, &request.link(), &record.order, dealing)
    }
}
