//! Requests: a client's first chain comes in; where it stands is told.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use stemma_chain_format::execution::Execution;
use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_node_api::ApiError;
use stemma_node_api::types::{ExecutedView, RefusalView, RequestState, RequestView, SubmitRequest};
use zeroize::Zeroizing;

use super::{Failure, Json, Path, Query, Shared, WAIT_MS_MAX, id, malformed, not_found};
use crate::bank::identity::Evidence;
use crate::node::{Call, refusal_of};
use crate::store::{TradeRow, TradeState};

#[derive(Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

/// Takes a signed request in. It is durable before the answer leaves; the same request always gets the same answer.
#[utoipa::path(post, path = "/v1/requests", tag = "requests", request_body = SubmitRequest,
    params(("wait_ms" = Option<u64>, Query, description = "wait so long for the final state, at most 30000")),
    responses((status = 200, body = RequestView, description = "where the request stands; a refusal is a state"),
        (status = 400, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn submit(
    State(shared): State<Arc<Shared>>,
    Query(Wait { wait_ms }): Query<Wait>,
    Json(body): Json<SubmitRequest>,
) -> Result<Json<RequestView>, Failure> {
    let request = BASE64.decode(&body.request).map_err(|e| malformed(format!("request: not base64: {e}")))?;
    let mut salt = [0_u8; 32];
    hex::decode_to_slice(&body.evidence.salt, &mut salt)
        .map_err(|_| malformed("evidence.salt: expected 64 hexadecimal digits".to_owned()))?;
    let value = BASE64.decode(&body.evidence.value).map_err(|_| malformed("evidence.value: not base64".to_owned()))?;
    let evidence = Evidence { kind: body.evidence.kind, salt, value: Zeroizing::new(value) };
    let row = shared.call(|reply| Call::Submit { request, evidence, reply }).await?;
    finally(&shared, row, wait_ms).await
}

/// Where a request stands, now or as soon as it is final.
#[utoipa::path(get, path = "/v1/requests/{id}", tag = "requests",
    params(("id" = String, Path, description = "the request's link"),
        ("wait_ms" = Option<u64>, Query, description = "wait so long for the final state, at most 30000")),
    responses((status = 200, body = RequestView), (status = 404, body = ApiError)))]
pub(super) async fn request(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
    Query(Wait { wait_ms }): Query<Wait>,
) -> Result<Json<RequestView>, Failure> {
    let link: Link = id("id", &text)?;
    let row = shared.store.trade(&link)?;
    let row = row.ok_or_else(|| not_found(format!("this bank knows no request {link}")))?;
    finally(&shared, row, wait_ms).await
}

async fn finally(shared: &Shared, row: TradeRow, wait_ms: u64) -> Result<Json<RequestView>, Failure> {
    if row.state.is_final() || wait_ms == 0 {
        return Ok(Json(view(&row)));
    }
    let link = row.link;
    let limit = Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
    match tokio::time::timeout(limit, shared.call(|reply| Call::Await { link, reply })).await {
        Ok(row) => Ok(Json(view(&row?))),
        Err(_) => Ok(Json(view(&shared.store.trade(&link)?.unwrap_or(row)))),
    }
}

/// A row as clients see it.
pub(super) fn view(row: &TradeRow) -> RequestView {
    let execution = row.execution.as_ref().and_then(|bytes| Signed::<Execution>::decode(bytes.to_vec()).ok());
    let committed = execution.as_ref().filter(|_| row.state == TradeState::Committed);
    RequestView {
        request: row.link.to_string(),
        account: row.account.to_string(),
        state: match row.state {
            TradeState::Received => RequestState::Received,
            TradeState::Endorsed => RequestState::Endorsed,
            TradeState::Executed => RequestState::Executed,
            TradeState::Committed => RequestState::Committed,
            TradeState::Refused => RequestState::Refused,
            TradeState::Expired => RequestState::Expired,
        },
        received_ms: row.received_ms,
        changed_ms: row.changed_ms,
        chain: committed.map(|execution| execution.link().to_string()),
        height: row.height,
        executed: committed.map(|execution| ExecutedView {
            quantity: execution.record().quantity.to_string(),
            price: execution.record().price.display(0),
            fee: execution.record().fee.to_string(),
        }),
        refusal: refusal_of(row).map(|refusal| {
            let record = refusal.record();
            RefusalView {
                member: record.member.to_string(),
                reason: record.reason.to_string(),
                expected: record.expected.clone(),
                found: record.found.clone(),
                advice: record.reason.advice().to_owned(),
                signed: BASE64.encode(refusal.bytes()),
            }
        }),
    }
}
