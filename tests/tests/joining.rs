//! Promise: a new organisation becomes a member of a running network from four things: the genesis file, one peer's address, its keys,
//! and a governance record that the members signed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::cbor;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::snapshot::{Item, Manifest};
use stemma_node_api::config::{PeerAddresses, SyncBegin};
use stemma_node_api::types::{IssueCash, OpenAccount, RequestState};
use stemma_tests::books::must_balance;
use stemma_tests::command::{node, tool};
use stemma_tests::customer::Customer;
use stemma_tests::governance::{IDLE_MS, Resolved, reached, resolve_ahead};
use stemma_tests::network::{AAPL, CASH, Network, change_config, read_config};
use stemma_tests::ports;
use stemma_tests::process::Process;
use stemma_tests::proof;
use stemma_tests::wait::until;
use stemma_tools::requests::random;

/// Three of the four members with a vote.
const MOST: [&str; 3] = ["bank-a", "bank-b", "broker-a"];

/// An organisation's folder: its keys, and the passphrase of all of them.
struct Newcomer {
    id: &'static str,
    keys: PathBuf,
    passphrase: PathBuf,
}

impl Newcomer {
    /// Makes keys by the tool.
    fn new(network: &Network, id: &'static str) -> Self {
        let keys = network.scratch().join(id).join("keys");
        let passphrase = network.scratch().join(id).join("passphrase");
        fs::create_dir_all(network.scratch().join(id)).unwrap();
        fs::write(&passphrase, "a passphrase of the newcomer\n").unwrap();
        let newcomer = Self { id, keys, passphrase };
        for purpose in ["member", "network", "validator"] {
            let (out, passphrase) = (shown(&newcomer.key(purpose)), shown(&newcomer.passphrase));
            let said = tool(&["key", "new", "--purpose", purpose, "--out", &out, "--passphrase-file", &passphrase]);
            assert_eq!(said.code, 0, "{said:?}");
        }
        newcomer
    }

    fn key(&self, purpose: &str) -> PathBuf {
        self.keys.join(format!("{purpose}.pem"))
    }

