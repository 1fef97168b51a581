//! A bundle that is verified while it is read gets the verdict that it gets in memory: that of the first step that fails, wherever
//! batches begin and end, whatever fails after it; and nothing is shown as holding that does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../chain-format/tests/common/mod.rs"]
mod common;

use common::proofs::{ENTRY, entry_of, place};
use common::world::opening;
use common::{Order, World};
use stemma_chain_format::bundle::{self, BATCH_ELEMENTS, Bundle, Verdict};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::request::Side;
use stemma_tools::audit::steps::{Narrator, Step, Steps};
use stemma_tools::audit::{verify_before, verify_stream};
use stemma_tools::units::Units;

/// More than a batch of any size has, on any machine that this runs on.
const CHAINS: usize = BATCH_ELEMENTS * 2 + 300;

fn traded() -> (World, Bundle) {
    let mut world = World::funded();
    let alice = world.customer("alice");
    for n in 0..CHAINS {
        let side = if n % 2 == 0 { Side::Buy } else { Side::Sell };
        let entry = Order { fee: 0, ..Order::new(alice, "fund-house", side) }.chain(&world);
        world.commit(vec![entry]).unwrap();
    }
    let bundle = world.bundle(alice.account);
    (world, bundle)
}

/// The places of lineage entries: the first, the last, and those around the ends of batches.
fn places() -> impl Iterator<Item = usize> {
    [1, 23, 24, 25, 26, 50, 77, 100, 101, 102, 103, 300, BATCH_ELEMENTS, BATCH_ELEMENTS + 103, CHAINS - 1].into_iter()
}

/// The last signature of a lineage entry becomes another. The entry's link does too, so what stands on it does not follow.
fn forge(bundle: &mut Bundle, nth: usize) {
    let at = place(&bundle.elements, ENTRY, nth);
    let bytes = entry_of(&mut bundle.elements[at]);
    *bytes.last_mut().unwrap() ^= 1;
}

/// A lineage entry is left out, so the one behind it does not follow.
fn leave_out(bundle: &mut Bundle, nth: usize) {
    let at = place(&bundle.elements, ENTRY, nth);
    bundle.elements.remove(at);
}

/// The steps that were told.
#[derive(Default)]
struct Told(Vec<String>);

impl Steps for Told {
    fn step(&mut self, step: Step, _: &Units) {
        self.0.push(step.place);
    }
}

/// The one verdict of all ways to verify, and the last lineage entry that was shown as holding.
fn verdict(world: &World, bytes: &[u8]) -> (Verdict, Option<String>) {
    let in_memory = bundle::verify(bytes, &world.file);
    assert_eq!(verify_stream(bytes, &world.file).unwrap(), in_memory);
    let mut narrator = Narrator::new(Told::default());
    assert_eq!(verify_before(bytes, &world.file, &mut narrator).unwrap(), in_memory);
    let last = narrator.to.0.into_iter().rfind(|place| place.starts_with("lineage"));
    (in_memory, last)
}

fn refuted(world: &World, bundle: &Bundle) -> (Violation, Option<String>) {
    match verdict(world, &bundle.encode()) {
        (Verdict::Refuted(violation), last) => (violation, last),
        (other, _) => panic!("{other:?}"),
    }
}

fn lineage(index: usize) -> String {
    format!("lineage[{index}]")
}

#[test]
fn what_fails_first_is_the_verdict() {
    let (world, honest) = traded();
    let (Verdict::Verified(proved), last) = verdict(&world, &honest.encode()) else { panic!("refuted") };
    // Of the chains, the opening, the issuance that funds it, the listings of fund and cash, and the certificate.
    let certified = honest.head.checkpoint.certificate.signatures.len();
    assert_eq!(proved.signatures as usize, CHAINS * 3 + 1 + 1 + 2 + certified);
    assert_eq!(last, Some(lineage(CHAINS)));
    for nth in places() {
        let mut forged = honest.clone();
        forge(&mut forged, nth);
        let (violation, last) = refuted(&world, &forged);
        assert_eq!(violation.field, format!("lineage[{nth}].execution.signature"));
        assert_eq!(last, Some(lineage(nth - 1)), "nothing from the forged entry on is shown as holding");
    }
    for nth in places().filter(|nth| (2..CHAINS - 1).contains(nth)) {
        let mut unordered = honest.clone();
        leave_out(&mut unordered, nth);
        forge(&mut unordered, CHAINS - 1);
        let (violation, last) = refuted(&world, &unordered);
        assert_eq!(violation.field, format!("lineage[{nth}].endorsement.parent"));
        assert_eq!(last, Some(lineage(nth - 1)));
    }
}

#[test]
fn what_cannot_be_read_comes_after_what_was_read_before_it() {
    let (world, honest) = traded();
    let bytes = honest.encode();
    let cut = |bytes: &[u8], left: usize| bytes[..bytes.len() - left].to_vec();
    assert!(matches!(verdict(&world, &cut(&bytes, 7)), (Verdict::Unreadable(_), Some(_))));
    for nth in places() {
        let mut forged = honest.clone();
        forge(&mut forged, nth);
        let (verdict, last) = verdict(&world, &cut(&forged.encode(), 7));
        let Verdict::Refuted(violation) = verdict else { panic!("{verdict:?}") };
        assert_eq!(violation.field, format!("lineage[{nth}].execution.signature"));
        assert_eq!(last, Some(lineage(nth - 1)));
    }
    let mut forged = honest;
    forge(&mut forged, CHAINS);
    assert!(
        matches!(verdict(&world, &cut(&forged.encode(), 7)).0, Verdict::Unreadable(_)),
        "the end is gone with the last"
    );
}

#[test]
fn of_several_signatures_that_do_not_verify_the_first_is_the_verdict() {
    let mut world = World::funded();
    let openings =
        (0..400).map(|n| Entry::Opening(Box::new(opening(world.network(), &format!("customer {n}"), "bank-a"))));
    let height = world.commit(openings.collect()).unwrap().height;
    let honest = world.block_bundle(usize::try_from(height).unwrap());
    assert!(matches!(verdict(&world, &honest.encode()).0, Verdict::Verified(_)));
    for (first, later) in [(0, 399), (10, 30), (25, 26), (51, 52), (100, 110), (20, 300), (104, 390)] {
        let mut forged = honest.clone();
        for at in [first, later] {
            *entry_of(&mut forged.elements[at]).last_mut().unwrap() ^= 1;
        }
        let (violation, _) = refuted(&world, &forged);
        assert_eq!(violation.field, format!("entries[{first}].opening.signature"));
    }
}
