//! Paths to other members, as the network layer measures them.

use std::sync::Arc;

use axum::extract::State;
use stemma_node_api::ApiError;
use stemma_node_api::types::PathPage;

use super::operator::Operator;
use super::{Failure, Json, Shared};

/// The ways to each member that takes trades, with what was measured.
#[utoipa::path(get, path = "/v1/paths", tag = "operator", security(("operator" = [])),
    responses((status = 200, body = PathPage), (status = 401, body = ApiError)))]
pub(super) async fn paths(_: Operator, State(shared): State<Arc<Shared>>) -> Result<Json<PathPage>, Failure> {
    Ok(Json(PathPage { paths: (shared.paths)() }))
}
