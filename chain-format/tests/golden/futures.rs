//! Futures: trades, margins, marks, close-outs, and what a listing says of them.

use stemma_chain_format::chain::EntryKind;
use stemma_chain_format::dealing::{Dealing, MarginTerms};
use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::Posting;
use stemma_chain_format::listing::Listing;
use stemma_chain_format::request::{self, Request, Side, Size};
use stemma_chain_format::settlement::{CloseReason, Settlement, SettlementAct};

use crate::common::positions::margin_paid;
use crate::common::{Order, Plan, World, amount, deal_of, entry_bytes, forge, member_key, price, trade_of};
use crate::positions::{Broken, accept, changed, close, filled, future, mark, named, settles, shifted};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [futures(world), payments(world), marks(world), closes(world), listings(world)].concat()
}

fn futures(world: &World) -> Vec<Vector> {
    let [alice, bob] = ["alice", "bob"].map(|name| world.customer(name));
    let plan = |order| Plan::new(world, order);
    let by_cash = move |r: &mut Request| trade_of(r).size = Size::Cash(amount(5_000));
    let limited = Order { limit: Some(price(1_234, 0)), ..future(alice, Side::Buy, 10) };
    let terms = |field| (Rule::Terms, field);
    let lost = {
        // The margin does not bear the loss at this price, so there is no honest chain to begin with.
        let honest = Plan::new(world, future(bob, Side::Buy, 10));
        honest.execution(|x| deal_of(x).price = price(900, 0))
    };
    let cases: [(&str, &str, Broken, Vec<u8>); 7] = [
        (
            "by-cash",
            "Futures for an amount of cash.",
            terms("request.trade.size"),
            plan(future(alice, Side::Buy, 10)).request(by_cash).bytes(),
        ),
        ("beyond-limit", "Bought above the limit.", terms("execution.price"), plan(limited).bytes()),
        (
            "fee",
            "For a fee above the schedule.",
            terms("execution.fee"),
            plan(Order { fee: 251, ..future(alice, Side::Buy, 10) }).bytes(),
        ),
        (
            "quantity",
            "More than asked for.",
            terms("execution.quantity"),
            plan(future(alice, Side::Buy, 10)).request(|r| trade_of(r).size = Size::Quantity(amount(9))).bytes(),
        ),
        (
            "margin-less",
            "A cent of the initial margin is not put up.",
            terms("execution.postings[2]"),
            plan(future(alice, Side::Buy, 10))
                .execution(|x| {
                    let account = x.account;
                    for (at, units) in [(2, -1), (3, 1)] {
                        let posting: &mut Posting = &mut x.postings[at];
                        posting.amount = posting.amount.plus(amount(units)).unwrap();
                        if posting.account == account {
                            x.holdings.add(&posting.instrument, amount(units)).unwrap();
                        }
                    }
                })
                .bytes(),
        ),
        (
            "lost",
            "A trade on a position whose margin does not bear its loss.",
            (Rule::Overdraft, "execution.outcome"),
            lost.bytes(),
        ),
        (
            "whole-price",
            "The whole price is paid, as for a stock.",
            terms("execution.postings[2]"),
            plan(future(alice, Side::Buy, 10))
                .execution(|x| {
                    let house = x.postings[1].account;
                    x.postings[2].account = house;
                })
                .bytes(),
        ),
    ];
    named("future", cases)
}

/// A payment that its position admits, made into another that it does not.
fn paid_otherwise(world: &World, name: &'static str, admitted: i128, units: i128) -> Vec<u8> {
    let future = "broker/FUT".parse().unwrap();
    let plan = margin_paid(world, world.customer(name), "broker", &future, admitted).request(move |r| {
        let request::Order::Margin(payment) = &mut r.order else { panic!("a payment") };
        payment.amount = amount(units);
    });
    plan.execution(move |x| shifted(x, units - admitted)).bytes()
}

fn payments(world: &World) -> Vec<Vector> {
    let terms = (Rule::Terms, "request.margin.amount");
    let about = "A cent more than is above the initial margin.";
    let cases: [(&str, &str, Broken, Vec<u8>); 2] = [
        ("too-much-out", about, terms, paid_otherwise(world, "carol", -1_000, -1_001)),
        ("out-under-call", "Takes something out while more is called for.", terms, paid_otherwise(world, "bob", 5, -1)),
    ];
    let mut vectors = named("margin", cases);
    let future = "broker/FUT".parse().unwrap();
    let zero = margin_paid(world, world.customer("bob"), "broker", &future, 5).request(|r| {
        let request::Order::Margin(payment) = &mut r.order else { panic!("a payment") };
        payment.amount = amount(0);
    });
    let broken = (Rule::Range, "request.margin.amount");
    vectors.push(Vector::reject("margin-zero", ("decode", "request"), "Pays nothing.", broken, &zero.stages()[0]));
    vectors
}

