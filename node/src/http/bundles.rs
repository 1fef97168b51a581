//! Audit bundles: files that prove something offline, against the genesis alone.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use stemma_chain_format::bundle::Bundle;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_node_api::types::BundleClaim;
use stemma_node_api::{ApiError, ErrorCode};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Failure, Path, Query, Shared, accounts, blocks, id, not_found};
use crate::error::chain;
use crate::ledger::{
    Looked, ProveError, account_bundle, anchor_at, block_bundle, entry_bundle, holdings_bundle, lineage_bundle,
    look_at, write_ledger_bundle,
};
use crate::node::Call;

/// What a bundle is, as a content type.
const BUNDLE_TYPE: &str = "application/cbor-seq";
/// Bytes that are sent at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces on their way to whoever reads them.
const PIECES: usize = 4;
/// Whoever does not take a piece for so long is left: others wait for the turn.
const PIECE_TAKEN_MAX: Duration = Duration::from_secs(30);
/// When to try again where the ledger is being replayed, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// The turn to replay the ledger: one at a time.
pub fn turn() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

#[derive(Deserialize)]
pub(super) struct Claimed {
    #[serde(default)]
    claim: BundleClaim,
    height: Option<u64>,
    from: Option<u64>,
}

/// A file that proves, offline and against the genesis alone, what the account holds; and, unless only that is asked for, why. Of an id that
/// is no account, what it holds is the proof that it is none. At an earlier height the ledger is replayed up to it, for one at a time.
#[utoipa::path(get, path = "/v1/accounts/{id}/bundle", tag = "accounts",
    params(("id" = String, Path), ("claim" = Option<String>, Query, description = "lineage (default) or holdings"),
        ("height" = Option<u64>, Query, description = "at which height; the last block's by default"),
        ("from" = Option<u64>, Query, description = "of a lineage: from which height on; from its opening by default")),
    responses((status = 200, content_type = "application/cbor-seq", description = "an audit bundle"),
        (status = 404, body = ApiError), (status = 503, body = ApiError, description = "another replay is under way")))]
pub(super) async fn of_account(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
    Query(Claimed { claim, height, from }): Query<Claimed>,
) -> Result<impl IntoResponse, Failure> {
    let account: AccountId = id("id", &text)?;
    let store = shared.store.clone();
    let looked = match height {
        None => shared.call(|reply| Call::Prove { account, reply }).await?,
        Some(height) => {
            let (genesis, turn) = (shared.genesis.clone(), shared.replay_turn()?);
            let store = store.clone();
            apart(move || {
                let _turn = turn;
                look_at(&store, &genesis, &account, height, &mut |_, _| ())
            })
            .await?
        }
    };
    if claim == BundleClaim::Holdings {
        return Ok(made(&apart(move || holdings_bundle(&store, looked)).await?));
    }
    let Looked::Held(proved) = looked else { return Err(accounts::unknown(&account)) };
    let Some(from) = from else { return Ok(made(&apart(move || account_bundle(&store, &proved)).await?)) };
    let (genesis, turn) = (shared.genesis.clone(), shared.replay_turn()?);
    let bundle = apart(move || {
        let _turn = turn;
        let anchor = anchor_at(&store, &genesis, &account, from, &mut |_, _| ())?;
        lineage_bundle(&store, &proved, Some(anchor))
    });
    Ok(made(&bundle.await?))
}

/// A file that proves, offline and against the genesis alone, that an entry stands in its block.
#[utoipa::path(get, path = "/v1/chains/{id}/bundle", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/cbor-seq", description = "an audit bundle"),
        (status = 404, body = ApiError)))]
pub(super) async fn of_entry(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<impl IntoResponse, Failure> {
    let link: Link = id("id", &text)?;
    let store = shared.store.clone();
    match apart(move || entry_bundle(&store, &link)).await? {
        Some(bundle) => Ok(made(&bundle)),
        None => Err(blocks::no_entry(&shared, &link)?),
    }
}

/// A file that proves, offline and against the genesis alone, that a block is final and which entries it has.
#[utoipa::path(get, path = "/v1/blocks/{height}/bundle", tag = "ledger", params(("height" = u64, Path)),
    responses((status = 200, content_type = "application/cbor-seq", description = "an audit bundle"),
        (status = 404, body = ApiError)))]
