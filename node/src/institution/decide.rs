//! What the institution makes of an order: traded, taken to wait for its price, or done; and what that moves.

use stemma_chain_format::amount::Amount;
use stemma_chain_format::execution::{self, Outcome, ReferralOutcome};
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::position::touched_by_order;
use stemma_chain_format::request::{Order, Trade};
use stemma_chain_format::validate::VerifiedEndorsement;

use super::Institution;
use super::back_office::{Instruction, Ticket};
use super::case::Case;
use super::conditions::{Judge, Judged, No};
use super::rewards::Bonus;
use crate::store::Reserved;

/// A decision to execute: all that the third chain says beside the question. An errand keeps it while the back office is asked.
#[derive(Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub(super) struct Decision {
    /// The listing under which.
    #[n(0)]
    pub(super) listing: Link,
    /// What becomes of the order.
    #[n(1)]
    pub(super) outcome: Outcome,
    /// What the request's referral earns, where it has one.
    #[n(2)]
    pub(super) bonus: Option<Bonus>,
    /// What of its own cash the institution pays out.
    #[n(3)]
    pub(super) pays: Amount,
    /// The position that it touches.
    #[n(4)]
    pub(super) position: Option<AccountId>,
    /// What a trade comes to.
    #[n(5)]
    pub(super) traded: Option<Traded>,
}

/// What a trade comes to, beside quantity, price and fee.
#[derive(Debug, minicbor::Encode, minicbor::Decode)]
pub(super) struct Traded {
    /// Price times quantity, in smallest units of cash.
    #[n(0)]
    pub(super) cost: Amount,
    /// Decimals of the instrument.
    #[n(1)]
    pub(super) decimals: u8,
    /// Decimals of the cash.
    #[n(2)]
    pub(super) cash_decimals: u8,
}

impl Decision {
    /// A decision that trades and pays nothing.
    pub(super) fn of(listing: Link, outcome: Outcome) -> Self {
        Self { listing, outcome, bonus: None, pays: Amount::ZERO, position: None, traded: None }
    }

    /// What a back office is asked to carry out: a trade. An order that is only taken, cancelled, or a margin that is paid, needs none.
    pub(super) fn instruction(&self, question: &VerifiedEndorsement) -> Option<Instruction> {
        let (request, endorsement) = (question.request(), question.endorsement());
        let (trade, deal) = (request.record().order.trade()?, self.outcome.deal()?);
        let Traded { cost, decimals, cash_decimals } = self.traded.as_ref()?;
        let ticket = Ticket {
            key: endorsement.link(),
            account: endorsement.record().account,
            bank: endorsement.record().bank.clone(),
            side: trade.side,
            instrument: (trade.instrument.clone(), *decimals),
            cash: (trade.cash.clone(), *cash_decimals),
            quantity: deal.quantity,
            price: deal.price,
            cost: *cost,
            fee: deal.fee,
        };
        Some(Instruction { ticket, request: request.link(), expires: endorsement.record().expires })
    }

    /// What of the institution's own cash it pays out.
    pub(super) fn reserved(&self, question: &VerifiedEndorsement) -> Option<Reserved> {
        let cash = question.request().record().order.cash();
        self.pays.is_positive().then(|| Reserved { instrument: cash.clone(), amount: self.pays })
    }
}

impl Institution {
    /// Judges an order by every condition, and what its referral earns.
    pub(super) fn decide(&self, question: &VerifiedEndorsement, ledger: &Ledger, now_ms: u64) -> Result<Decision, No> {
        let account = &question.request().record().account;
        let decision = match &question.request().record().order {
            Order::Trade(trade) => self.decide_trade(question, trade, ledger, now_ms),
            Order::Cancel(cancel) => self.judge_cancel(account, cancel, ledger, now_ms),
            Order::Margin(payment) => self.judge_payment(question, payment, ledger, now_ms),
        };
        Ok(Decision { position: self.touched(question, ledger), ..decision? })
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
                let (decimals, cash_decimals) = (case.decimals(), case.cash_decimals);
                let traded = Some(Traded { cost: deal.cost, decimals, cash_decimals });
                Ok(Decision { bonus, pays: deal.pays, traded, ..Decision::of(listing, outcome) })
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
