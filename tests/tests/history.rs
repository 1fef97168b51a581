//! Promise: a node that does not keep old blocks goes on proving what accounts hold and why, from where its history begins; whenever it is
//! killed, nothing is lost.

use std::collections::BTreeMap;

use stemma_node_api::ClientError;
use stemma_node_api::types::{IssueCash, RequestState};
use stemma_tests::books::must_balance;
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, Network};
use stemma_tests::proof::proved;
use stemma_tests::wait::until;

/// What the bank keeps.
const KEEP_BLOCKS: u64 = 12;
/// Blocks come also when nothing happens.
const IDLE_MS: u64 = 150;

async fn must_trade(customer: &mut Customer, instrument: &str) -> String {
    let order = customer.buy(instrument, 1);
    let found = customer.finish(&order).await;
    assert_eq!(found.state, RequestState::Committed, "{found:?}");
    found.chain.unwrap()
}

/// Waits until a bank has forgotten what was before a height.
async fn forgotten(network: &Network, height: u64) -> u64 {
    until("old blocks that are forgotten", async || {
        let from = network.client("bank-a").status().await.ok()?.history_from;
        (from > height).then_some(from)
    })
    .await
}

/// Its own bank, which keeps few blocks, and the auditor, who keeps all, prove the same of a customer.
async fn both_prove(network: &Network, customer: &Customer) -> u64 {
    network.agreed().await;
    let shown = customer.view().await;
    let (whole, from_opening) = proved(network, network.client("auditor"), &customer.account).await;
    let (since, from) = proved(network, network.client("bank-a"), &customer.account).await;
    assert_eq!(from_opening, None);
    for derived in [&whole, &since] {
        assert_eq!((derived.account.sequence, derived.account.counter), (shown.sequence, shown.counter));
        let held: BTreeMap<_, _> =
            derived.account.holdings.iter().map(|(i, amount)| (i.to_string(), amount.to_string())).collect();
        assert_eq!(held, shown.holdings);
    }
    assert_eq!(since.waiting, whole.waiting);
    from.unwrap().height
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_still_proved() {
    let mut network = Network::start_with(|config| {
        config.consensus.idle_ms = IDLE_MS;
        if config.member.as_str() == "bank-a" {
            config.history.keep_blocks = KEEP_BLOCKS;
        }
    })
    .await;
    let mut alice = network.customer("alice");
    let first = must_trade(&mut alice, AAPL).await;
    must_trade(&mut alice, IBM).await;
    // A credit that waits while what gave it is forgotten.
    let credits = BTreeMap::from([(alice.account.to_string(), "12345".to_owned())]);
    network.client("bank-a").issue(&IssueCash { code: "USD".to_owned(), credits }).await.unwrap();
    let issued = network.client("bank-a").status().await.unwrap().height;
    let from = forgotten(&network, issued).await;
    assert!(both_prove(&network, &alice).await >= from);

    // What is gone is said to be; headers stay, and whoever keeps all has all.
    let (bank, auditor) = (network.client("bank-a"), network.client("auditor"));
    let (kept, whole) = (bank.block(2).await.unwrap(), auditor.block(2).await.unwrap());
    assert_eq!((&kept.block, kept.entries), (&whole.block, None));
    assert!(whole.entries.is_some());
    for gone in [bank.chain(&first).await.err(), bank.entry_bundle(&first).await.err()] {
        let Some(ClientError::Refused { source, .. }) = gone else { panic!("{gone:?}") };
        assert!(source.error.message.contains("where what this node keeps begins"), "{source:?}");
    }
    auditor.chain(&first).await.unwrap();

    // The credit is absorbed; the lineage goes on.
    must_trade(&mut alice, AAPL).await;
    let before = both_prove(&network, &alice).await;

    // Killed again and again while it forgets, it takes up where it was.
    for kill in 0..4 {
        forgotten(&network, before + kill * KEEP_BLOCKS).await;
        network.process_mut("bank-a").kill();
        network.process_mut("bank-a").run();
        network.process_mut("bank-a").answering().await;
    }
    network.connected().await;
    must_trade(&mut alice, IBM).await;
    assert!(both_prove(&network, &alice).await > before);
    let bruno = network.customer("bruno");
    both_prove(&network, &bruno).await;
    must_balance(network.client("auditor")).await;
}
