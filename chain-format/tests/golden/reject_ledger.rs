//! Verified entries that do not follow the ledger: sequences, counters, credits, expiry, duplicates, accounts, listings.

use stemma_chain_format::chain::EntryKind;
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::issuance::Issuance;
use stemma_chain_format::lineage;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::request::Side;

use crate::common::{Customer, Order, Plan, View, World, amount, cash_of, entry_bytes, forge, member_key, trade_of};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [sequences(world), credits(world), expiry(world), again(world), accounts(world), issuances(world)].concat()
}

fn reject(name: &str, about: &str, broken: (Rule, &str), bytes: &[u8]) -> Vector {
    Vector::reject(name, ("apply", "entry"), about, broken, bytes)
}

/// Alice buys: two credits wait for her.
fn plan(world: &World) -> Plan<'_> {
    Plan::new(world, Order::new(world.customer("alice"), "fund-house", Side::Buy))
}

fn second(world: &World, change: impl Fn(&mut Endorsement)) -> Vec<u8> {
    plan(world).endorsement(change).bytes()
}

fn sequences(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice").account;
    let lineage = world.lineage(alice);
    let before = lineage[lineage.len() - 2].id();
    let foreign = world.lineage(world.customer("bob").account).last().unwrap().id();
    let counter = world.ledger.account(&alice).unwrap().state.counter;
    let by_bob = plan(world).signer(0, world.customer("bob").key()).bytes();
    let (parent, sequence) = ((Rule::Sequence, "endorsement.parent"), (Rule::Sequence, "endorsement.sequence"));
    let repeated = (Rule::Counter, "request.counter");
    vec![
        reject(
            "counter-repeated",
            "The last request's counter.",
            repeated,
            &plan(world).request(move |r| r.counter = counter).bytes(),
        ),
        reject("counter-lower", "A counter of long ago.", repeated, &plan(world).request(|r| r.counter = 1).bytes()),
        reject(
            "parent-before",
            "Follows the chain before the head: a fork.",
            parent,
            &second(world, move |e| e.parent = before),
        ),
        reject(
            "parent-opening",
            "Follows the opening record.",
            parent,
            &second(world, move |e| e.parent = alice.into()),
        ),
        reject(
            "parent-foreign",
            "Follows another account's head.",
            parent,
            &second(world, move |e| e.parent = foreign),
        ),
        reject("sequence-skipped", "Leaves a number out.", sequence, &second(world, |e| e.sequence += 1)),
        reject("sequence-repeated", "Repeats a number.", sequence, &second(world, |e| e.sequence -= 1)),
        reject("request-by-another", "Another customer signs the request.", (Rule::Signer, "request.signer"), &by_bob),
        reject(
            "endorsed-holdings",
            "The bank states one unit of cash too many.",
            (Rule::Holdings, "endorsement.holdings.bank-a/USD"),
            &second(world, |e| e.holdings.add(&cash_of("bank-a"), amount(1)).unwrap()),
        ),
        reject(
            "endorsed-nothing",
            "The bank states that the account is empty, and lends.",
            (Rule::Holdings, "endorsement.holdings.bank-a/USD"),
            &second(world, |e| {
                e.holdings = Holdings::new();
                e.credit.lines.add(&cash_of("bank-a"), amount(1 << 90)).unwrap();
            }),
        ),
    ]
}

/// Changes the absorbed credits and restates the holdings to match them, so that only the credits are wrong.
fn absorbing(world: &World, change: impl Fn(&mut Endorsement)) -> Vec<u8> {
    let state = View::of(world, &world.customer("alice").account).state;
    second(world, move |endorsement| {
        change(endorsement);
        endorsement.holdings = lineage::absorbed_into(&state.holdings, &endorsement.absorbed).unwrap();
    })
}

fn credits(world: &World) -> Vec<Vector> {
    let history = &world.credits[&world.customer("alice").account];
    let waiting = View::of(world, &world.customer("alice").account).inbox;
    assert_eq!(waiting.len(), 2);
    let foreign = world.credits[&world.customer("bob").account][0].clone();
    let old = history[0].clone();
    let first = (Rule::Credit, "endorsement.absorbed[0]");
    let after = (Rule::Credit, "endorsement.absorbed[2]");
    let more =
        |credit: stemma_chain_format::endorsement::Credit| absorbing(world, move |e| e.absorbed.push(credit.clone()));
    vec![
        reject("credits-swapped", "Two credits change places.", first, &absorbing(world, |e| e.absorbed.swap(0, 1))),
        reject(
            "credit-skipped",
            "The oldest credit is left out.",
            first,
            &absorbing(world, |e| {
                e.absorbed.remove(0);
            }),
        ),
        reject(
            "credit-twice",
            "A credit is absorbed twice in one chain.",
            (Rule::Credit, "endorsement.absorbed[1]"),
            &absorbing(world, |e| {
                let twice = e.absorbed[0].clone();
                e.absorbed.insert(1, twice);
            }),
        ),
        reject("credit-again", "A credit that an earlier chain absorbed.", after, &more(old)),
        reject("credit-foreign", "A credit of another account.", after, &more(foreign)),
        reject(
            "credit-amount",
            "A credit one unit higher than given.",
            first,
            &absorbing(world, |e| {
                e.absorbed[0].amount = e.absorbed[0].amount.plus(amount(1)).unwrap();
            }),
        ),
        reject(
            "credit-instrument",
            "A credit in another instrument than given.",
            first,
            &absorbing(world, |e| {
                e.absorbed[0].instrument = cash_of("bank-b");
            }),
        ),
        reject("credit-index", "A credit at another index.", first, &absorbing(world, |e| e.absorbed[0].index += 1)),
        reject(
            "credit-source",
            "A credit from another entry.",
            first,
            &absorbing(world, |e| e.absorbed[0].source = Link([9; 32])),
        ),
    ]
}

