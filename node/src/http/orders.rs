//! Orders as clients see them: requests, instructions, operators' acts.

use stemma_chain_format::execution::{Execution, Posting, PostingPurpose};
use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_node_api::types::{
    ExecutedView, OrderKindView, RefusalView, RequestState, RequestView, RewardView, StepView,
};

use crate::bank::act_of;
use crate::base64;
use crate::node::refusal_of;
use crate::store::{OrderKind, OrderRow, OrderState};

/// A row as clients see it.
pub(super) fn view(row: &OrderRow) -> RequestView {
    let is_committed = row.state == OrderState::Committed;
    let committed = row.execution.as_ref().filter(|_| is_committed);
    let trade = committed.filter(|_| row.kind == OrderKind::Trade);
    let execution = trade.and_then(|bytes| Signed::<Execution>::decode(bytes.to_vec()).ok());
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
        executed: execution.map(|execution| executed(execution.record())),
        refusal: refusal_view(row),
    }
}

fn executed(execution: &Execution) -> ExecutedView {
    let is_paid = |posting: &&Posting| posting.purpose == PostingPurpose::Reward && posting.amount.is_positive();
    let rewards = execution.postings.iter().filter(is_paid).map(|posting| RewardView {
        account: posting.account.to_string(),
        instrument: posting.instrument.to_string(),
        amount: posting.amount.to_string(),
    });
    ExecutedView {
        quantity: execution.quantity.to_string(),
        price: execution.price.display(0),
        fee: execution.fee.to_string(),
        referral: execution.referral.map(|outcome| outcome.to_string()),
        rewards: rewards.collect(),
    }
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
