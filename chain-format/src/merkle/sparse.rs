//! A sparse Merkle map from 32-byte keys to values: one root over all accounts, with proofs of presence and absence.
//!
//! The tree is binary over the bits of the key, most significant first. An empty subtree hashes to 32 zero bytes; a subtree
//! with exactly one key hashes as that key's leaf, `H(0x02 ‖ key ‖ H(value))`, wherever it stands; any other is
//! `H(0x03 ‖ left ‖ right)`. The shape depends on the set of keys alone, so the order of insertion leaves no trace.
//!
//! Nodes are shared (`Arc`): a changed tree costs a path of new nodes, and the tree before it stays as it was, so a block can
//! be tried without touching the state it builds on.

use std::sync::Arc;

use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Digest};
use crate::merkle::log::{Blake3, TreeHash};

const EMPTY: Digest = Digest([0; 32]);
/// A key has so many bits; no path is longer.
const DEPTH_MAX: usize = 256;

/// The hash of a leaf: a key and the bytes of its value.
pub fn sparse_leaf(key: &AccountId, value: &[u8]) -> Digest {
    Blake3::hash(&[&[2], &key.0, &Digest::of(value).0])
}

fn branch_hash(left: &Digest, right: &Digest) -> Digest {
    Blake3::hash(&[&[3], &left.0, &right.0])
}

/// The bit of a key at a depth; beyond the last bit, zero.
fn bit(key: &AccountId, depth: usize) -> bool {
    let byte = key.0.get(depth / 8).copied().unwrap_or(0);
    (byte << (depth % 8)) & 0x80 != 0
}

#[derive(Debug, Clone)]
enum Node {
    Leaf { key: AccountId, hash: Digest },
    Branch { hash: Digest, left: Option<Arc<Node>>, right: Option<Arc<Node>> },
}

impl Node {
    fn hash(&self) -> Digest {
        match self {
            Self::Leaf { hash, .. } | Self::Branch { hash, .. } => *hash,
        }
    }
}

type Subtree = Option<Arc<Node>>;

fn hash_of(subtree: &Subtree) -> Digest {
    subtree.as_ref().map_or(EMPTY, |node| node.hash())
}

fn branch(left: Subtree, right: Subtree) -> Arc<Node> {
    let hash = branch_hash(&hash_of(&left), &hash_of(&right));
    Arc::new(Node::Branch { hash, left, right })
}

/// The map's tree. Cloning is cheap and shares everything.
#[derive(Debug, Clone, Default)]
pub struct SparseTree {
    root: Subtree,
}

/// The proof that a key has a value, or has none.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct SparseProof {
    /// The sibling hashes from the root down.
    #[n(0)]
    pub siblings: Vec<Digest>,
    /// For absence, the other leaf that stands where the key would: its key and the hash of its value.
    #[n(1)]
    pub other: Option<OtherLeaf>,
}

/// A leaf that proves another key's absence.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct OtherLeaf {
    /// Its key.
    #[n(0)]
    pub key: AccountId,
    /// The BLAKE3 of its value.
    #[n(1)]
    pub value_hash: Digest,
}

impl SparseTree {
    /// An empty map.
    pub const fn new() -> Self {
        Self { root: None }
    }

    /// The root; of an empty map, 32 zero bytes.
    pub fn root(&self) -> Digest {
        hash_of(&self.root)
    }

    /// Sets a key's value.
    pub fn insert(&mut self, key: AccountId, value: &[u8]) {
        let leaf = Arc::new(Node::Leaf { key, hash: sparse_leaf(&key, value) });
        self.root = Some(inserted(self.root.take(), leaf, &key, 0));
    }

    /// Removes a key. What is left is the tree that never had it.
    pub fn remove(&mut self, key: &AccountId) {
        self.root = removed(self.root.take(), key, 0);
    }

    /// The path of siblings for a key from the root down, and the leaf where it ends.
    ///
    /// The caller holds the values and completes the proof of absence with [`OtherLeaf`].
    pub fn path(&self, key: &AccountId) -> (Vec<Digest>, Option<AccountId>) {
        let mut siblings = Vec::new();
        let mut at = &self.root;
        while let Some(node) = at {
            match node.as_ref() {
                Node::Leaf { key, .. } => return (siblings, Some(*key)),
                Node::Branch { left, right, .. } => {
                    let (next, sibling) = if bit(key, siblings.len()) { (right, left) } else { (left, right) };
                    siblings.push(hash_of(sibling));
                    at = next;
                }
            }
        }
        (siblings, None)
    }
}

fn inserted(subtree: Subtree, leaf: Arc<Node>, key: &AccountId, depth: usize) -> Arc<Node> {
    let deeper = depth.saturating_add(1);
    match subtree.as_deref() {
        None => leaf,
        Some(Node::Leaf { key: other, .. }) if other == key || depth >= DEPTH_MAX => leaf,
        Some(Node::Leaf { key: other, .. }) => {
            let other = *other;
            match (bit(key, depth), bit(&other, depth)) {
                (false, true) => branch(Some(leaf), subtree),
                (true, false) => branch(subtree, Some(leaf)),
                (false, false) => branch(Some(inserted(subtree, leaf, key, deeper)), None),
                (true, true) => branch(None, Some(inserted(subtree, leaf, key, deeper))),
            }
        }
        Some(Node::Branch { left, right, .. }) => {
            let (left, right) = (left.clone(), right.clone());
            if bit(key, depth) {
                branch(left, Some(inserted(right, leaf, key, deeper)))
            } else {
                branch(Some(inserted(left, leaf, key, deeper)), right)
            }
        }
    }
}

