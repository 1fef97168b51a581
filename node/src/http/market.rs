//! An institution's trading day and prices.

use std::sync::Arc;

use axum::extract::State;
use stemma_node_api::ApiError;
use stemma_node_api::types::{Market, MoveDay};

use super::operator::Operator;
use super::{Failure, Json, Shared};
use crate::node::Call;

/// The trading day and its prices.
#[utoipa::path(get, path = "/v1/market", tag = "institution",
    responses((status = 200, body = Market), (status = 409, body = ApiError)))]
pub(super) async fn market(State(shared): State<Arc<Shared>>) -> Result<Json<Market>, Failure> {
    Ok(Json(shared.call(|reply| Call::Market { reply }).await?))
}

/// Moves trading to a day of the price file.
#[utoipa::path(put, path = "/v1/market", tag = "operator", request_body = MoveDay, security(("operator" = [])),
    responses((status = 200, body = Market), (status = 401, body = ApiError), (status = 404, body = ApiError)))]
pub(super) async fn move_day(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Json(MoveDay { day }): Json<MoveDay>,
) -> Result<Json<Market>, Failure> {
    Ok(Json(shared.call(|reply| Call::MoveDay { day, reply }).await?))
}
