//! An entry that is refused leaves no trace in a draft.

use proptest::collection::vec;
use proptest::prelude::*;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::ledger::Draft;
use stemma_chain_format::request::{Side, Size};
use stemma_chain_format::validate::{VerifiedEntry, verify_entry};

use crate::common::{Customer, Order, Plan, World, amount, price};

fn verified(world: &World, entry: Entry) -> VerifiedEntry {
    verify_entry(entry, &world.registry).unwrap()
}

/// Entries that one block takes, in order.
fn good(world: &World) -> Vec<VerifiedEntry> {
    let order = |name, institution| Order::new(world.customer(name), institution, Side::Buy);
    let carol = world.customer("carol");
    let rewarding = Order { reward: Some((carol, 77)), ..order("alice", "fund-house") };
    let dora = Entry::Opening(Box::new(crate::common::world::opening(world.network(), "dora", "bank-b")));
    let entries = [
        dora,
        rewarding.chain(world),
        world.issued("bank-b", &[(carol.account, 123)]),
        order("bob", "broker").chain(world),
        order("carol", "broker").chain(world),
    ];
    entries.map(|entry| verified(world, entry)).to_vec()
}

/// Entries that fail late: after accounts were touched.
fn bad(world: &World) -> Vec<VerifiedEntry> {
    let alice = world.customer("alice");
    let nobody = AccountId([5; 32]);
    let stranger = Customer { account: nobody, ..alice };
    let order = Order::new(alice, "fund-house", Side::Buy);
    let unaffordable = Order {
        size: Size::Quantity(amount(1_000)),
        price: price(1_000_000_000, 0),
        ..Order::new(alice, "fund-house", Side::Sell)
    };
    let chain = |order| Plan::new(world, order).entry();
    let entries = [
        chain(Order { reward: Some((stranger, 5)), ..order }),
        chain(Order { reward: Some((world.customer("carol"), 1_000_000)), ..order }),
        chain(unaffordable),
        world.issued("bank-a", &[(alice.account, 5), (nobody, 6)]),
        world.history().next().unwrap().clone(),
        Plan::new(world, order).request(|request| request.counter = 1).entry(),
    ];
    entries.map(|entry| verified(world, entry)).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refused_entry_leaves_none(places in vec((0_usize..6, 0_usize..6), 1..8)) {
        let world = World::traded();
        let (good, bad) = (good(&world), bad(&world));
        let (mut clean, mut tried) = (drafted(&world), drafted(&world));
        for at in 0..=good.len() {
            for (_, which) in places.iter().filter(|(place, _)| *place == at) {
                prop_assert!(tried.apply(&bad[*which]).is_err());
            }
            if let Some(entry) = good.get(at) {
                clean.apply(entry).unwrap();
                tried.apply(entry).unwrap();
            }
        }
        let (clean, tried) = (clean.finish(), tried.finish());
        prop_assert_eq!(&clean.accounts, &tried.accounts);
        prop_assert_eq!(&clean.listings, &tried.listings);
        prop_assert_eq!(&clean.positions, &tried.positions);
        prop_assert_eq!(clean.root(), tried.root());
    }
}

fn drafted(world: &World) -> Draft<'_> {
    world.ledger.draft(world.ledger.head().time_ms + 1_000)
}

/// A draft that is dropped leaves the ledger as it was.
#[test]
fn a_dropped_draft_leaves_none() {
    let world = World::traded();
    let root = world.ledger.root();
    let mut draft = drafted(&world);
    good(&world).iter().for_each(|entry| draft.apply(entry).unwrap());
    assert_ne!(draft.finish().root(), root);
    assert_eq!(world.ledger.root(), root);
}
