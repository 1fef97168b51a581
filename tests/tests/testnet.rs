//! Promise: `stemma testnet N --out DIR` makes a network that is ready to start, and trades.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use stemma_tests::binaries::binaries;
use stemma_tests::ports;
use stemma_tests::process::Process;
use stemma_tests::slot::Slot;
use stemma_tests::wait::until;

const MEMBERS: [&str; 5] = ["bank-1", "broker-1", "bank-2", "broker-2", "auditor-1"];

/// Runs the tool, which answers in JSON.
async fn stemma(folder: &Path, line: &str) -> Value {
    let mut command = Command::new(&binaries().tool);
    command.args(line.split(' ')).arg("--json").current_dir(folder).stdin(Stdio::null());
    command.env("STEMMA_GENESIS", "net/genesis.stemma");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The first of ten free ports in a row.
fn first_port() -> u16 {
    for _ in 0..16 {
        let found = ports::free(&MEMBERS);
        let mut all: Vec<u16> = found.values().flat_map(|ports| [ports.http, ports.network]).collect();
        all.sort_unstable();
        if all.last().unwrap() - all[0] == 9 {
            return all[0];
        }
    }
    panic!("no ten free ports in a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testnet_starts_agrees_and_trades() {
    let _slot = Slot::take().await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let line = format!("testnet 4 --auditors 1 --out net --first-port {} --set expiry_blocks_max=5000", first_port());
    let made = stemma(folder, &line).await;
    let nodes = made["nodes"].as_array().unwrap();
    let urls: BTreeMap<&str, &str> =
        nodes.iter().map(|node| (node["member"].as_str().unwrap(), node["http"].as_str().unwrap())).collect();
    assert_eq!(nodes.iter().map(|node| node["member"].as_str().unwrap()).collect::<Vec<_>>(), MEMBERS);
    let mut processes = BTreeMap::new();
    for member in MEMBERS {
        let port = urls[member].rsplit(':').next().unwrap().parse().unwrap();
        processes.insert(member, Process::start(member, &folder.join("net/nodes").join(member), port));
    }
    for process in processes.values_mut() {
        let status = process.answering().await;
        assert_eq!(status.network, made["network"].as_str().unwrap());
        let client = process.client().clone();
        until("all connections", async || (client.status().await.ok()?.peers.len() == MEMBERS.len() - 1).then_some(()))
            .await;
    }

    let at = |member: &str| format!("--node {} --operator-token-file net/nodes/{member}/operator.token", urls[member]);
    let (bank, broker) = (at("bank-1"), at("broker-1"));
    let pass = "--passphrase-file net/nodes/bank-1/passphrase";
    let key = stemma(folder, &format!("key new --purpose account --out me.pem {pass}")).await;
    stemma(folder, &format!("instrument add USD --kind currency --decimals 2 --name Dollar {bank}")).await;
    let opened = stemma(folder, &format!("account open --key {} {bank}", key["public_key"].as_str().unwrap())).await;
    let account = opened["account"].as_str().unwrap();
    stemma(folder, &format!("account fund --account {account} --currency USD --amount 5000.00 {bank}")).await;
    stemma(folder, &format!("instrument add ACME --kind stock --name Acme --quoted-in USD {broker}")).await;
    stemma(folder, &format!("node set-price ACME=12.50 {broker}")).await;
    let client = processes["bank-1"].client().clone();
    until("the listing at the bank", async || {
        let listed = client.instruments().await.ok()?;
        listed.iter().any(|view| view.instrument == "broker-1/ACME").then_some(())
    })
    .await;
    let order = format!("trade buy --key me.pem {pass} --account {account} --instrument broker-1/ACME --quantity 10");
    let traded = stemma(folder, &format!("{order} --node {}", urls["bank-1"])).await;
    assert_eq!(traded["state"], "committed", "{traded}");

    // With one validator away, the other three of four go on.
    processes.get_mut("broker-2").unwrap().kill();
    let traded = stemma(folder, &format!("{order} --node {}", urls["bank-1"])).await;
    assert_eq!(traded["state"], "committed", "{traded}");
    let auditor = processes["auditor-1"].client();
    until("the auditor's following", async || (auditor.status().await.ok()?.trades == 2).then_some(())).await;
    stemma(folder, &format!("audit export --account {account} --out me.bundle --node {}", urls["auditor-1"])).await;
    let verified = stemma(folder, "audit verify me.bundle").await;
    assert_eq!(verified["verdict"], "verified");
}
