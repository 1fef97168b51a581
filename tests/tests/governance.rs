//! Promise: the members of a network change who they are, with which keys and power, under which version, while it runs; nobody else
//! does, and nothing that held before is lost.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::Value;
use stemma_keystore::{Purpose, ScryptCost, generate, passphrase, write_key_file};
use stemma_node_api::types::RequestState;
use stemma_tests::books::must_balance;
use stemma_tests::customer::Customer;
use stemma_tests::governance::{IDLE_MS, propose, reached, resolve, resolve_ahead, sign, submit};
use stemma_tests::network::{AAPL, IBM, Network, change_config};
use stemma_tests::ports;
use stemma_tests::process::Process;
use stemma_tests::proof;
use stemma_tests::wait::until;

/// Three of the four members with a vote.
const MOST: [&str; 3] = ["bank-a", "bank-b", "broker-a"];

async fn start() -> Network {
    Network::start_with(|config| config.consensus.idle_ms = IDLE_MS).await
}

/// A new key of a member in its folder, with the public key as text.
fn new_key(network: &Network, member: &str, purpose: Purpose) -> (PathBuf, String) {
    let home = network.home(member);
    let key = generate(purpose).unwrap();
    let file = home.join(format!("keys/{purpose}-2.pem"));
    let passphrase = passphrase::from_file(&home.join("passphrase")).unwrap().passphrase;
    write_key_file(&file, &key, &passphrase, ScryptCost::Trial, false).unwrap();
    (file, hex::encode(key.public_key()))
}

/// One order, traded and committed; and the account's whole lineage proved from the genesis file alone.
async fn must_trade(network: &Network, customer: &mut Customer, instrument: &str) {
    customer.go_on_after(customer.view().await.counter);
    let order = customer.buy(instrument, 1);
    let found = customer.finish(&order).await;
    assert_eq!(found.state, RequestState::Committed, "{found:?}");
    let found = until("the auditor's proof", async || {
        let bytes = network.client("auditor").account_bundle(&customer.account.to_string()).await.ok()?;
        let (derived, _) = proof::lineage(network, &bytes);
        (derived.account.counter >= customer.view().await.counter).then_some(derived)
    })
    .await;
    assert!(found.chains > 0);
}

/// The registry's entry of a member, as a node shows it, which may be beginning anew just now.
async fn registered(network: &Network, at: &str, member: &str) -> Value {
    let client = network.client(at);
    let view = until("the registry", async || client.registry().await.ok()).await;
    let found = view.members.into_iter().find(|known| known.member.id == member).unwrap();
    serde_json::to_value(found).unwrap()
}

/// All keys of a bank are other ones, at one height and without a stop: its customers trade on, the password that one of them enrolled is
/// still known, and what the old keys signed still proves.
#[tokio::test(flavor = "multi_thread")]
async fn a_bank_rotates_all_its_keys_and_loses_nothing() {
    let mut network = start().await;
    let mut alice = network.customer("alice");
    must_trade(&network, &mut alice, AAPL).await;
    let keys =
        [Purpose::Member, Purpose::Network, Purpose::Validator].map(|purpose| new_key(&network, "bank-a", purpose));
    let home = network.home("bank-a");
    network.process_mut("bank-a").stop().await;
    change_config(&home, |config| {
        config.keys.next_member = Some("keys/member-2.pem".into());
        config.keys.next_network = Some("keys/network-2.pem".into());
        config.keys.next_validator = Some("keys/validator-2.pem".into());
    });
    network.process_mut("bank-a").run();
    network.connected().await;
    let changes: Vec<String> = ["member", "network", "validator"]
        .iter()
        .zip(&keys)
        .map(|(used, (_, key))| format!("--rotate=bank-a:{used}={key}"))
        .collect();
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    let files: Vec<&Path> = keys.iter().map(|(file, _)| file.as_path()).collect();
    // A member's own rotation needs no other member's signature; the new keys sign, too.
    let own = home.join("passphrase");
    let rotated = resolve(&network, &changes, (&["bank-a"], &[(&files, &own)])).await;
    for member in ["bank-a", "broker-b", "auditor"] {
        reached(&network, member, rotated.effective).await;
        let found = registered(&network, member, "bank-a").await;
        assert_eq!(found["member"]["member_key"].as_str(), Some(keys[0].1.as_str()), "{member}");
    }
    network.connected().await;
    must_trade(&network, &mut alice, AAPL).await;
    let client = network.client("bank-a").clone();
    let ready = until("the vote with the new key", async || {
        let vote = client.status().await.ok()?.vote?;
        (vote.state == "voting").then_some(vote)
    })
    .await;
    assert_eq!(ready.key, keys[2].1);

    // Whoever has its keys of before is let in nowhere.
    let old = old_self(&network);
    let mut old = Process::start("bank-a's old self", &old.0, old.1);
    old.answering().await;
    until("the refusal of the old key", async || {
        let refused = "refused a connection from a peer that is not configured";
        network.process("broker-a").log().contains(refused).then_some(())
    })
    .await;
    assert!(old.answering().await.peers.is_empty());
    old.kill();

    // A member that was away meanwhile comes back by its new network key.
    come_back_later(&mut network).await;

    // It starts again with what it has become; its old keys open nothing.
    network.process_mut("bank-a").stop().await;
    network.process_mut("bank-a").run();
    network.connected().await;
    must_trade(&network, &mut alice, IBM).await;
    network.process_mut("bank-a").stop().await;
    change_config(&home, |config| config.keys.next_network = None);
    network.process_mut("bank-a").run();
    let code = until("the end of a node with an old key", async || network.process_mut("bank-a").ended()).await;
    assert_eq!(code, 3);
    let log = network.process("bank-a").log();
    assert!(log.contains("the network key is") && log.contains("keys.next_network"), "{log}");
}

