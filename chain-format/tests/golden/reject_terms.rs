//! Executions that are not what the request asked for, on an account that could pay for them.

use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::{Execution, Posting, PostingPurpose};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::request::{Side, Size};

use crate::common::{Order, Plan, World, amount, cash_of, deal_of, instrument_of, price, trade_of};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [prices(world), sizes(world), postings(world), listings(world)].concat()
}

fn reject(name: &str, about: &str, broken: (Rule, &str), plan: Plan<'_>) -> Vector {
    Vector::reject(name, ("apply", "entry"), about, broken, &plan.bytes())
}

fn order(world: &World, side: Side) -> Order {
    Order { size: Size::Quantity(amount(20_000)), ..Order::new(world.customer("alice"), "fund-house", side) }
}

fn prices(world: &World) -> Vec<Vector> {
    let limited = |side, limit| Order { limit: Some(limit), ..order(world, side) };
    let broken = (Rule::Terms, "execution.price");
    let above = limited(Side::Buy, price(1_234_559, 3));
    let below = limited(Side::Sell, price(1_234_561, 3));
    vec![
        reject("price-above-limit", "Buys a thousandth above the limit.", broken, Plan::new(world, above)),
        reject("price-below-limit", "Sells a thousandth below the limit.", broken, Plan::new(world, below)),
        reject(
            "fee-above-max",
            "Charges a fee where the request accepts none.",
            (Rule::Terms, "execution.fee"),
            Plan::new(world, order(world, Side::Buy)).request(|request| trade_of(request).fee_max = Some(amount(0))),
        ),
        reject(
            "cash-unlisted",
            "Pays in cash that its bank has not listed.",
            (Rule::Listing, "request.trade.cash"),
            Plan::new(world, order(world, Side::Buy)).request(|request| trade_of(request).cash = euro()),
        ),
    ]
}

fn euro() -> InstrumentId {
    "bank-a/EUR".parse().unwrap()
}

/// An order for one size, executed as if for another: everything balances, and the account is charged for it.
fn executed_as(world: &World, asked: Order, size: Size) -> Plan<'_> {
    Plan::new(world, Order { size, ..asked }).request(move |request| trade_of(request).size = asked.size)
}

fn sizes(world: &World) -> Vec<Vector> {
    let broken = (Rule::Terms, "execution.quantity");
    let buy = order(world, Side::Buy);
    let sell = order(world, Side::Sell);
    let cash = |order| Order { size: Size::Cash(amount(2_000)), ..order };
    let (more, fewer) = (Size::Quantity(amount(20_001)), Size::Quantity(amount(19_999)));
    vec![
        reject("quantity-more", "Buys one unit more than asked.", broken, executed_as(world, buy, more)),
        reject("quantity-fewer", "Sells one unit fewer than asked.", broken, executed_as(world, sell, fewer)),
        reject(
            "cash-exceeded",
            "Costs one cent more than asked, fee included.",
            broken,
            executed_as(world, cash(buy), Size::Cash(amount(2_001))),
        ),
        reject(
            "cash-exceeded-sell",
            "Sells for one cent more than asked.",
            broken,
            executed_as(world, cash(sell), Size::Cash(amount(2_001))),
        ),
    ]
}

/// Moves something more between the account and the institution, and restates the target holdings to match.
fn moved(
    x: &mut Execution,
    (from, to): (AccountId, AccountId),
    instrument: &InstrumentId,
    units: i128,
    purpose: PostingPurpose,
) {
    for (account, units) in [(from, -units), (to, units)] {
        x.postings.push(Posting { account, instrument: instrument.clone(), amount: amount(units), purpose });
        if account == x.account {
            x.holdings.add(instrument, amount(units)).unwrap();
        }
    }
}

fn postings(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice").account;
    let settlement = world.own("fund-house", OwnAccount::Settlement);
    let give = (alice, settlement);
    let take = (settlement, alice);
    let plan = |side| Plan::new(world, order(world, side));
    let with = |between, instrument: InstrumentId, units, purpose| {
        plan(Side::Buy).execution(move |x| moved(x, between, &instrument, units, purpose))
    };
    let (cash, shares, fund) = (cash_of("bank-a"), instrument_of("broker"), instrument_of("fund-house"));
    let (trade, fee, reward) = (PostingPurpose::Trade, PostingPurpose::Fee, PostingPurpose::Reward);
    // A trade for a fee has six postings: units, cost, fee.
    let beyond = (Rule::Terms, "execution.postings[6]");
    let unreferred = (Rule::Referral, "execution.referral");
    vec![
        reject(
            "fee-stated-lower",
            "Takes a fee of 1.99 and states 1.98.",
            (Rule::Terms, "execution.postings[4]"),
            plan(Side::Buy).execution(|x| deal_of(x).fee = amount(198)),
        ),
        reject(
            "fee-stated-none",
            "Takes a fee and states none.",
            (Rule::Terms, "execution.postings[4]"),
            plan(Side::Sell).execution(|x| deal_of(x).fee = amount(0)),
        ),
        reject(
            "cost-rounded-up",
            "Charges one cent beyond the rounded cost.",
            beyond,
            with(give, cash.clone(), 1, trade),
        ),
        reject("cost-too-low", "Pays the account back a cent of the cost.", beyond, with(take, cash.clone(), 1, trade)),
        reject("fee-twice", "Takes the fee twice.", beyond, with(give, cash.clone(), 199, fee)),
        reject("units-withheld", "Takes back one of the units bought.", beyond, with(give, fund.clone(), 1, trade)),
        reject(
            "foreign-instrument",
            "Takes shares that the request does not name.",
            beyond,
            with(give, shares.clone(), 1, trade),
        ),
        reject(
            "foreign-gift",
            "Gives shares as part of the trade.",
            beyond,
            with((settlement, alice), shares.clone(), 1, trade),
        ),
        reject("reward-negative", "Takes cash as a reward.", unreferred, with(give, cash, 1, reward)),
        reject("reward-takes-units", "Takes shares as a reward.", unreferred, with(give, shares.clone(), 1, reward)),
        reject("fee-in-units", "Takes a fee in shares.", beyond, with(give, shares, 1, fee)),
        reject(
            "price-stated-lower",
            "Charges another price than it states.",
            (Rule::Terms, "execution.postings[2]"),
            plan(Side::Buy).execution(|x| deal_of(x).price = price(123_400, 2)),
        ),
    ]
}

fn listings(world: &World) -> Vec<Vector> {
    let other = world.ledger.listing(&instrument_of("broker")).unwrap().link;
    let plan = Plan::new(world, order(world, Side::Buy)).execution(move |x| x.listing = other);
    vec![reject(
        "listing-of-another",
        "Names the listing of another instrument.",
        (Rule::Listing, "execution.listing"),
        plan,
    )]
}
