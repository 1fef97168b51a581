//! The answer comes back: a refusal ends the request, a third chain is checked in full and put to the network. Only its
//! block changes holdings.

use std::sync::Arc;

use stemma_chain_format::chain::{Chain, Entry, Service};
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::Link;
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::Refusal;
use stemma_chain_format::validate::{self, VerifiedEntry};

use super::service::asked;
use super::{Bank, OrderKind, OrderRow, OrderState, SendFailure, StoreError};
use crate::role::{Answer, RoleEffect};

impl Bank {
    /// An institution answered.
    pub fn answered(
        &mut self,
        link: &Link,
        answer: Answer,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) {
        let Some(row) = self.open.get(link).filter(|row| row.state == OrderState::Sent) else { return };
        let outcome = match answer {
            Answer::NotYet => {
                self.unanswered(link, SendFailure::NotYet, now_ms);
                return;
            }
            Answer::Executed(bytes) => chain_of(row, bytes.into()).map(|chain| {
                effects.push(RoleEffect::VerifyExecuted { link: *link, chain: Box::new(chain) });
            }),
            Answer::Refused(bytes) => refusal_of(row, bytes.into(), ledger).map(|refusal| {
                if let Some(row) = self.open.get_mut(link) {
                    row.refusal = Some(refusal.into());
                }
                self.finish(link, OrderState::Refused, None, ledger, now_ms, effects);
            }),
        };
        if let Err(violation) = outcome {
            tracing::error!(request = %link, %violation, "the institution's answer does not hold");
            self.unanswered(link, SendFailure::Unanswered, now_ms);
        }
    }

    /// A third chain's signatures were checked; now the account's lineage, then the network.
    pub fn executed(
        &mut self,
        link: &Link,
        verdict: Result<Arc<VerifiedEntry>, Violation>,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) {
        if self.open.get(link).is_none_or(|row| row.state != OrderState::Sent) {
            return;
        }
        let checked = verdict.and_then(|entry| match ledger.admits(&entry, now_ms) {
            // The institution's own cash may still be on its way; the chain then waits in the pool.
            Ok(()) => Ok(entry),
            Err(violation) if violation.rule == Rule::Overdraft => Ok(entry),
            Err(violation) => Err(violation),
        });
        let entry = match checked {
            Ok(entry) => entry,
            Err(violation) => {
                tracing::error!(request = %link, %violation, "the institution's execution does not hold");
                self.unanswered(link, SendFailure::Unanswered, now_ms);
                return;
            }
        };
        if let (Some(row), Entry::Chain(chain)) = (self.open.get_mut(link), entry.entry()) {
            row.execution = Some(chain.execution.bytes().to_vec().into());
        }
        self.executed.insert(entry.id(), *link);
        self.dispatch.forget(link);
        let row = self.move_to(link, OrderState::Executed, now_ms);
        let institution = row.as_ref().and_then(|row| row.institution.clone());
        effects.extend(row.map(|row| RoleEffect::StoreOrder(Box::new(row))));
        effects.push(RoleEffect::Propose(entry));
        effects.push(RoleEffect::Changed(*link));
        if let Some(institution) = institution {
            self.dispatch(&institution, now_ms, effects);
        }
    }

    /// A block is final: its entries of this bank's accounts are committed, what it outlived has expired, and the lines move on.
    pub fn committed(
        &mut self,
        entries: &[(u64, Arc<VerifiedEntry>)],
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) {
        for (height, entry) in entries {
            let unheard = |bank: &mut Self| match entry.entry() {
                Entry::Chain(chain) => bank.hear(chain, now_ms),
                _ => None,
            };
            if let Some(link) = self.executed.remove(&entry.id()).or_else(|| unheard(self)) {
                self.finish(&link, OrderState::Committed, Some(*height), ledger, now_ms, effects);
            }
        }
        // What may commit at this height at the latest has had its chance.
        let height = ledger.head().height;
        let open = self.expiries.split_off(&height.saturating_add(1));
        for link in std::mem::replace(&mut self.expiries, open).into_values().flatten() {
            if self.open.contains_key(&link) {
                self.give_up(&link, ledger, now_ms, effects);
            }
        }
        for link in self.overtaken(ledger) {
            tracing::warn!(request = %link, "what the bank signed can't commit any more: another entry came first");
            self.give_up(&link, ledger, now_ms, effects);
        }
    }

    /// What is open can't commit any more.
    fn give_up(&mut self, link: &Link, ledger: &Ledger, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        self.executed.retain(|_, request| request != link);
        self.finish(link, OrderState::Expired, None, ledger, now_ms, effects);
    }

    /// Hears of a committed chain whose answer has not come: its institution put it to the network. Gives the open order that it
    /// carries out.
    fn hear(&mut self, chain: &Chain, now_ms: u64) -> Option<Link> {
        let link = chain.request.link();
        let row = self.open.get_mut(&link)?;
        row.execution = Some(chain.execution.bytes().to_vec().into());
        self.executed.retain(|_, request| *request != link);
        self.move_to(&link, OrderState::Executed, now_ms);
        Some(link)
    }

    fn finish(
        &mut self,
        link: &Link,
        state: OrderState,
        height: Option<u64>,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) {
        if let Some(row) = self.open.get_mut(link) {
            row.height = height;
        }
        let Some(row) = self.move_to(link, state, now_ms) else { return };
        let (account, institution) = (row.account, row.institution.clone());
        effects.push(RoleEffect::StoreOrder(Box::new(row)));
        effects.push(RoleEffect::Changed(*link));
        if let Some(institution) = institution {
            self.dispatch(&institution, now_ms, effects);
        }
        self.advance(&account, ledger, now_ms, effects);
    }

