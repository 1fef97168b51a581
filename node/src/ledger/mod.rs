//! What every role does with the ledger: put entries to the network, make blocks durable, prove.

mod commit;
mod follow;
mod listing;
mod propose;
mod prove;

pub use commit::StoreSink;
pub use follow::{decode_fetch, decode_sync, encode_fetch, encode_sync, serve_fetch, serve_sync, synced_blocks};
pub use listing::{ListingError, change, list, view};
pub use propose::{decode_gossip, gossip_batches};
pub use prove::{ProveError, Proved, account_bundle, proved};
