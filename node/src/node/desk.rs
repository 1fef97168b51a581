//! Orders at the door, identities, acts of servicing: what HTTP asks of the bank.

use std::sync::Arc;

use stemma_chain_format::hash::AccountId;
use stemma_chain_format::servicing::Act;
use stemma_node_api::{ApiError, ErrorCode};
use zeroize::Zeroizing;

use super::calls::{conflict, failed, wrong_role};
use super::event::Enrolled;
use super::{CallReply, Event, Node, NodeError};
use crate::bank::identity::{EnrolError, account_key};
use crate::bank::{HandedIn, Holder, IdentityOutcome, Intake, IntakeError};
use crate::clock::now_ms;
use crate::error::chain;
use crate::role::RoleEffect;
use crate::store::{EnrolmentKind, EnrolmentRow, OrderKind, OrderRow, VerifierRow};

impl Node {
    pub(super) fn take_in(&mut self, handed_in: HandedIn, reply: CallReply<OrderRow>) -> Result<(), NodeError> {
        let Some(bank) = &mut self.bank else {
            let _gone = reply.send(Err(wrong_role("bank")));
            return Ok(());
        };
        let (began, now) = (std::time::SystemTime::now(), now_ms());
        let tracing = self.tracing.as_ref().filter(|_| handed_in.kind == OrderKind::Trade);
        let error = match bank.intake(handed_in, self.state.ledger(), now, &mut self.effects) {
            Ok(Intake::Known(row) | Intake::Turned(row)) => {
                // One that came just now had its identity verified at once; one of before is told already.
                if let Some(tracing) = tracing.filter(|_| row.received_ms() >= now) {
                    tracing.ended(&row.link, "identity", began, Vec::new());
                    tracing.ended(&row.link, "intake", began, Vec::new());
                }
                self.replies.push((reply, *row));
                return Ok(());
            }
            Ok(Intake::Identifying(link)) => {
                if let Some(tracing) = tracing {
                    tracing.ended(&link, "intake", began, Vec::new());
                }
                self.identifying.entry(link).or_default().push(reply);
                return Ok(());
            }
            Err(IntakeError::Store(e)) => return Err(NodeError::Store(e)),
            Ok(Intake::Full(row, retry_ms)) => {
                let message = format!("the bank has as many orders waiting as it takes; try again in {retry_ms} ms");
                let help = "Nothing was accepted: hand in the very same order again after that time.";
                let mut error = ApiError::new(ErrorCode::Busy, message).help(help);
                error.error.retry_after_ms = Some(retry_ms);
                error.error.refusal = row.refusal.as_ref().map(|bytes| crate::base64(bytes));
                error
            }
            Err(e @ IntakeError::Malformed(..)) => ApiError::new(ErrorCode::Malformed, chain(&e)),
            Err(e @ IntakeError::KeyReused(_)) => conflict(&e)
                .help("Give each order a key of its own; the same order may be handed in again under its key."),
            Err(e) => failed(&e),
        };
        let _gone = reply.send(Err(error));
        Ok(())
    }

    /// Verifies identities beside the node's thread, a few at a time.
    pub(super) fn identify(&mut self) {
        let Some(bank) = &mut self.bank else { return };
        let Some(job) = bank.take_job() else { return };
        let (desk, given_up) = (bank.desk(), job.given_up());
        let (events, desks) = (self.events.clone(), Arc::clone(&self.desks));
        let traced = self.tracing.as_ref().map(|tracing| (tracing.traces(), given_up.link));
        self.runtime.spawn(async move {
            let _place = desks.acquire_owned().await;
            let began = std::time::SystemTime::now();
            let outcome = tokio::task::spawn_blocking(move || job.run(&desk)).await;
            if let Some((traces, link)) = traced {
                traces.span(&link, "identity", began, std::time::SystemTime::now(), Vec::new());
            }
            let outcome = outcome.unwrap_or_else(|e| {
                tracing::error!(error = %e, "an identity was not verified");
                given_up
            });
            drop(events.send(Event::Identified(outcome)).await);
        });
    }

