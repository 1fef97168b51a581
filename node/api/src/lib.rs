//! The node's HTTP API: JSON types, routes, and a typed client; and the node's configuration file.
//!
//! A crate of its own, so that tools which speak to a node compile neither libp2p nor redb. Amounts are decimal strings of
//! smallest units, identifiers lowercase hexadecimal, signed records base64 of their exact bytes.

pub mod catalogue;
mod client;
pub mod config;
mod error;
pub mod events;
pub mod governance;
pub mod moment;
pub mod positions;
pub mod prices;
pub mod qr;
pub mod reports;
pub mod routes;
pub mod types;
pub mod x509;

pub use client::{Client, ClientError, ReportCsv};
pub use error::{ApiError, ErrorBody, ErrorCode};