/// A validator key is known to others: it is revoked, and signs no certificate any more; a new one is given and does. A member is
/// suspended and reinstated, with what its customers may do.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_revoked_and_a_member_suspended_and_reinstated() {
    let mut network = start().await;
    let key = registered(&network, "bank-a", "broker-b").await["member"]["validator_key"].as_str().unwrap().to_owned();
    let revoke = format!("--revoke=broker-b:validator={key}");
    let revoked = resolve(&network, &[&revoke], (&MOST, &[])).await;
    reached(&network, "bank-a", revoked.effective + 4).await;
    for height in [revoked.effective, revoked.effective + 1] {
        let signers = signers(&network, height).await;
        assert!(!signers.contains(&"broker-b".to_owned()), "{height}: {signers:?}");
    }
    let status = until("broker-b at the revocation's height", async || {
        network.client("broker-b").status().await.ok().filter(|status| status.height >= revoked.effective)
    })
    .await;
    assert!(status.vote.is_none_or(|vote| vote.state != "voting"));

    // A new key, proposed by the others, signed by itself.
    let (file, public) = new_key(&network, "broker-b", Purpose::Validator);
    let home = network.home("broker-b");
    network.process_mut("broker-b").stop().await;
    change_config(&home, |config| config.keys.next_validator = Some("keys/validator-2.pem".into()));
    network.process_mut("broker-b").run();
    network.connected().await;
    let (rotate, assign) = (format!("--rotate=broker-b:validator={public}"), "--assign=broker-b=institution:1");
    let given = resolve(&network, &[&rotate, assign], (&MOST, &[(&[&file], &home.join("passphrase"))])).await;
    until("the vote of the new key", async || {
        let height = network.client("bank-a").status().await.ok()?.height;
        (given.effective..height).rev().take(3).next()?;
        signers(&network, height - 1).await.contains(&"broker-b".to_owned()).then_some(())
    })
    .await;

    resolve(&network, &["--suspend=bank-b"], (&["bank-a", "broker-a", "broker-b"], &[])).await;
    let (mut emeka, mut alice) = (network.customer("emeka"), network.customer("alice"));
    must_trade(&network, &mut alice, AAPL).await;
    let order = emeka.buy(AAPL, 1);
    let refused = emeka.client.submit(&order.body, 0).await;
    assert!(refused.is_err(), "{refused:?}");
    resolve(&network, &["--reinstate=bank-b"], (&["bank-a", "broker-a", "broker-b"], &[])).await;
    network.connected().await;
    must_trade(&network, &mut emeka, AAPL).await;
    must_balance(network.client("auditor")).await;
}

/// A copy of bank-a's home with the old keys alone and no store, on ports of its own, with one peer.
fn old_self(network: &Network) -> (PathBuf, u16) {
    let (from, home) = (network.home("bank-a"), network.scratch().join("old-self"));
    for file in
        ["config.toml", "passphrase", "operator.token", "keys/member.pem", "keys/network.pem", "keys/validator.pem"]
    {
        fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
        fs::copy(from.join(file), home.join(file)).unwrap();
    }
    let ports = ports::free(&["old"])["old"];
    change_config(&home, |config| {
        config.http.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.http));
        config.network.listen = vec![format!("/ip4/127.0.0.1/tcp/{}", ports.network)];
        config.network.peers.retain(|peer| peer.member == "broker-a");
        config.genesis = network.genesis_file();
        (config.keys.next_member, config.keys.next_network, config.keys.next_validator) = (None, None, None);
    });
    (home, ports.http)
}

