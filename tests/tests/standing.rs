//! Promise: a validator whose home is an older copy, however it came back, never contradicts what it signed before: it
//! follows and says so; only a home that was moved for good votes at once, and the one it was moved from never starts again.

use std::fs;
use std::path::Path;

use stemma_node_api::types::{RequestState, Status};
use stemma_tests::command::{copy_folder, node};
use stemma_tests::governance::reached;
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, MEMBERS, Network, read_config};
use stemma_tests::process::Process;
use stemma_tests::wait::until;

/// The validator that is put back.
const BACK: &str = "broker-b";
/// Trades of each customer in each part of a test.
const ORDERS: u64 = 6;

/// Lets customers trade until all have; every trade commits.
async fn trade(network: &Network) {
    let mut customers = network.customers();
    for customer in &mut customers {
        customer.go_on_after(customer.view().await.counter);
    }
    for record in Load::one_by_one(customers, AAPL, ORDERS).records().await {
        assert!(record.acknowledged.iter().all(|(_, view)| view.state == RequestState::Committed));
    }
}

/// How many of the blocks in a range have a certificate with this validator's signature, as another node holds them.
async fn signed(network: &Network, (from, to): (u64, u64)) -> usize {
    reached(network, "auditor", to).await;
    let mut count = 0;
    for height in from..=to {
        let block = network.client("auditor").block(height).await.unwrap();
        count += usize::from(block.signers.iter().any(|signer| signer == BACK));
    }
    count
}

async fn height(network: &Network) -> u64 {
    network.client("bank-a").status().await.unwrap().height
}

/// Waits until a node says this of its vote.
async fn vote_is(process: &mut Process, state: &str) -> Status {
    process.answering().await;
    let client = process.client().clone();
    until(&format!("a vote that is {state}"), async || {
        client.status().await.ok().filter(|status| status.vote.as_ref().is_some_and(|vote| vote.state == state))
    })
    .await
}

