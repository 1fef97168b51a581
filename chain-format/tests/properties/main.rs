//! Properties over generated records, mutations and series of trades.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod bundle_bytes;
mod generators;
mod merkle;
mod mutations;
mod quorums;
mod round_trips;
mod series;
mod stages;
mod traces;
