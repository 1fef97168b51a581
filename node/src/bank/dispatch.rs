//! Sends second chains to their institutions, again and again until there is an answer or the endorsement expires. Asking
//! again is safe: the same second chain always gets the same answer.

use std::collections::BTreeMap;

use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_chain_format::request::Request;

use super::{Bank, TradeState};
use crate::role::{Question, RoleEffect};

/// After how long an unanswered question is asked again, in milliseconds.
pub const DISPATCH_RETRY_MS: u64 = 500;

/// Why a question has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// The institution was not reached, or did not answer in time.
    Unanswered,
    /// It has not yet seen the account's chain before.
    NotYet,
}

/// Questions without an answer: when each is asked next; `None` while one is on its way.
#[derive(Debug, Default)]
pub(super) struct Dispatch(BTreeMap<Link, Option<u64>>);

impl Dispatch {
    pub(super) fn forget(&mut self, link: &Link) {
        self.0.remove(link);
    }
}

impl Bank {
    /// Sends an endorsed request, its row made durable first.
    pub(super) fn send(&mut self, link: &Link, effects: &mut Vec<RoleEffect>) {
        if let Some(row) = self.open.get(link) {
            effects.push(RoleEffect::StoreTrade(Box::new(row.clone())));
            effects.push(RoleEffect::Changed(*link));
        }
        self.ask(link, effects);
    }

    /// Asks the request's institution.
    pub(super) fn ask(&mut self, link: &Link, effects: &mut Vec<RoleEffect>) {
        let Some(row) = self.open.get(link).filter(|row| row.state == TradeState::Endorsed) else { return };
        let Some(endorsement) = row.endorsement.clone() else { return };
        let institution = match Signed::<Request>::decode(row.request.to_vec()) {
            Ok(request) => request.record().institution.clone(),
            Err(violation) => {
                tracing::error!(request = %link, %violation, "a stored request cannot be read");
                return;
            }
        };
        self.dispatch.0.insert(*link, None);
        let question = Question { request: row.request.clone(), endorsement };
        effects.push(RoleEffect::SendEndorsed { institution, link: *link, question });
    }

    /// A question was not answered; it is asked again after a while.
    pub fn unanswered(&mut self, link: &Link, failure: SendFailure, now_ms: u64) {
        let delay_ms = match failure {
            SendFailure::Unanswered => DISPATCH_RETRY_MS,
            SendFailure::NotYet => DISPATCH_RETRY_MS / 10,
        };
        if self.open.get(link).is_some_and(|row| row.state == TradeState::Endorsed) {
            self.dispatch.0.insert(*link, Some(now_ms.saturating_add(delay_ms)));
        }
    }

    /// Asks again whatever is due.
    pub fn tick(&mut self, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let due = |at: &Option<u64>| at.is_some_and(|at| at <= now_ms);
        let due: Vec<Link> = self.dispatch.0.iter().filter(|(_, at)| due(at)).map(|(link, _)| *link).collect();
        for link in due {
            self.ask(&link, effects);
        }
    }
}
