//! Entries to the network: batched gossip, and the listing record that any issuer makes.

use ed25519_dalek::SigningKey;
use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::instrument::Listing;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::record::Signed;
use stemma_chain_format::validate::{self, VerifiedEntry};

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

/// Why a listing was not made.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// The ledger would refuse it.
    #[error("the ledger would refuse it")]
    Violation(#[source] Violation),
}

/// Makes the record that lists an instrument, tried on the ledger as it stands.
///
/// # Errors
/// The rule that it would break.
pub fn listing(record: Listing, key: &SigningKey, ledger: &Ledger) -> Result<VerifiedEntry, ListingError> {
    let made = || {
        let signed = Signed::sign(record, key)?;
        let entry = validate::verify_entry(Entry::Listing(Box::new(signed)), ledger.registry())?;
        ledger.draft().apply(&entry)?;
        Ok(entry)
    };
    made().map_err(ListingError::Violation)
}
