//! The node of a consortium member: bank, institution or auditor by configuration.
//!
//! Roles ([`bank`], [`institution`]) return effects and touch neither sockets nor clock; [`node`] performs them, everything
//! durable first. the crate `stemma-net` carries bytes between members, [`store`] keeps what must survive, [`http`] speaks JSON to clients,
//! [`ledger`] is what every role does with blocks and proofs.

pub mod bank;
pub mod calendar;
pub mod clock;
pub mod commands;
pub mod config;
pub mod error;
pub mod http;
pub mod institution;
pub mod ledger;
pub mod lock;
pub mod membership;
pub mod meters;
pub mod network;
pub mod node;
pub mod role;
pub mod snapshot;
pub mod store;
pub mod telemetry;

use ::base64::Engine as _;

/// Bytes as the API shows them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
