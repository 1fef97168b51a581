//! Golden vectors: `vectors/{accept,reject}/*.json`, regenerated from the deterministic world and compared byte for byte,
//! then judged from the files alone. `STEMMA_BLESS=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "the vectors are files; the format itself does no I/O")]

#[path = "../common/mod.rs"]
mod common;

mod accept;
mod blocks;
mod bytes;
mod evidence;
mod futures;
mod governance;
mod judge;
mod listings;
mod positions;
mod promotion;
mod reject_bundle;
mod reject_claim;
mod reject_encoding;
mod reject_envelope;
mod reject_forged;
mod reject_genesis;
mod reject_ledger;
mod reject_proof;
mod reject_range;
mod reject_servicing;
mod reject_signed;
mod reject_terms;
mod rewards;
mod servicing;
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use common::World;
use judge::Context;
use vector::Vector;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn generated(world: &World) -> Vec<Vector> {
    let parts = [
        accept::vectors(world),
        servicing::vectors(world),
        listings::vectors(world),
        promotion::vectors(world),
        rewards::vectors(world),
        positions::vectors(world),
        futures::vectors(world),
        governance::vectors(world),
        reject_encoding::vectors(world),
        reject_envelope::vectors(world),
        reject_range::vectors(world),
        reject_genesis::vectors(world),
        reject_signed::vectors(world),
        reject_ledger::vectors(world),
        reject_terms::vectors(world),
        reject_servicing::vectors(world),
        reject_proof::vectors(world),
        reject_bundle::vectors(world),
        reject_claim::vectors(world),
        reject_forged::vectors(world),
        blocks::vectors(world),
        evidence::vectors(world),
    ];
    parts.into_iter().flatten().collect()
}

/// Every file that the world gives: its path below `vectors/`, and its text.
fn files(world: &World) -> BTreeMap<String, String> {
    let vectors = generated(world);
    let mut files: BTreeMap<String, String> = vectors.iter().map(|v| (v.path(), v.text())).collect();
    assert_eq!(files.len(), vectors.len(), "two vectors share a name");
    files.insert("history.json".to_owned(), judge::history(world));
    files.insert("keys.json".to_owned(), judge::keys());
    files
}

/// What the world gives; written to the files first where that was asked for.
static FILES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let files = files(&World::traded());
    if std::env::var("STEMMA_BLESS").is_ok_and(|value| value == "1") {
        for verdict in ["accept", "reject"] {
            let _absent = fs::remove_dir_all(folder().join(verdict));
            fs::create_dir_all(folder().join(verdict)).unwrap();
        }
        for (path, text) in &files {
            fs::write(folder().join(path), text).unwrap();
        }
    }
    files
});

fn stored() -> Vec<Vector> {
    LazyLock::force(&FILES);
    let mut vectors = Vec::new();
    for verdict in ["accept", "reject"] {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder().join(verdict)).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        vectors.extend(paths.iter().map(|path| {
            let vector = Vector::parse(path.file_stem().unwrap().to_str().unwrap(), &fs::read_to_string(path).unwrap());
            assert_eq!(vector.verdict, verdict, "{}", vector.name);
            vector
        }));
    }
    vectors
}

#[test]
fn the_files_are_what_the_world_gives() {
    let files = &*FILES;
    let names: BTreeSet<String> = stored().iter().map(Vector::path).collect();
    let expected: BTreeSet<String> = files.keys().filter(|path| path.contains('/')).cloned().collect();
    let strange: Vec<_> = names.symmetric_difference(&expected).collect();
    assert!(strange.is_empty(), "files that no test generates, or that are missing: {strange:?}");
    for (path, text) in files {
        let found = fs::read_to_string(folder().join(path)).unwrap();
        assert_eq!(found, *text, "{path} differs; STEMMA_BLESS=1 writes it anew");
    }
}

#[test]
fn every_file_gets_the_verdict_that_it_names() {
    let stored = stored();
    let context = Context::from_files(&folder());
    let mut wrong = Vec::new();
    for vector in &stored {
        if let Err(difference) = vector.holds(&judge::judge(vector, &context)) {
            wrong.push(format!("{}: {difference}", vector.path()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), stored.len(), wrong.join("\n"));
}

#[test]
fn every_rule_that_a_file_can_break_is_broken_by_one() {
    let stored = stored();
    let (accepted, rejected): (Vec<_>, Vec<_>) = stored.iter().partition(|vector| vector.verdict == "accept");
    assert!(accepted.len() >= 20, "{}", accepted.len());
    assert!(rejected.len() >= 40, "{}", rejected.len());
    let broken: BTreeSet<&str> = rejected.iter().filter_map(|vector| vector.rule.as_deref()).collect();
    let named = [
        "account",
        "agreement",
        "balance",
        "block",
        "certificate",
        "counter",
        "credit",
        "debit",
        "duplicate",
        "encoding",
        "expiry",
        "genesis",
        "governance",
        "holdings",
        "link",
        "listing",
        "member",
        "network",
        "overdraft",
        "proof",
        "range",
        "referral",
        "sequence",
        "signature",
        "signer",
        "status",
        "terms",
    ];
    assert_eq!(broken, BTreeSet::from(named));
}
