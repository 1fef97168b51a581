//! Promise: a node killed at any point starts again with nothing lost and nothing done twice.

use stemma_node_api::types::RequestState;
use stemma_tests::books::must_balance;
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, MEMBERS, Network};
use stemma_tests::wait::until;

/// One validator of four is killed while customers trade, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn trading_goes_on_without_one_validator_and_it_catches_up() {
    let mut network = Network::start().await;
    let load = Load::one_by_one(network.customers(), AAPL, 80);
    until("trades before the kill", async || (load.committed() >= 8).then_some(())).await;
    network.process_mut("broker-b").kill();
    let before = load.committed();
    until("trades without one validator", async || (load.committed() >= before + 12).then_some(())).await;
    let height = network.client("bank-a").status().await.unwrap().height;
    network.process_mut("broker-b").run();
    let client = network.client("broker-b").clone();
    until("the validator's catching up", async || client.status().await.ok().filter(|status| status.height > height))
        .await;
    load.stop();
    for record in load.records().await {
        assert!(record.acknowledged.iter().all(|(_, view)| view.state == RequestState::Committed));
        record.must_hold().await;
    }
    network.connected().await;
    let head = network.agreed().await;
    network.same_blocks(head.height).await;
    must_balance(network.client("broker-b")).await;
}

/// A power cut takes all nodes at once, in the middle of everything.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_of_all_nodes() {
    let mut network = Network::start().await;
    let load = Load::all_at_once(network.customers(), AAPL, 60);
    let client = network.client("bank-a").clone();
    let before = client.status().await.unwrap().trades;
    until("orders under way and trades committed", async || {
        let trades = client.status().await.ok()?.trades;
        (load.acknowledged() >= 40 && trades >= before + 4).then_some(())
    })
    .await;
    let status = client.status().await.unwrap();
    for member in MEMBERS {
        network.process_mut(member).kill();
    }
    load.stop();
    let records = load.records().await;
    let acknowledged: usize = records.iter().map(|record| record.acknowledged.len()).sum();
    for member in MEMBERS {
        network.process_mut(member).run();
    }
    network.connected().await;
    let mut committed = 0;
    for record in &records {
        committed += record.must_hold().await;
    }
    assert!(committed > 0 && acknowledged >= 40, "{committed} of {acknowledged}");
    let head = network.agreed().await;
    network.same_blocks(head.height).await;
    assert!(head.height >= status.height, "a committed block is gone: {} then {}", status.height, head.height);
    let block = network.client("auditor").block(status.height).await.unwrap();
    assert_eq!((block.block, block.account_root), (status.head, status.account_root), "a committed block changed");
    assert_eq!(usize::try_from(head.trades - before).unwrap(), committed);
    must_balance(network.client("auditor")).await;
}
