//! A fund that is dealt in forward: orders wait for the next net asset value.

use stemma_chain_format::dealing::{Dealing, fill};
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::instrument::InstrumentKind;
use stemma_chain_format::listing::Terms;
use stemma_chain_format::request::{Side, Size};
use stemma_chain_format::servicing::Act;
use stemma_chain_format::settlement::{ReleaseReason, SettlementAct};

use crate::common::positions::{SettlePlan, accepted, cancelled};
use crate::common::{Order, ServicePlan, World, amount, cash_of, price};
use crate::{fees, held, listing};

fn fund() -> World {
    let terms = Terms { fees: fees(100, 50, 0), dealing: Dealing::Forward, ..Terms::default() };
    listing("fund-house", "FWD", InstrumentKind::Fund, 4, &terms)
}

fn order(world: &World, side: Side, size: Size) -> Order {
    Order { code: Some("FWD"), size, ..Order::new(world.customer("bob"), "fund-house", side) }
}

/// Gives an order; its position's key, and the link of its request.
fn ordered(world: &mut World, order: Order, cut_off_ms: Option<u64>) -> (AccountId, Link) {
    let entry = accepted(world, order, cut_off_ms).entry();
    let stemma_chain_format::chain::Entry::Chain(chain) = &entry else { panic!("a chain") };
    let request = chain.request.link();
    world.commit(vec![entry]).unwrap();
    (stemma_chain_format::position::waiting_key(&world.network(), &request), request)
}

/// The next net asset value comes: what the order comes to, or why it is released.
fn at_next_value(world: &mut World, key: AccountId, value: u64, scale: u8) -> Result<(i128, i128), ReleaseReason> {
    let position = world.ledger.position(&key).unwrap();
    let listing = &world.ledger.listing(&position.instrument).unwrap().listing;
    let due = fill(position.waiting().unwrap(), price(value, scale), listing).unwrap();
    let priced_ms = world.ledger.head().time_ms + 400;
    let act = match due {
        Ok(deal) => SettlementAct::Fill { deal, priced_ms },
        Err(reason) => SettlementAct::Release(reason),
    };
    let entry = SettlePlan::new(world, key, act).entry();
    world.commit(vec![entry]).unwrap();
    assert!(world.ledger.position(&key).is_none());
    due.map(|deal| (deal.quantity.units(), deal.fee.units()))
}

#[test]
fn subscribed_and_redeemed_at_the_next_value() {
    let mut world = fund();
    let bob = world.customer("bob").account;
    let (units, cash) = ("fund-house/FWD".parse().unwrap(), cash_of("bank-a"));
    let before = held(&world, &bob, &cash);
    let subscribe = order(&world, Side::Buy, Size::Cash(amount(100_000)));
    let (key, _) = ordered(&mut world, subscribe, None);
    assert_eq!(held(&world, &bob, &cash), before - 100_000);
    assert_eq!(at_next_value(&mut world, key, 123_456, 2), Ok((801_982, 991)));
    assert_eq!((held(&world, &bob, &units), held(&world, &bob, &cash)), (801_982, before - 100_000));
    let redeem = order(&world, Side::Sell, Size::Quantity(amount(400_000)));
    let (key, _) = ordered(&mut world, redeem, None);
    assert_eq!(held(&world, &bob, &units), 401_982);
    assert_eq!(at_next_value(&mut world, key, 1_250, 0), Ok((400_000, 250)));
    assert_eq!((held(&world, &bob, &units), held(&world, &bob, &cash)), (401_982, before - 100_000 + 49_750));
    for instrument in [&units, &cash] {
        assert_eq!(world.total(instrument), 0);
    }
}

#[test]
fn cancelled_before_the_cut_off_and_not_after() {
    let mut world = fund();
    let bob = world.customer("bob").account;
    let before = held(&world, &bob, &cash_of("bank-a"));
    let subscribe = order(&world, Side::Buy, Size::Cash(amount(50_000)));
    let (key, request) = ordered(&mut world, subscribe, Some(1_000));
    let in_time = cancelled(&world, &subscribe, request).entry();
    let late = cancelled(&world, &subscribe, request).execution(|execution| execution.executed_ms += 1_000).entry();
    let mut tried = world.clone();
    let violation = tried.commit(vec![late]).unwrap_err();
    assert_eq!((violation.rule, violation.field.as_str()), (Rule::Terms, "execution.executed_ms"));
    world.commit(vec![in_time]).unwrap();
    assert!(world.ledger.position(&key).is_none());
    assert_eq!(held(&world, &bob, &cash_of("bank-a")), before);
}

#[test]
fn released_where_the_value_is_beyond_the_limit() {
    let mut world = fund();
    let bob = world.customer("bob").account;
    let before = held(&world, &bob, &cash_of("bank-a"));
    let limited = Order { limit: Some(price(1_200, 0)), ..order(&world, Side::Buy, Size::Cash(amount(100_000))) };
    let (key, _) = ordered(&mut world, limited, None);
    assert_eq!(at_next_value(&mut world, key, 123_456, 2), Err(ReleaseReason::PriceOutsideLimit));
    assert_eq!(held(&world, &bob, &cash_of("bank-a")), before);
}

#[test]
fn taken_back_by_the_bank_where_the_institution_stays_silent() {
    let mut world = fund();
    let bob = world.customer("bob");
    let (cash, before) = (cash_of("bank-a"), held(&world, &bob.account, &cash_of("bank-a")));
    let subscribe = order(&world, Side::Buy, Size::Cash(amount(100_000)));
    let (key, request) = ordered(&mut world, subscribe, None);
    let reclaim =
        |world: &World, units| ServicePlan::new(world, bob, Act::Reclaim(request, cash.clone(), amount(units))).entry();
    assert_eq!(world.clone().commit(vec![reclaim(&world, 100_000)]).unwrap_err().rule, Rule::Status);
    world.later(86_400_000);
    assert_eq!(world.clone().commit(vec![reclaim(&world, 99_999)]).unwrap_err().rule, Rule::Status);
    let entry = reclaim(&world, 100_000);
    world.commit(vec![entry]).unwrap();
    assert!(world.ledger.position(&key).is_none());
    assert_eq!(held(&world, &bob.account, &cash), before);
    world.derived(&world.bundle(bob.account));
}

#[test]
fn an_account_with_an_order_that_waits_is_not_closed() {
    let mut world = fund();
    let dora = world.opened("dora", 1_000);
    let subscribe = Order { customer: dora, ..order(&world, Side::Buy, Size::Cash(amount(1_000))) };
    ordered(&mut world, subscribe, None);
    let close = ServicePlan::new(&world, dora, Act::Close).entry();
    let violation = world.clone().commit(vec![close]).unwrap_err();
    assert_eq!(
        (violation.rule, violation.found.as_str()),
        (Rule::Status, "0 instruments held, 0 credits waiting, 1 positions")
    );
}