fn expiry(world: &World) -> Vec<Vector> {
    let next = world.ledger.head().height + 1;
    let broken = (Rule::Expiry, "endorsement.expires");
    vec![
        reject("expired", "Expired with the block before.", broken, &second(world, move |e| e.expires = next - 1)),
        reject(
            "expiry-far",
            "Stays open one block longer than the network allows.",
            broken,
            &second(world, move |e| e.expires = next + 1_001),
        ),
    ]
}

/// Entries that are in the ledger already.
fn again(world: &World) -> Vec<Vector> {
    let find = |kind| world.history().find(|entry| entry.kind() == kind).unwrap().encode();
    let last = world.lineage(world.customer("alice").account).last().unwrap().encode();
    let counter = (Rule::Counter, "request.counter");
    vec![
        reject("chain-again", "The first trade, a second time.", counter, &find(EntryKind::Chain)),
        reject("chain-again-at-once", "The last trade, a second time.", counter, &last),
        reject(
            "opening-again",
            "An account, opened a second time.",
            (Rule::Duplicate, "opening"),
            &find(EntryKind::Opening),
        ),
        reject(
            "listing-again",
            "An instrument, listed a second time.",
            (Rule::Duplicate, "listing.instrument"),
            &find(EntryKind::Listing),
        ),
        reject(
            "issuance-again",
            "An issuance, a second time.",
            (Rule::Sequence, "issuance.parent"),
            &find(EntryKind::Issuance),
        ),
    ]
}

fn accounts(world: &World) -> Vec<Vector> {
    let nobody = AccountId([5; 32]);
    let stranger = Customer { account: nobody, ..world.customer("alice") };
    let view = View::of(world, &world.customer("alice").account);
    let order = Order::new(world.customer("alice"), "fund-house", Side::Buy);
    let from_nobody =
        Plan::new(world, order).request(move |r| r.account = nobody).endorsement(move |e| e.account = nobody);
    let from_nobody = from_nobody.execution(move |x| {
        x.account = nobody;
        x.postings.iter_mut().filter(|p| p.account == order.customer.account).for_each(|p| p.account = nobody);
    });
    let rewarded = Order { reward: Some((stranger, 5)), ..order };
    let unlisted =
        plan(world).request(|r| trade_of(r).instrument = "fund-house/UNLISTED".parse().unwrap()).on_top_of(view);
    let poor =
        Order { price: crate::common::price(1_000_000_000, 0), ..Order::new(order.customer, "fund-house", Side::Sell) };
    let poor = Order { size: stemma_chain_format::request::Size::Quantity(amount(1_000)), ..poor };
    let empty = Order { reward: Some((world.customer("carol"), 1_000_000)), ..order };
    vec![
        reject(
            "account-unknown",
            "An account that was never opened trades.",
            (Rule::Account, "request.account"),
            &from_nobody.bytes(),
        ),
        reject(
            "credit-to-unknown",
            "An account that was never opened is credited.",
            (Rule::Account, "credit.account"),
            &Plan::new(world, rewarded).bytes(),
        ),
        reject(
            "instrument-unlisted",
            "Trades what is not listed.",
            (Rule::Listing, "request.trade.instrument"),
            &unlisted.bytes(),
        ),
        reject(
            "institution-overdraft",
            "The institution pays more of the bank's cash than it has.",
            (Rule::Overdraft, "execution.postings.fund-house.bank-a/USD"),
            &Plan::new(world, poor).bytes(),
        ),
        reject(
            "promotion-overdraft",
            "The institution promises more than it holds at the promoter's bank.",
            (Rule::Overdraft, "execution.postings.fund-house.bank-b/USD"),
            &Plan::new(world, empty).bytes(),
        ),
    ]
}

fn issuances(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice").account;
    let case = |name: &str, about: &str, broken, change: &dyn Fn(&mut Issuance)| {
        let mut record = world.issuance("bank-a", &[(alice, 5)]);
        change(&mut record);
        let stage = forge(&record, &member_key("bank-a"));
        reject(&format!("issuance-{name}"), about, broken, &entry_bytes(EntryKind::Issuance, &[stage]))
    };
    let settlement = world.own("bank-a", OwnAccount::Settlement);
    vec![
        case("parent", "Follows another than the head.", (Rule::Sequence, "issuance.parent"), &|i| {
            i.parent = settlement.into()
        }),
        case("sequence", "Leaves a number out.", (Rule::Sequence, "issuance.sequence"), &|i| i.sequence += 1),
        case("unlisted", "Issues what is not listed.", (Rule::Listing, "issuance.instrument"), &|i| {
            i.instrument = "bank-a/EUR".parse().unwrap();
        }),
        case("to-unknown", "Credits an account that was never opened.", (Rule::Account, "credit.account"), &|i| {
            i.credits[0].account = AccountId([5; 32]);
        }),
        case("beyond", "Takes the issuer's balance beyond 2^96.", (Rule::Range, "holdings.bank-a/USD"), &|i| {
            i.credits[0].amount = amount(1 << 96);
        }),
    ]
}
