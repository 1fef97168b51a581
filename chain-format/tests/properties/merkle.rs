//! Both trees against implementations that follow their definitions word by word.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use stemma_chain_format::hash::{AccountId, Digest};
use stemma_chain_format::merkle::{
    Blake3, OtherLeaf, SparseProof, SparseTree, inclusion_path, root, verify_consistency, verify_inclusion,
};

fn hash(parts: &[&[u8]]) -> Digest {
    Digest::of(&parts.concat())
}

/// The sparse tree by its definition: empty, one key, or the hash of both halves.
fn sparse_root(leaves: &[([u8; 32], Vec<u8>)], depth: usize) -> Digest {
    match leaves {
        [] => Digest([0; 32]),
        [(key, value)] => hash(&[&[2], key, &Digest::of(value).0]),
        _ => {
            let one = |key: &[u8; 32]| key[depth / 8] >> (7 - depth % 8) & 1 == 1;
            let (right, left): (Vec<_>, Vec<_>) = leaves.iter().cloned().partition(|(key, _)| one(key));
            hash(&[&[3], &sparse_root(&left, depth + 1).0, &sparse_root(&right, depth + 1).0])
        }
    }
}

/// Keys that share long beginnings: a few bits set at the front, at the back, and anywhere.
fn sparse_key() -> impl Strategy<Value = [u8; 32]> {
    let near = (0_u8..4, 0_u8..4, 0_u8..4).prop_map(|(first, middle, last)| {
        let mut key = [0; 32];
        (key[0], key[15], key[31]) = (first << 6, middle, last);
        key
    });
    prop_oneof![near, any::<[u8; 32]>()]
}

/// RFC 6962 §2.1 word by word: the left part has the largest power of two of leaves below the size.
fn log_root(leaves: &[Digest]) -> Digest {
    match leaves.len() {
        0 => hash(&[]),
        1 => leaves[0],
        size => {
            let split = (0..).map(|k| 1 << k).take_while(|power| *power < size).last().unwrap();
            hash(&[&[1], &log_root(&leaves[..split]).0, &log_root(&leaves[split..]).0])
        }
    }
}

/// The consistency path of RFC 6962 §2.1.2 word by word.
fn consistency_path(size: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if size == leaves.len() {
        return if whole { Vec::new() } else { vec![log_root(leaves)] };
    }
    let split = (0..).map(|k| 1 << k).take_while(|power| *power < leaves.len()).last().unwrap();
    let (left, right) = leaves.split_at(split);
    if size <= split {
        [consistency_path(size, left, whole), vec![log_root(right)]].concat()
    } else {
        [consistency_path(size - split, right, false), vec![log_root(left)]].concat()
    }
}

fn proof(tree: &SparseTree, leaves: &BTreeMap<[u8; 32], Vec<u8>>, key: &AccountId) -> SparseProof {
    let (siblings, end) = tree.path(key);
    let other = end.filter(|found| found != key);
    let other = other.map(|found| OtherLeaf { key: found, value_hash: Digest::of(&leaves[&found.0]) });
    SparseProof { siblings, other }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sparse_root_is_its_definition(leaves in btree_map(sparse_key(), vec(any::<u8>(), 0..8), 0..40)) {
        let mut tree = SparseTree::new();
        for (key, value) in leaves.iter().rev() {
            tree.insert(AccountId(*key), value);
        }
        let sorted: Vec<_> = leaves.into_iter().collect();
        prop_assert_eq!(tree.root(), sparse_root(&sorted, 0));
    }

    /// Each key is proved present or absent, and never both.
    #[test]
    fn sparse_proofs_hold_for_what_they_prove(
        leaves in btree_map(sparse_key(), vec(any::<u8>(), 0..8), 0..40),
        absent in vec(sparse_key(), 1..8),
    ) {
        let mut tree = SparseTree::new();
        leaves.iter().for_each(|(key, value)| tree.insert(AccountId(*key), value));
        let root = tree.root();
        for key in leaves.keys().chain(&absent) {
            let id = AccountId(*key);
            let proof = proof(&tree, &leaves, &id);
            let value = leaves.get(key);
            prop_assert_eq!(proof.verify_absent(&root, &id).is_ok(), value.is_none());
            let claimed = value.cloned().unwrap_or_default();
            prop_assert_eq!(proof.verify_present(&root, &id, &claimed).is_ok(), value.is_some());
            let other = [claimed.as_slice(), &[0]].concat();
            prop_assert!(proof.verify_present(&root, &id, &other).is_err());
        }
    }

    #[test]
    fn the_log_is_its_definition(count in 0_usize..70, extra in 0_usize..40) {
        let leaves: Vec<Digest> = (0..count + extra).map(|n| hash(&[&[0], &n.to_be_bytes()])).collect();
        let whole = root(&leaves);
        prop_assert_eq!(whole, log_root(&leaves));
        let size = leaves.len() as u64;
        for (index, leaf) in leaves.iter().enumerate() {
            let path = inclusion_path(&leaves, index).unwrap();
            verify_inclusion::<Blake3>(leaf, index as u64, size, &path, &whole).unwrap();
            let next = (index as u64 + 1) % size;
            prop_assert!(size == 1 || verify_inclusion::<Blake3>(leaf, next, size, &path, &whole).is_err());
            let longer = [path.as_slice(), &[*leaf]].concat();
            prop_assert!(verify_inclusion::<Blake3>(leaf, index as u64, size, &longer, &whole).is_err());
        }
        prop_assert!(inclusion_path(&leaves, leaves.len()).is_none());
        if count > 0 {
            let small = root(&leaves[..count]);
            let path = consistency_path(count, &leaves, true);
            verify_consistency::<Blake3>(count as u64, &small, size, &whole, &path).unwrap();
            let other = hash(&[&small.0]);
            prop_assert!(verify_consistency::<Blake3>(count as u64, &other, size, &whole, &path).is_err());
        }
    }
}
