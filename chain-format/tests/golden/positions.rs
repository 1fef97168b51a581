//! Positions: orders that wait for their price, futures on margin, and what settles them.

use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::dealing::fill;
use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::{Acceptance, Deal, Execution, Outcome, Posting, PostingPurpose};
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::position::{Position, waiting_key};
use stemma_chain_format::request::{self, Request, Side, Size};
use stemma_chain_format::servicing::Act;
use stemma_chain_format::settlement::{CloseReason, ReleaseReason, Settlement, SettlementAct};

use crate::common::positions::{SettlePlan, accepted, cancelled, margin_paid};
use crate::common::{Customer, Order, Plan, ServicePlan, World, amount, cash_of, member_key, price, trade_of};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [
        accepts(world),
        leaves(world),
        orders(world),
        cancels(world),
        fills(world),
        settlers(world),
        times(world),
        reclaims(world),
    ]
    .concat()
}

pub(crate) fn accept(name: &str, about: &str, bytes: &[u8]) -> Vector {
    let entry = Entry::decode(bytes).unwrap();
    Vector::accept(name, ("apply", "entry"), about, entry.id(), bytes)
}

pub(crate) fn reject(name: &str, about: &str, broken: (Rule, &str), bytes: &[u8]) -> Vector {
    Vector::reject(name, ("apply", "entry"), about, broken, bytes)
}

/// The position of a customer: alice's order that waits, bob's long future under call, carol's short one.
pub(crate) fn position<'w>(world: &'w World, name: &'static str) -> (AccountId, &'w Position) {
    let (key, position) = world.ledger.positions_of(&world.customer(name).account).next().unwrap();
    (*key, position)
}

pub(crate) fn key(world: &World, name: &'static str) -> AccountId {
    position(world, name).0
}

pub(crate) fn now_ms(world: &World) -> u64 {
    world.ledger.head().time_ms + 400
}

fn waits(world: &World) -> Order {
    let size = Size::Cash(amount(20_000));
    Order { code: Some("NEXT"), size, ..Order::new(world.customer("bob"), "fund-house", Side::Buy) }
}

/// The request of alice's order that waits.
fn waiting_request(world: &World) -> Link {
    position(world, "alice").1.waiting().unwrap().request
}

fn cancel(world: &World) -> Plan<'_> {
    let order = Order { customer: world.customer("alice"), ..waits(world) };
    cancelled(world, &order, waiting_request(world))
}

pub(crate) fn filled(world: &World) -> SettlementAct {
    let (_, position) = position(world, "alice");
    let listing = &world.ledger.listing(&position.instrument).unwrap().listing;
    let deal = fill(position.waiting().unwrap(), price(1_234_567, 0), listing).unwrap().unwrap();
    SettlementAct::Fill { deal, priced_ms: now_ms(world) }
}

pub(crate) fn future(customer: Customer, side: Side, quantity: i128) -> Order {
    let size = Size::Quantity(amount(quantity));
    Order { code: Some("FUT"), size, fee: 250, ..Order::new(customer, "broker", side) }
}

pub(crate) fn mark(world: &World, mantissa: u64) -> SettlementAct {
    SettlementAct::Mark { price: price(mantissa, 0), priced_ms: now_ms(world) }
}

pub(crate) fn close(world: &World, mantissa: u64, reason: CloseReason) -> SettlementAct {
    SettlementAct::Close { price: price(mantissa, 0), priced_ms: now_ms(world), reason }
}

pub(crate) fn pays(world: &World, name: &'static str, units: i128) -> Vec<u8> {
    let instrument = "broker/FUT".parse().unwrap();
    margin_paid(world, world.customer(name), "broker", &instrument, units).bytes()
}

pub(crate) fn settles(world: &World, name: &'static str, act: SettlementAct) -> Vec<u8> {
    SettlePlan::new(world, key(world, name), act).bytes()
}

