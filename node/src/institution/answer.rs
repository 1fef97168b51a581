//! The answer goes out, stored first; and what it reserved is released when its chain commits or expires.

use std::sync::Arc;

use stemma_chain_format::amount::Amount;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_chain_format::validate::{VerifiedEndorsement, VerifiedEntry};

use super::Institution;
use super::admit::{Admission, admit};
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
        let position = self.touched(&question, ledger);
        // What a settlement on its way leaves of the position, only the block tells.
        let admission = match admit(&question, ledger) {
            Admission::Judge if position.is_some_and(|key| self.is_under_way(&key)) => Admission::Wait,
            admission => admission,
        };
        let verdict = match admission {
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
        // What this node could not judge, for a fault of its own that the log tells, is not refused for good: the bank asks again.
        if verdict.as_ref().is_err_and(|no| no.reason == RefusalReason::Busy) {
            effects.push(RoleEffect::Answer { slot, answer: Answer::NotYet });
            return Ok(());
        }
        let row = match verdict {
            Ok(decision) => self.executed_row(&question, decision, position, ledger, now_ms),
            Err(no) => self.refused_row(&question, no, now_ms),
        };
        match row {
            Ok(row) => {
                let answer = stored_answer(&row)?;
                self.take_over(row.clone());
                effects.push(RoleEffect::StoreAnswer(Box::new(row)));
                effects.push(RoleEffect::Answer { slot, answer });
            }
            // Only amounts beyond the format's range lead here; the bank asks again and the endorsement expires.
            Err(violation) => {
                tracing::error!(%endorsement, %violation, "cannot sign an answer");
                effects.push(RoleEffect::Answer { slot, answer: Answer::NotYet });
            }
        }
        Ok(())
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

    fn executed_row(
        &mut self,
        question: &VerifiedEndorsement,
        decision: Decision,
        position: Option<AccountId>,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<AnswerRow, Violation> {
        let execution = self.execute(question, &decision, ledger, now_ms)?;
        let cash = question.request().record().order.cash();
        let pays = decision.pays.is_positive();
        let reserved = pays.then(|| Reserved { instrument: cash.clone(), amount: decision.pays });
        let answer = Answer::Executed(execution.bytes().to_vec().into());
        let row = self.row(question, &answer, Some(execution.link()), reserved);
        let (rewards, referral) = decision.bonus.map_or((Vec::new(), None), |bonus| (bonus.payments, bonus.used));
        Ok(AnswerRow { rewards, referral, position, ..row })
    }

    fn refused_row(&mut self, question: &VerifiedEndorsement, no: No, now_ms: u64) -> Result<AnswerRow, Violation> {
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

    fn take_over(&mut self, row: AnswerRow) {
        self.reserve(&row);
        self.fresh.insert(row.endorsement, row.clone());
        if let Some(chain) = row.chain {
            self.open.insert(chain, row);
        }
    }

    pub(super) fn reserve(&mut self, row: &AnswerRow) {
        if let Some(Reserved { instrument, amount }) = &row.reserved {
            let sum = self.reserved.entry(instrument.clone()).or_default();
            *sum = sum.plus(*amount).unwrap_or(*sum);
        }
    }

    fn release(&mut self, chain: &Link, effects: &mut Vec<RoleEffect>) {
        let Some(mut row) = self.open.remove(chain) else { return };
        if let Some(Reserved { instrument, amount }) = &row.reserved {
            let left = self.reserved.get(instrument).and_then(|sum| sum.minus(*amount).ok());
            match left.filter(|left| left.is_positive()) {
                Some(left) => self.reserved.insert(instrument.clone(), left),
                None => self.reserved.remove(instrument),
            };
        }
        row.is_open = false;
        effects.push(RoleEffect::StoreAnswer(Box::new(row)));
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
            self.release(&entry.id(), effects);
            self.settled(entry);
        }
        let height = ledger.head().height;
        let outlived: Vec<Link> =
            self.open.iter().filter(|(_, row)| row.expires <= height).map(|(chain, _)| *chain).collect();
        outlived.iter().for_each(|chain| self.release(chain, effects));
        for (slot, question) in std::mem::take(&mut self.parked) {
            self.asked(slot, question, ledger, now_ms, effects)?;
        }
        Ok(())
    }

    /// Takes up what was in flight when the node stopped: chains committed or outlived meanwhile are released.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn resume(&mut self, ledger: &Ledger, effects: &mut Vec<RoleEffect>) -> Result<(), StoreError> {
        let height = ledger.head().height;
        let mut gone = Vec::new();
        for (chain, row) in &self.open {
            if row.expires <= height || self.store.entry(chain)?.is_some() {
                gone.push(*chain);
            }
        }
        gone.iter().for_each(|chain| self.release(chain, effects));
        Ok(())
    }

    /// Own cash set aside, for the operator.
    pub fn reserved(&self) -> impl Iterator<Item = (&stemma_chain_format::instrument::InstrumentId, Amount)> {
        self.reserved.iter().map(|(instrument, amount)| (instrument, *amount))
    }
}

fn stored_answer(row: &AnswerRow) -> Result<Answer, StoreError> {
    minicbor::decode(&row.answer).map_err(StoreError::damaged)
}
