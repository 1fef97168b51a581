//! Listings that change what was listed, and trades on terms that allow them or not.

use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::error::Rule;
use stemma_chain_format::instrument::InstrumentKind;
use stemma_chain_format::listing::{FeeSchedule, Listing, ListingStatus};
use stemma_chain_format::request::{Side, Size};

use crate::common::members::{full_terms, member_key};
use crate::common::trades::{entry_bytes, forge};
use crate::common::{Order, Plan, World, amount, price, trade_of};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [accepted(world), changes(world), trades(world)].concat()
}

fn accept(name: &str, about: &str, entry: &Entry) -> Vector {
    Vector::accept(name, ("apply", "entry"), about, entry.id(), &entry.encode())
}

fn accepted(world: &World) -> Vec<Vector> {
    let full = world.listed("broker", "NEWCO", |listing| {
        listing.isin = Some("CH0038863350".parse().unwrap());
        listing.terms = Some(full_terms());
    });
    let reopened = world.listed("broker", "HALTED", |listing| {
        listing.status = ListingStatus::Open;
        listing.isin = None;
        listing.terms.as_mut().unwrap().hours = None;
    });
    let order = |code, side| Order { code: Some(code), ..Order::new(world.customer("bob"), "fund-house", side) };
    let ended = Order { size: Size::Quantity(amount(40_000)), ..order("ENDED", Side::Sell) };
    let strict = Order { customer: world.customer("alice"), ..order("STRICT", Side::Buy) };
    let in_lots = Order { size: Size::Quantity(amount(1_000)), fee: 1, ..strict };
    let by_cash = Order { size: Size::Cash(amount(1_200)), price: price(1_234_567, 2), ..in_lots };
    vec![
        accept("listing-full", "Lists a stock with every optional field.", &full),
        accept("listing-change", "Opens what was suspended, on other terms.", &reopened),
        accept("chain-sell-closed", "Sells what is closed to buyers.", &ended.chain(world)),
        accept("chain-lots", "Buys the largest quantity, in whole lots.", &in_lots.chain(world)),
        accept("chain-lots-cash", "Buys as many whole lots as an amount pays for.", &by_cash.chain(world)),
    ]
}

fn changes(world: &World) -> Vec<Vector> {
    let case = |name: &str, about: &str, broken, change: &dyn Fn(&mut Listing)| {
        let mut record = world.listing("broker", "HALTED");
        change(&mut record);
        let bytes = entry_bytes(EntryKind::Listing, &[forge(&record, &member_key("broker"))]);
        Vector::reject(&format!("listing-{name}"), ("apply", "entry"), about, broken, &bytes)
    };
    let agreement = |field| (Rule::Agreement, field);
    let older = world.history().find_map(|entry| match entry {
        Entry::Listing(listing) if listing.record().instrument.code() == "HALTED" => Some(listing.link()),
        _ => None,
    });
    vec![
        case("change-decimals", "Changes the decimals.", agreement("listing.decimals"), &|l| l.decimals = 3),
        case("change-kind", "Makes a fund of a stock.", agreement("listing.kind"), &|l| l.kind = InstrumentKind::Fund),
        case("change-currency", "Quotes in another currency.", agreement("listing.quoted_in"), &|l| {
            l.quoted_in = Some("EUR".to_owned());
        }),
        case("change-of-older", "Takes the place of a listing not in force.", (Rule::Link, "listing.replaces"), &|l| {
            l.replaces = older;
        }),
        case(
            "change-of-nothing",
            "Takes the place of what is not listed.",
            (Rule::Listing, "listing.replaces"),
            &|l| {
                l.instrument = "broker/UNLISTED".parse().unwrap();
            },
        ),
    ]
}

fn trades(world: &World) -> Vec<Vector> {
    let order = |code, side, units| Order {
        code: Some(code),
        size: Size::Quantity(amount(units)),
        fee: 0,
        ..Order::new(world.customer("alice"), "fund-house", side)
    };
    let strict = |units| order("STRICT", Side::Buy, units);
    let case = |name: &str, about: &str, broken, plan: Plan<'_>| {
        Vector::reject(name, ("apply", "entry"), about, broken, &plan.bytes())
    };
    let halted = Order { institution: "broker", ..order("HALTED", Side::Buy, 40) };
    let status = (Rule::Listing, "request.trade.instrument");
    let quantity = (Rule::Terms, "execution.quantity");
    let poor = Order { customer: world.customer("bob"), ..strict(500) };
    let fee = FeeSchedule { least: amount(199), ..FeeSchedule::default() };
    let free = fee.fee(Side::Buy, amount(1)).unwrap().units();
    let plain = Order { fee: free + 1, ..Order::new(world.customer("alice"), "fund-house", Side::Buy) };
    let by_cash =
        Order { size: Size::Cash(amount(5_000)), ..Order::new(world.customer("alice"), "fund-house", Side::Buy) };
    let unused = Order { size: Size::Cash(amount(4_900)), ..by_cash };
    let unused = Plan::new(world, unused).request(move |request| trade_of(request).size = by_cash.size);
    vec![
        case("listing-suspended-buy", "Buys what is suspended.", status, Plan::new(world, halted)),
        case("listing-closed-buy", "Buys what is closed.", status, Plan::new(world, order("ENDED", Side::Buy, 10))),
        case(
            "credit-level-low",
            "Buys what asks for a higher credit level.",
            (Rule::Terms, "endorsement.credit.level"),
            Plan::new(world, poor),
        ),
        case("quantity-no-lot", "Buys part of a lot.", quantity, Plan::new(world, strict(505))),
        case("quantity-below-min", "Buys less than the least quantity.", quantity, Plan::new(world, strict(90))),
        case("quantity-above-max", "Buys more than the largest quantity.", quantity, Plan::new(world, strict(1_010))),
        case(
            "fee-above-schedule",
            "Takes a fee above the schedule.",
            (Rule::Terms, "execution.fee"),
            Plan::new(world, plain),
        ),
        case("cash-unused", "Leaves cash of the amount unused that would buy more.", quantity, unused),
    ]
}