fn accepts(world: &World) -> Vec<Vector> {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.customer(name));
    let sell = Order { size: Size::Quantity(amount(1_000)), side: Side::Sell, customer: carol, ..waits(world) };
    let release = SettlementAct::Release(ReleaseReason::NotExecuted);
    let trade = |order| Plan::new(world, order).bytes();
    let cases = [
        (
            "order-accepted",
            "An order by amount is taken for the next price.",
            accepted(world, waits(world), None).bytes(),
        ),
        ("order-accepted-sell", "Units are reserved, until a cut-off.", accepted(world, sell, Some(5_000)).bytes()),
        ("order-cancelled", "Alice takes her order back.", cancel(world).bytes()),
        ("settlement-fill", "Alice's order is executed at the next price.", settles(world, "alice", filled(world))),
        ("settlement-release", "It is not executed: what it reserves goes back.", settles(world, "alice", release)),
        (
            "settlement-mark",
            "Carol's short position gains when the price falls.",
            settles(world, "carol", mark(world, 1_100)),
        ),
        (
            "settlement-mark-call",
            "It loses, and more margin is called for.",
            settles(world, "carol", mark(world, 1_290)),
        ),
        (
            "settlement-close-called",
            "Bob's call was not met in time.",
            settles(world, "bob", close(world, 1_190, CloseReason::Called)),
        ),
        (
            "settlement-close-exhausted",
            "Bob's margin is used up; he loses no more than it.",
            settles(world, "bob", close(world, 1_000, CloseReason::Exhausted)),
        ),
        ("future-opened", "Alice opens a short position.", trade(future(alice, Side::Sell, 10))),
        ("future-grown", "Bob buys more, and is topped up to the initial margin.", trade(future(bob, Side::Buy, 10))),
        ("future-shrunk", "Bob sells some.", trade(future(bob, Side::Sell, 15))),
        ("future-turned", "Bob sells more than he has, and is short.", trade(future(bob, Side::Sell, 100))),
        (
            "future-turned-small",
            "Bob turns to a smaller short position, at its whole margin.",
            trade(future(bob, Side::Sell, 30)),
        ),
        ("future-ended", "Carol buys back what she owes.", trade(future(carol, Side::Buy, 25))),
        ("margin-paid-in", "Bob meets his call.", pays(world, "bob", 3_000)),
        ("margin-paid-out", "Carol takes out what is above the initial margin.", pays(world, "carol", -1_000)),
    ];
    cases.into_iter().map(|(name, about, bytes)| accept(name, about, &bytes)).collect()
}

/// The leaves of positions, and their proofs.
fn leaves(world: &World) -> Vec<Vector> {
    let cases = [("waiting", "An order that waits.", "alice"), ("margin", "A future under call.", "bob")];
    let mut vectors = Vec::new();
    for (name, about, of) in cases {
        let (key, position) = position(world, of);
        let bytes = cbor::encode(position);
        let vector =
            Vector::accept(&format!("position-{name}"), ("decode", "position"), about, Digest::of(&bytes), &bytes);
        vectors.push(vector);
        let proof = cbor::encode(&world.ledger.prove(&key));
        let vector = Vector::accept(
            &format!("present-position-{name}"),
            ("present", "proof"),
            about,
            world.ledger.root(),
            &proof,
        );
        vectors.push(vector.with("root", world.ledger.root()).with("key", key).with("value", hex::encode(&bytes)));
    }
    vectors
}

