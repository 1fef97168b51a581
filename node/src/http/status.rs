//! The node, its network, and what is listed there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use stemma_chain_format::member::{OwnAccount, Role};
use stemma_chain_format::registry::own_account;
use stemma_node_api::types::{HealthView, MemberView, Status};

use super::{Json, Shared};

/// State of the node.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses((status = 200, body = Status)))]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    let mut status = shared.status.borrow().clone();
    status.clock_offsets_ms = shared.meters.offsets();
    Json(status)
}

/// Whether the node's thread goes on.
#[utoipa::path(get, path = "/healthz", tag = "node",
    responses((status = 200, body = HealthView), (status = 503, body = HealthView)))]
pub(super) async fn health(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<HealthView>) {
    let is_live = shared.meters.is_live();
    let stuck = || "the node's thread has not had its turn for half a minute".to_owned();
    said(if is_live { Vec::new() } else { vec![stuck()] })
}

/// Whether the node has caught up and, with a vote, has a quorum of validators connected.
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, body = HealthView), (status = 503, body = HealthView)))]
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<HealthView>) {
    said(shared.status.borrow().not_ready.clone())
}

fn said(reasons: Vec<String>) -> (StatusCode, Json<HealthView>) {
    let ok = reasons.is_empty();
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(HealthView { ok, reasons }))
}

/// The genesis file's exact bytes.
#[utoipa::path(get, path = "/v1/genesis", tag = "node",
    responses((status = 200, content_type = "application/cbor", description = "the signed genesis file")))]
pub(super) async fn genesis(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/cbor")], shared.genesis.bytes().to_vec())
}

/// The members of the network.
#[utoipa::path(get, path = "/v1/members", tag = "node", responses((status = 200, body = Vec<MemberView>)))]
pub(super) async fn members(State(shared): State<Arc<Shared>>) -> Json<Vec<MemberView>> {
    let registry = shared.registry();
    let network = registry.network();
    let views = registry.members().map(|member| {
        let accounts: BTreeMap<String, String> = if member.role == Role::Auditor {
            BTreeMap::new()
        } else {
            let own = |purpose: OwnAccount| {
                (purpose.as_str().to_owned(), own_account(&network, &member.id, purpose).to_string())
            };
            OwnAccount::ALL.map(own).into()
        };
        MemberView {
            id: member.id.to_string(),
            role: member.role.to_string(),
            name: member.name.clone(),
            member_key: member.member_key.to_string(),
            network_key: member.network_key.to_string(),
            validator_key: member.validator_key.map(|key| key.to_string()),
            power: member.power,
            accounts,
        }
    });
    Json(views.collect())
}
