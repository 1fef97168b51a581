//! Promise: a trade in flight ends exactly once, whoever is killed in the middle of it and however often.

use std::time::Duration;

use stemma_node_api::types::{RequestState, RequestView};
use stemma_tests::books::{must_balance, must_follow};
use stemma_tests::customer::Customer;
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, Network};
use stemma_tests::wait::until;
use stemma_tools::requests::Prepared;

/// Orders that each of four customers gives while nodes are killed.
const ORDERS: u64 = 10;
/// Kills in the meantime, at most.
const KILLS_MAX: u32 = 12;
/// How many blocks an endorsement holds where it is outlived: enough for a trade on a slow machine.
const EXPIRY_BLOCKS: u64 = 40;
/// From one kill to the next, in milliseconds: shorter and longer than a trade takes.
const BETWEEN_KILLS_MS: std::ops::Range<u64> = 20..600;

/// Sends an order to a bank whose institution is frozen, and again and again until it is on its way there.
async fn send_until_endorsed(customer: &Customer, order: &Prepared) {
    until("the second chain on its way", async || {
        let view = customer.client.submit(&order.body, 0).await.unwrap();
        assert!(!view.state.is_final(), "nobody can have answered: {view:?}");
        (view.state == RequestState::Sent).then_some(())
    })
    .await;
}

/// Follows an order to its end, and requires that it ended once, and that it is the same for whoever asks again.
async fn must_end_once(customer: &Customer, order: &Prepared, before: &[RequestView]) -> RequestView {
    let view = customer.finish(order).await;
    assert!(matches!(view.state, RequestState::Committed | RequestState::Expired), "{view:?}");
    for _ in 0..3 {
        assert_eq!(customer.client.submit(&order.body, 0).await.unwrap(), view);
    }
    let mut committed = before.to_vec();
    committed.extend((view.state == RequestState::Committed).then(|| view.clone()));
    must_follow(customer, &committed).await;
    view
}

/// The bank and then the institution are killed between the second chain and the third.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_second_chain_and_the_third() {
    let mut network = Network::start().await;
    let mut alice = network.customer("alice");

    let order = alice.buy(AAPL, 3);
    network.process("broker-a").freeze().await;
    send_until_endorsed(&alice, &order).await;
    network.process_mut("bank-a").kill();
    network.process("broker-a").thaw();
    network.process_mut("bank-a").run();
    network.process_mut("bank-a").answering().await;
    let first = must_end_once(&alice, &order, &[]).await;

    network.connected().await;
    let order = alice.buy(AAPL, 5);
    network.process("broker-a").freeze().await;
    send_until_endorsed(&alice, &order).await;
    network.process_mut("broker-a").kill();
    assert!(!alice.client.submit(&order.body, 0).await.unwrap().state.is_final());
    network.process_mut("broker-a").run();
    let second = must_end_once(&alice, &order, &[first]).await;
    assert_eq!(second.state, RequestState::Committed, "{second:?}");

    network.agreed().await;
    must_balance(network.client("auditor")).await;
}

/// A trade is committed while its bank is away, and many blocks follow; back again, the bank knows when.
#[tokio::test(flavor = "multi_thread")]
async fn a_trade_committed_without_its_bank_keeps_its_height() {
    let mut network = Network::start().await;
    let mut alice = network.customer("alice");
    let order = alice.buy(AAPL, 2);
    // Without two of four validators nothing is committed, yet the institution answers and the entry is gossiped.
    for member in ["bank-b", "broker-b"] {
        network.process(member).freeze().await;
    }
    until("the third chain at the bank", async || {
        let view = alice.client.submit(&order.body, 0).await.unwrap();
        (view.state == RequestState::Executed).then_some(())
    })
    .await;
    until("the third chain in another pool", async || {
        network.client("broker-a").status().await.ok().filter(|status| status.pool > 0)
    })
    .await;
    network.process_mut("bank-a").kill();
    for member in ["bank-b", "broker-b"] {
        network.process(member).thaw();
    }
    let emeka = vec![network.customer("emeka")];
    Load::one_by_one(emeka, AAPL, ORDERS).records().await;
    network.process_mut("bank-a").run();
    network.process_mut("bank-a").answering().await;
    let view = must_end_once(&alice, &order, &[]).await;
    let head = network.agreed().await;
    assert!(head.height > view.height.unwrap() + 5, "{view:?} at {}", head.height);
}

