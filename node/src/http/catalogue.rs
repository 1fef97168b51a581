//! Instruments and their terms: listed, changed, shown; and orders tried on them.

use std::sync::Arc;

use axum::extract::State;
use stemma_node_api::ApiError;
use stemma_node_api::catalogue::{ChangeListing, DryRun, DryRunView, InstrumentView, ListInstrument};
use stemma_node_api::types::Committed;

use super::operator::Operator;
use super::{Failure, Json, Path, Shared};
use crate::ledger::view;
use crate::node::Call;

/// The instruments listed on the ledger, on the terms in force.
#[utoipa::path(get, path = "/v1/instruments", tag = "ledger", responses((status = 200, body = Vec<InstrumentView>)))]
pub(super) async fn instruments(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<InstrumentView>>, Failure> {
    Ok(Json(shared.store.listings()?.iter().map(view).collect()))
}

/// Lists an instrument of this member: a currency (banks) or anything else (institutions).
#[utoipa::path(post, path = "/v1/listings", tag = "operator", request_body = ListInstrument,
    security(("operator" = [])),
    responses((status = 200, body = Committed), (status = 401, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn list(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Json(record): Json<ListInstrument>,
) -> Result<Json<Committed>, Failure> {
    Ok(Json(shared.call_to_commit(|reply| Call::List { record, reply }).await?))
}

/// Changes an instrument of this institution: its name, ISIN, status or terms.
#[utoipa::path(put, path = "/v1/listings/{code}", tag = "operator", request_body = ChangeListing,
    security(("operator" = [])), params(("code" = String, Path, description = "the instrument's code")),
    responses((status = 200, body = Committed), (status = 401, body = ApiError), (status = 404, body = ApiError),
        (status = 409, body = ApiError)))]
pub(super) async fn change(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path(code): Path<String>,
    Json(change): Json<ChangeListing>,
) -> Result<Json<Committed>, Failure> {
    Ok(Json(shared.call_to_commit(|reply| Call::ChangeListing { code, change, reply }).await?))
}

/// How this institution would judge an order now: every rule, what it asks, what was found. Nothing is signed or kept.
#[utoipa::path(post, path = "/v1/dry-run", tag = "institution", request_body = DryRun,
    responses((status = 200, body = DryRunView), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn dry_run(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<DryRun>,
) -> Result<Json<DryRunView>, Failure> {
    Ok(Json(shared.call(|reply| Call::DryRun { asked, reply }).await?))
}