    /// Its signed entry for a network, and the members' record that admits it.
    fn admitted(&self, network: &Network, blocks: u64) -> Resolved {
        let entry = network.scratch().join(format!("{}.json", self.id));
        let (keys, passphrase, out) = (shown(&self.keys), shown(&self.passphrase), shown(&entry));
        let id = network.genesis().network().to_string();
        let about = ["--id", self.id, "--role", "bank", "--name", "A bank that joins"];
        let signed = ["--network", &id, "--keys", &keys, "--passphrase-file", &passphrase, "--out", &out];
        let said = tool(&[&["genesis", "member"], &about[..], &signed[..]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        let admit = format!("--admit={out}");
        let own: Vec<PathBuf> = ["member", "network", "validator"].map(|purpose| self.key(purpose)).into();
        let own: Vec<&Path> = own.iter().map(PathBuf::as_path).collect();
        resolve_ahead(network, &[&admit], blocks, (&MOST, &[(&own, &self.passphrase)]))
    }

    /// Its node, made by `stemma-node init` and started: it knows one peer alone.
    fn node(&self, network: &Network, record: &Path) -> (Process, u16) {
        let home = network.scratch().join(self.id).join("home");
        let ports = ports::free(&[self.id])[self.id];
        let peer = read_config(&network.home("bank-b")).network.listen.remove(0);
        let (listen, http) = (format!("/ip4/127.0.0.1/tcp/{}", ports.network), format!("127.0.0.1:{}", ports.http));
        let key = |purpose: &str| shown(&self.key(purpose));
        let said = node(&[
            "init",
            "--home",
            &shown(&home),
            "--member",
            self.id,
            "--genesis",
            &shown(&network.genesis_file()),
            "--join",
            &shown(record),
            "--member-key",
            &key("member"),
            "--network-key",
            &key("network"),
            "--validator-key",
            &key("validator"),
            "--passphrase-file",
            &shown(&self.passphrase),
            "--peer",
            &format!("bank-b={peer}"),
            "--listen",
            &listen,
            "--http",
            &http,
        ]);
        assert_eq!(said.code, 0, "{said:?}");
        change_config(&home, |config| config.consensus.idle_ms = IDLE_MS);
        (Process::start(self.id, &home, ports.http), ports.http)
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_joins_a_running_network_from_four_things_and_takes_up_its_role() {
    let network = Network::start_with(|config| config.consensus.idle_ms = IDLE_MS).await;
    let mut alice = network.customer("alice");
    let order = alice.buy(AAPL, 2);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);

    let newcomer = Newcomer::new(&network, "bank-c");
    let resolved = newcomer.admitted(&network, 40);
    let (mut process, _) = newcomer.node(&network, &resolved.record);
    process.answering().await;
    let client = process.client().clone();

    // It follows before its height: it has the ledger and finds the others, and may do nothing.
    until("the others, found through one", async || {
        let status = client.status().await.ok()?;
        (status.peers.len() == 5 && status.height > 0).then_some(())
    })
    .await;
    let key = SigningKey::from_bytes(&random().unwrap());
    let asked = OpenAccount { key: PublicKey::of(&key).to_string() };
    if client.status().await.unwrap().height < resolved.effective - 5 {
        assert!(client.open_account(&asked).await.is_err());
    }

    // At the height it is a bank, and its vote counts.
    reached(&network, "bank-a", resolved.effective + 3).await;
    until("its signature on a block", async || {
        let height = network.client("bank-a").status().await.ok()?.height;
        let block = network.client("bank-a").block(height).await.ok()?;
        block.signers.contains(&"bank-c".to_owned()).then_some(())
    })
    .await;
    let opened = until("the account", async || client.open_account(&asked).await.ok()).await;
    let cash = serde_json::json!({"code": "USD", "kind": "currency", "decimals": 2, "name": "Cash at bank-c"});
    client.list_instrument(&serde_json::from_value(cash).unwrap()).await.unwrap();
    let credits = BTreeMap::from([(opened.id.clone(), CASH.to_string())]);
    client.issue(&IssueCash { code: "USD".to_owned(), credits }).await.unwrap();
    let account = opened.id.parse().unwrap();
    let mut customer = Customer::new(&client, network.genesis(), "bank-c".parse().unwrap(), account, key);
    let order = customer.buy(AAPL, 3);
    let found = customer.finish(&order).await;
    assert_eq!(found.state, RequestState::Committed, "{found:?}");
    let bundle = until("the proof", async || network.client("auditor").account_bundle(&opened.id).await.ok()).await;
    assert_eq!(proof::lineage(&network, &bundle).1, None);
    reached(&network, "auditor", found.height.unwrap()).await;
    network.agreed().await;
    must_balance(network.client("auditor")).await;

    // It starts again without the record: the ledger knows it now. With three of five left, two of the founders may be away.
    process.stop().await;
    change_config(&network.scratch().join("bank-c/home"), |config| config.join = None);
    process.run();
    process.answering().await;
    let order = customer.buy(AAPL, 1);
    assert_eq!(customer.finish(&order).await.state, RequestState::Committed);
}

/// A newcomer begins with a snapshot instead of all blocks. One that says that somebody holds a unit more is found out, whoever sends it,
/// and the peer is left for another.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_snapshot_is_found_out_and_a_right_one_begun_with() {
    let network = Network::start_with(|config| config.consensus.idle_ms = IDLE_MS).await;
    let mut alice = network.customer("alice");
    let order = alice.buy(AAPL, 2);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
    let newcomer = Newcomer::new(&network, "bank-c");
    let resolved = newcomer.admitted(&network, 400);
    let snapshot_at = network.client("bank-b").status().await.unwrap().height;
    let home = network.scratch().join("bank-c/home");
    let (mut process, _) = newcomer.node(&network, &resolved.record);
    process.kill();
    // It may have been killed before it made one.
    let _absent = fs::remove_dir_all(home.join("data"));
    change_config(&home, |config| config.sync.begin = SyncBegin::Snapshot);

    // The one peer that it knows makes a snapshot for it; it follows from there on.
    process.run();
    let client = process.client().clone();
    let behind = until("a start with a snapshot", async || {
        let status = client.status().await.ok()?;
        (status.height > snapshot_at).then_some(status)
    })
    .await;
    assert!(process.log().contains("its state hashes to the certified root"), "{}", process.log());
    assert!(client.block(1).await.is_err(), "it has no blocks from before");
    // What accounts held where it begins, it proves all the same, and what came since.
    let order = alice.buy(AAPL, 1);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
    until("the newcomer's proof", async || {
        let bytes = client.account_bundle(&alice.account.to_string()).await.ok()?;
        let (derived, from) = proof::lineage(&network, &bytes);
        assert!(from.unwrap().height >= snapshot_at);
        (derived.chains == 1).then_some(())
    })
    .await;
    let block = until("a block that both have", async || client.block(behind.height).await.ok()).await;
    assert_eq!(block.block, network.client("bank-a").block(behind.height).await.unwrap().block);
    process.kill();

    // The same peer sends another state; a second one is there a little later.
    tamper(&network.home("bank-b").join("data/snapshots"));
    fs::remove_dir_all(home.join("data")).unwrap();
    let second = read_config(&network.home("broker-a")).network.listen;
    change_config(&home, |config| {
        config.network.peers.push(PeerAddresses { member: "broker-a".to_owned(), addresses: second.clone() });
    });
    network.process("broker-a").freeze().await;
    let told = process.log().len();
    process.run();
    let since = |process: &Process| process.log()[told..].to_owned();
    until("the refusal", async || since(&process).contains("this peer's snapshot is not used").then_some(())).await;
    assert!(since(&process).contains("snapshot.accounts_root"), "{}", since(&process));
    network.process("broker-a").thaw();
    until("a start with the other's", async || {
        since(&process).contains("its state hashes to the certified root").then_some(())
    })
    .await;
    let height = network.client("bank-a").status().await.unwrap().height;
    until("the head", async || client.status().await.ok().filter(|status| status.height >= height)).await;
}

/// Somebody holds a unit more in each snapshot that a node has made; its hashes are as they must be.
fn tamper(snapshots: &Path) {
    let mut changed = 0;
    for folder in fs::read_dir(snapshots).unwrap() {
        let folder = folder.unwrap().path();
        let mut manifest = Manifest::decode(&fs::read(folder.join("manifest")).unwrap()).unwrap();
        let part = fs::read(folder.join("0")).unwrap();
        let mut items: Vec<Item> = cbor::decode(&part, "part", part.len()).unwrap();
        let holder = items.iter_mut().find_map(|item| match item {
            Item::Account(state, ..) => {
                let positive = state.holdings.iter().find(|(_, amount)| amount.is_positive());
                positive.map(|(instrument, _)| instrument.clone()).map(|instrument| (state, instrument))
            }
            _ => None,
        });
        let (state, instrument) = holder.unwrap();
        state.holdings.add(&instrument, Amount::ONE).unwrap();
        let part = cbor::encode(&items);
        manifest.parts[0] = Digest::of(&part);
        fs::write(folder.join("0"), part).unwrap();
        fs::write(folder.join("manifest"), cbor::encode(&manifest)).unwrap();
        changed += 1;
    }
    assert!(changed > 0);
}

/// Whoever has the keys and a record that nobody signed enough is let in nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_by_a_record_that_the_network_did_not_commit() {
    let network = Network::start_with(|config| config.consensus.idle_ms = IDLE_MS).await;
    let newcomer = Newcomer::new(&network, "bank-x");
    let record = network.scratch().join("forged.stemma");
    forge(&network, &newcomer, &record);
    let (mut process, _) = newcomer.node(&network, &record);
    let status = process.answering().await;
    assert!(status.peers.is_empty());
    until("the refusal", async || {
        let log = network.process("bank-b").log();
        log.contains("refused a connection from a peer that is not configured").then_some(())
    })
    .await;
    assert_eq!(process.answering().await.height, 0);
}

/// A record that admits a newcomer, signed by nobody but itself.
fn forge(network: &Network, newcomer: &Newcomer, record: &Path) {
    use stemma_chain_format::chain::Entry;
    use stemma_chain_format::cose::ContentType;
    use stemma_chain_format::cosign::{Cosigned, cosign};
    use stemma_chain_format::governance::{Change, Governance};
    use stemma_chain_format::hash::Link;
    use stemma_chain_format::member::{Member, Role};
    use stemma_keystore::{Purpose, passphrase, read_key_file};
    let passphrase = passphrase::from_file(&newcomer.passphrase).unwrap().passphrase;
    let open = |name: &str, purpose| read_key_file(&newcomer.key(name), &passphrase, purpose).unwrap();
    let keys =
        [open("member", Purpose::Member), open("network", Purpose::Network), open("validator", Purpose::Validator)];
    let [member_key, network_key, validator_key] = keys.each_ref().map(|key| PublicKey(key.public_key()));
    let member = Member {
        id: newcomer.id.parse().unwrap(),
        role: Role::Bank,
        name: "A stranger".to_owned(),
        member_key,
        network_key,
        validator_key: Some(validator_key),
        power: 1,
    };
    let forged = Governance {
        network: network.genesis().network(),
        number: 1,
        parent: Link(network.genesis().network().0),
        effective: 20,
        changes: vec![Change::Admit(member)],
        note: String::new(),
    };
    let payload = cbor::encode(&forged);
    let signed: Vec<_> = keys.iter().map(|key| cosign(ContentType::Governance, &payload, key.signing_key())).collect();
    let entry = Entry::Governance(Box::new(Cosigned::assemble(&forged, &signed).unwrap()));
    fs::write(record, entry.encode()).unwrap();
}