pub(crate) type Broken = (Rule, &'static str);

/// Changes the acceptance, and when the order was taken.
fn acceptance(world: &World, change: fn(&mut Acceptance, u64)) -> Vec<u8> {
    let plan = accepted(world, waits(world), None).execution(move |x| {
        let executed_ms = x.executed_ms;
        let Outcome::Accepted(acceptance) = &mut x.outcome else { panic!("an acceptance") };
        change(acceptance, executed_ms);
    });
    plan.stages()[2].clone()
}

/// Moves so many units of cash from one posting to the other, and restates what the account holds.
pub(crate) fn shifted(x: &mut Execution, units: i128) {
    let account = x.account;
    for (posting, units) in x.postings.iter_mut().zip([units, -units]) {
        posting.amount = posting.amount.plus(amount(units)).unwrap();
        if posting.account == account {
            x.holdings.add(&posting.instrument, amount(units)).unwrap();
        }
    }
}

fn orders(world: &World) -> Vec<Vector> {
    let taken = || accepted(world, waits(world), None);
    let spot = Outcome::Traded(Deal { quantity: amount(10), price: price(1_000, 0), fee: amount(0) });
    let waiting = Outcome::Accepted(Acceptance { cut_off_ms: None, reclaim_ms: now_ms(world) + 1_000 });
    let outcome = (Rule::Terms, "execution.outcome");
    let spot_order = Order::new(world.customer("bob"), "fund-house", Side::Buy);
    let house = world.own("fund-house", OwnAccount::Settlement);
    let plans: [(&str, &str, Broken, Plan<'_>); 6] = [
        (
            "traded-at-once",
            "An order that must wait is traded.",
            outcome,
            taken().execution(move |x| x.outcome = spot.clone()),
        ),
        (
            "spot-waits",
            "An order that is traded at once is made to wait.",
            outcome,
            Plan::new(world, spot_order).execution(move |x| x.outcome = waiting.clone()),
        ),
        ("done", "An order to buy is called done.", outcome, taken().execution(|x| x.outcome = Outcome::Done)),
        (
            "reserves-less",
            "One cent of what it needs is not reserved.",
            (Rule::Terms, "execution.postings[0]"),
            taken().execution(|x| shifted(x, -1)),
        ),
        (
            "reserved-elsewhere",
            "What is to be reserved goes to the institution.",
            (Rule::Terms, "execution.postings[0]"),
            taken().execution(move |x| x.postings[0].account = house),
        ),
        (
            "by-quantity",
            "A purchase by quantity at a price that nobody knows.",
            (Rule::Terms, "request.trade.size"),
            taken().request(|r| trade_of(r).size = Size::Quantity(amount(5))),
        ),
    ];
    let stages: [(&str, &str, Broken, Vec<u8>); 2] = [
        (
            "cut-off-before",
            "The cut-off is before the acceptance.",
            (Rule::Range, "execution.accepted.cut_off_ms"),
            acceptance(world, |a, executed_ms| a.cut_off_ms = Some(executed_ms - 1)),
        ),
        (
            "waits-too-long",
            "The bank could not take it back within 31 days.",
            (Rule::Range, "execution.accepted.reclaim_ms"),
            acceptance(world, |a, executed_ms| a.reclaim_ms = executed_ms + 31 * 86_400_000 + 1),
        ),
    ];
    let plans = plans
        .into_iter()
        .map(|(name, about, broken, plan)| reject(&format!("order-{name}"), about, broken, &plan.bytes()));
    let stages = stages.into_iter().map(|(name, about, broken, bytes)| {
        Vector::reject(&format!("order-{name}"), ("decode", "execution"), about, broken, &bytes)
    });
    plans.chain(stages).collect()
}

fn cancels(world: &World) -> Vec<Vector> {
    let nothing = Link([3; 32]);
    let other = waiting_key(&world.network(), &nothing);
    let asked = move |r: &mut Request| {
        let request::Order::Cancel(cancel) = &mut r.order else { panic!("a cancel") };
        cancel.request = nothing;
    };
    // Bob has the same bank, and so the same cash, as alice. All adds up, but that it is not his order.
    let (of_alice, position) = position(world, "alice");
    let (cash, reserved) = (position.cash.clone(), position.waiting().unwrap().reserved);
    let stolen = cancelled(world, &waits(world), waiting_request(world)).execution(move |x| {
        let into = |account, amount| {
            let (instrument, purpose) = (cash.clone(), PostingPurpose::Reserve);
            Posting { account, instrument, amount, purpose }
        };
        x.postings = vec![into(x.account, reserved), into(of_alice, reserved.negated())];
        x.holdings.add(&cash, reserved).unwrap();
    });
    let cases: [(&str, &str, Broken, Plan<'_>); 5] = [
        ("of-another", "Bob takes what alice's order reserves.", (Rule::Terms, "request.cancel.request"), stolen),
        (
            "nothing",
            "No such order waits.",
            (Rule::Terms, "request.cancel.request"),
            cancel(world).request(asked).execution(move |x| x.postings[1].account = other),
        ),
        (
            "another",
            "Takes from another order than it names.",
            (Rule::Debit, "execution.postings.account"),
            cancel(world).request(asked),
        ),
        (
            "keeps-some",
            "A cent stays behind.",
            (Rule::Terms, "execution.postings[0]"),
            cancel(world).execution(|x| shifted(x, -1)),
        ),
        (
            "traded",
            "A cancellation is called a trade.",
            (Rule::Terms, "execution.outcome"),
            cancel(world).execution(|x| {
                x.outcome = Outcome::Traded(Deal { quantity: amount(1), price: price(1, 0), fee: amount(0) });
            }),
        ),
    ];
    let cases = cases
        .into_iter()
        .map(|(name, about, broken, plan)| reject(&format!("cancel-{name}"), about, broken, &plan.bytes()));
    cases.collect()
}

/// A settlement of a customer's position with a change.
pub(crate) fn changed<'w>(
    world: &'w World,
    name: &'static str,
    act: SettlementAct,
    change: impl Fn(&mut Settlement) + 'w,
) -> Vec<u8> {
    SettlePlan::new(world, key(world, name), act).settlement(change).bytes()
}

fn fill_with(world: &World, change: impl Fn(&mut Deal, &mut u64)) -> SettlementAct {
    let SettlementAct::Fill { mut deal, mut priced_ms } = filled(world) else { panic!("a fill") };
    change(&mut deal, &mut priced_ms);
    SettlementAct::Fill { deal, priced_ms }
}

fn fills(world: &World) -> Vec<Vector> {
    let (_, position) = position(world, "alice");
    let accepted_ms = position.waiting().unwrap().accepted_ms;
    let settle = |act| settles(world, "alice", act);
    let terms = |field| (Rule::Terms, field);
    let carol = world.customer("carol").account;
    let cases: [(&str, &str, Broken, Vec<u8>); 9] = [
        (
            "price-old",
            "The price is of the moment of the acceptance.",
            terms("settlement.act.priced_ms"),
            settle(fill_with(world, |_, priced_ms| *priced_ms = accepted_ms)),
        ),
        (
            "fewer",
            "One smallest unit fewer than the cash pays for.",
            terms("settlement.act.deal.quantity"),
            settle(fill_with(world, |deal, _| deal.quantity = deal.quantity.minus(amount(1)).unwrap())),
        ),
        (
            "fee",
            "A cent above the listed fee.",
            terms("settlement.act.deal.fee"),
            settle(fill_with(world, |deal, _| deal.fee = deal.fee.plus(amount(1)).unwrap())),
        ),
        ("marks", "An order that waits is marked.", terms("settlement.act"), settle(mark(world, 1_200))),
        (
            "to-another",
            "The units go to another account.",
            terms("settlement.postings.account"),
            changed(world, "alice", filled(world), move |s| s.postings[2].account = carol),
        ),
        (
            "keeps-rest",
            "What is left of the cash stays with the institution.",
            terms("settlement.postings[6]"),
            changed(world, "alice", filled(world), |s| {
                s.postings.truncate(7);
                s.postings[6].account = s.postings[0].account;
                let rest = s.postings[6].clone();
                s.postings.push(Posting { account: s.position, amount: rest.amount.negated(), ..rest });
            }),
        ),
        (
            "price-ahead",
            "The price is of a time after the settlement.",
            (Rule::Range, "settlement.settlement.act.priced_ms"),
            settle(fill_with(world, |_, priced_ms| *priced_ms += 1_000)),
        ),
        (
            "quantity-zero",
            "Nothing is bought.",
            (Rule::Range, "settlement.settlement.act.deal.quantity"),
            changed(world, "alice", fill_with(world, |deal, _| deal.quantity = amount(0)), |_| ()),
        ),
        (
            "release-keeps",
            "A release that gives back a cent less.",
            terms("settlement.postings[0]"),
            changed(world, "alice", SettlementAct::Release(ReleaseReason::NotExecuted), |s| {
                s.postings[0].amount = s.postings[0].amount.minus(amount(1)).unwrap();
                s.postings[1].amount = s.postings[1].amount.plus(amount(1)).unwrap();
            }),
        ),
    ];
    named("fill", cases)
}

pub(crate) fn named<const N: usize>(prefix: &str, cases: [(&str, &str, Broken, Vec<u8>); N]) -> Vec<Vector> {
    let cases = cases
        .into_iter()
        .map(|(name, about, broken, bytes)| reject(&format!("{prefix}-{name}"), about, broken, &bytes));
    cases.collect()
}

/// Who settles, what, on what, and when.
fn settlers(world: &World) -> Vec<Vector> {
    let act = || filled(world);
    let by = |member: &str| SettlePlan::new(world, key(world, "alice"), act()).signer(member_key(member)).bytes();
    let other = world.ledger.listing(&"broker/ACME".parse().unwrap()).unwrap().link;
    let with = |change: &dyn Fn(&mut Settlement)| changed(world, "alice", act(), change);
    let bob = world.customer("bob").account;
    let purse = world.own("broker", OwnAccount::Settlement);
    let cases: [(&str, &str, Broken, Vec<u8>); 9] = [
        ("by-another", "Another institution signs.", (Rule::Signer, "settlement.signer"), by("broker")),
        ("by-bank", "The bank signs.", (Rule::Signer, "settlement.signer"), by("bank-a")),
        (
            "of-another",
            "Another institution settles what it did not issue.",
            (Rule::Signer, "settlement.institution"),
            SettlePlan::new(world, key(world, "alice"), SettlementAct::Release(ReleaseReason::NotExecuted))
                .signer(member_key("broker"))
                .settlement(|s| s.institution = "broker".parse().unwrap())
                .bytes(),
        ),
        (
            "network",
            "Belongs to another network.",
            (Rule::Network, "settlement.network"),
            with(&|s| s.network.0[0] ^= 1),
        ),
        (
            "parent",
            "Stands on another head.",
            (Rule::Sequence, "settlement.parent"),
            with(&|s| s.parent = Link([1; 32])),
        ),
        ("listing", "Names another listing.", (Rule::Listing, "settlement.listing"), with(&|s| s.listing = other)),
        ("account", "Names another account.", (Rule::Terms, "settlement.postings.account"), with(&|s| s.account = bob)),
        (
            "debit",
            "Takes from another member.",
            (Rule::Debit, "settlement.postings.account"),
            with(&|s| {
                s.postings.iter_mut().filter(|posting| posting.purpose == PostingPurpose::Trade).for_each(|posting| {
                    if posting.amount.is_negative() {
                        posting.account = purse;
                    }
                });
            }),
        ),
        (
            "unbalanced",
            "A cent comes from nowhere.",
            (Rule::Balance, "settlement.postings.bank-a/USD"),
            with(&|s| {
                s.postings[0].amount = s.postings[0].amount.plus(amount(1)).unwrap();
            }),
        ),
    ];
    named("settlement", cases)
}

/// A settlement commits about when it says that it was signed.
fn times(world: &World) -> Vec<Vector> {
    let head_ms = world.ledger.head().time_ms;
    let with = |change: &dyn Fn(&mut Settlement)| changed(world, "alice", filled(world), change);
    let cases: [(&str, &str, Broken, Vec<u8>); 2] = [
        (
            "late",
            "Signed more than ten minutes before the block.",
            (Rule::Expiry, "settlement.settled_ms"),
            with(&|s| {
                s.settled_ms = head_ms + 1_000 - 600_001;
                let SettlementAct::Fill { priced_ms, .. } = &mut s.act else { panic!("a fill") };
                *priced_ms = s.settled_ms;
            }),
        ),
        (
            "ahead",
            "Signed long after the block.",
            (Rule::Expiry, "settlement.settled_ms"),
            with(&|s| s.settled_ms = head_ms + 3_600_000),
        ),
    ];
    named("settlement", cases)
}

fn reclaims(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice");
    let reclaim = |request, units| Act::Reclaim(request, cash_of("bank-a"), amount(units));
    let act = |act: Act| ServicePlan::new(world, alice, act).bytes();
    let early = (Rule::Status, "servicing.act.reclaim");
    let cases: [(&str, &str, Broken, Vec<u8>); 2] = [
        ("early", "The order may still be executed.", early, act(reclaim(waiting_request(world), 50_000))),
        ("nothing", "No such order waits.", early, act(reclaim(Link([9; 32]), 50_000))),
    ];
    named("reclaim", cases)
}