fn removed(subtree: Subtree, key: &AccountId, depth: usize) -> Subtree {
    let deeper = depth.saturating_add(1);
    let node = subtree?;
    match node.as_ref() {
        Node::Leaf { key: other, .. } if other == key => None,
        Node::Leaf { .. } => Some(node),
        Node::Branch { left, right, .. } => {
            let (left, right) = (left.clone(), right.clone());
            let (left, right) =
                if bit(key, depth) { (left, removed(right, key, deeper)) } else { (removed(left, key, deeper), right) };
            match (&left, &right) {
                (None, None) => None,
                // A key that is alone in its subtree stands as a leaf, wherever that is.
                (Some(node), None) | (None, Some(node)) if matches!(node.as_ref(), Node::Leaf { .. }) => {
                    Some(node.clone())
                }
                _ => Some(branch(left, right)),
            }
        }
    }
}

impl SparseProof {
    /// Checks that a key has a value under a root.
    ///
    /// # Errors
    /// [`Rule::Proof`].
    pub fn verify_present(&self, root: &Digest, key: &AccountId, value: &[u8]) -> Result<(), Violation> {
        let none = self.other.is_none();
        ensure(none, Rule::Proof, "proof.other", "nothing, for a key that is present", "a leaf")?;
        self.lead_to(root, key, sparse_leaf(key, value))
    }

    /// Checks that a key has no value under a root.
    ///
    /// # Errors
    /// [`Rule::Proof`].
    pub fn verify_absent(&self, root: &Digest, key: &AccountId) -> Result<(), Violation> {
        let Some(OtherLeaf { key: other, value_hash }) = &self.other else {
            return self.lead_to(root, key, EMPTY);
        };
        let shared = (0..self.siblings.len()).all(|depth| bit(key, depth) == bit(other, depth));
        let stands_there = shared && other != key;
        ensure(stands_there, Rule::Proof, "proof.other", "another key on the same path", other)?;
        self.lead_to(root, key, Blake3::hash(&[&[2], &other.0, &value_hash.0]))
    }

    fn lead_to(&self, root: &Digest, key: &AccountId, from: Digest) -> Result<(), Violation> {
        let length = self.siblings.len();
        ensure(length <= DEPTH_MAX, Rule::Proof, "proof.siblings", "at most 256", length)?;
        let hash = self.siblings.iter().enumerate().rev().fold(from, |hash, (depth, sibling)| {
            if bit(key, depth) { branch_hash(sibling, &hash) } else { branch_hash(&hash, sibling) }
        });
        ensure(hash == *root, Rule::Proof, "proof.root", root, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> AccountId {
        AccountId(Digest::of(&n.to_be_bytes()).0)
    }

    #[test]
    fn order_of_insertion_leaves_no_trace() {
        let (mut up, mut down) = (SparseTree::new(), SparseTree::new());
        (0..200).for_each(|n| up.insert(key(n), &n.to_be_bytes()));
        (0..200).rev().for_each(|n| down.insert(key(n), b"old"));
        (0..200).rev().for_each(|n| down.insert(key(n), &n.to_be_bytes()));
        assert_eq!(up.root(), down.root());
    }

    #[test]
    fn a_removed_key_leaves_no_trace() {
        let mut tree = SparseTree::new();
        (0..100).for_each(|n| tree.insert(key(n), &n.to_be_bytes()));
        let root = tree.root();
        (100..200).for_each(|n| tree.insert(key(n), &n.to_be_bytes()));
        (100..200).rev().for_each(|n| tree.remove(&key(n)));
        tree.remove(&key(500));
        assert_eq!(tree.root(), root);
        (0..100).for_each(|n| tree.remove(&key(n)));
        assert_eq!(tree.root(), EMPTY);
    }

    #[test]
    fn presence_and_absence_are_proved_and_not_confused() {
        let mut tree = SparseTree::new();
        (0..100_u64).for_each(|n| tree.insert(key(n), &n.to_be_bytes()));
        let root = tree.root();
        for n in 0..200_u64 {
            let (siblings, end) = tree.path(&key(n));
            let value = n.to_be_bytes();
            if n < 100 {
                let proof = SparseProof { siblings, other: None };
                proof.verify_present(&root, &key(n), &value).unwrap();
                assert!(proof.verify_present(&root, &key(n), b"other").is_err());
                assert!(proof.verify_absent(&root, &key(n)).is_err());
            } else {
                let other = end.map(|key_found| {
                    let m = (0..100_u64).find(|m| key(*m) == key_found).unwrap();
                    OtherLeaf { key: key_found, value_hash: Digest::of(&m.to_be_bytes()) }
                });
                let proof = SparseProof { siblings, other };
                proof.verify_absent(&root, &key(n)).unwrap();
                assert!(proof.verify_present(&root, &key(n), &value).is_err());
            }
        }
    }

    #[test]
    fn a_tried_change_leaves_the_tree_before_it_as_it_was() {
        let mut tree = SparseTree::new();
        tree.insert(key(1), b"a");
        let (root, mut tried) = (tree.root(), tree.clone());
        tried.insert(key(2), b"b");
        assert_eq!(tree.root(), root);
        assert_ne!(tried.root(), root);
    }
}
