//! One module per command, each with `Args` and `run`. The crate's documentation says how to add one.

pub mod account;
pub mod audit;
pub mod completions;
pub mod genesis;
pub mod gov;
pub mod identity;
pub mod instrument;
pub mod key;
pub mod man;
pub mod node;
pub mod promote;
pub mod report;
pub mod request;
pub mod sandbox;
pub mod service;
pub mod testnet;
pub mod trade;
