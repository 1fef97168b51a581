//! The tests of the whole system: a file for each promise. One program runs them all, for linking one takes half a minute.
//! `cargo test --release -p stemma-tests NAME::` runs one file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod api;
mod audit;
mod back_office;
mod conditions;
mod follow;
mod governance;
mod history;
mod identity;
mod in_flight;
mod joining;
mod ledger;
mod operating;
mod paths;
mod positions;
mod prices;
mod promotion;
mod queue;
mod readme;
mod reports;
mod restart;
mod rewards;
mod servicing;
mod standing;
mod testnet;
mod tidy;
mod traces;
mod trade;
mod watch;
