//! Every changed byte is refused or unreadable: nothing is ever verified with another meaning. Bundles stand in `bundle_bytes`.

use proptest::prelude::*;
use stemma_chain_format::bundle::{self, Verdict};
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::referral::{self, Referral};
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::{read_referral, verify_entry};

use crate::common::members::listing_of;
use crate::common::world::opening;
use crate::common::{Order, Plan, World, entry_bytes, forge, id, instrument_of, member_key};

/// The bytes with one bit of each byte in turn flipped, the bit moving with the place.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + use<'_> {
    (0..bytes.len()).map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        (at, changed)
    })
}

fn verifies(bytes: &[u8], registry: &Registry) -> bool {
    Entry::decode(bytes).is_ok_and(|entry| verify_entry(entry, registry).is_ok())
}

fn entries(world: &World) -> Vec<(&'static str, Vec<u8>)> {
    let chain = Plan::new(world, Order::new(world.customer("alice"), "fund-house", Side::Buy)).bytes();
    let opening = opening(world.network(), "dora", "bank-b").bytes().to_vec();
    let listing = forge(&listing_of(world.network(), "broker"), &member_key("broker"));
    let issued = world.issued("bank-a", &[(world.customer("alice").account, 5)]).encode();
    vec![
        ("chain", chain),
        ("opening", entry_bytes(EntryKind::Opening, &[opening])),
        ("listing", entry_bytes(EntryKind::Listing, &[listing])),
        ("issuance", issued),
    ]
}

#[test]
fn every_flipped_byte_of_an_entry_is_refused() {
    let world = World::traded();
    for (kind, bytes) in entries(&world) {
        assert!(verifies(&bytes, &world.registry), "{kind}");
        for (at, changed) in flips(&bytes) {
            assert!(!verifies(&changed, &world.registry), "{kind}, byte {at}");
        }
    }
}

#[test]
fn every_flipped_byte_of_a_referral_is_refused() {
    let world = World::traded();
    let record = Referral {
        network: world.network(),
        bank: id("bank-a"),
        promoter: world.customer("alice").account,
        side: None,
        instrument: instrument_of("broker"),
        expires: 500,
        uses: 100,
        material: Digest::of(b"claims"),
    };
    let bytes = forge(&record, &member_key("bank-a"));
    assert_eq!(*read_referral(&bytes, &world.registry).unwrap().record(), record);
    for (at, changed) in flips(&bytes) {
        assert!(read_referral(&changed, &world.registry).is_err(), "byte {at}");
    }
    let text = referral::text(&bytes);
    for (at, letter) in text.char_indices().filter(|(_, letter)| letter.is_ascii_uppercase()) {
        let mut changed = text.clone();
        changed.replace_range(at..=at, if letter == 'A' { "B" } else { "A" });
        let read = referral::from_text(&changed).and_then(|bytes| read_referral(&bytes, &world.registry));
        assert!(read.is_err(), "letter {at}");
    }
}

#[test]
fn every_cut_entry_is_refused() {
    let world = World::traded();
    for (kind, bytes) in entries(&world) {
        for end in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..end]).is_err(), "{kind} cut to {end}");
        }
    }
}

#[test]
fn every_flipped_byte_of_a_genesis_is_refused() {
    let world = World::before_the_first_block();
    for (at, changed) in flips(world.file.bytes()) {
        assert!(GenesisFile::decode(changed).is_err(), "byte {at}");
    }
}

#[test]
fn no_bundle_verifies_against_another_genesis() {
    let world = World::traded();
    let bytes = world.bundle(world.customer("bob").account).encode();
    let other = crate::common::founded("another network");
    assert!(matches!(bundle::verify(&bytes, &other), Verdict::Refuted(_)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Changes of several bytes, anywhere, by any value; also inserted and removed ones.
    #[test]
    fn no_changed_bundle_verifies(
        at in any::<prop::sample::Index>(),
        with in proptest::collection::vec(any::<u8>(), 0..4),
        over in 0_usize..4,
    ) {
        let world = World::traded();
        let bytes = world.bundle(world.customer("bob").account).encode();
        let at = at.index(bytes.len());
        let end = (at + over).min(bytes.len());
        let changed = [&bytes[..at], &with, &bytes[end..]].concat();
        let verified = matches!(bundle::verify(&changed, &world.file), Verdict::Verified(_));
        prop_assert_eq!(verified, changed == bytes);
    }
}