fn marks(world: &World) -> Vec<Vector> {
    let cases: [(&str, &str, Broken, Vec<u8>); 3] = [
        (
            "beyond",
            "A mark that takes more than the margin: it must be closed out.",
            (Rule::Overdraft, "settlement.act"),
            settles(world, "bob", mark(world, 1_000)),
        ),
        (
            "gain-kept",
            "The gain of the position is not paid.",
            (Rule::Terms, "settlement.postings[0]"),
            changed(world, "carol", mark(world, 1_100), |s| s.postings.clear()),
        ),
        (
            "fills",
            "A future is filled like an order.",
            (Rule::Terms, "settlement.act"),
            settles(world, "bob", filled(world)),
        ),
    ];
    named("mark", cases)
}

fn closes(world: &World) -> Vec<Vector> {
    let early = |s: &mut Settlement| s.settled_ms -= 7_000;
    let priced = SettlementAct::Close {
        price: price(1_190, 0),
        priced_ms: world.ledger.head().time_ms - 60_000,
        reason: CloseReason::Called,
    };
    let cases: [(&str, &str, Broken, Vec<u8>); 5] = [
        (
            "uncalled",
            "Nothing was called for.",
            (Rule::Terms, "settlement.act"),
            settles(world, "carol", close(world, 1_200, CloseReason::Called)),
        ),
        (
            "early",
            "The call still stands open.",
            (Rule::Terms, "settlement.settled_ms"),
            changed(world, "bob", priced, early),
        ),
        (
            "restored",
            "At this price the margin is there again.",
            (Rule::Terms, "settlement.act"),
            settles(world, "bob", close(world, 1_290, CloseReason::Called)),
        ),
        (
            "not-exhausted",
            "The margin is not used up.",
            (Rule::Terms, "settlement.act"),
            settles(world, "bob", close(world, 1_150, CloseReason::Exhausted)),
        ),
        (
            "not-ended",
            "The contract has not ended.",
            (Rule::Terms, "settlement.act"),
            settles(world, "bob", close(world, 1_190, CloseReason::Expired)),
        ),
    ];
    named("close", cases)
}

fn listings(world: &World) -> Vec<Vector> {
    let listed = |institution: &'static str, code: &'static str, change: &dyn Fn(&mut Listing)| {
        let mut record = world.listing(institution, code);
        change(&mut record);
        entry_bytes(EntryKind::Listing, &[forge(&record, &member_key(institution))])
    };
    let dealt = |dealing: Dealing| move |listing: &mut Listing| listing.terms.as_mut().unwrap().dealing = dealing;
    let margin = |initial_basis_points, maintenance_basis_points, call_s| {
        Dealing::Margin(MarginTerms { initial_basis_points, maintenance_basis_points, call_s })
    };
    let range = |field| (Rule::Range, field);
    let cases: [(&str, &str, Broken, Vec<u8>); 7] = [
        (
            "forward-stock",
            "A stock that is dealt in forward.",
            range("listing.listing.terms.dealing"),
            listed("broker", "ACME", &dealt(Dealing::Forward)),
        ),
        (
            "spot-future",
            "A future that is paid in full.",
            range("listing.listing.terms.dealing"),
            listed("broker", "FUT", &dealt(Dealing::Spot)),
        ),
        (
            "margin-zero",
            "A margin of nothing.",
            range("listing.listing.terms.dealing.margin.initial_basis_points"),
            listed("broker", "FUT", &dealt(margin(0, 0, 0))),
        ),
        (
            "maintenance-above",
            "Maintains more than is put up.",
            range("listing.listing.terms.dealing.margin.maintenance_basis_points"),
            listed("broker", "FUT", &dealt(margin(500, 501, 0))),
        ),
        (
            "call-long",
            "A call of more than 30 days.",
            range("listing.listing.terms.dealing.margin.call_s"),
            listed("broker", "FUT", &dealt(margin(500, 500, 2_592_001))),
        ),
        (
            "dealing-changed",
            "What waited is traded at once from now on.",
            (Rule::Agreement, "listing.terms.dealing"),
            listed("fund-house", "NEXT", &dealt(Dealing::Spot)),
        ),
        (
            "dealing-to-forward",
            "What was traded at once must wait from now on.",
            (Rule::Agreement, "listing.terms.dealing"),
            listed("fund-house", "GROWTH", &dealt(Dealing::Forward)),
        ),
    ];
    let mut vectors = named("listing", cases);
    let changed = listed("broker", "FUT", &dealt(margin(2_000, 1_500, 86_400)));
    vectors.push(accept("listing-margins-changed", "The margins of a future are raised.", &changed));
    vectors
}
