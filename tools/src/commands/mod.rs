//! One module per command, each with `Args` and `run`. The crate's documentation says how to add one.

pub mod account;
pub mod audit;
pub mod genesis;
pub mod key;
pub mod sandbox;
pub mod trade;
