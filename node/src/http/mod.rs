//! The HTTP API: a file for each resource; only JSON here. Reads come from the store, acts go to the node's thread.

mod accounts;
pub mod backup;
mod blocks;
pub mod bulk;
pub mod bundles;
mod catalogue;
mod desk;
mod events;
mod governance;
mod identities;
mod market;
mod metrics;
mod openapi;
mod operator;
mod orders;
mod paths;
mod positions;
mod prices;
mod promotions;
pub mod reports;
mod requests;
mod status;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::registry::Registry;
use stemma_node_api::types::{PathView, Status};
use stemma_node_api::{ApiError, ErrorCode, routes};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use zeroize::Zeroizing;

use crate::bank::Desk;
use crate::error::chain;
use crate::meters::Meters;
use crate::node::{Call, CallReply, Event};
use crate::store::{OrderRow, Store, StoreError};

/// Largest body of a call, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest time a call may wait for finality, in milliseconds.
const WAIT_MS_MAX: u64 = 30_000;
/// How long an operator's call waits for its record to be committed, in seconds.
const COMMIT_SECONDS_MAX: u64 = 30;

/// What every handler sees.
pub struct Shared {
    /// Reads.
    pub store: Store,
    /// Acts.
    pub events: mpsc::Sender<Event>,
    /// The node's state.
    pub status: watch::Receiver<Status>,
    /// The genesis file.
    pub genesis: GenesisFile,
    /// The members.
    pub registry: watch::Receiver<Arc<Registry>>,
    /// What operators' calls must carry.
    pub operator_token: Zeroizing<String>,
    /// Every change of an order.
    pub changes: broadcast::Sender<Arc<OrderRow>>,
    /// Tells the paths to other members.
    pub paths: Box<dyn Fn() -> Vec<PathView> + Send + Sync>,
    /// The room for large bodies.
    pub room: Arc<Semaphore>,
    /// The turns to make a report.
    pub reports: Arc<Semaphore>,
    /// How a bank verifies identities.
    pub desk: Arc<Desk>,
    /// What the node counts.
    pub meters: Arc<Meters>,
    /// The turn to make a backup.
    pub backups: Arc<Semaphore>,
    /// The turn to replay the ledger.
    pub replays: Arc<Semaphore>,
    /// The folder of the store.
    pub data: std::path::PathBuf,
    /// The store's file.
    pub store_file: std::path::PathBuf,
}

/// An error on its way out.
pub(crate) struct Failure(ApiError);

impl From<ApiError> for Failure {
    fn from(e: ApiError) -> Self {
        Self(e)
    }
}

impl From<StoreError> for Failure {
    /// The cause goes to the log; the client hears that it is ours.
    fn from(e: StoreError) -> Self {
        tracing::error!(error = %chain(&e), "a read of the store failed");
        Self(ApiError::new(ErrorCode::Internal, "the node's store failed"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.error.code.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match self.0.error.retry_after_ms {
            Some(ms) => (status, [(RETRY_AFTER, ms.div_ceil(1_000).to_string())], axum::Json(self.0)).into_response(),
            None => (status, axum::Json(self.0)).into_response(),
        }
    }
}

macro_rules! from_rejection {
    ($($rejection:ident),*) => {$(
        impl From<$rejection> for Failure {
            fn from(e: $rejection) -> Self {
                let too_large = e.status() == StatusCode::PAYLOAD_TOO_LARGE;
                let code = if too_large { ErrorCode::TooLarge } else { ErrorCode::Malformed };
                Self(ApiError::new(code, e.body_text()))
            }
        }
    )*};
}

from_rejection!(JsonRejection, PathRejection, QueryRejection, BytesRejection);

/// JSON in and out, with typed errors.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Failure))]
pub(crate) struct Json<T>(pub T);

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A path's parameters, with typed errors.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Failure))]
pub(crate) struct Path<T>(pub T);

/// A query's parameters, with typed errors.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Failure))]
pub(crate) struct Query<T>(pub T);

impl Shared {
    /// The registry by which the next block is made.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.borrow())
    }

    /// Calls the node's thread and waits for its answer.
    pub(crate) async fn call<T>(&self, make: impl FnOnce(CallReply<T>) -> Call) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Failure(ApiError::new(ErrorCode::Busy, "the node is stopping").help("Try again later."));
        self.events.send(Event::Call(Box::new(make(reply)))).await.map_err(|_| stopping())?;
        Ok(answer.await.map_err(|_| stopping())??)
    }

