//! Promise: an institution may execute in its own system, over HTTP. Whether that fails, hangs, repeats itself or answers late,
//! and whoever is killed meanwhile: nothing is executed twice or lost, and what the ledger did not commit is released there.
//!
//! The system is a real server in another process: `tests/python/back_office.py`.

use serde_json::json;
use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::request::{Side, Size};
use stemma_node_api::config::{BackOfficeConfig, NodeConfig, RewardAmount, RewardPolicy, RewardsConfig};
use stemma_node_api::types::{BackOfficeView, RequestState, RequestView};
use stemma_tests::back_office::BackOffice;
use stemma_tests::books::must_balance;
use stemma_tests::customer::{Customer, trade_of};
use stemma_tests::keys::member_key;
use stemma_tests::network::{AAPL, NAMES, Network, change_config};
use stemma_tests::positions::{self, FUTURE, NEXT, day};
use stemma_tests::python;
use stemma_tests::wait::until;
use stemma_tools::requests::Prepared;

/// The institution that executes in its own system.
const BROKER: &str = "broker-a";

/// A network whose broker-a executes in a back office; nothing where this machine has no Python for it.
async fn start(change: impl Fn(&mut NodeConfig)) -> Option<(Network, BackOffice)> {
    let mut office = BackOffice::new(python::find()?);
    let network = Network::start_with(|config| {
        if config.member == BROKER {
            config.institution.back_office = office.config();
        }
        change(config);
    })
    .await;
    office.start(&network, BROKER).await;
    Some((network, office))
}

/// Blocks come fast, and an endorsement holds for so many of them.
fn expire_after(config: &mut NodeConfig, blocks: u64) {
    config.consensus.idle_ms = 100;
    // A silent proposer is passed over sooner.
    config.consensus.propose_ms = 300;
    config.bank.expiry_blocks = blocks;
}

/// Failures of one order must not keep another from the back office.
fn without_breaker(config: &mut NodeConfig) {
    config.institution.back_office.breaker_failures = 1_000_000;
}

async fn hand_in(customer: &Customer, order: &Prepared) -> String {
    customer.client.submit(&order.body, 0).await.unwrap().request
}

async fn standing(network: &Network) -> BackOfficeView {
    network.client(BROKER).status().await.unwrap().back_office.unwrap()
}

/// What the bank says and what the back office did are the same: executed once where it was committed, in that chain; released where
/// it was not; and nothing beside these orders.
#[track_caller]
fn must_agree(office: &BackOffice, views: &[RequestView]) {
    for view in views {
        let execution = office.execution(&view.request);
        if view.state != RequestState::Committed {
            let Some(execution) = execution else { continue };
            let conclusion = office.conclusion(&execution.key).unwrap();
            assert_eq!(conclusion.outcome.as_deref(), Some("released"), "{view:?}");
            continue;
        }
        let execution = execution.unwrap_or_else(|| panic!("never executed: {view:?}"));
        let executed = view.executed.as_ref().unwrap();
        assert_eq!(execution.quantity.as_ref(), Some(&executed.quantity));
        assert_eq!(execution.price.as_deref(), Some("25.94"));
        let conclusion = office.conclusion(&execution.key).unwrap();
        assert_eq!((conclusion.outcome.as_deref(), &conclusion.chain), (Some("committed"), &view.chain));
    }
    let known: Vec<_> = views.iter().map(|view| view.request.as_str()).collect();
    let strange = office.of("executed", |entry| !known.contains(&entry.request.as_deref().unwrap()));
    assert_eq!(strange, [], "executed, and asked for by nobody");
}

/// Both calls of both orders meet a back office of this mood, until it is in a better one.
async fn trade_in_mood(
    network: &Network,
    office: &BackOffice,
    mood: &str,
    orders: [(&Customer, Prepared); 2],
) -> Vec<RequestView> {
    // In these moods nothing is answered, so only another one ends it.
    let is_stuck = !["ok", "repeat", "late"].contains(&mood);
    let before = (office.calls("executions").await, office.calls("conclusions").await);
    office.mood(mood, mood).await;
    for (customer, order) in &orders {
        hand_in(customer, order).await;
    }
    if is_stuck {
        office.called("executions", before.0, 3).await;
        office.mood("ok", mood).await;
    }
    let mut views = Vec::new();
    for (customer, order) in &orders {
        let view = customer.finish(order).await;
        assert_eq!(view.state, RequestState::Committed, "{mood}: {view:?}");
        views.push(view);
    }
    if is_stuck {
        office.called("conclusions", before.1, 3).await;
        office.mood("ok", "ok").await;
    }
    office.settled(network, BROKER).await;
    views
}

