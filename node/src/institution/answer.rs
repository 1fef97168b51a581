//! The answer goes out, stored first; and what it reserved is released when its chain commits or expires.

use std::sync::Arc;

use stemma_chain_format::amount::Amount;
use stemma_chain_format::chain::{Chain, Entry};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::Link;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_chain_format::validate::{self, VerifiedEndorsement, VerifiedEntry};

use super::Institution;
use super::admit::{Admission, admit};
use super::back_office::Asked;
use super::conditions::No;
use super::decide::Decision;
use crate::role::{Answer, QuestionSlot, RoleEffect, shortened};
use crate::store::{AnswerRow, Reserved, StoreError};

/// Most questions that wait for an account's chain before; beyond it the bank is told to ask again.
const PARKED_MAX: usize = 10_000;

impl Institution {
    /// Answers a question whose signatures hold.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn asked(
        &mut self,
        slot: QuestionSlot,
        question: VerifiedEndorsement,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        let endorsement = question.endorsement().link();
        if let Some(row) = self.answer_to(&endorsement)? {
            let answer = stored_answer(&row)?;
            effects.push(RoleEffect::Answer { slot, answer });
            return Ok(());
        }
        if self.errands.is_under_way(&endorsement) {
            self.errands.wait(endorsement, slot, now_ms);
            return Ok(());
        }
        // What a settlement on its way leaves of the position, only the block tells.
        let position = self.touched(&question, ledger);
        let admission = match admit(&question, ledger) {
            Admission::Judge if position.is_some_and(|key| self.is_under_way(&key)) => Admission::Wait,
            admission => admission,
        };
        let trades = question.request().record().order.trade().is_some();
        let is_stopped = trades && (!self.back_office.takes_orders(now_ms) || self.errands.is_full());
        let verdict = match admission {
            // While nothing can be carried out nothing is judged, for what is refused is refused for good.
            Admission::Judge if is_stopped => {
                self.errands.wait(endorsement, slot, now_ms);
                return Ok(());
            }
            Admission::Judge => self.decide(&question, ledger, now_ms),
            Admission::Refuse(no) => Err(no),
            Admission::Wait if self.parked.len() < PARKED_MAX => {
                self.parked.push((slot, question));
                return Ok(());
            }
            Admission::Wait => {
                effects.push(RoleEffect::Answer { slot, answer: Answer::NotYet });
                return Ok(());
            }
        };
        self.answer((slot, question), verdict, ledger, now_ms, effects)
    }

    /// Answers what is judged: at once, or when the back office has decided.
    fn answer(
        &mut self,
        (slot, question): (QuestionSlot, VerifiedEndorsement),
        verdict: Result<Decision, No>,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        let row = match verdict {
            // What this node could not judge, for a fault of its own that the log tells, is not refused for good: the bank asks again.
            Err(no) if no.reason == RefusalReason::Busy => {
                effects.push(RoleEffect::Answer { slot, answer: Answer::NotYet });
                return Ok(());
            }
            Err(no) => self.refused_row(&question, no, now_ms),
            Ok(decision) => {
                let instruction = decision.instruction(&question);
                match instruction.map(|instruction| self.back_office.execute(&instruction, now_ms)) {
                    None => self.executed_row(&question, decision, ledger, now_ms),
                    Some(Asked::Decided(verdict)) => self.answer_row(&question, decision, verdict, ledger, now_ms),
                    Some(Asked::Later) => {
                        self.begin_errand(slot, question, decision, now_ms, effects);
                        return Ok(());
                    }
                }
            }
        };
        match row {
            Ok(row) => {
                let answer = self.take_over(&question, row, ledger, effects)?;
                effects.push(RoleEffect::Answer { slot, answer });
            }
            // Only amounts beyond the format's range lead here; the bank asks again and the endorsement expires.
            Err(violation) => {
                let endorsement = question.endorsement().link();
                tracing::error!(%endorsement, %violation, "cannot sign an answer");
                effects.push(RoleEffect::Answer { slot, answer: Answer::NotYet });
            }
        }
        Ok(())
    }

    /// A chain that touches a position is put to the network here, too, for the position is not settled before it has committed or
    /// expired: its bank could keep it back meanwhile, and commit it only where the price that came suits the customer.
    fn put_to_the_network(
        &self,
        question: &VerifiedEndorsement,
        execution: &[u8],
        ledger: &Ledger,
        effects: &mut Vec<RoleEffect>,
    ) {
        let entry = Signed::decode(execution.to_vec()).and_then(|execution| {
            let (request, endorsement) = (question.request().clone(), question.endorsement().clone());
            let chain = Chain { request, endorsement, execution };
            validate::verify_entry(Entry::Chain(Box::new(chain)), ledger.registry())
        });
        match entry {
            Ok(entry) => effects.push(RoleEffect::Propose(Arc::new(entry))),
            Err(violation) => tracing::error!(%violation, "a chain of this institution's own does not hold"),
        }
    }

    /// What was answered before: in this turn, or as the store has it.
    fn answer_to(&self, endorsement: &Link) -> Result<Option<AnswerRow>, StoreError> {
        match self.fresh.get(endorsement) {
            Some(row) => Ok(Some(row.clone())),
            None => self.store.answer(endorsement),
        }
    }

    /// What was answered in this turn is in the store now.
    pub fn stored(&mut self) {
        self.fresh.clear();
    }

    pub(super) fn executed_row(
        &mut self,
        question: &VerifiedEndorsement,
        decision: Decision,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<AnswerRow, Violation> {
        let reserved = decision.reserved(question);
        let execution = self.execute(question, &decision, ledger, now_ms)?;
        let answer = Answer::Executed(execution.bytes().to_vec().into());
        let row = self.row(question, &answer, Some(execution.link()), reserved);
        let Decision { bonus, position, .. } = decision;
        let (rewards, referral) = bonus.map_or((Vec::new(), None), |bonus| (bonus.payments, bonus.used));
        Ok(AnswerRow { rewards, referral, position, ..row })
    }

    pub(super) fn refused_row(
        &mut self,
        question: &VerifiedEndorsement,
        no: No,
        now_ms: u64,
    ) -> Result<AnswerRow, Violation> {
        let record = Refusal {
            network: self.network,
            member: self.id.clone(),
            refused: question.endorsement().link(),
            reason: no.reason,
            expected: shortened(no.expected),
            found: shortened(no.found),
            refused_ms: now_ms,
        };
        let refusal = Signed::sign(record, &self.key)?;
        let answer = Answer::Refused(refusal.bytes().to_vec().into());
        Ok(self.row(question, &answer, None, None))
    }

    fn row(
        &mut self,
        question: &VerifiedEndorsement,
        answer: &Answer,
        chain: Option<Link>,
        reserved: Option<Reserved>,
    ) -> AnswerRow {
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        AnswerRow {
            number,
            endorsement: question.endorsement().link(),
            answer: stemma_chain_format::cbor::encode(answer).into(),
            is_open: chain.is_some(),
            chain,
            expires: question.endorsement().record().expires,
            reserved,
            rewards: Vec::new(),
            referral: None,
            position: None,
        }
    }

    /// Takes over what was signed, to be stored; gives the answer that is then sent.
    pub(super) fn take_over(
        &mut self,
        question: &VerifiedEndorsement,
        row: AnswerRow,
        ledger: &Ledger,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<Answer, StoreError> {
        let answer = stored_answer(&row)?;
        if let (Answer::Executed(execution), Some(_)) = (&answer, row.position) {
            self.put_to_the_network(question, execution, ledger, effects);
        }
        self.reserve(row.reserved.as_ref());
        self.fresh.insert(row.endorsement, row.clone());
        if let Some(chain) = row.chain {
            self.open.insert(chain, row.clone());
        }
        effects.push(RoleEffect::StoreAnswer(Box::new(row)));
        Ok(answer)
    }

    pub(super) fn reserve(&mut self, reserved: Option<&Reserved>) {
        if let Some(Reserved { instrument, amount }) = reserved {
            let sum = self.reserved.entry(instrument.clone()).or_default();
            *sum = sum.plus(*amount).unwrap_or(*sum);
        }
    }

    pub(super) fn unreserve(&mut self, reserved: Option<&Reserved>) {
        if let Some(Reserved { instrument, amount }) = reserved {
            let left = self.reserved.get(instrument).and_then(|sum| sum.minus(*amount).ok());
            match left.filter(|left| left.is_positive()) {
                Some(left) => self.reserved.insert(instrument.clone(), left),
                None => self.reserved.remove(instrument),
            };
        }
    }

    /// The ledger has spoken on a chain: what it reserved is free again, and the back office is told.
    fn release(&mut self, chain: &Link, is_committed: bool, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let Some(mut row) = self.open.remove(chain) else { return };
        self.unreserve(row.reserved.as_ref());
        row.is_open = false;
        effects.push(RoleEffect::StoreAnswer(Box::new(row)));
        self.settle_errand(chain, is_committed, now_ms, effects);
    }

    /// A block is final: what it commits or outlives is released, and parked questions are asked again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn committed(
        &mut self,
        entries: &[(u64, Arc<VerifiedEntry>)],
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        for (_, entry) in entries {
            self.release(&entry.id(), true, now_ms, effects);
            self.settled(entry);
        }
        if entries.iter().any(|(_, entry)| self.has_settled(entry)) {
            self.tell_settled(ledger, now_ms, effects)?;
        }
        let height = ledger.head().height;
        let outlived: Vec<Link> =
            self.open.iter().filter(|(_, row)| row.expires <= height).map(|(chain, _)| *chain).collect();
        outlived.iter().for_each(|chain| self.release(chain, false, now_ms, effects));
        self.outlive_errands(height, now_ms, effects);
        for (slot, question) in std::mem::take(&mut self.parked) {
            self.asked(slot, question, ledger, now_ms, effects)?;
        }
        self.call_back_office(now_ms, effects);
        Ok(())
    }

    /// Takes up what was in flight when the node stopped: chains committed or outlived meanwhile are released, and the back office
    /// is asked and told again what it has not acknowledged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn resume(&mut self, ledger: &Ledger, now_ms: u64, effects: &mut Vec<RoleEffect>) -> Result<(), StoreError> {
        self.resume_errands(ledger, now_ms, effects)?;
        self.tell_settled(ledger, now_ms, effects)?;
        let height = ledger.head().height;
        let mut gone = Vec::new();
        for (chain, row) in &self.open {
            let is_committed = self.store.entry(chain)?.is_some();
            if is_committed || row.expires <= height {
                gone.push((*chain, is_committed));
            }
        }
        gone.iter().for_each(|(chain, is_committed)| self.release(chain, *is_committed, now_ms, effects));
        self.outlive_errands(height, now_ms, effects);
        self.call_back_office(now_ms, effects);
        Ok(())
    }

    /// Own cash set aside, for the operator.
    pub fn reserved(&self) -> impl Iterator<Item = (&stemma_chain_format::instrument::InstrumentId, Amount)> {
        self.reserved.iter().map(|(instrument, amount)| (instrument, *amount))
    }
}

/// The answer that a row holds, as it is sent.
fn stored_answer(row: &AnswerRow) -> Result<Answer, StoreError> {
    minicbor::decode(&row.answer).map_err(StoreError::damaged)
}
