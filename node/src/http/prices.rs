//! An institution's prices: told to anyone, given by the operator.

use std::sync::Arc;

use axum::extract::State;
use stemma_node_api::ApiError;
use stemma_node_api::prices::{PricePage, PushPrices};

use super::operator::Operator;
use super::{Failure, Json, Shared, malformed};
use crate::error::chain;
use crate::institution::prices::read_all;
use crate::node::Call;

/// What an institution quotes now, with the time of each price and whether it is too old to trade at.
#[utoipa::path(get, path = "/v1/prices", tag = "institution",
    responses((status = 200, body = PricePage), (status = 409, body = ApiError)))]
pub(super) async fn prices(State(shared): State<Arc<Shared>>) -> Result<Json<PricePage>, Failure> {
    Ok(Json(shared.call(|reply| Call::Prices { reply }).await?))
}

/// Gives an institution whose source is `push` prices, all or none; durable when it is answered. A price that is older than the
/// one known, or more than 60 s ahead of the node's clock, is a conflict.
#[utoipa::path(put, path = "/v1/prices", tag = "operator", request_body = PushPrices, security(("operator" = [])),
    responses((status = 200, body = PricePage), (status = 400, body = ApiError), (status = 401, body = ApiError),
        (status = 409, body = ApiError)))]
pub(super) async fn push(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Json(PushPrices { prices }): Json<PushPrices>,
) -> Result<Json<PricePage>, Failure> {
    let prices = read_all(&prices).map_err(|e| malformed(chain(&e)))?;
    Ok(Json(shared.call(|reply| Call::PushPrices { prices, reply }).await?))
}
