//! Requests and instructions: a client's signed record comes in; where it stands is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use stemma_chain_format::hash::Link;
use stemma_node_api::ApiError;
use stemma_node_api::types::{self, RequestView, SubmitInstruction, SubmitRequest};
use zeroize::Zeroizing;

use super::bulk::Bulk;
use super::orders::view_settled;
use super::{Failure, Json, Path, Query, Shared, WAIT_MS_MAX, id, malformed, not_found};
use crate::bank::HandedIn;
use crate::bank::identity::Evidence;
use crate::node::Call;
use crate::store::{OrderKind, OrderRow};

/// The header by which a client names an order of its own.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest name, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

#[derive(Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    wait_ms: u64,
}

/// Takes a signed request in. It is durable before the answer leaves; the same request always gets the same answer.
#[utoipa::path(post, path = "/v1/requests", tag = "requests", request_body = SubmitRequest,
    params(("wait_ms" = Option<u64>, Query, description = "wait so long for the final state, at most 30000"),
        ("Idempotency-Key" = Option<String>, Header, description = "the client's own name for the request")),
    responses((status = 200, body = RequestView, description = "where the request stands; a refusal is a state"),
        (status = 400, body = ApiError), (status = 409, body = ApiError),
        (status = 503, body = ApiError, description = "the bank is full; Retry-After says when to try again")))]
pub(super) async fn submit(
    State(shared): State<Arc<Shared>>,
    source: Source,
    Query(Wait { wait_ms }): Query<Wait>,
    Bulk(body, _room): Bulk<SubmitRequest>,
) -> Result<Json<RequestView>, Failure> {
    let bytes = BASE64.decode(&body.request).map_err(|e| malformed(format!("request: not base64: {e}")))?;
    hand_in(&shared, OrderKind::Trade, bytes, body.evidence, source, wait_ms).await
}

/// Takes a customer's signed instruction in: close the account, pay cash out, bind or revoke a key.
#[utoipa::path(post, path = "/v1/instructions", tag = "requests", request_body = SubmitInstruction,
    params(("wait_ms" = Option<u64>, Query, description = "wait so long for the final state, at most 30000"),
        ("Idempotency-Key" = Option<String>, Header, description = "the client's own name for the instruction")),
    responses((status = 200, body = RequestView, description = "where it stands; a refusal is a state"),
        (status = 400, body = ApiError), (status = 409, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn instruct(
    State(shared): State<Arc<Shared>>,
    source: Source,
    Query(Wait { wait_ms }): Query<Wait>,
    Bulk(body, _room): Bulk<SubmitInstruction>,
) -> Result<Json<RequestView>, Failure> {
    let bytes = BASE64.decode(&body.instruction).map_err(|e| malformed(format!("instruction: not base64: {e}")))?;
    hand_in(&shared, OrderKind::Instruction, bytes, body.evidence, source, wait_ms).await
}

async fn hand_in(
    shared: &Shared,
    kind: OrderKind,
    bytes: Vec<u8>,
    evidence: Vec<types::Evidence>,
    source: Source,
    wait_ms: u64,
) -> Result<Json<RequestView>, Failure> {
    let row = submitted(shared, kind, bytes, evidence, source).await?;
    finally(shared, row, wait_ms).await
}

/// Gives what was handed in to the bank; where it stands once it is durable.
pub(super) async fn submitted(
    shared: &Shared,
    kind: OrderKind,
    bytes: Vec<u8>,
    evidence: Vec<types::Evidence>,
    source: Source,
) -> Result<OrderRow, Failure> {
    let evidence = evidence.into_iter().enumerate().map(|(at, shown)| shown_evidence(at, shown));
    let evidence = evidence.collect::<Result<Vec<_>, _>>()?;
    let Source { source, idempotency_key } = source;
    let handed_in = HandedIn { kind, bytes, evidence, source, idempotency_key };
    shared.call(|reply| Call::Submit { handed_in, reply }).await
}

fn shown_evidence(at: usize, shown: types::Evidence) -> Result<Evidence, Failure> {
    let mut salt = [0_u8; 32];
    hex::decode_to_slice(&shown.salt, &mut salt)
        .map_err(|_| malformed(format!("evidence[{at}].salt: expected 64 hexadecimal digits")))?;
    let text = Zeroizing::new(shown.value);
    let value = BASE64.decode(text.as_bytes()).map_err(|_| malformed(format!("evidence[{at}].value: not base64")))?;
    Ok(Evidence { kind: shown.kind, salt, value: Zeroizing::new(value) })
}

/// Where a request, instruction or act stands, now or as soon as it is final.
#[utoipa::path(get, path = "/v1/requests/{id}", tag = "requests",
    params(("id" = String, Path, description = "the link"),
        ("wait_ms" = Option<u64>, Query, description = "wait so long for the final state, at most 30000")),
    responses((status = 200, body = RequestView), (status = 404, body = ApiError)))]
pub(super) async fn request(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
    Query(Wait { wait_ms }): Query<Wait>,
) -> Result<Json<RequestView>, Failure> {
    let link: Link = id("id", &text)?;
    let row = shared.store.order(&link)?;
    let row = row.ok_or_else(|| not_found(format!("this bank knows no request {link}")))?;
    finally(&shared, row, wait_ms).await
}

async fn finally(shared: &Shared, row: OrderRow, wait_ms: u64) -> Result<Json<RequestView>, Failure> {
    if row.state.is_final() || wait_ms == 0 {
        return Ok(Json(view_settled(&shared.store, &row)?));
    }
    let link = row.link;
    let limit = Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
    match tokio::time::timeout(limit, shared.call(|reply| Call::Await { link, reply })).await {
        Ok(row) => Ok(Json(view_settled(&shared.store, &row?)?)),
        Err(_) => Ok(Json(view_settled(&shared.store, &shared.store.order(&link)?.unwrap_or(row))?)),
    }
}

/// Where a call comes from, and the client's own name for it.
pub(super) struct Source {
    source: String,
    idempotency_key: Option<String>,
}

impl axum::extract::FromRequestParts<Arc<Shared>> for Source {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let peer = ConnectInfo::<SocketAddr>::from_request_parts(parts, shared).await;
        let peer = peer.map(|ConnectInfo(address)| address.ip().to_string()).unwrap_or_default();
        let idempotency_key = header(&parts.headers, IDEMPOTENCY_KEY).map(str::to_owned);
        if let Some(key) = &idempotency_key {
            let holds =
                (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
            if !holds {
                return Err(malformed("Idempotency-Key: expected 1 to 128 visible ASCII characters".to_owned()));
            }
        }
        // The API listens on loopback alone, so whoever speaks for others is the operator's own TLS proxy.
        let forwarded = header(&parts.headers, "x-forwarded-for").and_then(|list| list.rsplit(',').next());
        let source = forwarded.map_or(peer, |address| address.trim().to_owned());
        Ok(Self { source, idempotency_key })
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