/// Nobody has a proof that anyone contradicted itself, nor saw one.
fn nobody_contradicted_itself(network: &Network) {
    for member in MEMBERS {
        let log = network.process(member).log();
        assert!(!log.contains("contradicted itself"), "{member}");
        assert!(!log.contains("refused to sign"), "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_was_copied_back_follows_and_never_votes() {
    let mut network = Network::start().await;
    trade(&network).await;
    network.process_mut(BACK).stop().await;
    let home = network.home(BACK);
    let old = network.scratch().join("old-copy");
    copy_folder(&home, &old);

    // It comes back as it is and votes: an honest restart costs nothing.
    network.process_mut(BACK).run();
    vote_is(network.process_mut(BACK), "voting").await;
    network.connected().await;
    let from = height(&network).await + 1;
    until("blocks with its signature", async || {
        trade(&network).await;
        let to = network.agreed().await.height;
        (signed(&network, (from, to)).await > 0).then_some(())
    })
    .await;

    network.process_mut(BACK).stop().await;
    fs::remove_dir_all(home.join("data")).unwrap();
    copy_folder(&old.join("data"), &home.join("data"));
    network.process_mut(BACK).run();
    let status = vote_is(network.process_mut(BACK), "silenced").await;
    let vote = status.vote.unwrap();
    let reason = vote.reason.as_ref().unwrap();
    assert!(reason.starts_with("others have a ") && reason.contains("that this home did not sign"), "{vote:?}");
    assert!(vote.help.unwrap().contains("rotated by a governance record"));
    assert!(network.process(BACK).log().contains("this node does not vote any more: others have a "));

    // It follows, and stays silent over a restart too.
    network.connected().await;
    let from = network.agreed().await.height + 1;
    trade(&network).await;
    network.process_mut(BACK).stop().await;
    network.process_mut(BACK).run();
    vote_is(network.process_mut(BACK), "silenced").await;
    network.connected().await;
    trade(&network).await;
    let head = network.agreed().await;
    network.same_blocks(head.height).await;
    assert_eq!(signed(&network, (from, head.height)).await, 0);
    nobody_contradicted_itself(&network);
    let said = node(&["doctor", "--home", home.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let found = said.json();
    let found = found["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "vote").unwrap();
    assert_eq!(found["verdict"], "warning", "{found}");
}

/// Restores a backup beside the member's home, and starts it there in the member's place.
fn restored(network: &Network, backup: &Path, name: &str) -> (serde_json::Value, Process) {
    let home = network.home(BACK).parent().unwrap().join(name);
    let said = node(&["restore", "--from", backup.to_str().unwrap(), "--home", home.to_str().unwrap(), "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    fs::copy(network.home(BACK).join("passphrase"), home.join("passphrase")).unwrap();
    let port = read_config(&home).http.listen.port();
    (said.json(), Process::start(BACK, &home, port))
}

fn back_up(network: &Network, name: &str, more: &[&str]) -> (std::path::PathBuf, serde_json::Value) {
    let (home, to) = (network.home(BACK), network.scratch().join(name));
    let common = ["backup", "--home", home.to_str().unwrap(), "--to", to.to_str().unwrap(), "--with-keys", "--json"];
    let said = node(&[&common, more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    (to, said.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_home_follows_and_a_moved_one_votes() {
    let mut network = Network::start().await;
    let load = Load::one_by_one(network.customers(), AAPL, 400);
    until("trades under way", async || (load.committed() >= 8).then_some(())).await;
    let (backup, made) = back_up(&network, "running", &[]);
    assert_eq!((made["running"].clone(), made["manifest"]["final"].clone()), (true.into(), false.into()));
    load.stop();
    load.records().await;
    trade(&network).await;
    network.process_mut(BACK).stop().await;
    let (told, mut process) = restored(&network, &backup, "restored");
    assert_eq!(told["may_vote"], false);
    let status = vote_is(&mut process, "silenced").await;
    assert!(status.vote.unwrap().reason.unwrap().starts_with("this home was restored from a backup"));
    let from = height(&network).await + 1;
    trade(&network).await;
    let to = height(&network).await;
    let client = process.client().clone();
    until("the restored node's catching up", async || client.status().await.ok().filter(|s| s.height >= to)).await;
    assert_eq!(signed(&network, (from, to)).await, 0);
    drop(process);

    // The source was never moved: it goes on, and is then moved for good.
    network.process_mut(BACK).run();
    vote_is(network.process_mut(BACK), "voting").await;
    let home = network.home(BACK);
    let args = ["backup", "--home", home.to_str().unwrap(), "--to", "never", "--final"];
    let refused = node(&args);
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("stop it first"), "{refused:?}");
    network.process_mut(BACK).stop().await;
    let (backup, made) = back_up(&network, "moved", &["--final"]);
    assert_eq!(made["manifest"]["final"], true);
    network.process_mut(BACK).run();
    let code = until("the end of a moved home", async || network.process_mut(BACK).ended()).await;
    assert_eq!(code, 3);
    assert!(network.process(BACK).log().contains("was moved by `backup --final`"), "{}", network.process(BACK).log());
    let (told, mut process) = restored(&network, &backup, "new-place");
    assert_eq!(told["may_vote"], true);
    vote_is(&mut process, "voting").await;
    let from = height(&network).await + 1;
    until("blocks with the moved validator's signature", async || {
        trade(&network).await;
        let to = network.client("auditor").status().await.unwrap().height;
        (signed(&network, (from, to)).await > 0).then_some(())
    })
    .await;
    nobody_contradicted_itself(&network);
    must_not_be_restored_when_damaged(&network, &backup);
}

/// One changed byte anywhere in a backup, and nothing is restored.
fn must_not_be_restored_when_damaged(network: &Network, backup: &Path) {
    let home = network.scratch().join("from-damaged");
    let restore = || node(&["restore", "--from", backup.to_str().unwrap(), "--home", home.to_str().unwrap()]);
    for file in ["stemma.redb", "config.toml", "genesis.stemma", "keys/validator.pem"] {
        let whole = fs::read(backup.join(file)).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(backup.join(file), damaged).unwrap();
        let said = restore();
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("is damaged") && said.err.contains(file), "{said:?}");
        assert!(!home.exists(), "something was restored");
        fs::write(backup.join(file), whole).unwrap();
    }
    fs::rename(backup.join("manifest.json"), backup.join("other.json")).unwrap();
    let said = restore();
    assert!(said.code == 3 && said.err.contains("manifest.json"), "{said:?}");
    fs::rename(backup.join("other.json"), backup.join("manifest.json")).unwrap();
    let plain = fs::read_to_string(backup.join("manifest.json")).unwrap();
    fs::write(backup.join("manifest.json"), plain.replace("keys/member.pem", "../member.pem")).unwrap();
    let said = restore();
    assert!(said.code == 1 && said.err.contains("no file of a backup"), "{said:?}");
}
