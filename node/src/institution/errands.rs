//! Errands: instructions at a back office that answers later. Each is durable before the first call, and open until the back
//! office has acknowledged what became of it; in between it is in one state, and a restart takes it up where it stood.
//!
//! ```text
//! Asked ── filled ──→ Filled ── block ───→ Committed ──┐
//!   │                   └────── expiry ──→ Expired ────┤ acknowledged
//!   ├── expiry, whatever is answered ────→ Expired ────┼──────────────→ done
//!   ├── turned away, or filled otherwise → Refused ────┘
//!   └── declined ────────────────────────────────────────────────────→ done
//! ```

use std::collections::BTreeMap;

use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::cbor;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::validate::{VerifiedEndorsement, verify_endorsements};
use stemma_node_api::types::BackOfficeView;

use super::Institution;
use super::back_office::{Conclusion, Fill, Heard, News, Release, Told, Verdict};
use super::conditions::no;
use super::decide::Decision;
use super::rewards::Bonus;
use crate::role::{Answer, Question, QuestionSlot, RoleEffect};
use crate::store::{AnswerRow, ErrandRow, ErrandState, JudgedBytes, Rewarded, StoreError};

/// Most errands that are not done; beyond it banks are told to ask again.
const ERRANDS_MAX: usize = 10_000;
/// How long a question waits for the back office before its bank is told to ask again, in milliseconds. Questions that came in
/// one message are answered together, so a slow one must not hold up the others for long.
const WAIT_MS: u64 = 500;
/// Largest encoding of a judgement, in bytes.
const JUDGEMENT_BYTES_MAX: usize = 16 * 1024;

/// Every errand that is not done, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Errands {
    by_key: BTreeMap<Link, Errand>,
    /// Chain id → the key of the errand that led to it.
    by_chain: BTreeMap<Link, Link>,
    /// Key → questions that are answered when it is decided, each with the time at which its bank is told to ask again instead.
    waiting: BTreeMap<Link, Vec<(QuestionSlot, u64)>>,
    last_number: u64,
}

#[derive(Debug)]
struct Errand {
    row: ErrandRow,
    /// What is to be signed, while it is not decided.
    judged: Option<Judged>,
}

#[derive(Debug)]
struct Judged {
    question: VerifiedEndorsement,
    decision: Decision,
}

impl Errands {
    pub(super) fn is_full(&self) -> bool {
        self.by_key.len() >= ERRANDS_MAX
    }

    /// Whether a question has an errand whose end it is to wait for.
    pub(super) fn is_under_way(&self, key: &Link) -> bool {
        // An expired one has no answer to wait for: the question is refused as expired, like any other.
        self.by_key.get(key).is_some_and(|errand| errand.row.state != ErrandState::Expired)
    }

    /// A question waits for its errand, or for there to be room for one, so that its bank does not ask again all the time.
    pub(super) fn wait(&mut self, key: Link, slot: QuestionSlot, now_ms: u64) {
        self.waiting.entry(key).or_default().push((slot, now_ms.saturating_add(WAIT_MS)));
    }

    fn answer_waiting(&mut self, key: &Link, answer: &Answer, effects: &mut Vec<RoleEffect>) {
        let slots = self.waiting.remove(key).into_iter().flatten();
        effects.extend(slots.map(|(slot, _)| RoleEffect::Answer { slot, answer: answer.clone() }));
    }

    /// The positions that what is asked for touches.
    pub(super) fn positions(&self) -> impl Iterator<Item = AccountId> {
        let judged = self.by_key.values().filter_map(|errand| errand.judged.as_ref());
        judged.filter_map(|judged| judged.decision.position)
    }

    fn bonuses(&self) -> impl Iterator<Item = &Bonus> {
        let judged = self.by_key.values().filter_map(|errand| errand.judged.as_ref());
        judged.filter_map(|judged| judged.decision.bonus.as_ref())
    }
}

impl Institution {
    /// Makes an errand of a judged order, and asks the back office.
    pub(super) fn begin_errand(
        &mut self,
        slot: QuestionSlot,
        question: VerifiedEndorsement,
        decision: Decision,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) {
        let key = question.endorsement().link();
        self.errands.last_number = self.errands.last_number.saturating_add(1);
        let row = ErrandRow {
            number: self.errands.last_number,
            key,
            expires: question.endorsement().record().expires,
            state: ErrandState::Asked,
            reserved: decision.reserved(&question),
            judged: Some(judged_bytes(&question, &decision)),
        };
        self.reserve(row.reserved.as_ref());
        effects.push(RoleEffect::StoreErrand(Box::new(row.clone())));
        self.errands.by_key.insert(key, Errand { row, judged: Some(Judged { question, decision }) });
        self.errands.wait(key, slot, now_ms);
        self.call_back_office(now_ms, effects);
    }

