//! Promise: what waits at a bank is sent by age and activity, the bound is told clearly, and whatever was accepted survives
//! a kill in every state and ends exactly once.

#![allow(clippy::print_stderr, reason = "a test says what it measured")]

use stemma_node_api::ClientError;
use stemma_node_api::types::{RequestState, RequestView};
use stemma_tests::books::{must_balance, must_follow};
use stemma_tests::customer::Customer;
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, Network};
use stemma_tests::wait::until;
use stemma_tools::requests::Prepared;

/// Hands an order in and waits until it stands at a state.
async fn hand_in(customer: &Customer, order: &Prepared, state: RequestState) {
    until(&format!("{state:?}"), async || {
        let view = customer.client.submit(&order.body, 0).await.ok()?;
        assert!(!view.state.is_final(), "nobody can have answered: {view:?}");
        (view.state == state).then_some(())
    })
    .await;
}

fn when(view: &RequestView, state: RequestState) -> u64 {
    let step = view.steps.iter().find(|step| step.state == state);
    step.unwrap_or_else(|| panic!("never {state:?}: {view:?}")).at_ms
}

#[tokio::test(flavor = "multi_thread")]
async fn age_and_activity_order_what_waits() {
    let mut network = Network::start_with(|config| {
        config.bank.window = 1;
        config.bank.waiting_max = 4;
    })
    .await;
    let mut alice = network.customer("alice");
    for _ in 0..6 {
        let order = alice.buy(AAPL, 1);
        assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
    }
    let mut bruno = network.customer("bruno");
    let mut carl = network.open_customer("bank-a").await;
    let mut dora = network.open_customer("bank-a").await;
    network.process("broker-a").freeze().await;

    let [first, late, active] = [bruno.buy(AAPL, 1), carl.buy(AAPL, 1), alice.buy(AAPL, 1)];
    hand_in(&bruno, &first, RequestState::Sent).await;
    hand_in(&carl, &late, RequestState::Endorsed).await;
    hand_in(&alice, &active, RequestState::Endorsed).await;
    let before = network.client("bank-a").queue().await.unwrap();
    // The order and the activity follow from the ledger and the stored orders: a restart changes neither.
    restart(&mut network).await;
    let queue = network.client("bank-a").queue().await.unwrap();
    assert_eq!(queue.institutions[0].next.len(), before.institutions[0].next.len());
    for (one, other) in queue.institutions[0].next.iter().zip(&before.institutions[0].next) {
        assert_eq!((&one.request, &one.activity[..3]), (&other.request, &other.activity[..3]));
    }
    let of_broker = &queue.institutions[0];
    assert_eq!((queue.open, of_broker.sent, of_broker.waiting), (3, 1, 2), "{queue:?}");
    let next: Vec<&str> = of_broker.next.iter().map(|queued| queued.request.as_str()).collect();
    assert_eq!(next, [active.link.to_string(), late.link.to_string()], "{queue:?}");
    assert!(of_broker.next[0].activity.starts_with("5."), "six trades of just now: {queue:?}");

    // The bound: one more is taken, then the bank is full and says when to come again.
    let [fits, beyond] = [dora.buy(AAPL, 1), dora.buy(AAPL, 1)];
    hand_in(&dora, &fits, RequestState::Endorsed).await;
    let full = dora.client.submit(&beyond.body, 0).await.unwrap_err();
    let ClientError::Refused { status: 503, source, .. } = &full else { panic!("{full:?}") };
    assert!(source.error.retry_after_ms.is_some_and(|ms| (1_000..=60_000).contains(&ms)), "{source:?}");
    assert!(source.error.refusal.is_some(), "a signed refusal goes with it: {source:?}");

    network.process("broker-a").thaw();
    let mut views = Vec::new();
    for (customer, order) in [(&bruno, &first), (&alice, &active), (&carl, &late), (&dora, &fits)] {
        let view = customer.finish(order).await;
        assert_eq!(view.state, RequestState::Committed, "{view:?}");
        views.push(view);
    }
    let sent: Vec<u64> = views.iter().map(|view| when(view, RequestState::Sent)).collect();
    assert!(sent.is_sorted(), "{sent:?}");
    // The very same order that was turned away is taken now.
    assert_eq!(dora.finish(&beyond).await.state, RequestState::Committed);
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// The bank is killed while one order stands in each state that is not final, and then in each that is.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_every_state_loses_and_repeats_nothing() {
    let mut network = Network::start_with(|config| config.bank.window = 1).await;
    let [mut alice, mut bruno] = ["alice", "bruno"].map(|name| network.customer(name));
    let [one, two, three] = [alice.buy(AAPL, 1), alice.buy(AAPL, 2), bruno.buy(AAPL, 3)];
    network.process("broker-a").freeze().await;
    hand_in(&alice, &one, RequestState::Sent).await;
    hand_in(&alice, &two, RequestState::Received).await;
    hand_in(&bruno, &three, RequestState::Endorsed).await;
    restart(&mut network).await;
    for (customer, order, state) in [
        (&alice, &one, RequestState::Sent),
        (&alice, &two, RequestState::Received),
        (&bruno, &three, RequestState::Endorsed),
    ] {
        let view = customer.client.request(&order.link.to_string(), 0).await.unwrap();
        assert_eq!(view.state, state, "{view:?}");
    }
    // Without two of four validators what is executed is not committed.
    for member in ["bank-b", "broker-b"] {
        network.process(member).freeze().await;
    }
    network.process("broker-a").thaw();
    until("the third chain at the bank", async || {
        let view = alice.client.request(&one.link.to_string(), 0).await.ok()?;
        (view.state == RequestState::Executed).then_some(())
    })
    .await;
    network.process_mut("bank-a").kill();
    network.process_mut("bank-a").run();
    network.process_mut("bank-a").answering().await;
    let view = alice.client.request(&one.link.to_string(), 0).await.unwrap();
    assert_eq!(view.state, RequestState::Executed, "{view:?}");
    for member in ["bank-b", "broker-b"] {
        network.process(member).thaw();
    }
    let mut of_alice = Vec::new();
    for order in [&one, &two] {
        of_alice.push(alice.finish(order).await);
    }
    let of_bruno = bruno.finish(&three).await;
    let too_much = alice.buy(AAPL, 1_000_000);
    let refused = alice.finish(&too_much).await;
    assert_eq!(refused.state, RequestState::Refused);
    restart(&mut network).await;
    for (customer, order, before) in [
        (&alice, &one, &of_alice[0]),
        (&alice, &two, &of_alice[1]),
        (&bruno, &three, &of_bruno),
        (&alice, &too_much, &refused),
    ] {
        assert_eq!(customer.client.submit(&order.body, 0).await.unwrap(), *before);
        assert!(before.steps.is_sorted_by_key(|step| step.at_ms), "{before:?}");
    }
    must_follow(&alice, &of_alice).await;
    must_follow(&bruno, &[of_bruno]).await;
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

async fn restart(network: &mut Network) {
    network.process_mut("bank-a").kill();
    network.process_mut("bank-a").run();
    network.process_mut("bank-a").answering().await;
}

/// Whoever follows an order hears every state, in order, and the stream ends with the final one.
#[tokio::test(flavor = "multi_thread")]
async fn events_tell_every_state() {
    let network = Network::start().await;
    let mut alice = network.customer("alice");
    let account = alice.account.to_string();
    let mut followed = alice.client.follow_account(&account).await.unwrap();
    let order = alice.buy(AAPL, 1);
    let committed = alice.finish(&order).await;
    let mut seen = Vec::new();
    while let Some(view) = followed.next().await.unwrap() {
        assert_eq!(view.request, order.link.to_string());
        seen.push(view.state);
        if view.state.is_final() {
            break;
        }
    }
    assert!(seen.is_sorted() && seen.last() == Some(&RequestState::Committed), "{seen:?}");
    assert!(seen.contains(&RequestState::Executed), "{seen:?}");
    let mut again = alice.client.follow_request(&order.link.to_string()).await.unwrap();
    assert_eq!(again.next().await.unwrap(), Some(committed));
    assert_eq!(again.next().await.unwrap(), None);
    let absent = alice.client.follow_request(&"0".repeat(64)).await.unwrap_err();
    assert_eq!(absent.status().unwrap(), 404);
}

/// A client's own name for an order: the same order again is the same, another under that name is refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_names_one_order() {
    let network = Network::start().await;
    let mut alice = network.customer("alice");
    let http = reqwest::Client::new();
    let [one, two] = [alice.buy(AAPL, 1), alice.buy(AAPL, 2)];
    let url = format!("{}/v1/requests?wait_ms=30000", alice.client.url());
    let send = async |order: &Prepared, key: &str| {
        let call = http.post(&url).header("Idempotency-Key", key).json(&order.body);
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let (status, first) = send(&one, "mine-1").await;
    assert_eq!((status, first["state"].as_str()), (200, Some("committed")), "{first}");
    assert_eq!(send(&one, "mine-1").await, (200, first));
    let (status, error) = send(&two, "mine-1").await;
    assert_eq!((status, error["error"]["code"].as_str()), (409, Some("conflict")), "{error}");
    assert!(error["error"]["message"].as_str().unwrap().contains(&one.link.to_string()), "{error}");
    let (status, error) = send(&two, "not visible: \t").await;
    assert_eq!((status, error["error"]["code"].as_str()), (400, Some("malformed")), "{error}");
    assert_eq!(send(&two, "mine-2").await.0, 200);
    // Two at once under one name: one of them has it.
    let [three, four] = [alice.buy(AAPL, 3), alice.buy(AAPL, 4)];
    let (third, fourth) = tokio::join!(send(&three, "mine-3"), send(&four, "mine-3"));
    let mut statuses = [third.0, fourth.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{third:?} {fourth:?}");
}

/// Orders that wait, and the accounts that they are of.
const WAITING: usize = 10_000;
const ACCOUNTS: usize = 40;
/// What a waiting order may cost the bank, in KiB: its row in memory, and its share of the store's cache.
const KIB_EACH_MAX: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_wait_in_bounded_memory() {
    let network = Network::start().await;
    let mut customers = Vec::new();
    for _ in 0..ACCOUNTS {
        customers.push(network.open_customer("bank-a").await);
    }
    let bank = network.process("bank-a").pid();
    network.process("broker-a").freeze().await;
    let before = resident_kib(bank);
    let each = u64::try_from(WAITING / ACCOUNTS).unwrap();
    let records = Load::all_at_once(customers.clone(), AAPL, each).records().await;
    let accepted: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    assert_eq!(accepted, WAITING);
    let grown = resident_kib(bank).saturating_sub(before);
    eprintln!("{WAITING} waiting orders: the bank has grown by {grown} KiB");
    assert!(grown <= KIB_EACH_MAX * WAITING as u64, "{grown} KiB");
    let mut late = network.customer("alice");
    let beyond = late.buy(AAPL, 1);
    let full = late.client.submit(&beyond.body, 0).await.unwrap_err();
    assert_eq!(full.status().unwrap(), 503, "{full:?}");

    network.process("broker-a").thaw();
    for record in &records {
        assert_eq!(record.must_hold().await, record.acknowledged.len());
    }
    assert_eq!(late.finish(&beyond).await.state, RequestState::Committed);
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// The memory that a process has in use, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
