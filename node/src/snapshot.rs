//! Beginning with a snapshot: a node without blocks fetches the state from its peers before it takes up the ledger. A peer whose
//! snapshot does not hold is left, and another is asked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::limits::SNAPSHOT_MANIFEST_BYTES_MAX;
use stemma_chain_format::snapshot::{Assembly, Manifest, Restored};
use stemma_consensus::sync::SyncedBlock;
use stemma_net::{NetHandle, PeerId, Protocol, RequestError};

use crate::error::chain;
use crate::ledger::{SyncQuestion, synced_blocks};
use crate::store::{Store, StoreError};

/// How long to wait for a peer before the next look, in milliseconds.
const PAUSE_MS: u64 = 200;
/// How long after the last snapshot that did not hold another peer is waited for, in seconds.
const PATIENCE_S: u64 = 30;
/// How often a peer that has no snapshot yet is asked again.
const ASKED_MAX: u32 = 50;
/// How often progress is told, in seconds.
const TELL_S: u64 = 2;
/// Largest answer, in bytes: a manifest with its frame.
const ANSWER_BYTES_MAX: usize = SNAPSHOT_MANIFEST_BYTES_MAX + 64;

/// Why a peer's snapshot is not used.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// The peer did not answer.
    #[error("it did not answer")]
    Request(#[source] RequestError),
    /// It has none, or none any more.
    #[error("it has none")]
    None,
    /// What it sent does not hold.
    #[error("its snapshot does not hold")]
    Violation(#[source] Violation),
}

/// Fetches a snapshot into a store without blocks. Returns the height that the store then stands at; none where no peer has one
/// that holds, so that blocks are fetched from the genesis on instead.
///
/// # Errors
/// [`StoreError`].
pub async fn fetch(net: &NetHandle, genesis: &GenesisFile, store: &Store) -> Result<Option<u64>, StoreError> {
    let mut left: BTreeSet<PeerId> = BTreeSet::new();
    let (mut tried, mut waited) = (Instant::now(), 0_u32);
    tracing::info!("looking for a peer with a snapshot of the state");
    loop {
        let connected = net.connected();
        let Some(peer) = connected.iter().find(|peer| !left.contains(peer)).copied() else {
            if !left.is_empty() && tried.elapsed() > Duration::from_secs(PATIENCE_S) {
                tracing::warn!("no peer has a snapshot that holds: blocks are fetched from the genesis on");
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
            continue;
        };
        match from_peer(net, peer, genesis).await {
            Ok((restored, head)) => {
                let height = restored.head.header.height;
                store.begin_with(&restored, &head)?;
                tracing::info!(height, root = %restored.ledger.root(), "began with a snapshot; its state hashes to the certified root");
                return Ok(Some(height));
            }
            Err(Refused::None) if waited < ASKED_MAX => {
                // One may be in the making.
                waited = waited.saturating_add(1);
                tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
            }
            Err(refused) => {
                waited = 0;
                tracing::warn!(%peer, "this peer's snapshot is not used: {}", chain(&refused));
                left.insert(peer);
                tried = Instant::now();
            }
        }
    }
}

async fn from_peer(net: &NetHandle, peer: PeerId, genesis: &GenesisFile) -> Result<(Restored, SyncedBlock), Refused> {
    let manifest = ask(net, peer, &SyncQuestion::Snapshot).await?;
    let manifest = Manifest::decode(&manifest).map_err(Refused::Violation)?;
    let (height, bytes_all) = (manifest.head.header.height, manifest.bytes);
    let mut assembly = Assembly::begin(manifest, genesis).map_err(Refused::Violation)?;
    tracing::info!(%peer, height, parts = assembly.count(), bytes = bytes_all, "fetching a snapshot");
    let (begun, mut told, mut bytes) = (Instant::now(), Instant::now(), 0_u64);
    while let Some(index) = assembly.wanted() {
        let part = ask(net, peer, &SyncQuestion::SnapshotPart(height, index as u64)).await?;
        bytes = bytes.saturating_add(part.len() as u64);
        assembly.take(&part).map_err(Refused::Violation)?;
        if told.elapsed() >= Duration::from_secs(TELL_S) {
            told = Instant::now();
            let left_s = seconds_left(begun.elapsed(), bytes, bytes_all);
            tracing::info!(
                part = index.saturating_add(1),
                parts = assembly.count(),
                bytes,
                left_s,
                "fetching a snapshot"
            );
        }
    }
    let head = head_block(net, peer, height).await?;
    let restored = tokio::task::spawn_blocking(move || assembly.finish());
    let restored = restored.await.map_err(|_| Refused::None)?.map_err(Refused::Violation)?;
    same_block(&restored, &head).map_err(Refused::Violation)?;
    Ok((restored, head))
}

/// The block that the snapshot stands at, with its entries.
async fn head_block(net: &NetHandle, peer: PeerId, height: u64) -> Result<SyncedBlock, Refused> {
    let answer = net.request(peer, Protocol::Sync, SyncQuestion::Blocks(height, 1).encode()).await;
    let blocks = synced_blocks(&answer.map_err(Refused::Request)?).map_err(Refused::Violation)?;
    blocks.into_iter().next().ok_or(Refused::None)
}

/// The block is the certified one, its entries those that it names.
fn same_block(restored: &Restored, head: &SyncedBlock) -> Result<(), Violation> {
    let wrong =
        |found: &str| Violation::new(Rule::Block, "snapshot.block", "the certified block with its entries", found);
    head.block.check()?;
    if head.block.header != restored.head.header || head.certificate.block != head.block.id() {
        return Err(wrong("another"));
    }
    let mut named = head.block.entries.iter();
    for entry in &head.entries {
        if named.next() != Some(&Entry::decode(&entry.0)?.id()) {
            return Err(wrong("another entry"));
        }
    }
    if named.next().is_some() { Err(wrong("too few entries")) } else { Ok(()) }
}

async fn ask(net: &NetHandle, peer: PeerId, question: &SyncQuestion) -> Result<Vec<u8>, Refused> {
    let answer = net.request(peer, Protocol::Sync, question.encode()).await.map_err(Refused::Request)?;
    let found: Option<ByteVec> =
        cbor::decode(&answer, "snapshot answer", ANSWER_BYTES_MAX).map_err(|e| Refused::Violation(e.into()))?;
    found.map(Vec::from).ok_or(Refused::None)
}

/// By the rate so far.
fn seconds_left(elapsed: Duration, done: u64, all: u64) -> u64 {
    let left = u128::from(all.saturating_sub(done)).saturating_mul(elapsed.as_millis());
    let left_ms = left.checked_div(u128::from(done)).unwrap_or(0);
    u64::try_from(left_ms / 1_000).unwrap_or(u64::MAX)
}
