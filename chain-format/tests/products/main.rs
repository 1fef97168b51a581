//! The worked examples of `spec/products.md`, each traded through the ledger: what the page says is what it computes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod forward;
mod futures;

use common::{Order, Plan, World, amount, price};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::{InstrumentId, InstrumentKind};
use stemma_chain_format::listing::{FeeSchedule, Terms};
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::request::{Side, Size};

/// The network with one more instrument of the institution.
fn listing(institution: &str, code: &str, kind: InstrumentKind, decimals: u8, terms: &Terms) -> World {
    let mut world = World::traded();
    let listed = world.listed(institution, code, |listing| {
        (listing.kind, listing.decimals, listing.terms) = (kind, decimals, Some(terms.clone()));
    });
    world.commit(vec![listed]).unwrap();
    world
}

fn fees(buy_basis_points: u16, sell_basis_points: u16, least: i128) -> FeeSchedule {
    FeeSchedule { buy_basis_points, sell_basis_points, least: amount(least) }
}

/// What an account has of an instrument, with what waits for it.
fn held(world: &World, account: &AccountId, instrument: &InstrumentId) -> i128 {
    let account = world.ledger.account(account).unwrap();
    let waiting = account.inbox.iter().filter(|credit| credit.instrument == *instrument).map(|c| c.amount.units());
    account.state.holdings.get(instrument).units() + waiting.sum::<i128>()
}

/// Trades and gives quantity, cost and fee; cash and units moved by exactly these, and nothing was made or lost.
fn traded(world: &mut World, order: Order) -> (i128, i128, i128) {
    let (instrument, cash) = (order.instrument(), common::cash_of(order.customer.bank));
    let account = order.customer.account;
    let settlement = world.own(order.institution, OwnAccount::Settlement);
    let before = (held(world, &account, &instrument), held(world, &account, &cash));
    let sold_before = held(world, &settlement, &instrument);
    let entry = order.chain(world);
    let Entry::Chain(chain) = &entry else { panic!("a chain") };
    let execution = chain.execution.record().clone();
    world.commit(vec![entry]).unwrap();
    let units = held(world, &account, &instrument) - before.0;
    let paid = before.1 - held(world, &account, &cash);
    let deal = execution.outcome.deal().unwrap();
    let (quantity, fee) = (deal.quantity.units(), deal.fee.units());
    let signed = if order.side == Side::Buy { quantity } else { -quantity };
    assert_eq!(units, signed);
    assert_eq!(held(world, &settlement, &instrument) - sold_before, -signed);
    for one in [&instrument, &cash] {
        assert_eq!(world.total(one), 0, "{one}");
    }
    let cost = if order.side == Side::Buy { paid - fee } else { fee - paid };
    (quantity, cost, fee)
}

fn refused(world: &World, order: Order) -> (Rule, String) {
    let mut tried = world.clone();
    let violation = tried.commit(vec![Plan::new(world, order).entry()]).unwrap_err();
    (violation.rule, violation.field)
}

#[test]
fn stock() {
    let terms = Terms { lot: amount(10), fees: fees(25, 25, 150), ..Terms::default() };
    let mut world = listing("broker", "STK", InstrumentKind::Stock, 0, &terms);
    let order = |side, quantity, fee| Order {
        code: Some("STK"),
        size: Size::Quantity(amount(quantity)),
        price: price(2_594, 0),
        fee,
        ..Order::new(world.customer("alice"), "broker", side)
    };
    let [buy, odd, small, dear] =
        [order(Side::Buy, 30, 195), order(Side::Buy, 35, 0), order(Side::Sell, 10, 150), order(Side::Buy, 30, 196)];
    assert_eq!(refused(&world, odd), (Rule::Terms, "execution.quantity".to_owned()));
    assert_eq!(refused(&world, dear), (Rule::Terms, "execution.fee".to_owned()));
    assert_eq!(traded(&mut world, buy), (30, 77_820, 195));
    assert_eq!(traded(&mut world, small), (10, 25_940, 150));
}

#[test]
fn fund_at_a_known_net_asset_value() {
    let terms = Terms { fees: fees(100, 50, 0), ..Terms::default() };
    let mut world = listing("fund-house", "FND", InstrumentKind::Fund, 4, &terms);
    let order = Order { code: Some("FND"), ..Order::new(world.customer("alice"), "fund-house", Side::Buy) };
    let by_amount = Order { size: Size::Cash(amount(100_000)), price: price(123_456, 2), fee: 991, ..order };
    assert_eq!(traded(&mut world, by_amount), (801_982, 99_009, 991));
    let redeemed =
        Order { side: Side::Sell, size: Size::Quantity(amount(400_000)), price: price(1_250, 0), fee: 250, ..order };
    assert_eq!(traded(&mut world, redeemed), (400_000, 50_000, 250));
}

#[test]
fn trust_with_a_minimum() {
    let terms = Terms {
        lot: amount(100),
        quantity_min: Some(amount(1_000)),
        credit_level_min: 4,
        risk_class: 6,
        lock_up_days: 90,
        ..Terms::default()
    };
    let mut world = listing("fund-house", "TRS", InstrumentKind::Trust, 2, &terms);
    let order = |name, side, quantity| Order {
        code: Some("TRS"),
        size: Size::Quantity(amount(quantity)),
        price: price(10_000, 0),
        fee: 0,
        ..Order::new(world.customer(name), "fund-house", side)
    };
    let [buy, below, low, part, rest] = [
        order("alice", Side::Buy, 1_500),
        order("alice", Side::Buy, 900),
        order("bob", Side::Buy, 1_500),
        order("alice", Side::Sell, 700),
        order("alice", Side::Sell, 1_500),
    ];
    assert_eq!(refused(&world, below), (Rule::Terms, "execution.quantity".to_owned()));
    assert_eq!(refused(&world, low), (Rule::Terms, "endorsement.credit.level".to_owned()));
    assert_eq!(traded(&mut world, buy), (1_500, 150_000, 0));
    assert_eq!(refused(&world, part), (Rule::Terms, "execution.quantity".to_owned()));
    assert_eq!(traded(&mut world, rest), (1_500, 150_000, 0));
}
