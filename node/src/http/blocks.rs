//! Blocks and the entries in them.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::Link;
use stemma_node_api::ApiError;
use stemma_node_api::types::{BlockView, ChainView};

use super::{Failure, Json, Path, Shared, id, not_found};
use crate::store::StoreError;

/// A block by height, with its certificate's signers and its entries' ids.
#[utoipa::path(get, path = "/v1/blocks/{height}", tag = "ledger", params(("height" = u64, Path)),
    responses((status = 200, body = BlockView), (status = 404, body = ApiError)))]
pub(super) async fn block(
    State(shared): State<Arc<Shared>>,
    Path(height): Path<u64>,
) -> Result<Json<BlockView>, Failure> {
    let stored = shared.store.block(height)?;
    let stored = stored.ok_or_else(|| not_found(format!("block {height} is not committed here")))?;
    let header = &stored.block.header;
    Ok(Json(BlockView {
        height,
        block: header.id().to_string(),
        parent: header.parent.to_string(),
        time_ms: header.time_ms,
        proposer: header.proposer.to_string(),
        entries_root: header.entries_root.to_string(),
        account_root: header.accounts_root.to_string(),
        registry_root: header.registry_root.to_string(),
        round: stored.certificate.round,
        signers: stored.certificate.signatures.iter().map(|s| s.validator.to_string()).collect(),
        entries: stored.block.entries.iter().map(Link::to_string).collect(),
    }))
}

/// A committed entry by id: a trade's three stages, or a record of one.
#[utoipa::path(get, path = "/v1/chains/{id}", tag = "ledger", params(("id" = String, Path)),
    responses((status = 200, body = ChainView), (status = 404, body = ApiError)))]
pub(super) async fn chain(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Json<ChainView>, Failure> {
    let link: Link = id("id", &text)?;
    let found = shared.store.entry(&link)?;
    let (place, bytes) = found.ok_or_else(|| not_found(format!("no entry {link} is committed here")))?;
    let entry = Entry::decode(&bytes).map_err(|e| Failure::from(StoreError::damaged(e)))?;
    Ok(Json(ChainView {
        id: link.to_string(),
        kind: entry.kind().as_str().to_owned(),
        height: place.height,
        index: place.index,
        stages: entry.stages().iter().map(|bytes| BASE64.encode(bytes)).collect(),
        signers: entry.signers().iter().map(ToString::to_string).collect(),
    }))
}
