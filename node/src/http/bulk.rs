//! Bodies that may be large, because evidence may be a film: taken in only while all of them together fit a bound.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use serde::de::DeserializeOwned;
use stemma_node_api::{ApiError, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{BODY_BYTES_MAX, Failure, Json, Shared};

/// Largest body with evidence, in bytes: 32 MiB in base64, and the rest of the call.
pub(super) const BULK_BYTES_MAX: usize = 45 * 1024 * 1024;
/// All large bodies held at once fit this, in KiB.
const ROOM_KIB: usize = 256 * 1024;
/// When to try again where there is no room, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// The room for large bodies.
pub fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROOM_KIB))
}

/// JSON that may be large, and the room that it takes until the call ends.
pub(super) struct Bulk<T>(pub T, pub Option<OwnedSemaphorePermit>);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Bulk<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        // A body whose length is not announced counts as the largest.
        let bytes = announced.and_then(|text| text.parse().ok()).unwrap_or(BULK_BYTES_MAX);
        if bytes <= BODY_BYTES_MAX {
            return Ok(Self(Json::from_request(request, shared).await?.0, None));
        }
        let kib = u32::try_from(bytes.min(BULK_BYTES_MAX).div_ceil(1024)).unwrap_or(u32::MAX);
        let room = Arc::clone(&shared.room).try_acquire_many_owned(kib).map_err(|_| {
            let mut error = ApiError::new(ErrorCode::Busy, "too much evidence is being taken in at once");
            error.error.retry_after_ms = Some(RETRY_MS);
            Failure::from(error.help("Nothing was accepted: send the same again after that time."))
        })?;
        Ok(Self(Json::from_request(request, shared).await?.0, Some(room)))
    }
}
