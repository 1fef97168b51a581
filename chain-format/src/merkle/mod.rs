//! Merkle trees: an ordered log of leaves in the shape of RFC 6962, and a sparse map of accounts.

mod log;
mod sparse;

pub use log::{Blake3, TreeHash, inclusion_path, leaf_hash, root, root_with, verify_consistency, verify_inclusion};
pub use sparse::{OtherLeaf, SparseProof, SparseTree, sparse_leaf};
