//! Merkle trees: an ordered log of leaves in the shape of RFC 6962, and a sparse map of accounts.

mod log;
mod sparse;

pub use log::{
    Blake3, SidedStep, TreeHash, inclusion_path, leaf_hash, root, root_with, sided_path, verify_consistency,
    verify_inclusion, verify_sided,
};
pub use sparse::{OtherLeaf, SparseProof, SparseTree, sparse_leaf};
