//! Blocks and the entries in them.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::Link;
use stemma_consensus::sync::SyncedBlock;
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
    let missing = || not_found(format!("block {height} is not committed here"));
    let (header, certificate, entries) = match shared.store.block(height)? {
        Some(SyncedBlock { block, certificate, .. }) => (block.header, certificate, Some(block.entries)),
        None => {
            let known = shared.store.certified_header(height)?.ok_or_else(missing)?;
            (known.header, known.certificate, None)
        }
    };
    Ok(Json(BlockView {
        height,
        block: header.id().to_string(),
        parent: header.parent.to_string(),
        time_ms: header.time_ms,
        proposer: header.proposer.to_string(),
        entries_root: header.entries_root.to_string(),
        account_root: header.accounts_root.to_string(),
        registry_root: header.registry_root.to_string(),
        round: certificate.round,
        signers: certificate.signatures.iter().map(|s| s.validator.to_string()).collect(),
        entries: entries.map(|entries| entries.iter().map(Link::to_string).collect()),
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
    let Some((place, bytes)) = found else { return Err(no_entry(&shared, &link)?) };
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

/// Why an entry is not here.
pub(super) fn no_entry(shared: &Shared, link: &Link) -> Result<Failure, StoreError> {
    let from = shared.store.history_from()?;
    let kept = match from {
        0 | 1 => String::new(),
        from => format!(", or it was before block {from}, where what this node keeps begins"),
    };
    Ok(not_found(format!("no entry {link} is committed here{kept}")))
}