/// The auditor's network key is rotated while its node is away; the node, which knows of nothing, has both keys.
async fn come_back_later(network: &mut Network) {
    let (file, key) = new_key(network, "auditor", Purpose::Network);
    network.process_mut("auditor").stop().await;
    let home = network.home("auditor");
    change_config(&home, |config| config.keys.next_network = Some("keys/network-2.pem".into()));
    let (rotate, passphrase) = (format!("--rotate=auditor:network={key}"), home.join("passphrase"));
    let resolved = resolve(network, &[&rotate], (&["auditor"], &[(&[&file], &passphrase)])).await;
    network.process_mut("auditor").run();
    reached(network, "auditor", resolved.effective + 1).await;
    assert!(network.process("auditor").log().contains("tries the other network key"));
    network.connected().await;
}

async fn signers(network: &Network, height: u64) -> Vec<String> {
    let block = network.client("bank-a").block(height).await.unwrap();
    block.signers
}

/// All nodes come to another version of the protocol at one height; one that does not know it stops before, says so, and loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_upgrade_at_one_height_and_an_old_one_stops_before_it() {
    let mut network = start().await;
    network.process_mut("auditor").stop().await;
    let auditor = network.home("auditor");
    change_config(&auditor, |config| config.consensus.protocol_max = Some(1));
    network.process_mut("auditor").run();
    network.connected().await;
    let resolved = resolve_ahead(&network, &["--upgrade=2", "--note=rehearsal"], 12, (&MOST, &[]));
    let code = until("the end of the old node", async || network.process_mut("auditor").ended()).await;
    assert_eq!(code, 3);
    let log = network.process("auditor").log();
    let effective = resolved.effective;
    assert!(log.contains("install a newer one by then"), "{log}");
    assert!(log.contains(&format!("from height {effective} on the network's protocol is version 2")), "{log}");
    reached(&network, "bank-a", effective + 2).await;
    for member in ["bank-a", "bank-b", "broker-a", "broker-b"] {
        reached(&network, member, effective).await;
        assert_eq!(network.client(member).registry().await.unwrap().version, 2);
    }
    // A newer program goes on where the old one stopped.
    change_config(&auditor, |config| config.consensus.protocol_max = None);
    network.process_mut("auditor").kill();
    network.process_mut("auditor").run();
    network.connected().await;
    let mut alice = network.customer("alice");
    must_trade(&network, &mut alice, AAPL).await;
}

/// What too few resolved, what breaks a rule, and what would leave the network unable to decide is refused, and named.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_do_not_allow_is_refused_and_named() {
    let network = start().await;
    let draft = network.scratch().join("draft.json");
    let refused = |change: &[&str], said: &str| {
        let found = propose(&network, change, 20, &draft);
        assert!([1, 2].contains(&found.code), "{found:?}");
        assert!(found.err.contains(said) || found.out.contains(said), "{said}: {found:?}");
    };
    refused(
        &["--remove=bank-a", "--remove=bank-b", "--remove=broker-a", "--remove=broker-b"],
        "a total voting power of 1",
    );
    refused(&["--suspend=nobody"], "a member of this network");
    refused(&["--reinstate=bank-a"], "a member that is suspended");
    refused(&["--upgrade=1"], "a version above 1");
    refused(&["--set=approval_percent=50"], "51 to 100");
    let key = registered(&network, "bank-a", "bank-b").await["member"]["network_key"].as_str().unwrap().to_owned();
    refused(&[&format!("--rotate=bank-a:network={key}")], "a key that no member has");

    // Far ahead: it is not for being late that it is refused.
    let said = propose(&network, &["--suspend=broker-b"], 2_000, &draft);
    assert_eq!(said.code, 0, "{said:?}");
    let mut signatures = Vec::new();
    for member in ["bank-a", "bank-b"] {
        let (home, out) = (network.home(member), network.scratch().join(format!("{member}.sig")));
        sign(&draft, (&[&home.join("keys/member.pem")], &home.join("passphrase")), &out);
        signatures.push(out);
    }
    let record = network.scratch().join("record.stemma");
    let said = submit(&network, &draft, &signatures, &record);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("67 percent of the voting power"), "{said:?}");
    // A draft that is changed after it was signed has another digest.
    let changed = fs::read_to_string(&draft).unwrap().replace("broker-b", "broker-a");
    fs::write(&draft, changed).unwrap();
    let said = submit(&network, &draft, &signatures, &record);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("signs another draft"), "{said:?}");
    assert_eq!(network.client("bank-a").registry().await.unwrap().number, 0);
}
