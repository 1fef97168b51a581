//! Well-formed records that break a rule of signers, networks, links, agreement or money.

use stemma_chain_format::chain::EntryKind;
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::Execution;
use stemma_chain_format::hash::Link;
use stemma_chain_format::instrument::InstrumentKind;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_chain_format::request::{Request, Side, Size};

use crate::bytes::flipped;
use crate::common::members::{founded, listing_of, terms_of_trade};
use crate::common::world::opening;
use crate::common::{
    Order, Plan, World, amount, cash_of, entry_bytes, forge, id, instrument_of, member_key, terms, trade_of,
};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [signatures(world), networks(world), signers(world), single(world), refusals(world), agreement(world), money(world)]
        .concat()
}

fn plan(world: &World) -> Plan<'_> {
    Plan::new(world, Order::new(world.customer("bob"), "broker", Side::Buy))
}

fn reject(name: &str, about: &str, broken: (Rule, &str), bytes: &[u8]) -> Vector {
    Vector::reject(name, ("verify", "entry"), about, broken, bytes)
}

/// A bit of each stage's signature. What comes after links to the bytes as they are, so only the signature is wrong.
fn signatures(world: &World) -> Vec<Vector> {
    let [first, second, third] = plan(world).stages();
    let request = flipped(&first, 40);
    let relinked = plan(world).endorsement({
        let link = Link::of(&request);
        move |e| e.request = link
    });
    let [_, second_on_bad, third_on_bad] = relinked.stages();
    let endorsement = flipped(&second, 40);
    let on_bad = plan(world).execution({
        let link = Link::of(&endorsement);
        move |x| x.endorsement = link
    });
    let chain = |stages: [&Vec<u8>; 3]| entry_bytes(EntryKind::Chain, &stages.map(Clone::clone));
    let about = "A bit of the signature is flipped.";
    let cases = [
        ("request", chain([&request, &second_on_bad, &third_on_bad])),
        ("endorsement", chain([&first, &endorsement, &on_bad.stages()[2]])),
        ("execution", chain([&first, &second, &flipped(&third, 40)])),
    ];
    let named = |(stage, bytes): (&str, Vec<u8>)| {
        reject(&format!("{stage}-signature"), about, (Rule::Signature, &format!("{stage}.signature")), &bytes)
    };
    let mut vectors: Vec<Vector> = cases.into_iter().map(named).collect();
    let single = opening(world.network(), "dora", "bank-a");
    let bytes = entry_bytes(EntryKind::Opening, &[flipped(single.bytes(), 1)]);
    vectors.push(reject("opening-signature", about, (Rule::Signature, "opening.signature"), &bytes));
    let bytes = flipped(&plan(world).stages()[0], 1);
    let broken = (Rule::Signature, "request.signature");
    vectors.push(Vector::reject("request-alone-signature", ("verify", "request"), about, broken, &bytes));
    vectors
}

fn networks(world: &World) -> Vec<Vector> {
    let other = founded("another network").network();
    let about = "Belongs to another network.";
    let cases = [
        ("request", plan(world).request(move |r| r.network = other).bytes()),
        ("endorsement", plan(world).endorsement(move |e| e.network = other).bytes()),
        ("execution", plan(world).execution(move |x| x.network = other).bytes()),
        ("opening", entry_bytes(EntryKind::Opening, &[opening(other, "dora", "bank-a").bytes().to_vec()])),
        ("listing", entry_bytes(EntryKind::Listing, &[forge(&listing_of(other, "broker"), &member_key("broker"))])),
    ];
    let case = |(stage, bytes): (&str, Vec<u8>)| {
        reject(&format!("{stage}-network"), about, (Rule::Network, &format!("{stage}.network")), &bytes)
    };
    cases.into_iter().map(case).collect()
}

fn signers(world: &World) -> Vec<Vector> {
    let second = (Rule::Signer, "endorsement.signer");
    let third = (Rule::Signer, "execution.signer");
    let case = |name: &str, about: &str, broken, plan: Plan<'_>| reject(name, about, broken, &plan.bytes());
    let request = |change: fn(&mut Request)| plan(world).request(change);
    vec![
        case(
            "endorsement-by-institution",
            "The institution signs the second chain.",
            second,
            plan(world).signer(1, member_key("broker")),
        ),
        case(
            "endorsement-by-another-bank",
            "Another bank signs it.",
            second,
            plan(world).signer(1, member_key("bank-b")),
        ),
        case(
            "endorsement-by-customer",
            "The customer signs it.",
            second,
            plan(world).signer(1, world.customer("bob").key()),
        ),
        case(
            "execution-by-bank",
            "The bank signs the third chain.",
            third,
            plan(world).signer(2, member_key("bank-a")),
        ),
        case(
            "execution-by-another",
            "Another institution signs it.",
            third,
            plan(world).signer(2, member_key("fund-house")),
        ),
        case(
            "request-bank-institution",
            "The request names an institution as its bank.",
            (Rule::Agreement, "request.bank"),
            request(|r| {
                r.bank = id("fund-house");
                trade_of(r).cash = instrument_of("fund-house");
            }),
        ),
        case(
            "request-institution-bank",
            "The request names a bank as its institution.",
            (Rule::Agreement, "request.institution"),
            request(|r| {
                r.institution = id("bank-b");
                trade_of(r).instrument = cash_of("bank-b");
            }),
        ),
        case(
            "request-institution-unknown",
            "The request names nobody of the network.",
            (Rule::Agreement, "request.institution"),
            request(|r| {
                r.institution = id("nobody");
                trade_of(r).instrument = "nobody/ACME".parse().unwrap();
            }),
        ),
    ]
}