/// An institution that is silent for longer than the endorsement holds, and one that answered but whose answer came to a
/// bank that was killed: the trade expires, nothing moves, and the account trades on.
#[tokio::test(flavor = "multi_thread")]
async fn a_trade_without_an_answer_expires_and_moves_nothing() {
    let mut network = Network::start_with(|config| {
        config.consensus.idle_ms = 100;
        // A silent proposer is passed over sooner, so that blocks come faster.
        config.consensus.propose_ms = 300;
        config.bank.expiry_blocks = EXPIRY_BLOCKS;
    })
    .await;
    let mut alice = network.customer("alice");
    let silent = alice.buy(AAPL, 7);
    network.process("broker-a").freeze().await;
    send_until_endorsed(&alice, &silent).await;
    let view = must_end_once(&alice, &silent, &[]).await;
    assert_eq!(view.state, RequestState::Expired, "{view:?}");
    network.process("broker-a").thaw();

    // The bank is away until the endorsement is outlived, whatever the institution has made of it.
    let lost = alice.buy(AAPL, 9);
    until("the institution back at the network's height", async || {
        let (here, there) = (network.client("broker-a").status().await.ok()?, alice.client.status().await.ok()?);
        (here.height + 1 >= there.height).then_some(())
    })
    .await;
    let sent_at = alice.client.status().await.unwrap().height;
    alice.client.submit(&lost.body, 0).await.unwrap();
    network.process_mut("bank-a").kill();
    let others = network.client("bank-b").clone();
    until("more blocks than an endorsement holds", async || {
        others.status().await.ok().filter(|status| status.height > sent_at + EXPIRY_BLOCKS + 4)
    })
    .await;
    network.process_mut("bank-a").run();
    let view = alice.finish(&lost).await;
    let before: Vec<RequestView> = (view.state == RequestState::Committed).then_some(view).into_iter().collect();
    must_follow(&alice, &before).await;

    network.connected().await;
    network.agreed().await;
    let next = alice.buy(AAPL, 1);
    let view = alice.finish(&next).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    must_follow(&alice, &[before, vec![view]].concat()).await;
    network.agreed().await;
    // It would be applied late by now, were it still about.
    assert_eq!(alice.client.request(&silent.link.to_string(), 0).await.unwrap().state, RequestState::Expired);
    must_balance(network.client("auditor")).await;
}

/// Bank and institution are killed again and again while customers trade through both.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments() {
    let mut network = Network::start().await;
    let load = Load::one_by_one(network.customers(), AAPL, ORDERS);
    let mut random = SplitMix(0x5354_454d_4d41);
    let mut kills = 0;
    while !load.is_finished() && kills < KILLS_MAX {
        let span = BETWEEN_KILLS_MS.end - BETWEEN_KILLS_MS.start;
        tokio::time::sleep(Duration::from_millis(BETWEEN_KILLS_MS.start + random.next() % span)).await;
        let victim = if random.next().is_multiple_of(2) { "bank-a" } else { "broker-a" };
        network.process_mut(victim).kill();
        network.process_mut(victim).run();
        kills += 1;
        if !kills.is_multiple_of(3) {
            // Every third time it is killed again, perhaps before it is up.
            network.process_mut(victim).answering().await;
        }
    }
    let records = load.records().await;
    network.connected().await;
    let mut ended = 0;
    for record in &records {
        let committed = record.must_hold().await;
        // Nothing but an expiry, which takes 200 blocks, could have kept one from being committed.
        assert_eq!(committed, record.acknowledged.len(), "{:?}", record.acknowledged);
        ended += committed;
    }
    assert_eq!(ended, usize::try_from(ORDERS).unwrap() * records.len());
    let head = network.agreed().await;
    network.same_blocks(head.height).await;
    must_balance(network.client("auditor")).await;
}

/// Random numbers from a seed: SplitMix64, public domain, by Sebastiano Vigna.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
