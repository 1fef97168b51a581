//! Promise: whoever follows the ledger reaches the same state, however late; and nobody follows it who is no member.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use stemma_chain_format::genesis::{Genesis, GenesisFile, sign_genesis};
use stemma_chain_format::keys::PublicKey;
use stemma_keystore::{
    Passphrase, Purpose, ScryptCost, SecretKey, generate, passphrase, read_key_file, write_key_file,
};
use stemma_tests::books::must_balance;
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, IBM, MEMBERS, Network, change_config, read_config};
use stemma_tests::ports;
use stemma_tests::process::Process;
use stemma_tests::wait::until;

/// Trades of each customer while the auditor is away.
const ORDERS: u64 = 12;

async fn trade(network: &Network, instrument: &'static str) {
    // Customers of before have used counters, so each file of orders begins above what the ledger has.
    let mut customers = network.customers();
    for customer in &mut customers {
        customer.go_on_after(customer.view().await.counter);
    }
    Load::one_by_one(customers, instrument, ORDERS).records().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_catches_up_and_syncs_from_genesis() {
    let mut network = Network::start().await;
    let left_at = network.client("auditor").status().await.unwrap().height;
    network.process_mut("auditor").kill();
    trade(&network, AAPL).await;
    let height = network.client("bank-a").status().await.unwrap().height;
    assert!(height >= left_at + ORDERS, "one account's trades need a block each: {left_at} to {height}");
    network.process_mut("auditor").run();
    let head = network.agreed().await;
    assert!(head.height >= height);
    network.same_blocks(head.height).await;

    network.process_mut("auditor").kill();
    fs::remove_dir_all(network.home("auditor").join("data")).unwrap();
    trade(&network, IBM).await;
    network.process_mut("auditor").run();
    let head = network.agreed().await;
    network.same_blocks(head.height).await;
    must_balance(network.client("auditor")).await;
    for name in ["alice", "farah"] {
        let account = network.customer(name).account.to_string();
        let at_bank = network.customer(name).view().await;
        assert_eq!(network.client("auditor").account(&account).await.unwrap().total, at_bank.total);
        // The proof of a node that has derived everything itself.
        network.client("auditor").account_bundle(&account).await.unwrap();
    }

    strangers_get_nowhere(&mut network).await;
}

/// Three who are not of this network try to follow it: one whose key no member has, one who is a member but has
/// another genesis, and one who has the genesis but not the key.
async fn strangers_get_nowhere(network: &mut Network) {
    let key = generate(Purpose::Network).unwrap();
    let home = stranger(network, "no-member");
    write_network_key(&home, &key);
    let genesis = other_genesis(network, |genesis| {
        genesis.members[0].network_key = PublicKey(key.public_key());
    });
    let mut no_member = start(&home, Some(&genesis));
    let refused = "refused a connection from a peer that is not configured";
    until("the refusal of a key that is no member's", async || {
        let logs = MEMBERS.map(|member| network.process(member).log());
        logs.iter().any(|log| log.contains(refused)).then_some(())
    })
    .await;

    // The member itself is away, so that nobody else answers by its key.
    network.process_mut("auditor").kill();
    let home = stranger(network, "other-genesis");
    let genesis = other_genesis(network, |genesis| "another network".clone_into(&mut genesis.name));
    let mut other_genesis = start(&home, Some(&genesis));
    until("a word about the other network", async || other_genesis.log().contains("not on our network").then_some(()))
        .await;

    trade(network, AAPL).await;
    for stranger in [&mut no_member, &mut other_genesis] {
        let status = stranger.answering().await;
        assert!(status.peers.is_empty(), "{:?}", status.peers);
        assert_eq!((status.height, status.entries), (0, 0));
    }
    for member in ["bank-a", "bank-b", "broker-a", "broker-b"] {
        // The auditor's own connection may be thought alive for a while after the auditor was killed.
        until("the end of the auditor's connections", async || {
            let peers = network.client(member).status().await.ok()?.peers;
            (!peers.contains(&"auditor".to_owned())).then_some(())
        })
        .await;
    }
    for stranger in [&mut no_member, &mut other_genesis] {
        assert!(stranger.answering().await.peers.is_empty());
    }

    let home = stranger(network, "no-key");
    write_network_key(&home, &key);
    let mut no_key = start(&home, None);
    let code = until("the end of a node without the member's key", async || no_key.ended()).await;
    assert_eq!(code, 3);
    assert!(no_key.log().contains("network key"), "{}", no_key.log());
}

/// A folder beside the members', with the auditor's files and ports of its own.
fn stranger(network: &Network, name: &str) -> PathBuf {
    let home = network.home("auditor").parent().unwrap().join(name);
    copy(&network.home("auditor"), &home);
    let ports = ports::free(&["stranger"])["stranger"];
    change_config(&home, |config| {
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.http));
        config.network.listen = vec![format!("/ip4/127.0.0.1/tcp/{}", ports.network)];
        config.data = PathBuf::from("own-data");
    });
    home
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["config.toml", "passphrase", "operator.token", "keys/member.pem", "keys/network.pem"] {
        fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

fn passphrase_of(home: &Path) -> Passphrase {
    passphrase::from_file(&home.join("passphrase")).unwrap().passphrase
}

fn write_network_key(home: &Path, key: &SecretKey) {
    write_key_file(&home.join("keys/network.pem"), key, &passphrase_of(home), ScryptCost::Trial, true).unwrap();
}

/// The network's genesis with a change, signed by all of its members.
fn other_genesis(network: &Network, change: impl FnOnce(&mut Genesis)) -> GenesisFile {
    let mut genesis = network.genesis().genesis().clone();
    change(&mut genesis);
    let payload = genesis.payload();
    let signatures: Vec<_> = MEMBERS
        .map(|member| {
            let home = network.home(member);
            let key = read_key_file(&home.join("keys/member.pem"), &passphrase_of(&home), Purpose::Member).unwrap();
            sign_genesis(&payload, key.signing_key())
        })
        .into();
    GenesisFile::assemble(&genesis, &signatures).unwrap()
}

fn start(home: &Path, genesis: Option<&GenesisFile>) -> Process {
    if let Some(genesis) = genesis {
        fs::write(home.join("genesis.stemma"), genesis.bytes()).unwrap();
        change_config(home, |config| config.genesis = PathBuf::from("genesis.stemma"));
    }
    Process::start("stranger", home, read_config(home).http.listen.port())
}