/// Records of one stage, signed by whom they must not be.
fn single(world: &World) -> Vec<Vector> {
    let one = |kind, stage: Vec<u8>| entry_bytes(kind, &[stage]);
    let mut by_institution = opening(world.network(), "dora", "bank-a").record().clone();
    by_institution.bank = id("broker");
    let mut currency = listing_of(world.network(), "broker");
    (currency.kind, currency.quoted_in, currency.terms) = (InstrumentKind::Currency, None, None);
    let mut stock = listing_of(world.network(), "bank-a");
    (stock.kind, stock.quoted_in) = (InstrumentKind::Stock, Some("USD".to_owned()));
    stock.terms = Some(terms_of_trade());
    let mut unknown = listing_of(world.network(), "broker");
    unknown.instrument = "nobody/ACME".parse().unwrap();
    let issuance = world.issuance("bank-a", &[(world.customer("alice").account, 1)]);
    let mut by_fund = world.issuance("bank-a", &[(world.customer("alice").account, 1)]);
    (by_fund.issuer, by_fund.instrument) = (id("fund-house"), instrument_of("fund-house"));
    let [a, b, broker, fund] = ["bank-a", "bank-b", "broker", "fund-house"].map(member_key);
    let signer = |field| (Rule::Signer, field);
    let instrument = signer("listing.instrument");
    vec![
        reject(
            "opening-by-institution",
            "An institution opens an account.",
            signer("opening.signer"),
            &one(EntryKind::Opening, forge(&by_institution, &broker)),
        ),
        reject(
            "listing-by-another",
            "Another institution lists it.",
            signer("listing.signer"),
            &one(EntryKind::Listing, forge(&listing_of(world.network(), "broker"), &fund)),
        ),
        reject(
            "listing-cash-by-institution",
            "An institution lists cash.",
            instrument,
            &one(EntryKind::Listing, forge(&currency, &broker)),
        ),
        reject(
            "listing-stock-by-bank",
            "A bank lists a stock.",
            instrument,
            &one(EntryKind::Listing, forge(&stock, &a)),
        ),
        reject(
            "listing-issuer-unknown",
            "Nobody of the network issues it.",
            instrument,
            &one(EntryKind::Listing, forge(&unknown, &broker)),
        ),
        reject(
            "issuance-by-another",
            "Another bank issues.",
            signer("issuance.signer"),
            &one(EntryKind::Issuance, forge(&issuance, &b)),
        ),
        reject(
            "issuance-by-institution",
            "An institution issues.",
            signer("issuance.signer"),
            &one(EntryKind::Issuance, forge(&by_fund, &fund)),
        ),
    ]
}

fn refusals(world: &World) -> Vec<Vector> {
    let refusal = Refusal {
        network: world.network(),
        member: id("bank-a"),
        refused: Link([7; 32]),
        reason: RefusalReason::Busy,
        expected: String::new(),
        found: String::new(),
        refused_ms: 0,
    };
    let judged = ("verify", "refusal");
    let other = member_key("bank-b");
    vec![
        Vector::reject(
            "refusal-by-another",
            judged,
            "Another bank refuses.",
            (Rule::Signer, "refusal.signer"),
            &forge(&refusal, &other),
        ),
        Vector::reject(
            "refusal-by-auditor",
            judged,
            "An auditor refuses.",
            (Rule::Signer, "refusal.member"),
            &forge(&Refusal { member: id("auditor"), ..refusal.clone() }, &member_key("auditor")),
        ),
        Vector::reject(
            "refusal-member-unknown",
            judged,
            "Nobody of the network refuses.",
            (Rule::Signer, "refusal.member"),
            &forge(&Refusal { member: id("nobody"), ..refusal }, &other),
        ),
    ]
}