    /// Takes up what was in flight when the node stopped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn resume(&mut self, ledger: &Ledger, now_ms: u64, effects: &mut Vec<RoleEffect>) -> Result<(), StoreError> {
        let mut accounts = Vec::new();
        for row in self.store.open_orders()? {
            let (link, account) = (row.link, row.account);
            accounts.push(account);
            let expires = expiry_of(&row).map_err(StoreError::damaged)?;
            self.open.insert(link, row.clone());
            if let Some(expires) = expires {
                self.expiries.entry(expires).or_default().push(link);
            }
            match (row.state, row.kind) {
                (OrderState::Received, OrderKind::Act) => self.lines.jump(account, link),
                (OrderState::Received, _) => self.lines.join(account, link),
                _ => self.lines.resume(account, link),
            }
            match (row.state, row.execution.clone()) {
                (OrderState::Endorsed | OrderState::Sent, _)
                    if let Some((height, chain)) = self.committed_unheard(&row)? =>
                {
                    self.hear(&chain, now_ms);
                    self.finish(&link, OrderState::Committed, Some(height), ledger, now_ms, effects);
                }
                (OrderState::Executed, Some(execution)) => {
                    let entry = entry_of(&row, execution.into()).map_err(StoreError::damaged)?;
                    self.resume_executed(link, entry, ledger, now_ms, effects)?;
                }
                (OrderState::Endorsed, _) => self.enqueue(&row, ledger.head().time_ms)?,
                (OrderState::Sent, _) => {
                    if let Some(institution) = row.institution.clone() {
                        self.queues.resume(institution, link);
                    }
                    self.ask(&link, effects);
                }
                _ => {}
            }
        }
        for queue in self.queues.shown(0) {
            self.dispatch(&queue.institution, now_ms, effects);
        }
        self.committed(&[], ledger, now_ms, effects);
        for account in accounts {
            self.advance(&account, ledger, now_ms, effects);
        }
        Ok(())
    }

    /// The chain of an order, with its height, that was committed before this bank heard of it.
    fn committed_unheard(&self, row: &OrderRow) -> Result<Option<(u64, Chain)>, StoreError> {
        let Some(endorsement) = &row.endorsement else { return Ok(None) };
        let endorsement: Signed<Endorsement> = Signed::decode(endorsement.to_vec()).map_err(StoreError::damaged)?;
        let Endorsement { account, sequence, .. } = endorsement.record();
        let Some(place) = self.store.lineage_at(account, *sequence)? else { return Ok(None) };
        match Entry::decode(&self.store.entry_at(place)?).map_err(StoreError::damaged)? {
            Entry::Chain(chain) if chain.endorsement.link() == endorsement.link() => Ok(Some((place.height, *chain))),
            _ => Ok(None),
        }
    }

    fn resume_executed(
        &mut self,
        link: Link,
        entry: Entry,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        let id = entry.id();
        if let Some((place, _)) = self.store.entry(&id)? {
            self.finish(&link, OrderState::Committed, Some(place.height), ledger, now_ms, effects);
            return Ok(());
        }
        self.executed.insert(id, link);
        match validate::verify_entry(entry, ledger.registry()) {
            Ok(entry) => effects.push(RoleEffect::Propose(Arc::new(entry))),
            // Who signed it may sign no more: it is not put to the network again, and expires or is given up.
            Err(violation) => tracing::warn!(%link, %violation, "what was signed before holds no more"),
        }
        Ok(())
    }
}

fn expiry_of(row: &OrderRow) -> Result<Option<u64>, Violation> {
    if row.kind == OrderKind::Instruction {
        let instruction: Signed<Instruction> = Signed::decode(row.request.to_vec())?;
        return Ok(instruction.record().expires);
    }
    let Some(endorsement) = &row.endorsement else { return Ok(None) };
    let endorsement: Signed<Endorsement> = Signed::decode(endorsement.to_vec())?;
    Ok(Some(endorsement.record().expires))
}

/// What an order has given to the network.
fn entry_of(row: &OrderRow, execution: Vec<u8>) -> Result<Entry, Violation> {
    if row.kind == OrderKind::Trade {
        return chain_of(row, execution);
    }
    let (_, instruction) = asked(row)?;
    Ok(Entry::Servicing(Box::new(Service { instruction, servicing: Signed::decode(execution)? })))
}

fn chain_of(row: &OrderRow, execution: Vec<u8>) -> Result<Entry, Violation> {
    let missing = || Violation::new(Rule::Link, "endorsement", "a stored endorsement", "none");
    let endorsement = row.endorsement.as_ref().ok_or_else(missing)?;
    Ok(Entry::Chain(Box::new(Chain {
        request: Signed::decode(row.request.to_vec())?,
        endorsement: Signed::decode(endorsement.to_vec())?,
        execution: Signed::decode(execution)?,
    })))
}

/// A refusal counts where it is signed by the request's institution and refuses this very endorsement.
fn refusal_of(row: &OrderRow, bytes: Vec<u8>, ledger: &Ledger) -> Result<Vec<u8>, Violation> {
    let refusal: Signed<Refusal> = Signed::decode(bytes)?;
    validate::verify_refusal(&refusal, ledger.registry())?;
    let request: Signed<stemma_chain_format::request::Request> = Signed::decode(row.request.to_vec())?;
    let institution = &request.record().institution;
    if refusal.record().member != *institution {
        return Err(Violation::new(Rule::Signer, "refusal.member", institution, &refusal.record().member));
    }
    let endorsed = row.endorsement.as_ref().map(|bytes| Link::of(bytes));
    if endorsed != Some(refusal.record().refused) {
        let expected = "the link of the endorsement";
        return Err(Violation::new(Rule::Link, "refusal.refused", expected, refusal.record().refused));
    }
    Ok(refusal.bytes().to_vec())
}
