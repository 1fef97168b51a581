//! Orders as clients see them: requests, instructions, operators' acts.

use stemma_chain_format::execution::{Execution, Outcome, Posting, PostingPurpose};
use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_node_api::types::{
    ExecutedView, OrderKindView, RefusalView, RequestState, RequestView, RewardView, StepView,
};

use super::positions::{accepted, settled};
use crate::bank::act_of;
use crate::base64;
use crate::node::refusal_of;
use crate::store::{OrderKind, OrderRow, OrderState, Store, StoreError};

/// A row as clients see it.
pub(super) fn view(row: &OrderRow) -> RequestView {
    let is_committed = row.state == OrderState::Committed;
    let committed = row.execution.as_ref().filter(|_| is_committed);
    let trade = committed.filter(|_| row.kind == OrderKind::Trade);
    let execution = trade.and_then(|bytes| Signed::<Execution>::decode(bytes.to_vec()).ok());
    let execution = execution.as_ref().map(Signed::record);
    RequestView {
        request: row.link.to_string(),
        kind: match row.kind {
            OrderKind::Trade => OrderKindView::Trade,
            OrderKind::Instruction => OrderKindView::Instruction,
            OrderKind::Act => OrderKindView::Act,
            OrderKind::Promotion => OrderKindView::Promotion,
        },
        act: act_of(row).map(|act| act.to_string()),
        account: row.account.to_string(),
        state: state(row.state),
        steps: row.steps.iter().map(|step| StepView { state: state(step.state), at_ms: step.at_ms }).collect(),
        received_ms: row.received_ms(),
        changed_ms: row.steps.last().map_or(0, |step| step.at_ms),
        chain: committed.map(|bytes| Link::of(bytes).to_string()),
        height: row.height,
        outcome: execution.map(|execution| execution.outcome.as_str().to_owned()),
        executed: execution.and_then(executed),
        accepted: execution.and_then(|execution| match &execution.outcome {
            Outcome::Accepted(acceptance) => Some(accepted(acceptance)),
            Outcome::Traded(_) | Outcome::Done => None,
        }),
        refusal: refusal_view(row),
    }
}

/// A row as clients see it, with what became of an order that waited.
pub(super) fn view_settled(store: &Store, row: &OrderRow) -> Result<RequestView, StoreError> {
    let mut view = view(row);
    if let Some(accepted) = &mut view.accepted {
        accepted.settled = settled(store, row)?;
    }
    Ok(view)
}

fn executed(execution: &Execution) -> Option<ExecutedView> {
    let deal = execution.outcome.deal()?;
    let is_paid = |posting: &&Posting| posting.purpose == PostingPurpose::Reward && posting.amount.is_positive();
    let rewards = execution.postings.iter().filter(is_paid).map(|posting| RewardView {
        account: posting.account.to_string(),
        instrument: posting.instrument.to_string(),
        amount: posting.amount.to_string(),
    });
    Some(ExecutedView {
        quantity: deal.quantity.to_string(),
        price: deal.price.display(0),
        fee: deal.fee.to_string(),
        referral: execution.referral.map(|outcome| outcome.to_string()),
        rewards: rewards.collect(),
    })
}

/// A row's refusal as clients see it.
pub(super) fn refusal_view(row: &OrderRow) -> Option<RefusalView> {
    refusal_of(row).map(|refusal| {
        let record = refusal.record();
        RefusalView {
            member: record.member.to_string(),
            reason: record.reason.to_string(),
            expected: record.expected.clone(),
            found: record.found.clone(),
            advice: record.reason.advice().to_owned(),
            signed: base64(refusal.bytes()),
        }
    })
}

pub(super) const fn state(state: OrderState) -> RequestState {
    match state {
        OrderState::Received => RequestState::Received,
        OrderState::Endorsed => RequestState::Endorsed,
        OrderState::Sent => RequestState::Sent,
        OrderState::Executed => RequestState::Executed,
        OrderState::Committed => RequestState::Committed,
        OrderState::Refused => RequestState::Refused,
        OrderState::Expired => RequestState::Expired,
        OrderState::Referred => RequestState::Referred,
    }
}
