//! Trades, by the best of several paths to each peer.
//!
//! Each connection is a path. The *main* one carries everything else too; others carry this
//! protocol only, so that a slow one never delays a vote. One stream on each connection, opened by
//! the dialler under `/stemma/<tag>/trade/2`, carries frames both ways (see [`frame`]). Who asks
//! keeps a request until it is answered and sends it again, under the same id, by the next best path
//! when its own falls silent or is lost; who is asked passes it to the application once and answers
//! by the path it came by last. What is known of a path is measured all the time with little traffic
//! (see [`path_probe`]), and [`path_selector`] chooses.

mod backoff;
mod behaviour;
mod circuits;
mod frame;
mod handler;
mod incoming;
mod link;
mod path_probe;
mod path_selector;
mod peer;
mod report;
mod role;
mod slot;

pub(crate) use behaviour::{PathEvent, Paths};
pub(crate) use circuits::relay_of;
pub(crate) use frame::{ANNOUNCEMENT_BYTES_MAX, NAME_BYTES_MAX, RequestId};
pub(crate) use peer::MAIN;
pub(crate) use report::PATHS_MAX;
pub use report::{PathAddress, PathReport, PathState, Transport};
pub(crate) use role::{Role, Roles, Scoped, is_circuit};
