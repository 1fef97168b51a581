//! Every reordered, dropped, repeated or foreign stage is refused.

use stemma_chain_format::bundle::AccountBundle;
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::verify_entry;

use crate::common::{Order, Plan, World, entry_bytes};

/// Every way to put three of six stages, of two good chains, into one entry: exactly the two good ones verify.
#[test]
fn only_the_stages_of_one_chain_in_their_order_are_a_chain() {
    let world = World::traded();
    let stages = |name| Plan::new(&world, Order::new(world.customer(name), "broker", Side::Buy)).stages();
    let all = [stages("alice"), stages("bob")].concat();
    let mut verified = Vec::new();
    for picked in (0..216).map(|n| [n / 36, n / 6 % 6, n % 6]) {
        let bytes = entry_bytes(EntryKind::Chain, &picked.map(|at: usize| all[at].clone()));
        if Entry::decode(&bytes).is_ok_and(|entry| verify_entry(entry, &world.registry).is_ok()) {
            verified.push(picked);
        }
    }
    assert_eq!(verified, [[0, 1, 2], [3, 4, 5]]);
}

/// No kind of entry takes the stages of another.
#[test]
fn a_stage_is_of_one_kind() {
    let world = World::traded();
    let single = world.history().filter(|entry| entry.kind() != EntryKind::Chain);
    for entry in single {
        let bytes = entry.encode();
        for kind in 0..4 {
            let changed = [&[bytes[0], kind], &bytes[2..]].concat();
            assert_eq!(Entry::decode(&changed).is_ok(), kind == bytes[1], "{:?} as {kind}", entry.kind());
        }
    }
}

/// Every list but the given one that leaves one out, repeats one at any place, swaps two, or takes a foreign one in.
fn rearranged<T: Clone + PartialEq>(list: &[T], foreign: &[T]) -> Vec<Vec<T>> {
    let mut lists = Vec::new();
    for at in 0..list.len() {
        lists.push([&list[..at], &list[at + 1..]].concat());
        for other in 0..list.len() {
            let mut swapped = list.to_vec();
            swapped.swap(at, other);
            lists.push(swapped);
        }
    }
    for at in 0..=list.len() {
        for one in list.iter().chain(foreign) {
            let mut longer = list.to_vec();
            longer.insert(at, one.clone());
            lists.push(longer);
        }
        for one in foreign.iter().filter(|_| at < list.len()) {
            let mut replaced = list.to_vec();
            replaced[at] = one.clone();
            lists.push(replaced);
        }
    }
    lists.retain(|other| other != list);
    lists
}

fn refused(world: &World, what: &str, bundle: &AccountBundle) {
    let verdict = bundle.verify(&world.file);
    assert!(verdict.is_err(), "{what} rearranged: {verdict:?}");
}

#[test]
fn no_rearranged_bundle_verifies() {
    let world = World::traded();
    let bundle = world.bundle(world.customer("alice").account);
    let foreign = world.bundle(world.customer("carol").account);
    bundle.verify(&world.file).unwrap();
    for lineage in rearranged(&bundle.lineage, &foreign.lineage) {
        refused(&world, "lineage", &AccountBundle { lineage, ..bundle.clone() });
    }
    for credits in rearranged(&bundle.credits, &foreign.credits) {
        refused(&world, "credits", &AccountBundle { credits, ..bundle.clone() });
    }
    for sources in rearranged(&bundle.sources, &foreign.sources) {
        refused(&world, "sources", &AccountBundle { sources, ..bundle.clone() });
    }
    for listings in rearranged(&bundle.listings, &foreign.listings) {
        refused(&world, "listings", &AccountBundle { listings, ..bundle.clone() });
    }
    for siblings in rearranged(&bundle.proof.siblings, &foreign.proof.siblings) {
        let mut other = bundle.clone();
        other.proof.siblings = siblings;
        refused(&world, "siblings", &other);
    }
}

#[test]
fn no_rearranged_certificate_verifies_but_a_smaller_quorum() {
    let world = World::traded();
    let bundle = world.bundle(world.customer("alice").account);
    let whole = &bundle.checkpoint.certificate.signatures;
    for signatures in rearranged(whole, &[]) {
        let mut other = bundle.clone();
        other.checkpoint.certificate.signatures = signatures.clone();
        let verdict = other.verify(&world.file);
        let quorum = signatures.len() == 3;
        assert_eq!(verdict.is_ok(), quorum, "{signatures:?}");
    }
}
