//! A copy of the store, made while the node runs and sent as it is. No key is in it, and no evidence.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use stemma_node_api::reports::HEIGHT_HEADER;
use stemma_node_api::{ApiError, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::operator::Operator;
use super::{Failure, Shared};
use crate::error::chain;
use crate::store::Store;

/// The copy's name while it is made, in the folder of the store, so that it is on a disk that fits it.
const PART_FILE: &str = "backup.part";
/// Bytes that are sent at once.
const PIECE_BYTES: usize = 256 * 1024;
/// When to try again where a copy is being made, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// The turn to make a copy: one at a time.
pub fn turn() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// The store at one height, as a file of its own. The node goes on meanwhile. It holds no key.
#[utoipa::path(post, path = "/v1/backup", tag = "operator", security(("operator" = [])),
    responses((status = 200, content_type = "application/octet-stream", description = "the store's file"),
        (status = 401, body = ApiError), (status = 503, body = ApiError, description = "another copy is being made")))]
pub(super) async fn backup(_: Operator, State(shared): State<Arc<Shared>>) -> Result<Response, Failure> {
    let turn = Arc::clone(&shared.backups).try_acquire_owned().map_err(|_| {
        let mut error = ApiError::new(ErrorCode::Busy, "another backup is being made");
        error.error.retry_after_ms = Some(RETRY_MS);
        error
    })?;
    let (store, part) = (shared.store.clone(), shared.data.join(PART_FILE));
    let made = tokio::task::spawn_blocking(move || copied(&store, &part)).await;
    let failed = |e: String| {
        tracing::error!(error = %e, "a backup failed");
        ApiError::new(ErrorCode::Internal, "the node could not copy its store")
            .help("Its log says why: is the disk full?")
    };
    let (file, bytes, height) = made.map_err(|e| failed(e.to_string()))?.map_err(failed)?;
    tracing::info!(height, bytes, "a backup of the store is sent");
    let headers = [
        (CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
        (CONTENT_LENGTH.as_str(), bytes.to_string()),
        (HEIGHT_HEADER, height.to_string()),
    ];
    Ok((headers, streamed(file, turn)).into_response())
}

/// Copies the store into a file that has no name any more, so that it goes with whoever reads it.
fn copied(store: &Store, part: &Path) -> Result<(File, u64, u64), String> {
    let gone = |part: &Path| match std::fs::remove_file(part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.to_string()),
        _ => Ok(()),
    };
    // One that a crash left behind.
    gone(part)?;
    let copied = store.copy_to(part).map_err(|e| chain(&e));
    let opened = copied.and_then(|copied| {
        let file = File::open(part).map_err(|e| e.to_string())?;
        let bytes = file.metadata().map_err(|e| e.to_string())?.len();
        Ok((file, bytes, copied.height))
    });
    gone(part)?;
    opened
}

fn streamed(file: File, turn: OwnedSemaphorePermit) -> Body {
    Body::from_stream(stream::unfold(Some((file, turn)), |left| async move {
        let (mut file, turn) = left?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0_u8; PIECE_BYTES];
            let read = file.read(&mut piece);
            (
                file,
                read.map(|length| {
                    piece.truncate(length);
                    piece
                }),
            )
        })
        .await;
        match read {
            Ok((_, Ok(piece))) if piece.is_empty() => None,
            Ok((file, Ok(piece))) => Some((Ok(piece), Some((file, turn)))),
            // The connection breaks, so that nobody takes the rest for the whole.
            Ok((_, Err(e))) => Some((Err(e), None)),
            Err(e) => Some((Err(std::io::Error::other(e)), None)),
        }
    }))
}