    /// A call of the back office came to its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heard(
        &mut self,
        heard: Heard,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        match self.back_office.heard(heard, now_ms) {
            Some(News::Decided(key, verdict)) => self.decided(&key, verdict, ledger, now_ms, effects)?,
            Some(News::Concluded(key)) => match self.telling.acknowledged(&key) {
                Some(place) => effects.push(RoleEffect::ForgetUntold(place)),
                None => self.finish_errand(&key, effects),
            },
            None => {}
        }
        self.call_back_office(now_ms, effects);
        Ok(())
    }

    /// Time goes on: calls are due, and who waited long enough is told to ask again.
    pub fn tick(&mut self, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        for slots in self.errands.waiting.values_mut() {
            let late = slots.extract_if(.., |(_, until_ms)| *until_ms <= now_ms);
            effects.extend(late.map(|(slot, _)| RoleEffect::Answer { slot, answer: Answer::NotYet }));
        }
        self.errands.waiting.retain(|_, slots| !slots.is_empty());
        self.call_back_office(now_ms, effects);
    }

    pub(super) fn call_back_office(&mut self, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let calls = self.back_office.due(now_ms);
        effects.extend(calls.into_iter().map(|call| RoleEffect::CallBackOffice(Box::new(call))));
    }

    /// The back office decided: the third chain or a refusal is signed, stored and sent.
    fn decided(
        &mut self,
        key: &Link,
        verdict: Verdict,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        let Some(errand) = self.errands.by_key.get_mut(key) else { return Ok(()) };
        let Some(Judged { question, decision }) = errand.judged.take() else { return Ok(()) };
        let reserved = errand.row.reserved.take();
        self.unreserve(reserved.as_ref());
        let is_settled = matches!(&verdict, Verdict::Declined(decline) if decline.is_settled);
        let answer = self.answer_row(&question, decision, verdict, ledger, now_ms).or_else(|violation| {
            tracing::error!(%key, %violation, "cannot sign what the back office carried out");
            let told = no(Why::QuantityOutOfRange, "amounts of at most 2^96", violation);
            self.refused_row(&question, told, now_ms)
        });
        let chain = match answer {
            Ok(row) => {
                let chain = row.chain;
                let answer = self.take_over(&question, row, ledger, effects)?;
                self.errands.answer_waiting(key, &answer, effects);
                chain
            }
            Err(violation) => {
                tracing::error!(%key, %violation, "cannot sign a refusal");
                None
            }
        };
        match chain {
            Some(chain) => {
                self.errands.by_chain.insert(chain, *key);
                self.move_errand(key, ErrandState::Filled(chain), now_ms, effects);
            }
            None if is_settled => self.finish_errand(key, effects),
            None => self.move_errand(key, ErrandState::Refused, now_ms, effects),
        }
        Ok(())
    }

    /// What a verdict of the back office is to the bank.
    pub(super) fn answer_row(
        &mut self,
        question: &VerifiedEndorsement,
        decision: Decision,
        verdict: Verdict,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<AnswerRow, Violation> {
        let asked = decision.outcome.deal().map(|deal| (deal.quantity, deal.price));
        let told = match verdict {
            Verdict::Filled(Fill { quantity, price }) if asked == Some((quantity, price)) => {
                return self.executed_row(question, decision, ledger, now_ms);
            }
            Verdict::Filled(fill) => {
                let cash_decimals = decision.traded.map_or(0, |traded| traded.cash_decimals);
                let show =
                    |(quantity, price): (Amount, Price)| format!("{quantity} at {}", price.display(cash_decimals));
                let expected = format!("an execution of {}", asked.map_or("nothing".to_owned(), show));
                let found = show((fill.quantity, fill.price));
                let key = question.endorsement().link();
                tracing::error!(%key, expected, found, "the back office carried out what it was not asked; it is released");
                no(Why::DeclinedByInstitution, expected, found)
            }
            Verdict::Declined(decline) => {
                no(Why::DeclinedByInstitution, "an execution by the institution's own system", decline.reason)
            }
        };
        self.refused_row(question, told, now_ms)
    }

    /// The ledger has spoken on a chain: committed, or never.
    pub(super) fn settle_errand(
        &mut self,
        chain: &Link,
        is_committed: bool,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) {
        let Some(key) = self.errands.by_chain.remove(chain) else { return };
        let state = if is_committed { ErrandState::Committed(*chain) } else { ErrandState::Expired };
        self.move_errand(&key, state, now_ms, effects);
    }

    /// Gives up what the back office has not decided by a height at which the ledger takes it no more.
    pub(super) fn outlive_errands(&mut self, height: u64, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let outlived = |errand: &&Errand| errand.row.state == ErrandState::Asked && errand.row.expires <= height;
        let keys: Vec<Link> = self.errands.by_key.values().filter(outlived).map(|errand| errand.row.key).collect();
        for key in keys {
            tracing::warn!(%key, "the back office did not decide in time; what it may have carried out is released");
            self.move_errand(&key, ErrandState::Expired, now_ms, effects);
            self.errands.answer_waiting(&key, &Answer::NotYet, effects);
        }
    }

    /// Moves an errand on that is decided, durably; it reserves nothing any more. Tells the back office what it is to be told.
    fn move_errand(&mut self, key: &Link, state: ErrandState, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let Some(errand) = self.errands.by_key.get_mut(key) else { return };
        let reserved = errand.row.reserved.take();
        errand.judged = None;
        errand.row.judged = None;
        errand.row.state = state;
        effects.push(RoleEffect::StoreErrand(Box::new(errand.row.clone())));
        self.unreserve(reserved.as_ref());
        self.conclude_errand(key, state, now_ms, effects);
    }

    fn conclude_errand(&mut self, key: &Link, state: ErrandState, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let conclusion = match state {
            ErrandState::Asked | ErrandState::Filled(_) => return,
            ErrandState::Committed(chain) => Conclusion::Committed(chain),
            ErrandState::Expired => Conclusion::Released(Release::Expired),
            ErrandState::Refused => Conclusion::Released(Release::Refused),
        };
        match self.back_office.conclude(*key, conclusion, now_ms) {
            Told::Now => self.finish_errand(key, effects),
            Told::Later => {}
        }
    }

    fn finish_errand(&mut self, key: &Link, effects: &mut Vec<RoleEffect>) {
        if let Some(errand) = self.errands.by_key.remove(key) {
            effects.push(RoleEffect::RemoveErrand(errand.row.number));
        }
    }

    /// Takes up the errands that the store has, each where it stood.
    pub(super) fn resume_errands(
        &mut self,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        for row in self.store.errands()? {
            let (key, state) = (row.key, row.state);
            self.errands.last_number = self.errands.last_number.max(row.number);
            self.reserve(row.reserved.as_ref());
            let judged = row.judged.as_ref().map(|judged| read_judged(judged, ledger.registry())).transpose()?;
            match &judged {
                Some(Ok(Judged { question, decision })) => {
                    if let Some(instruction) = decision.instruction(question) {
                        self.back_office.execute(&instruction, now_ms);
                    }
                }
                Some(Err(violation)) => {
                    tracing::error!(%key, %violation, "what an errand was made of does not hold any more; it is released");
                }
                None => {}
            }
            self.errands.by_key.insert(key, Errand { row, judged: judged.and_then(Result::ok) });
            match state {
                ErrandState::Asked if self.errands.by_key.get(&key).is_some_and(|errand| errand.judged.is_none()) => {
                    // Whoever signed it has another key by now: no execution of it can be valid any more.
                    self.move_errand(&key, ErrandState::Refused, now_ms, effects);
                }
                ErrandState::Filled(chain) => {
                    self.errands.by_chain.insert(chain, key);
                }
                _ => self.conclude_errand(&key, state, now_ms, effects),
            }
        }
        Ok(())
    }

    /// The rewards that are promised and not committed.
    pub(super) fn promised_rewards(&self) -> impl Iterator<Item = &Rewarded> {
        let open = self.open.values().flat_map(|row| &row.rewards);
        open.chain(self.errands.bonuses().flat_map(|bonus| &bonus.payments))
    }

    /// How often a referral is used by what is not committed.
    pub(super) fn uses_in_flight(&self, referral: &Digest) -> u64 {
        let open = self.open.values().filter_map(|row| row.referral);
        let uses = open.chain(self.errands.bonuses().filter_map(|bonus| bonus.used));
        u64::try_from(uses.filter(|used| used == referral).count()).unwrap_or(u64::MAX)
    }

    /// How the back office is, where it is beside this node.
    pub fn back_office(&self) -> Option<BackOfficeView> {
        self.back_office.standing().map(|standing| BackOfficeView {
            errands: u64::try_from(self.errands.by_key.len().saturating_add(self.telling.len())).unwrap_or(u64::MAX),
            failures: standing.failures,
            breaker: standing.breaker.to_owned(),
        })
    }
}

fn judged_bytes(question: &VerifiedEndorsement, decision: &Decision) -> JudgedBytes {
    let (request, endorsement) = (question.request().bytes().to_vec(), question.endorsement().bytes().to_vec());
    JudgedBytes {
        question: Question { request: request.into(), endorsement: endorsement.into() },
        judgement: cbor::encode(decision).into(),
    }
}

/// A question and its judgement as they were stored; a broken rule where the question does not hold any more.
fn read_judged(bytes: &JudgedBytes, registry: &Registry) -> Result<Result<Judged, Violation>, StoreError> {
    let decision = cbor::decode(&bytes.judgement, "judgement", JUDGEMENT_BYTES_MAX).map_err(StoreError::damaged)?;
    let request = Signed::decode(bytes.question.request.to_vec()).map_err(StoreError::damaged)?;
    let endorsement = Signed::decode(bytes.question.endorsement.to_vec()).map_err(StoreError::damaged)?;
    let verdict = verify_endorsements(vec![(request, endorsement)], registry).pop();
    let missing = || Err(Violation::new(Rule::Link, "endorsement", "a verdict", "none"));
    Ok(verdict.unwrap_or_else(missing).map(|question| Judged { question, decision }))
}