pub(super) async fn of_block(
    State(shared): State<Arc<Shared>>,
    Path(height): Path<u64>,
) -> Result<impl IntoResponse, Failure> {
    let store = shared.store.clone();
    match apart(move || block_bundle(&store, height)).await? {
        Some(bundle) => Ok(made(&bundle)),
        None => Err(not_found(format!("the entries of block {height} are not here"))),
    }
}

#[derive(Deserialize)]
pub(super) struct UpTo {
    height: Option<u64>,
}

/// The whole ledger: every block with its entries, and what all accounts and positions came to. Whoever verifies it replays it. Only a node
/// that keeps all blocks has it. One at a time is sent.
#[utoipa::path(get, path = "/v1/ledger/bundle", tag = "ledger",
    params(("height" = Option<u64>, Query, description = "up to which height; the last block's by default")),
    responses((status = 200, content_type = "application/cbor-seq", description = "an audit bundle"),
        (status = 404, body = ApiError), (status = 503, body = ApiError, description = "another replay is under way")))]
pub(super) async fn of_ledger(
    State(shared): State<Arc<Shared>>,
    Query(UpTo { height }): Query<UpTo>,
) -> Result<impl IntoResponse, Failure> {
    let from = shared.store.history_from()?;
    if from > 1 {
        return Err(failed(&ProveError::NoBlocks(from)));
    }
    if let Some(height) = height.filter(|height| !(1..=shared.status.borrow().height).contains(height)) {
        return Err(failed(&ProveError::NotYet(height)));
    }
    let (store, genesis, turn) = (shared.store.clone(), shared.genesis.clone(), shared.replay_turn()?);
    let (pieces, sent) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut to = Pieces { runtime: Handle::current(), to: pieces, piece: Vec::new(), _turn: turn };
        let written = write_ledger_bundle(&store, &genesis, height, &mut to, &mut |_, _| ());
        if let Err(e) = written.and_then(|_| Ok(to.end()?)) {
            tracing::warn!("the ledger was not sent to its end: {}", chain(&e));
        }
    });
    Ok(([(CONTENT_TYPE, BUNDLE_TYPE)], Body::from_stream(stream::unfold(Some(sent), next_piece))).into_response())
}

/// The next piece of what is written; an empty one ends it. Where none comes and that did not, the connection breaks, so that nobody takes
/// what came for the whole.
async fn next_piece(
    sent: Option<mpsc::Receiver<Vec<u8>>>,
) -> Option<(io::Result<Vec<u8>>, Option<mpsc::Receiver<Vec<u8>>>)> {
    let mut sent = sent?;
    match sent.recv().await {
        Some(piece) if piece.is_empty() => None,
        Some(piece) => Some((Ok(piece), Some(sent))),
        None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
    }
}

/// What is written goes to whoever reads it, piece by piece.
struct Pieces {
    runtime: Handle,
    to: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Pieces {
    /// All is written.
    fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let sent = self.runtime.block_on(tokio::time::timeout(PIECE_TAKEN_MAX, self.to.send(piece)));
        let sent = sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Shared {
    fn replay_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Ok(Arc::clone(&self.replays).try_acquire_owned().map_err(|_| {
            let mut error = ApiError::new(ErrorCode::Busy, "the ledger is being replayed for somebody else");
            error.error.retry_after_ms = Some(RETRY_MS);
            error
        })?)
    }
}

/// Puts a bundle together beside the other calls.
async fn apart<T: Send + 'static>(make: impl FnOnce() -> Result<T, ProveError> + Send + 'static) -> Result<T, Failure> {
    let made = tokio::task::spawn_blocking(make).await;
    let made = made.map_err(|e| Failure::from(ApiError::new(ErrorCode::Internal, e.to_string())))?;
    made.map_err(|e| failed(&e))
}

fn failed(e: &ProveError) -> Failure {
    let code = match e {
        ProveError::NoBlock
        | ProveError::NoBlocks(_)
        | ProveError::NoHistory(_)
        | ProveError::NotYet(_)
        | ProveError::NotThere(..) => ErrorCode::NotFound,
        ProveError::Store(_) | ProveError::Damaged(_) | ProveError::Written(_) => ErrorCode::Internal,
    };
    Failure::from(ApiError::new(code, chain(e)))
}

/// A bundle that was put together, as a file.
fn made(bundle: &Bundle) -> Response {
    ([(CONTENT_TYPE, BUNDLE_TYPE)], bundle.encode()).into_response()
}
