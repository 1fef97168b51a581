//! RFC 6962 proofs over SHA-256: the same code that checks ours over BLAKE3.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use stemma_chain_format::hash::Digest;
use stemma_chain_format::merkle::{TreeHash, root_with, verify_consistency, verify_inclusion};

use super::{parsed, unhex};

struct Sha;

impl TreeHash for Sha {
    fn hash(parts: &[&[u8]]) -> Digest {
        Digest(parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into())
    }
}

/// A digest of 32 bytes. Some cases hold "hashes" of other lengths, which our types refuse by themselves.
fn digest(text: &str) -> Option<Digest> {
    STANDARD.decode(text).unwrap().as_slice().try_into().ok().map(Digest)
}

/// A digest, or one that stands for a "hash" of another length, so that equal ones stay equal and no other meets them.
fn stand_in(text: &str) -> Digest {
    digest(text).unwrap_or_else(|| Sha::hash(&[b"not a digest", text.as_bytes()]))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[test]
fn every_inclusion_verdict_is_as_published() {
    let cases: BTreeMap<String, Inclusion> = parsed(include_str!("../data/tlog_inclusion.json"));
    assert_eq!(cases.len(), 98);
    for (name, case) in &cases {
        let proof: Option<Vec<Digest>> = case.proof.iter().flatten().map(|text| digest(text)).collect();
        let (Some(leaf), Some(root), Some(proof)) = (digest(&case.leaf_hash), digest(&case.root), proof) else {
            assert!(case.want_err, "{name}");
            continue;
        };
        let verdict = verify_inclusion::<Sha>(&leaf, case.leaf_idx, case.tree_size, &proof, &root);
        assert_eq!(verdict.is_err(), case.want_err, "{name}: {verdict:?}");
    }
}

#[test]
fn every_consistency_verdict_is_as_published() {
    let cases: BTreeMap<String, Consistency> = parsed(include_str!("../data/tlog_consistency.json"));
    assert_eq!(cases.len(), 98);
    for (name, case) in &cases {
        let (small, large) = (stand_in(&case.root1), stand_in(&case.root2));
        let proof: Vec<Digest> = case.proof.iter().flatten().map(|text| stand_in(text)).collect();
        let verdict = verify_consistency::<Sha>(case.size1, &small, case.size2, &large, &proof);
        assert_eq!(verdict.is_err(), case.want_err, "{name}: {verdict:?}");
    }
}

/// The tree that all implementations of RFC 6962 test with; its roots are the happy paths of the files above.
#[test]
fn roots_of_the_reference_tree_are_as_published() {
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let hashes: Vec<Digest> = leaves.iter().map(|leaf| Sha::hash(&[&[0], &unhex(leaf)])).collect();
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let one = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=";
    let two = "+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=";
    let five = "Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ=";
    for (size, root) in [(0, empty), (1, one), (2, two), (5, five)] {
        assert_eq!(root_with::<Sha>(&hashes[..size]), digest(root).unwrap(), "{size} leaves");
    }
}