fn agreement(world: &World) -> Vec<Vector> {
    let second = |change: fn(&mut Endorsement)| plan(world).endorsement(change).bytes();
    let third = |change: fn(&mut Execution)| plan(world).execution(change).bytes();
    let alice = world.customer("alice").account;
    let other_account = plan(world).endorsement(move |e| e.account = alice).bytes();
    let third_account = plan(world).execution(move |x| x.account = alice).bytes();
    let expired = plan(world).request(|r| r.expires = Some(100)).endorsement(|e| e.expires = 101).bytes();
    let plain = plan(world).stages();
    let mixed = Plan::new(world, Order { fee: 0, ..Order::new(world.customer("bob"), "broker", Side::Buy) })
        .endorsement(|e| e.expires += 1);
    let spliced = entry_bytes(EntryKind::Chain, &[plain[0].clone(), plain[1].clone(), mixed.stages()[2].clone()]);
    let agree = |field| (Rule::Agreement, field);
    vec![
        reject(
            "endorsement-link",
            "Links to another request.",
            (Rule::Link, "endorsement.request"),
            &second(|e| e.request = Link([1; 32])),
        ),
        reject(
            "execution-link",
            "Links to another endorsement.",
            (Rule::Link, "execution.endorsement"),
            &third(|x| x.endorsement = Link([1; 32])),
        ),
        reject(
            "execution-spliced",
            "The third chain of another second chain.",
            (Rule::Link, "execution.endorsement"),
            &spliced,
        ),
        reject(
            "endorsement-bank",
            "Names another bank.",
            agree("endorsement.bank"),
            &second(|e| {
                e.bank = id("bank-b");
                e.credit = terms("bank-b", 3, 2, 1_000_000);
            }),
        ),
        reject("endorsement-account", "Names another account.", agree("endorsement.account"), &other_account),
        reject(
            "execution-institution",
            "Names another institution.",
            agree("execution.institution"),
            &third(|x| x.institution = id("fund-house")),
        ),
        reject("execution-account", "Names another account.", agree("execution.account"), &third_account),
        reject(
            "endorsement-outlives-request",
            "Stays open longer than the request.",
            (Rule::Expiry, "endorsement.expires"),
            &expired,
        ),
    ]
}

fn money(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice").account;
    let bank = world.own("bank-a", OwnAccount::Settlement);
    let another = world.own("fund-house", OwnAccount::Settlement);
    let third = |change: &dyn Fn(&mut Execution)| plan(world).execution(change).bytes();
    // The institution's own side of the payment falls on someone else.
    let debited = |account| plan(world).execution(move |x| x.postings[3 - 1].account = account).bytes();
    let bob = world.customer("bob");
    let order = Order { size: Size::Quantity(amount(200_000_000)), ..Order::new(bob, "fund-house", Side::Buy) };
    let line = Plan::new(world, order).endorsement(|e| e.credit.lines.add(&cash_of("bank-a"), amount(1_000)).unwrap());
    let sells = Order::new(bob, "broker", Side::Sell);
    let overdraft = (Rule::Overdraft, "execution.holdings.bank-a/USD");
    let debit = (Rule::Debit, "execution.postings.account");
    vec![
        reject(
            "postings-unbalanced",
            "One unit more is given than taken.",
            (Rule::Balance, "execution.postings.broker/ACME"),
            &third(&|x| x.postings[0].amount = amount(101)),
        ),
        reject(
            "postings-one-sided",
            "The fee is taken and given to nobody.",
            (Rule::Balance, "execution.postings.bank-a/USD"),
            &third(&|x| {
                x.postings.pop();
            }),
        ),
        reject("debit-customer", "Another customer is debited.", debit, &debited(alice)),
        reject("debit-bank", "The bank's own account is debited.", debit, &debited(bank)),
        reject("debit-institution", "Another institution's own account is debited.", debit, &debited(another)),
        reject("overdraft", "Buys for more cash than there is.", overdraft, &Plan::new(world, order).bytes()),
        reject("overdraft-beyond-line", "Buys for more than cash and credit line.", overdraft, &line.bytes()),
        reject(
            "overdraft-units",
            "Sells what it has not.",
            (Rule::Overdraft, "execution.holdings.broker/ACME"),
            &Plan::new(world, sells).bytes(),
        ),
        reject(
            "target-holdings",
            "The target holdings are one unit too high.",
            (Rule::Holdings, "execution.holdings.broker/ACME"),
            &third(&|x| x.holdings.add(&instrument_of("broker"), amount(1)).unwrap()),
        ),
        reject(
            "target-holdings-dropped",
            "The target holdings leave an instrument out.",
            (Rule::Holdings, "execution.holdings.fund-house/GROWTH"),
            &third(&|x| {
                let held = x.holdings.get(&instrument_of("fund-house"));
                x.holdings.add(&instrument_of("fund-house"), held.negated()).unwrap();
            }),
        ),
    ]
}