    pub(super) fn on_identified(&mut self, outcome: IdentityOutcome) -> Result<(), NodeError> {
        let Some(bank) = &mut self.bank else { return Ok(()) };
        let link = outcome.link;
        match bank.identified(outcome, self.state.ledger(), now_ms(), &mut self.effects) {
            Ok(()) => {}
            Err(IntakeError::Store(e)) => return Err(NodeError::Store(e)),
            Err(e) => {
                tracing::error!(order = %link, error = %chain(&e), "an order was neither accepted nor refused");
                for reply in self.identifying.remove(&link).into_iter().flatten() {
                    let _gone = reply.send(Err(failed(&e)));
                }
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, account: AccountId, act: Act, reply: CallReply<OrderRow>) {
        let Some(bank) = &mut self.bank else {
            let _gone = reply.send(Err(wrong_role("bank")));
            return;
        };
        match bank.act(account, act, self.state.ledger(), now_ms(), &mut self.effects) {
            Ok(row) if row.state.is_final() => self.replies.push((reply, row)),
            Ok(row) => self.waiting.entry(row.link).or_default().push(reply),
            Err(e) => {
                let _gone = reply.send(Err(conflict(&e)));
            }
        }
    }

    /// Makes a verifier of material, beside the node's thread.
    pub(super) fn enrol(
        &self,
        account: AccountId,
        kind: String,
        material: Zeroizing<Vec<u8>>,
        counter: u64,
        reply: CallReply<EnrolmentRow>,
    ) {
        let Some(bank) = &self.bank else {
            let _gone = reply.send(Err(wrong_role("bank")));
            return;
        };
        let known = self.state.ledger().account(&account).filter(|known| known.state.bank == self.settings.member.id);
        let Some(key) = known.and_then(|account| account.state.key) else {
            let message = format!("{account} is no account of this bank with a key");
            let _gone = reply.send(Err(ApiError::new(ErrorCode::NotFound, message)));
            return;
        };
        let network = self.settings.genesis.network();
        let holder = Holder { network, account, key, counter, now_s: now_ms() / 1_000 };
        let (desk, events, desks) = (bank.desk(), self.events.clone(), Arc::clone(&self.desks));
        self.runtime.spawn(async move {
            let _place = desks.acquire_owned().await;
            let of_kind = kind.clone();
            let work = move || desk.enrol(&holder, &of_kind, &material);
            match tokio::task::spawn_blocking(work).await {
                Ok(result) => drop(events.send(Event::Enrolled(Enrolled { account, kind, result, reply })).await),
                Err(e) => tracing::error!(error = %e, "an identity was not enrolled"),
            }
        });
    }

    pub(super) fn on_enrolled(&mut self, enrolled: Enrolled) -> Result<(), NodeError> {
        let Enrolled { account, kind, result, reply } = enrolled;
        let enrolment = match result {
            Ok(enrolment) => enrolment,
            Err(e) => {
                let code = match e {
                    EnrolError::UnknownType { .. } | EnrolError::Unfit { .. } => ErrorCode::Malformed,
                    EnrolError::Implied { .. } => ErrorCode::Conflict,
                    EnrolError::TooLarge { .. } => ErrorCode::TooLarge,
                    EnrolError::Random(_) | EnrolError::Work { .. } => ErrorCode::Internal,
                };
                let _gone = reply.send(Err(ApiError::new(code, chain(&e))));
                return Ok(());
            }
        };
        let replaced = self.store.verifier(&account, &kind)?.is_some();
        let what = if replaced { EnrolmentKind::Replaced } else { EnrolmentKind::Enrolled };
        let (at_ms, digest) = (now_ms(), enrolment.verifier);
        let stored = enrolment.stored.into();
        let row = VerifierRow { account, kind: kind.clone(), stored, digest, enrolled_ms: at_ms };
        self.effects.push(RoleEffect::StoreVerifier(Box::new(row)));
        if let Some(bank) = &mut self.bank {
            bank.unlock(account, &kind, &mut self.effects);
        }
        self.log_enrolment(EnrolmentRow { what, account, kind, digest: Some(digest), at_ms }, reply);
        Ok(())
    }

    pub(super) fn change_verifier(
        &mut self,
        account: AccountId,
        kind: String,
        what: EnrolmentKind,
        reply: CallReply<EnrolmentRow>,
    ) -> Result<(), NodeError> {
        let Some(bank) = &mut self.bank else {
            let _gone = reply.send(Err(wrong_role("bank")));
            return Ok(());
        };
        let stored = self.store.verifier(&account, &kind)?;
        if stored.is_none() && kind != account_key::KIND {
            let message = format!("account {account} has no identity of the type {kind}");
            let _gone = reply.send(Err(ApiError::new(ErrorCode::NotFound, message)));
            return Ok(());
        }
        bank.unlock(account, &kind, &mut self.effects);
        let mut digest = stored.map(|row| row.digest);
        if what == EnrolmentKind::Removed {
            self.effects.push(RoleEffect::RemoveVerifier(account, kind.clone()));
            digest = None;
        }
        self.log_enrolment(EnrolmentRow { what, account, kind, digest, at_ms: now_ms() }, reply);
        Ok(())
    }

    /// The line is durable before the operator hears of it.
    fn log_enrolment(&mut self, row: EnrolmentRow, reply: CallReply<EnrolmentRow>) {
        tracing::info!(account = %row.account, kind = %row.kind, what = ?row.what, "a verifier was changed");
        self.effects.push(RoleEffect::LogEnrolment(Box::new(row.clone())));
        self.enrolled.push((reply, row));
    }
}
