//! Every reordered, dropped, repeated or foreign stage is refused.

use stemma_chain_format::bundle::{self, Bundle, Verdict};
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::verify_entry;

use crate::common::proofs::claimed;
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

fn verifies(world: &World, bundle: &Bundle) -> bool {
    matches!(bundle::verify(&bundle.encode(), &world.file), Verdict::Verified(_))
}

#[test]
fn no_rearranged_bundle_verifies() {
    let world = World::traded();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.customer(name).account);
    let cases = [("alice", world.bundle(alice), carol), ("bob", world.bundle_from(bob, &World::positioned()), alice)];
    for (name, bundle, other) in cases {
        let foreign = world.bundle(other);
        assert!(verifies(&world, &bundle));
        for elements in rearranged(&bundle.elements, &foreign.elements) {
            let changed = Bundle { elements, ..bundle.clone() };
            assert!(!verifies(&world, &changed), "{name}: {:?}", changed.elements);
        }
        for siblings in rearranged(&claimed(&mut bundle.clone()).proof.siblings, &[]) {
            let mut changed = bundle.clone();
            claimed(&mut changed).proof.siblings = siblings;
            assert!(!verifies(&world, &changed), "siblings");
        }
    }
}

#[test]
fn no_rearranged_certificate_verifies_but_a_smaller_quorum() {
    let world = World::traded();
    let bundle = world.bundle(world.customer("alice").account);
    let whole = &bundle.head.checkpoint.certificate.signatures;
    for signatures in rearranged(whole, &[]) {
        let mut other = bundle.clone();
        other.head.checkpoint.certificate.signatures = signatures.clone();
        let quorum = signatures.len() == 3;
        assert_eq!(verifies(&world, &other), quorum, "{signatures:?}");
    }
}