#[tokio::test(flavor = "multi_thread")]
async fn every_trade_is_executed_once_however_the_back_office_behaves() {
    let Some((network, office)) = start(|_| {}).await else { return };
    let (mut alice, mut emeka) = (network.customer("alice"), network.customer("emeka"));
    let mut views = Vec::new();
    for mood in ["ok", "repeat", "late", "cut", "mute", "fail", "busy", "hang", "garbage"] {
        let orders = [(alice.buy(AAPL, 2), emeka.buy(AAPL, 3)), (alice.sell(AAPL, 1), emeka.sell(AAPL, 2))];
        for (of_alice, of_emeka) in orders {
            let orders = [(&alice, of_alice), (&emeka, of_emeka)];
            views.extend(trade_in_mood(&network, &office, mood, orders).await);
            must_agree(&office, &views);
        }
    }
    assert!(standing(&network).await.failures > 0);
    a_call_counts_that_the_member_signed(&network, &office).await;
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// The server is no easier on others than the protocol asks: whoever is not the member is turned away.
async fn a_call_counts_that_the_member_signed(network: &Network, office: &BackOffice) {
    let member = member_key(&network.home(BROKER));
    let other = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let (named, path) = (PublicKey::of(&member), "/office/executions");
    let told = json!({ "key": "00".repeat(32), "quantity": "1", "price": "1" });
    let before = office.entries();
    assert_eq!(office.call(path, &named, &other, &told).await.0, 401, "signed by another key");
    assert_eq!(office.call(path, &PublicKey::of(&other), &other, &told).await.0, 401, "in the name of another");
    // Signed by the member, and turned away for what it says: it names no network.
    assert_eq!(office.call(path, &named, &member, &told).await.0, 400);
    assert_eq!(office.entries(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_did_not_commit_is_released() {
    let started = start(|config| {
        expire_after(config, 100);
        without_breaker(config);
    });
    let Some((mut network, office)) = started.await else { return };
    let [mut alice, mut bruno, mut emeka, mut farah] = NAMES.map(|name| network.customer(name));
    let mut views = Vec::new();

    // Executed, and never heard of; never heard of at all.
    office.mood("mute", "ok").await;
    let of_alice = alice.buy(AAPL, 5);
    let request = hand_in(&alice, &of_alice).await;
    office.executed(&request).await;
    office.mood("hang", "ok").await;
    let of_emeka = emeka.buy(AAPL, 6);
    hand_in(&emeka, &of_emeka).await;
    until("two errands", async || (standing(&network).await.errands == 2).then_some(())).await;
    for (customer, order) in [(&alice, &of_alice), (&emeka, &of_emeka)] {
        let view = customer.finish(order).await;
        assert_eq!(view.state, RequestState::Expired, "{view:?}");
        views.push(view);
    }
    office.settled(&network, BROKER).await;
    must_agree(&office, &views);
    assert_eq!(office.execution(&views[1].request), None);
    assert_eq!(office.of("concluded", |entry| entry.reason.as_deref() == Some("expired")).len(), 2);

    what_comes_after_its_release_is_declined(&network, &office).await;
    office.mood("ok", "ok").await;
    views.extend(a_back_office_may_decline(&network, &office, &mut farah).await);
    views.push(killed_bank(&mut network, &office, &mut alice).await);
    views.push(killed_institution(&mut network, &office, &mut emeka).await);

    // And all trade on.
    for customer in [&mut alice, &mut bruno, &mut emeka, &mut farah] {
        let order = customer.buy(AAPL, 1);
        let view = customer.finish(&order).await;
        assert_eq!(view.state, RequestState::Committed, "{view:?}");
        views.push(view);
    }
    office.settled(&network, BROKER).await;
    must_agree(&office, &views);
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// A call that was long on its way comes to the server after the release of its key.
async fn what_comes_after_its_release_is_declined(network: &Network, office: &BackOffice) {
    let executed: Vec<_> = office.of("executed", |_| true).into_iter().map(|entry| entry.key).collect();
    let released = office.of("concluded", |entry| !executed.contains(&entry.key)).pop().unwrap();
    let member = member_key(&network.home(BROKER));
    let told = json!({
        "network": network.genesis().network().to_string(), "member": BROKER, "key": released.key, "quantity": "1", "price": "1",
    });
    office.mood("ok", "ok").await;
    let (status, answer) = office.call("/office/executions", &PublicKey::of(&member), &member, &told).await;
    assert_eq!((status, answer["status"].as_str()), (200, Some("declined")), "{answer}");
}

/// It declines, turns the call away, and executes what it was not asked.
async fn a_back_office_may_decline(
    network: &Network,
    office: &BackOffice,
    customer: &mut Customer,
) -> Vec<RequestView> {
    let mut views = Vec::new();
    for (mood, found) in
        [("decline", "no such shares today"), ("forbid", "HTTP status 403"), ("otherwise", "5 at 25.94")]
    {
        office.mood(mood, "ok").await;
        let released = office.of("concluded", |_| true).len();
        let order = customer.buy(AAPL, 4);
        let view = customer.finish(&order).await;
        let refusal = view.refusal.as_ref().unwrap_or_else(|| panic!("{mood}: {view:?}"));
        assert_eq!((refusal.member.as_str(), refusal.reason.as_str()), (BROKER, "declined-by-institution"));
        assert_eq!(refusal.found, found);
        office.settled(network, BROKER).await;
        // What it declined itself is settled there; all else is released, whatever it may be.
        let more = usize::from(mood != "decline");
        assert_eq!(office.of("concluded", |_| true).len(), released + more, "{mood}");
        views.push(view);
    }
    office.mood("ok", "ok").await;
    views
}

/// Executed and signed, but the bank that would put it to the network is away until it is outlived.
async fn killed_bank(network: &mut Network, office: &BackOffice, customer: &mut Customer) -> RequestView {
    office.mood("mute", "ok").await;
    let order = customer.buy(AAPL, 7);
    let request = hand_in(customer, &order).await;
    let key = office.executed(&request).await.key;
    network.process_mut("bank-a").kill();
    office.mood("ok", "ok").await;
    until("the release", async || office.conclusion(&key)).await;
    network.process_mut("bank-a").run();
    network.connected().await;
    let view = customer.finish(&order).await;
    assert_eq!(view.state, RequestState::Expired, "{view:?}");
    view
}

/// Executed, and the institution is away until it is outlived: it releases what it never heard of.
async fn killed_institution(network: &mut Network, office: &BackOffice, customer: &mut Customer) -> RequestView {
    office.mood("mute", "ok").await;
    let order = customer.buy(AAPL, 8);
    let request = hand_in(customer, &order).await;
    let key = office.executed(&request).await.key;
    network.process_mut(BROKER).kill();
    office.mood("ok", "ok").await;
    let view = customer.finish(&order).await;
    assert_eq!(view.state, RequestState::Expired, "{view:?}");
    assert_eq!(office.conclusion(&key), None);
    network.process_mut(BROKER).run();
    network.connected().await;
    until("the release", async || office.conclusion(&key)).await;
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_neither_loses_nor_repeats_anything() {
    let Some((mut network, mut office)) = start(|_| {}).await else { return };
    let mut customers: Vec<Customer> = network.customers();
    let mut views = Vec::new();
    for mood in ["mute", "hang", "cut", "fail"] {
        // Before, while and after it executes; its conclusions are not acknowledged either.
        let conclusions = if mood == "cut" { "cut" } else { "fail" };
        office.mood(mood, conclusions).await;
        let before = office.calls("executions").await;
        let orders: Vec<Prepared> = customers.iter_mut().map(|customer| customer.buy(AAPL, 2)).collect();
        for (customer, order) in customers.iter().zip(&orders) {
            hand_in(customer, order).await;
        }
        office.called("executions", before, 4).await;
        network.process_mut(BROKER).kill();
        if mood == "hang" {
            office.kill();
            office.run().await;
        }
        office.mood("ok", conclusions).await;
        network.process_mut(BROKER).run();
        network.connected().await;
        for (customer, order) in customers.iter().zip(&orders) {
            let view = customer.finish(order).await;
            assert_eq!(view.state, RequestState::Committed, "{mood}: {view:?}");
            views.push(view);
        }
        // Committed, and not yet known there.
        let before = office.calls("conclusions").await;
        office.called("conclusions", before, 1).await;
        network.process_mut(BROKER).kill();
        if mood == "mute" {
            must_not_start_without_its_back_office(&mut network, office.config()).await;
        }
        office.mood("ok", "ok").await;
        network.process_mut(BROKER).run();
        network.connected().await;
        office.settled(&network, BROKER).await;
        must_agree(&office, &views);
    }
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// With open errands, nobody is left to tell the back office of them.
async fn must_not_start_without_its_back_office(network: &mut Network, office: BackOfficeConfig) {
    let home = network.home(BROKER);
    change_config(&home, |config| config.institution.back_office = BackOfficeConfig::default());
    let process = network.process_mut(BROKER);
    process.run();
    let code = until("the end of the node", async || process.ended()).await;
    assert_eq!(code, 3);
    assert!(process.log().contains("errands are open at the institution's own system"), "{}", process.log());
    process.kill();
    change_config(&home, |config| config.institution.back_office = office.clone());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_breaker_is_open_orders_wait_at_their_banks() {
    let Some((network, office)) = start(|_| {}).await else { return };
    let [mut alice, _, mut emeka, _] = NAMES.map(|name| network.customer(name));
    assert_eq!(standing(&network).await, BackOfficeView { errands: 0, failures: 0, breaker: "closed".to_owned() });
    office.mood("fail", "ok").await;
    let of_alice = alice.buy(AAPL, 1);
    hand_in(&alice, &of_alice).await;
    until("the open breaker", async || {
        let metrics = network.client(BROKER).metrics().await.ok()?;
        metrics.contains("stemma_back_office_breaker_open 1\n").then_some(())
    })
    .await;
    let of_emeka = emeka.buy(AAPL, 1);
    let request = hand_in(&emeka, &of_emeka).await;
    // It is asked again and again, and neither refused nor given to the back office.
    let calls = office.calls("executions").await;
    office.called("executions", calls, 2).await;
    assert_eq!(emeka.client.request(&request, 0).await.unwrap().state, RequestState::Sent);
    assert_eq!((standing(&network).await.errands, office.entries()), (1, vec![]));
    office.mood("ok", "ok").await;
    let mut views = Vec::new();
    for (customer, order) in [(&alice, &of_alice), (&emeka, &of_emeka)] {
        let view = customer.finish(order).await;
        assert_eq!(view.state, RequestState::Committed, "{view:?}");
        views.push(view);
    }
    office.settled(&network, BROKER).await;
    must_agree(&office, &views);
    let after = standing(&network).await;
    assert!(after.failures >= 5 && after.breaker == "closed", "{after:?}");
    let metrics = network.client(BROKER).metrics().await.unwrap();
    assert!(metrics.contains("stemma_back_office_errands 0\n"), "{metrics}");
    assert!(!network.client("bank-a").metrics().await.unwrap().contains("back_office"));
}

/// A fund's order that waits for its price is settled by the ledger's rules: nobody is asked, and the back office is told of it once,
/// whoever is down meanwhile. An order that is released moved nothing, and is told to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_settles_is_told_once_however_the_back_office_behaves() {
    let Some(python) = python::find() else { return };
    let mut office = BackOffice::new(python);
    let (mut network, _prices) = positions::network(|config| {
        if config.member == BROKER {
            config.institution.back_office = office.config();
        }
    })
    .await;
    office.start(&network, BROKER).await;
    let (mut alice, mut emeka) = (network.customer("alice"), network.customer("emeka"));
    let order = |customer: &mut Customer, limit: Option<&str>| {
        let mut terms = customer.terms(Side::Buy, NEXT, 1);
        let trade = trade_of(&mut terms);
        trade.size = Size::Cash(Amount::new(100_000).unwrap());
        trade.limit = limit.map(|limit| Price::parse(limit, 2).unwrap());
        customer.sign(terms)
    };
    let (of_alice, of_emeka) = (order(&mut alice, None), order(&mut emeka, Some("12.30")));
    for (customer, order) in [(&alice, &of_alice), (&emeka, &of_emeka)] {
        let view = customer.finish(order).await;
        assert_eq!(view.outcome.as_deref(), Some("accepted"), "{view:?}");
    }
    assert_eq!((office.entries(), standing(&network).await.errands), (vec![], 0));

    office.mood_of_settlements("fail").await;
    day(&network, "2000-02-01").await;
    office.called("settlements", 0, 2).await;
    // Told, and the institution is killed before it hears that it was; then the system is killed, too.
    office.mood_of_settlements("mute").await;
    until("the settlement there", async || office.of("settled", |_| true).pop()).await;
    network.process_mut(BROKER).kill();
    office.mood_of_settlements("fail").await;
    let before = office.calls("settlements").await;
    network.process_mut(BROKER).run();
    network.connected().await;
    office.called("settlements", before, 1).await;
    assert_eq!(standing(&network).await.errands, 1);
    office.kill();
    office.run().await;
    office.settled(&network, BROKER).await;

    let settled = async |customer: &Customer, order: &Prepared| {
        until("the settlement", async || customer.finish(order).await.accepted?.settled).await
    };
    let (fill, release) = (settled(&alice, &of_alice).await, settled(&emeka, &of_emeka).await);
    assert_eq!((fill.act.as_str(), release.act.as_str()), ("fill", "release"));
    let told = office.entries();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].event.as_str(), Some(&told[0].key)), ("settled", fill.settlement.as_ref()));
    assert_eq!((told[0].quantity.as_deref(), told[0].price.as_deref()), (Some("80.1982"), Some("12.3456")));

    // Nothing is left to tell.
    network.process_mut(BROKER).kill();
    network.process_mut(BROKER).run();
    network.connected().await;
    assert_eq!((standing(&network).await.errands, office.entries().len()), (0, 1));
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// A chain that touches a position commits though its bank keeps it back: the institution puts it to the network, too. The bank takes over
/// what it has not heard of.
#[tokio::test(flavor = "multi_thread")]
async fn what_touches_a_position_commits_without_its_bank() {
    let Some(python) = python::find() else { return };
    let mut office = BackOffice::new(python);
    let institution = "broker-b";
    let (mut network, _prices) = positions::network(|config| {
        if config.member == institution {
            config.institution.back_office = office.config();
        }
    })
    .await;
    office.start(&network, institution).await;
    let mut alice = network.customer("alice");
    office.mood("mute", "ok").await;
    let order = alice.buy(FUTURE, 10);
    let request = hand_in(&alice, &order).await;
    let key = office.executed(&request).await.key;
    network.process_mut("bank-a").kill();
    office.mood("ok", "ok").await;
    until("the position", async || {
        let view = network.client("auditor").account(&alice.account.to_string()).await.ok()?;
        (view.positions.len() == 1).then_some(())
    })
    .await;
    network.process_mut("bank-a").run();
    network.connected().await;
    let view = alice.finish(&order).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    assert_eq!(view.executed.as_ref().map(|executed| executed.quantity.as_str()), Some("10"), "{view:?}");
    office.settled(&network, institution).await;
    let conclusion = office.conclusion(&key).unwrap();
    assert_eq!((conclusion.outcome.as_deref(), &conclusion.chain), (Some("committed"), &view.chain));
    let sold = alice.sell(FUTURE, 10);
    let sold = alice.finish(&sold).await;
    assert_eq!(sold.state, RequestState::Committed, "{sold:?}");
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// What an order under way would use up, no other order is promised; and a restart forgets none of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_errand_promises_counts_before_it_is_decided() {
    let customer = Some(RewardAmount::flat(Some("1.00"), 0));
    let policy = RewardPolicy { instruments: vec!["AAPL".to_owned()], customer, ..RewardPolicy::default() };
    let rewards = RewardsConfig { policies: vec![policy], ..RewardsConfig::default() };
    let started = start(|config| {
        config.institution.rewards = rewards.clone();
        without_breaker(config);
    });
    let Some((mut network, office)) = started.await else { return };
    let [mut alice, _, mut emeka, mut farah] = NAMES.map(|name| network.customer(name));
    let once = farah.referral(network.client("bank-b"), AAPL, 1, 500_000).await;
    let order = |customer: &mut Customer| {
        let mut terms = customer.terms(Side::Buy, AAPL, 1);
        terms.referral = Some(once.clone());
        customer.sign(terms)
    };
    office.mood("mute", "ok").await;
    let of_alice = order(&mut alice);
    office.executed(&hand_in(&alice, &of_alice).await).await;
    network.process_mut(BROKER).kill();
    network.process_mut(BROKER).run();
    network.connected().await;
    let of_emeka = order(&mut emeka);
    office.executed(&hand_in(&emeka, &of_emeka).await).await;
    office.mood("ok", "ok").await;
    let mut views = Vec::new();
    for (customer, order, referral) in [(&alice, &of_alice, "rewarded"), (&emeka, &of_emeka, "exhausted")] {
        let view = customer.finish(order).await;
        let executed = view.executed.as_ref().unwrap_or_else(|| panic!("{view:?}"));
        assert_eq!(executed.referral.as_deref(), Some(referral), "{view:?}");
        views.push(view);
    }
    office.settled(&network, BROKER).await;
    must_agree(&office, &views);
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}
