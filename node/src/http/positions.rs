//! Positions as clients see them: orders that wait for their price, and futures; and what became of an order that waited.

use stemma_chain_format::chain::Entry;
use stemma_chain_format::execution::{Acceptance, Execution};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::position::{Margin, Position, PositionState, Waiting, waiting_key};
use stemma_chain_format::record::Signed;
use stemma_chain_format::settlement::SettlementAct;
use stemma_node_api::moment;
use stemma_node_api::positions::{AcceptedView, PositionStateView, PositionView, SettledView};

use crate::store::{OrderRow, Store, StoreError};

/// A position by its key.
pub(super) fn position((key, position): &(AccountId, Position)) -> PositionView {
    let state = match &position.state {
        PositionState::Waiting(Waiting {
            request,
            side,
            reserved,
            limit,
            fee_max,
            accepted_ms,
            cut_off_ms,
            reclaim_ms,
        }) => PositionStateView::Waiting {
            request: request.to_string(),
            side: side.to_string(),
            reserved: reserved.to_string(),
            limit: limit.map(|limit| limit.display(0)),
            fee_max: fee_max.map(|fee| fee.to_string()),
            accepted: moment::show(*accepted_ms),
            cut_off: cut_off_ms.map(moment::show),
            reclaim: moment::show(*reclaim_ms),
        },
        PositionState::Margin(Margin { quantity, mark, margin, marked_ms, called_ms }) => PositionStateView::Margin {
            quantity: quantity.to_string(),
            mark: mark.display(0),
            margin: margin.to_string(),
            marked: moment::show(*marked_ms),
            called: called_ms.map(moment::show),
        },
    };
    PositionView {
        position: key.to_string(),
        instrument: position.instrument.to_string(),
        cash: position.cash.to_string(),
        state,
    }
}

/// How long an order waits that was taken.
pub(super) fn accepted(acceptance: &Acceptance) -> AcceptedView {
    AcceptedView {
        cut_off: acceptance.cut_off_ms.map(moment::show),
        reclaim: moment::show(acceptance.reclaim_ms),
        settled: None,
    }
}

/// What became of an order that waited; none while it waits.
pub(super) fn settled(store: &Store, row: &OrderRow) -> Result<Option<SettledView>, StoreError> {
    let bytes = row.execution.as_ref().map(|bytes| bytes.to_vec()).unwrap_or_default();
    let Ok(execution) = Signed::<Execution>::decode(bytes) else { return Ok(None) };
    let key = waiting_key(&execution.record().network, &row.link);
    let Some(place) = store.last_settlement(&row.account, &key)? else { return Ok(None) };
    let unknown = SettledView {
        settlement: None,
        height: place.height,
        act: "not kept".to_owned(),
        quantity: None,
        price: None,
        fee: None,
        reason: None,
    };
    if place.height < store.history_from()? {
        return Ok(Some(unknown));
    }
    let entry = Entry::decode(&store.entry_at(place)?).map_err(StoreError::damaged)?;
    let Entry::Settlement(settlement) = &entry else { return Ok(None) };
    let act = &settlement.record().act;
    let (link, act_name) = (settlement.link().to_string(), act.as_str().to_owned());
    let mut view = SettledView { settlement: Some(link), act: act_name, ..unknown };
    match act {
        SettlementAct::Fill { deal, .. } => {
            view.quantity = Some(deal.quantity.to_string());
            view.price = Some(deal.price.display(0));
            view.fee = Some(deal.fee.to_string());
        }
        SettlementAct::Release(reason) => view.reason = Some(reason.to_string()),
        SettlementAct::Mark { .. } | SettlementAct::Close { .. } => {}
    }
    Ok(Some(view))
}
