//! A future: initial margin, daily settlement, margin call, close-out.

use stemma_chain_format::dealing::{Dealing, MarginTerms};
use stemma_chain_format::error::Rule;
use stemma_chain_format::instrument::InstrumentKind;
use stemma_chain_format::listing::{ListingStatus, Terms};
use stemma_chain_format::position::{Margin, margin_key};
use stemma_chain_format::request::{Side, Size};
use stemma_chain_format::settlement::{CloseReason, SettlementAct};

use crate::common::positions::{SettlePlan, margin_paid};
use crate::common::{Customer, Order, Plan, World, amount, cash_of, price};
use crate::{fees, held, listing};

const DAY_MS: u64 = 86_400_000;

/// One contract is the smallest unit; 12 % initial margin, 9 % maintenance, a day to meet a call, 2.50 a trade.
fn future() -> World {
    let margin = MarginTerms { initial_basis_points: 1_200, maintenance_basis_points: 900, call_s: 86_400 };
    let terms = Terms { fees: fees(0, 0, 250), dealing: Dealing::Margin(margin), ..Terms::default() };
    listing("broker", "IDX", InstrumentKind::Future, 0, &terms)
}

fn traded(world: &mut World, customer: Customer, side: Side, quantity: i128, cents: u64) {
    let order = Order {
        code: Some("IDX"),
        size: Size::Quantity(amount(quantity)),
        price: price(cents, 0),
        fee: 250,
        ..Order::new(customer, "broker", side)
    };
    let entry = Plan::new(world, order).entry();
    world.commit(vec![entry]).unwrap();
}

fn margin(world: &World, customer: Customer) -> Option<Margin> {
    let key = margin_key(&world.network(), &customer.account, &"broker/IDX".parse().unwrap());
    world.ledger.position(&key).map(|position| *position.margin().unwrap())
}

fn settled(world: &mut World, customer: Customer, act: SettlementAct) -> Result<(), (Rule, String)> {
    let key = margin_key(&world.network(), &customer.account, &"broker/IDX".parse().unwrap());
    let entry = SettlePlan::new(world, key, act).entry();
    world.commit(vec![entry]).map(|_| ()).map_err(|violation| (violation.rule, violation.field))
}

fn marked(world: &mut World, customer: Customer, cents: u64) {
    world.later(DAY_MS);
    let priced_ms = world.ledger.head().time_ms + 400;
    settled(world, customer, SettlementAct::Mark { price: price(cents, 0), priced_ms }).unwrap();
}

fn closed(world: &mut World, customer: Customer, cents: u64, reason: CloseReason) -> Result<(), (Rule, String)> {
    let priced_ms = world.ledger.head().time_ms + 400;
    settled(world, customer, SettlementAct::Close { price: price(cents, 0), priced_ms, reason })
}

/// Quantity, margin, and whether more is called for.
fn stands(world: &World, customer: Customer) -> (i128, i128, bool) {
    let margin = margin(world, customer).unwrap();
    (margin.quantity.units(), margin.margin.units(), margin.called_ms.is_some())
}

fn cash(world: &World, customer: Customer) -> i128 {
    held(world, &customer.account, &cash_of(customer.bank))
}

#[test]
fn bought_settled_daily_called_and_sold() {
    let mut world = future();
    let alice = world.customer("alice");
    let before = cash(&world, alice);
    traded(&mut world, alice, Side::Buy, 10, 10_000);
    assert_eq!(stands(&world, alice), (10, 12_000, false));
    assert_eq!(cash(&world, alice), before - 12_250);
    marked(&mut world, alice, 9_800);
    assert_eq!(stands(&world, alice), (10, 10_000, false));
    marked(&mut world, alice, 9_650);
    assert_eq!(stands(&world, alice), (10, 8_500, true));
    let paid = margin_paid(&world, alice, "broker", &"broker/IDX".parse().unwrap(), 3_080).entry();
    world.commit(vec![paid]).unwrap();
    assert_eq!(stands(&world, alice), (10, 11_580, false));
    marked(&mut world, alice, 10_400);
    assert_eq!(stands(&world, alice), (10, 19_080, false));
    traded(&mut world, alice, Side::Buy, 5, 10_500);
    assert_eq!(stands(&world, alice), (15, 20_080, false));
    traded(&mut world, alice, Side::Sell, 15, 10_300);
    assert_eq!(margin(&world, alice), None);
    // Ten contracts gained 5.00 each, fifteen lost 2.00; three trades cost 2.50 each.
    assert_eq!(cash(&world, alice), before + 5_000 - 3_000 - 750);
    for instrument in ["broker/IDX", "bank-a/USD"] {
        assert_eq!(world.total(&instrument.parse().unwrap()), 0, "{instrument}");
    }
    world.derived(&world.bundle(alice.account));
}

#[test]
fn sold_short_called_and_closed_out() {
    let mut world = future();
    let carol = world.customer("carol");
    let before = cash(&world, carol);
    traded(&mut world, carol, Side::Sell, 10, 10_000);
    assert_eq!(stands(&world, carol), (-10, 12_000, false));
    marked(&mut world, carol, 10_350);
    assert_eq!(stands(&world, carol), (-10, 8_500, true));
    let early = closed(&mut world, carol, 10_400, CloseReason::Called).unwrap_err();
    assert_eq!(early, (Rule::Terms, "settlement.settled_ms".to_owned()));
    world.later(DAY_MS);
    closed(&mut world, carol, 10_400, CloseReason::Called).unwrap();
    assert_eq!(margin(&world, carol), None);
    assert_eq!(cash(&world, carol), before - 12_000 + 8_000 - 250);
    assert_eq!(world.total(&"broker/IDX".parse().unwrap()), 0);
}

#[test]
fn nobody_loses_more_than_the_margin() {
    let mut world = future();
    let carol = world.customer("carol");
    let before = cash(&world, carol);
    traded(&mut world, carol, Side::Sell, 10, 10_000);
    let early = closed(&mut world, carol, 11_100, CloseReason::Exhausted).unwrap_err();
    assert_eq!(early, (Rule::Terms, "settlement.act".to_owned()));
    closed(&mut world, carol, 11_300, CloseReason::Exhausted).unwrap();
    assert_eq!(margin(&world, carol), None);
    assert_eq!(cash(&world, carol), before - 12_250);
}

#[test]
fn ended_with_the_contract() {
    let mut world = future();
    let alice = world.customer("alice");
    let before = cash(&world, alice);
    traded(&mut world, alice, Side::Buy, 10, 10_000);
    assert!(closed(&mut world, alice, 10_700, CloseReason::Expired).is_err());
    let ended = world.listed("broker", "IDX", |listing| listing.status = ListingStatus::Closed);
    world.commit(vec![ended]).unwrap();
    closed(&mut world, alice, 10_700, CloseReason::Expired).unwrap();
    assert_eq!(cash(&world, alice), before + 7_000 - 250);
    assert_eq!(world.total(&"broker/IDX".parse().unwrap()), 0);
}
