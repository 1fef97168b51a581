//! Public test vectors. Where each file comes from stands in `tests/data/SOURCES.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod blake3_hash;
mod cbor_appendix_a;
mod cose_eddsa;
mod ed25519_edges;
mod ed25519_honest;
mod tlog;

use serde::de::DeserializeOwned;
use stemma_chain_format::keys::{PublicKey, Signature};

fn parsed<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn public_key(text: &str) -> PublicKey {
    PublicKey(unhex(text).try_into().unwrap())
}

/// A signature, if it has the length of one; our types hold no other.
fn signature(text: &str) -> Option<Signature> {
    unhex(text).try_into().ok().map(Signature)
}
