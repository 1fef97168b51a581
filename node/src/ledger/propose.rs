//! Entries to the network, in batched gossip.

use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::error::Violation;

/// One gossip message holds as many entries as fit this, in bytes: a message costs a node the same whatever it holds.
const BATCH_BYTES: usize = 64 * 1024;
/// Largest gossip message accepted, in bytes: one entry of the largest size beside a full batch.
const MESSAGE_BYTES_MAX: usize = 512 * 1024;

/// Packs entries into gossip messages.
pub fn gossip_batches(entries: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let mut batch: Vec<ByteVec> = Vec::new();
    let mut bytes = 0_usize;
    for entry in entries {
        if bytes.saturating_add(entry.len()) > BATCH_BYTES && !batch.is_empty() {
            messages.push(cbor::encode(&std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes = bytes.saturating_add(entry.len());
        batch.push(entry.into());
    }
    if !batch.is_empty() {
        messages.push(cbor::encode(&batch));
    }
    messages
}

/// Reads a gossip message.
///
/// # Errors
/// Not the one encoding.
pub fn decode_gossip(message: &[u8]) -> Result<Vec<ByteVec>, Violation> {
    Ok(cbor::decode(message, "gossip", MESSAGE_BYTES_MAX)?)
}
