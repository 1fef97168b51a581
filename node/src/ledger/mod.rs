//! What every role does with the ledger: put entries to the network, make blocks durable, prove.

mod commit;
mod follow;
mod listing;
mod propose;
mod prove;
mod replay;
mod snapshots;

pub use commit::StoreSink;
pub use follow::{SyncQuestion, decode_fetch, encode_fetch, serve_fetch, synced_blocks, told_announcements};
pub use listing::{ListingError, change, list, view};
pub use propose::{decode_gossip, gossip_batches};
pub use prove::{
    Looked, ProveError, Proved, account_bundle, block_bundle, entry_bundle, holdings_bundle, lineage_bundle, look,
};
pub use replay::{Told, anchor_at, look_at, write_ledger_bundle};
pub use snapshots::{SnapshotError, Snapshots};
