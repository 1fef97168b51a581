//! What a bank's operator sees and does beside identities: acts of servicing, the queue, refusals.

use std::sync::Arc;

use axum::extract::State;
use stemma_chain_format::endorsement::CreditTerms;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::servicing::Act;
use stemma_node_api::ApiError;
use stemma_node_api::types::{
    CreditView, InstitutionQueue, QueueView, QueuedView, RequestPage, RequestView, ServiceAct,
};

use super::operator::Operator;
use super::orders::view;
use super::{Failure, Json, Path, Shared, id, malformed, not_found};
use crate::bank::QueueShown;
use crate::node::Call;
use crate::store::TRADE_ACTIVITY;

/// Second chains shown of each queue.
const QUEUE_COUNT: usize = 100;
/// Refusals shown.
const REFUSALS_COUNT: usize = 100;

/// Does an act of servicing; answers once it is committed or refused.
#[utoipa::path(post, path = "/v1/accounts/{id}/acts", tag = "operator", request_body = ServiceAct,
    params(("id" = String, Path)), security(("operator" = [])),
    responses((status = 200, body = RequestView, description = "committed, or refused with the reason"),
        (status = 401, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn act(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
    Json(asked): Json<ServiceAct>,
) -> Result<Json<RequestView>, Failure> {
    let account: AccountId = id("id", &text)?;
    let act = match asked {
        ServiceAct::Freeze => Act::Freeze,
        ServiceAct::Unfreeze => Act::Unfreeze,
        ServiceAct::Close => Act::Close,
        ServiceAct::RevokeKey => Act::RevokeKey,
        ServiceAct::BindKey { key } => {
            let key: PublicKey = id("key", &key)?;
            key.admit().map_err(|e| malformed(format!("key: {e}")))?;
            Act::BindKey(key)
        }
        ServiceAct::SetCredit(CreditView { level, rules, lines }) => {
            let member = shared.status.borrow().member.clone();
            let mut holdings = Holdings::new();
            for (currency, line) in &lines {
                let name = if currency.contains('/') { currency.clone() } else { format!("{member}/{currency}") };
                let instrument: InstrumentId = id("lines", &name)?;
                holdings.add(&instrument, id(currency, line)?).map_err(|e| malformed(e.to_string()))?;
            }
            Act::SetCredit(CreditTerms { level, rules, lines: holdings })
        }
        ServiceAct::Reclaim { request } => {
            let request: Link = id("request", &request)?;
            let held = shared.store.positions_of(&account)?;
            let waits = held.iter().find_map(|(_, position)| {
                let waiting = position.waiting().filter(|waiting| waiting.request == request)?;
                position.holdings().next().map(|(instrument, _)| (instrument.clone(), waiting.reserved))
            });
            let missing = || not_found(format!("no order of the account waits that request {request} asked for"));
            let (instrument, reserved) = waits.ok_or_else(missing)?;
            Act::Reclaim(request, instrument, reserved)
        }
    };
    let row = shared.call_to_commit(|reply| Call::Act { account, act, reply }).await?;
    Ok(Json(view(&row)))
}

/// What waits: the second chains of each institution, in the order in which they will be sent.
#[utoipa::path(get, path = "/v1/queue", tag = "operator", security(("operator" = [])),
    responses((status = 200, body = QueueView), (status = 401, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn queue(_: Operator, State(shared): State<Arc<Shared>>) -> Result<Json<QueueView>, Failure> {
    let (queues, open) = shared.call(|reply| Call::Queues { count: QUEUE_COUNT, reply }).await?;
    let time_ms = shared.status.borrow().time_ms;
    let mut institutions = Vec::with_capacity(queues.len());
    for QueueShown { institution, sent, next, waiting } in queues {
        let mut shown = Vec::with_capacity(next.len());
        for (_, link) in next {
            let Some(row) = shared.store.order(&link)? else { continue };
            shown.push(QueuedView {
                request: link.to_string(),
                account: row.account.to_string(),
                received_ms: row.received_ms(),
                activity: in_trades(shared.store.activity(&row.account, time_ms)?),
            });
        }
        let (sent, waiting) = (sent as u64, waiting as u64);
        institutions.push(InstitutionQueue { institution: institution.to_string(), sent, waiting, next: shown });
    }
    Ok(Json(QueueView { open: open as u64, institutions }))
}

/// The last refusals that this bank gave or was given, the newest first.
#[utoipa::path(get, path = "/v1/refusals", tag = "operator", security(("operator" = [])),
    responses((status = 200, body = RequestPage), (status = 401, body = ApiError)))]
pub(super) async fn refusals(_: Operator, State(shared): State<Arc<Shared>>) -> Result<Json<RequestPage>, Failure> {
    let mut rows = shared.store.refused_orders(REFUSALS_COUNT)?;
    rows.extend(shared.store.turned_away()?);
    rows.sort_by_key(|row| std::cmp::Reverse(row.received_ms()));
    rows.truncate(REFUSALS_COUNT);
    Ok(Json(RequestPage { requests: rows.iter().map(view).collect() }))
}

/// Millionths of a trade as trades, to three places.
pub(super) fn in_trades(activity: u64) -> String {
    let thousandths = activity / (TRADE_ACTIVITY / 1_000);
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}
