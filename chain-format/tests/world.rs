//! The world that the other tests build on holds by itself: its ledger balances and its bundles verify.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Order, Plan};
use common::{View, World, amount, cash_of, instrument_of, price};
use stemma_chain_format::bundle::{self, ProvedClaim, Verdict};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::dealing::{Parties, terms_are_met};
use stemma_chain_format::error::Rule;
use stemma_chain_format::request::{Side, Size};

#[test]
fn every_instrument_sums_to_zero() {
    let world = World::traded();
    for instrument in [cash_of("bank-a"), cash_of("bank-b"), instrument_of("broker"), instrument_of("fund-house")] {
        assert_eq!(world.total(&instrument), 0, "{instrument}");
    }
}

#[test]
fn every_customers_bundle_verifies() {
    let world = World::traded();
    for name in ["alice", "bob", "carol"] {
        let account = world.customer(name).account;
        let stored = world.ledger.account(&account).unwrap();
        let positions: Vec<_> = world.ledger.positions_of(&account).map(|(_, position)| position.clone()).collect();
        let mut bundles = vec![(world.bundle(account), 0)];
        bundles.extend([World::funded(), World::positioned(), world.clone()].map(|earlier| {
            let sequence = earlier.ledger.account(&account).unwrap().state.sequence;
            (world.bundle_from(account, &earlier), sequence)
        }));
        for (bundle, since) in bundles {
            let proved = match bundle::verify(&bundle.encode(), &world.file) {
                Verdict::Verified(proved) => proved,
                other => panic!("{name}: {other:?}"),
            };
            let ProvedClaim::Lineage(derived, _) = &proved.claim else { panic!("a lineage") };
            assert_eq!(derived.account, stored.state);
            assert_eq!(derived.waiting, stored.inbox.iter().cloned().collect::<Vec<_>>());
            assert_eq!(derived.positions, positions);
            assert_eq!(derived.chains, stored.state.sequence - since);
            assert_eq!((proved.checkpoint.height, proved.checkpoint.power), (world.ledger.head().height, (4, 4)));
        }
    }
}

#[test]
fn two_chains_of_one_account_commit_in_one_block() {
    let mut world = World::traded();
    let alice = world.customer("alice");
    let first = Plan::new(&world, Order::new(alice, "fund-house", Side::Buy));
    let Entry::Chain(chain) = first.entry() else { panic!("a chain") };
    let listed = world.ledger.listing(&instrument_of("fund-house")).unwrap();
    let view = View::of(&world, &alice.account).after(&chain, listed);
    let sell = Order {
        size: Size::Cash(amount(20_000)),
        limit: Some(price(1, 0)),
        ..Order::new(alice, "fund-house", Side::Sell)
    };
    let second = Plan::new(&world, sell).on_top_of(view).entry();
    let entries = vec![first.entry(), second.clone()];
    let reversed = vec![second, first.entry()];
    assert!(world.clone().commit(reversed).is_err());
    drop(first);
    world.commit(entries).unwrap();
    assert!(matches!(bundle::verify(&world.bundle(alice.account).encode(), &world.file), Verdict::Verified(_)));
}

/// Prices are quoted in one currency: cash of another code buys nothing, whatever bank issued it.
#[test]
fn cash_is_of_the_currency_that_the_listing_quotes() {
    let world = World::traded();
    let order = Order::new(world.customer("alice"), "fund-house", Side::Buy);
    let Entry::Chain(chain) = order.chain(&world) else { panic!("a chain") };
    let mut listing = world.ledger.listing(&instrument_of("fund-house")).unwrap().listing.clone();
    let request = chain.request.record();
    let parties = Parties::of(request.network, request.account, &request.institution);
    terms_are_met(&chain, &parties, &listing, None).unwrap();
    listing.quoted_in = Some("EUR".to_owned());
    let violation = terms_are_met(&chain, &parties, &listing, None).unwrap_err();
    assert_eq!((violation.rule, violation.field.as_str()), (Rule::Terms, "request.trade.cash"));
}
