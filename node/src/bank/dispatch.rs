//! Sends second chains to their institutions, each when its turn comes, and again and again until there is an answer or
//! the endorsement expires. Asking again is safe: the same second chain always gets the same answer.

use std::collections::BTreeMap;

use stemma_chain_format::hash::Link;
use stemma_chain_format::member::MemberId;

use super::{Bank, OrderState, StoreError};
use crate::role::{Question, RoleEffect};
use crate::store::OrderRow;

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
    /// An endorsed order joins its institution's queue.
    pub(super) fn enqueue(&mut self, row: &OrderRow, time_ms: u64) -> Result<(), StoreError> {
        let Some(institution) = row.institution.clone() else { return Ok(()) };
        let activity = self.store.activity(&row.account, time_ms)?;
        let rank = self.queues.config().rank(row.number, row.received_ms(), activity);
        self.queues.join(institution, rank, row.link);
        Ok(())
    }

    /// Sends what may be sent to an institution now, each order's row made durable first.
    pub(super) fn dispatch(&mut self, institution: &MemberId, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        while let Some(link) = self.queues.next(institution) {
            if let Some(row) = self.open.get_mut(&link) {
                row.move_to(OrderState::Sent, now_ms);
                effects.push(RoleEffect::StoreOrder(Box::new(row.clone())));
                effects.push(RoleEffect::Changed(link));
            }
            self.ask(&link, effects);
        }
    }

    /// Asks the order's institution.
    pub(super) fn ask(&mut self, link: &Link, effects: &mut Vec<RoleEffect>) {
        let Some(row) = self.open.get(link).filter(|row| row.state == OrderState::Sent) else { return };
        let Some((endorsement, institution)) = row.endorsement.clone().zip(row.institution.clone()) else { return };
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
        if self.open.get(link).is_some_and(|row| row.state == OrderState::Sent) {
            self.dispatch.0.insert(*link, Some(now_ms.saturating_add(delay_ms)));
        }
    }

    /// Asks again whatever is due.
    pub(super) fn ask_again(&mut self, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let due = |at: &Option<u64>| at.is_some_and(|at| at <= now_ms);
        let due: Vec<Link> = self.dispatch.0.iter().filter(|(_, at)| due(at)).map(|(link, _)| *link).collect();
        for link in due {
            self.ask(&link, effects);
        }
    }
}