    /// The same for an operator's record, at most so long as a block should take.
    pub(crate) async fn call_to_commit<T>(&self, make: impl FnOnce(CallReply<T>) -> Call) -> Result<T, Failure> {
        let limit = Duration::from_secs(COMMIT_SECONDS_MAX);
        tokio::time::timeout(limit, self.call(make)).await.unwrap_or_else(|_| {
            let message = format!("the record was not committed within {COMMIT_SECONDS_MAX} s");
            let help = "It is with the network and may still be committed; look before you repeat it.";
            Err(Failure(ApiError::new(ErrorCode::TimedOut, message).help(help)))
        })
    }
}

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(routes::STATUS, get(status::status))
        .route(routes::HEALTH, get(status::health))
        .route(routes::READY, get(status::ready))
        .route(routes::BACKUP, post(backup::backup))
        .route(routes::GENESIS, get(status::genesis))
        .route(routes::MEMBERS, get(status::members))
        .route(routes::REGISTRY, get(governance::registry))
        .route(routes::GOVERNANCE, get(governance::list).post(governance::govern))
        .route(routes::INSTRUMENTS, get(catalogue::instruments))
        .route(routes::BLOCK, get(blocks::block))
        .route(routes::BLOCK_BUNDLE, get(bundles::of_block))
        .route(routes::LEDGER_BUNDLE, get(bundles::of_ledger))
        .route(routes::CHAIN, get(blocks::chain))
        .route(routes::CHAIN_BUNDLE, get(bundles::of_entry))
        .route(routes::ACCOUNTS, get(accounts::list).post(operator::open_account))
        .route(routes::ACCOUNT, get(accounts::account))
        .route(routes::ACCOUNT_BUNDLE, get(bundles::of_account))
        .route(routes::ACCOUNT_REQUESTS, get(accounts::requests))
        .route(routes::ACCOUNT_EVENTS, get(events::account))
        .route(routes::ACCOUNT_ACTS, post(desk::act))
        .route(routes::REQUESTS, post(requests::submit).layer(bulk()))
        .route(routes::INSTRUCTIONS, post(requests::instruct).layer(bulk()))
        .route(routes::PROMOTIONS, post(promotions::promote).layer(bulk()))
        .route(routes::PROMOTION, get(promotions::promotion))
        .route(routes::PROMOTION_CODE, get(promotions::code))
        .route(routes::REQUEST, get(requests::request))
        .route(routes::REQUEST_EVENTS, get(events::order))
        .route(routes::IDENTITIES, get(identities::list))
        .route(routes::IDENTITY, put(identities::enrol).delete(identities::remove).layer(bulk()))
        .route(routes::IDENTITY_FAILURES, delete(identities::unlock))
        .route(routes::ENROLMENTS, get(identities::log))
        .route(routes::QUEUE, get(desk::queue))
        .route(routes::PATHS, get(paths::paths))
        .route(routes::METRICS, get(metrics::metrics))
        .route(routes::REFUSALS, get(desk::refusals))
        .route(routes::LISTINGS, post(catalogue::list))
        .route(routes::LISTING, put(catalogue::change))
        .route(routes::DRY_RUN, post(catalogue::dry_run))
        .route(routes::ISSUANCES, post(operator::issue))
        .route(routes::MARKET, get(market::market).put(market::move_day))
        .route(routes::PRICES, get(prices::prices).put(prices::push))
        .route(routes::REPORT, get(reports::report))
        .route(routes::OPENAPI, get(openapi::document))
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

/// For calls that carry evidence.
fn bulk() -> DefaultBodyLimit {
    DefaultBodyLimit::max(bulk::BULK_BYTES_MAX)
}

async fn no_route() -> Failure {
    let help = format!("GET {} describes every call.", routes::OPENAPI);
    Failure(ApiError::new(ErrorCode::NotFound, "there is no such call").help(help))
}

/// Reads a parameter that is an id.
pub(crate) fn id<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    let wrong = |e: T::Err| Failure(ApiError::new(ErrorCode::Malformed, format!("{name}: {e}")));
    text.parse().map_err(wrong)
}

pub(crate) fn not_found(message: String) -> Failure {
    Failure(ApiError::new(ErrorCode::NotFound, message))
}

pub(crate) fn malformed(message: String) -> Failure {
    Failure(ApiError::new(ErrorCode::Malformed, message))
}
