//! Promise: a node is made, started, asked, looked after and measured by its own commands; one process runs on one home; a
//! configuration for another network is refused.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use stemma_chain_format::genesis::{GenesisFile, sign_genesis};
use stemma_keystore::{Purpose, passphrase, read_key_file};
use stemma_tests::binaries::workspace;
use stemma_tests::command::{Said, copy_folder, node, node_with};
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, MEMBERS, Network, change_config};
use stemma_tests::ports;
use stemma_tests::wait::until;

const COMMANDS: [&str; 6] = ["start", "init", "status", "doctor", "backup", "restore"];

fn at<'a>(command: &'a str, home: &'a Path) -> Vec<&'a str> {
    vec![command, "--home", home.to_str().unwrap(), "--json"]
}

#[test]
fn every_command_says_how_it_is_used() {
    let help = |arguments: &[&str]| {
        let said = node(arguments);
        assert_eq!(said.code, 0, "{said:?}");
        said.out
    };
    let own = help(&["--help"]);
    for command in COMMANDS {
        assert!(own.contains(&format!("\n  {command} ")), "{command} is not listed");
        let text = help(&[command, "--help"]);
        assert!(text.contains("--json"), "{command} has no --json");
        let example = text.split("Example:\n").nth(1).unwrap_or_else(|| panic!("{command} has no example"));
        assert!(example.trim_start().starts_with(&format!("stemma-node {command} ")), "{command}: {example}");
    }
}

#[test]
fn wrong_usage_and_missing_files_have_their_exit_codes() {
    let code = |arguments: &[&str], expected: i32, said: &str| {
        let found = node(arguments);
        assert_eq!(found.code, expected, "{arguments:?}: {found:?}");
        assert!(found.err.contains(said), "{arguments:?}: {found:?}");
    };
    code(&["strat"], 2, "start");
    code(&["start"], 2, "neither --home nor --config was given");
    code(&["status", "--home", "nowhere", "--json"], 3, "\"exit_code\":3");
    code(&["start", "--config", "nowhere/config.toml"], 3, "cannot read nowhere/config.toml");
    code(&["restore", "--from", "nowhere", "--home", "elsewhere"], 3, "cannot read nowhere/manifest.json");
    code(&["init", "--home", "x", "--member", "m", "--peer", "here"], 2, "is not ID=MULTIADDRESS");
    let printed = node(&["init", "--print-config"]);
    assert_eq!(printed.out, stemma_node_api::config::DEFAULT_FILE);
}

/// The finding of one check that a doctor's report has, by its verdict.
fn verdicts(report: &Value, check: &str) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    findings.map(|finding| finding["verdict"].as_str().unwrap().to_owned()).collect()
}

fn only(verdict: &str) -> BTreeSet<String> {
    BTreeSet::from([verdict.to_owned()])
}

/// Makes a home for the auditor from the network's genesis and its key files.
fn init(network: &Network, home: &Path, more: &[&str]) -> Said {
    let (from, genesis) = (network.home("auditor"), network.genesis_file());
    let file = |name: &str| from.join(name).to_str().unwrap().to_owned();
    let [member, key, passphrase] = ["keys/member.pem", "keys/network.pem", "passphrase"].map(file);
    let mut arguments = at("init", home);
    arguments.extend(["--member", "auditor", "--genesis", genesis.to_str().unwrap()]);
    arguments.extend(["--member-key", &member, "--network-key", &key, "--passphrase-file", &passphrase]);
    node(&[&arguments, more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_made_started_asked_and_looked_at() {
    let mut network = Network::start().await;
    network.process_mut("auditor").stop().await;
    let home = network.scratch().join("made");
    let ports = ports::free(&["made"])["made"];
    let http = format!("127.0.0.1:{}", ports.http);
    let listen = format!("/ip4/127.0.0.1/tcp/{}", ports.network);
    let config = stemma_tests::network::read_config(&network.home("auditor"));
    let peers: Vec<String> =
        config.network.peers.iter().map(|peer| format!("{}={}", peer.member, peer.addresses[0])).collect();
    let mut more = vec!["--http", http.as_str(), "--listen", listen.as_str()];
    peers.iter().for_each(|peer| more.extend(["--peer", peer.as_str()]));
    let made = init(&network, &home, &more);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(made.json()["network"], network.genesis().network().to_string());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    for file in ["config.toml", "operator.token", "keys/member.pem"] {
        assert_eq!(mode(&home.join(file)), 0o600, "{file}");
    }
    let token = fs::read(home.join("operator.token")).unwrap();
    let again = init(&network, &home, &more);
    assert!(again.code == 3 && again.err.contains("not overwritten"), "{again:?}");
    let forced = init(&network, &home, &[&more[..], &["--force"]].concat());
    assert_eq!(forced.code, 0, "{forced:?}");
    assert_eq!(fs::read(home.join("operator.token")).unwrap(), token);

    let still = node(&at("doctor", &home));
    assert_eq!(still.code, 0, "{still:?}");
    assert_eq!((still.json()["running"].clone(), verdicts(&still.json(), "peers")), (false.into(), only("ok")));
    let asked = node(&at("status", &home));
    assert!(asked.code == 3 && asked.err.contains("cannot reach the node"), "{asked:?}");

    let mut process = stemma_tests::process::Process::start("auditor", &home, ports.http);
    process.answering().await;
    until("a node that is ready", async || (node(&at("status", &home)).code == 0).then_some(())).await;
    let status = until("all connections", async || {
        let status = node(&at("status", &home)).json();
        (status["peers"].as_array().unwrap().len() == MEMBERS.len() - 1).then_some(status)
    })
    .await;
    assert_eq!(status["member"], "auditor");
    until("clocks that were compared", async || {
        let report = node(&at("doctor", &home));
        assert_eq!(report.code, 0, "{report:?}");
        (verdicts(&report.json(), "clock") == only("ok")).then_some(())
    })
    .await;
    let report = node(&at("doctor", &home)).json();
    assert_eq!(report["running"], true);
    assert_eq!(verdicts(&report, "ports"), only("skipped"));
    let all = process.client().url().to_owned();
    let compared = node(&[&at("doctor", &home)[..], &["--compare", &all]].concat());
    assert!(compared.out.contains("from the Date that"), "{compared:?}");
    what_is_wrong_is_found(&mut process, &home).await;
}

/// Each thing that a doctor looks at, made wrong: it fails, and says what to do.
async fn what_is_wrong_is_found(process: &mut stemma_tests::process::Process, home: &Path) {
    process.stop().await;
    let fails = |check: &str, help: &str| {
        let report = node(&at("doctor", home));
        assert_eq!(report.code, 1, "{report:?}");
        let report = report.json();
        assert!(verdicts(&report, check).contains("failed"), "{check}: {report}");
        assert!(report.to_string().contains(help), "{help}: {report}");
    };
    let set_mode = |file: &str, mode| {
        fs::set_permissions(home.join(file), PermissionsExt::from_mode(mode)).unwrap();
    };
    set_mode("operator.token", 0o644);
    fails("permissions", "chmod 600");
    set_mode("operator.token", 0o600);
    set_mode("keys/network.pem", 0o640);
    fails("keys", "chmod 600");
    set_mode("keys/network.pem", 0o600);
    let own = fs::read(home.join("keys/network.pem")).unwrap();
    fs::write(home.join("keys/network.pem"), fs::read(home.join("keys/member.pem")).unwrap()).unwrap();
    fails("keys", "stemma key show");
    fs::write(home.join("keys/network.pem"), own).unwrap();
    let config = fs::read_to_string(home.join("config.toml")).unwrap();
    let port = stemma_tests::network::read_config(home).http.listen.port();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    fails("ports", "ss -ltnup");
    drop(taken);
    fs::write(home.join("config.toml"), config.replace("[network]\n", "[network]\nlisten_on = 1\n")).unwrap();
    fails("configuration", "did you mean network.listen?");
    fs::write(home.join("config.toml"), config.replace("member = \"auditor\"", "member = \"nobody\"")).unwrap();
    fails("member", "is no member of the network; members: auditor");
    fs::write(home.join("config.toml"), &config).unwrap();
    let genesis = fs::read(home.join("genesis.stemma")).unwrap();
    fs::write(home.join("genesis.stemma"), &genesis[1..]).unwrap();
    fails("genesis", "from another member");
    fs::write(home.join("genesis.stemma"), &genesis).unwrap();
    let data = home.join("data/stemma.redb");
    let whole = fs::read(&data).unwrap();
    fs::write(&data, &whole[..whole.len() / 2]).unwrap();
    fails("store", "replaced by a backup");
    fs::write(&data, whole).unwrap();
    assert_eq!(node(&at("doctor", home)).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_runs_on_one_home_and_of_its_own_network() {
    let mut network = Network::start().await;
    let home = network.home("auditor");
    let pid = network.process("auditor").pid();
    let second = node(&["start", "--home", home.to_str().unwrap()]);
    assert_eq!(second.code, 3, "{second:?}");
    let expected = format!("another process ({pid}) uses the home {}", home.display());
    assert!(second.err.contains(&expected), "{second:?}");
    // Another home on the same store is refused as well.
    let beside = home.parent().unwrap().join("beside");
    fs::create_dir(&beside).unwrap();
    for part in ["keys", "passphrase", "operator.token", "config.toml"] {
        if home.join(part).is_dir() {
            copy_folder(&home.join(part), &beside.join(part))
        } else {
            fs::copy(home.join(part), beside.join(part)).unwrap();
        }
    }
    let data = format!("data={}", home.join("data").display());
    let second = node(&["start", "--home", beside.to_str().unwrap(), "--set", &data]);
    assert!(second.code == 3 && second.err.contains("cannot open the store"), "{second:?}");

    network.process_mut("auditor").stop().await;
    // One byte of the genesis' name is another network, signed by all of its members as it must be.
    let mut other = network.genesis().genesis().clone();
    other.name = other.name.replacen('S', "s", 1);
    let payload = other.payload();
    let signed = MEMBERS.map(|member| {
        let home = network.home(member);
        let passphrase = passphrase::from_file(&home.join("passphrase")).unwrap().passphrase;
        let key = read_key_file(&home.join("keys/member.pem"), &passphrase, Purpose::Member).unwrap();
        sign_genesis(&payload, key.signing_key())
    });
    let other = GenesisFile::assemble(&other, &signed).unwrap();
    fs::write(home.join("other.stemma"), other.bytes()).unwrap();
    change_config(&home, |config| config.genesis = "other.stemma".into());
    let refused = node(&["start", "--home", home.to_str().unwrap()]);
    assert_eq!(refused.code, 3, "{refused:?}");
    let both = [network.genesis().network().to_string(), other.network().to_string()];
    assert!(
        refused.err.contains("the store belongs to") && both.iter().all(|id| refused.err.contains(id)),
        "{refused:?}"
    );
    // One byte changed without the members is no genesis at all.
    let mut forged = network.genesis().bytes().to_vec();
    let middle = forged.len() / 2;
    forged[middle] ^= 1;
    fs::write(home.join("other.stemma"), forged).unwrap();
    let refused = node(&["start", "--home", home.to_str().unwrap()]);
    assert!(refused.code == 3 && refused.err.contains("does not hold"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_flag_environment_file_default() {
    let network = Network::start().await;
    let home = network.home("bank-a");
    let status =
        |more: &[&str], variables: &[(&str, &str)]| node_with(&[&at("status", &home)[..], more].concat(), variables);
    let member = |said: Said| said.json()["member"].as_str().unwrap().to_owned();
    let address = |name: &str| network.client(name).url().trim_start_matches("http://").to_owned();
    assert_eq!(member(status(&[], &[])), "bank-a");
    let by_variable = [("STEMMA_NODE__HTTP__LISTEN", &*address("bank-b"))];
    assert_eq!(member(status(&[], &by_variable)), "bank-b");
    let by_flag = format!("http.listen={}", address("broker-a"));
    assert_eq!(member(status(&["--set", &by_flag], &by_variable)), "broker-a");
    let wrong = status(&[], &[("STEMMA_NODE__HTTP__LISTN", "x")]);
    assert!(wrong.code == 3 && wrong.err.contains("did you mean STEMMA_NODE__HTTP__LISTEN?"), "{wrong:?}");
}

async fn get(url: &str) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_and_everything_on_the_dashboard_is_measured() {
    let mut network = Network::start().await;
    for record in Load::one_by_one(network.customers(), AAPL, 3).records().await {
        record.must_hold().await;
    }
    // A refusal, so that its counter is there.
    let mut customer = network.customer("alice");
    customer.go_on_after(customer.view().await.counter);
    let unlisted = customer.buy("broker-a/NOTHING", 1);
    customer.finish(&unlisted).await;
    let urls = MEMBERS.map(|member| network.client(member).url().to_owned());
    for url in &urls {
        assert_eq!(get(&format!("{url}/healthz")).await.0, 200);
        until("readiness", async || (get(&format!("{url}/readyz")).await.0 == 200).then_some(())).await;
    }
    let mut all = String::new();
    for url in &urls {
        all.push_str(&get(&format!("{url}/metrics")).await.1);
    }
    let measured: BTreeSet<&str> =
        all.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let dashboard = fs::read_to_string(workspace().join("node/packaging/grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            asked.extend(words.filter(|word| word.starts_with("stemma_")).map(str::to_owned));
        }
    }
    assert!(asked.len() >= 25, "{asked:?}");
    let missing: Vec<_> = asked.iter().filter(|name| !measured.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");

    // Without a quorum a validator is alive and not ready.
    for member in ["bank-b", "broker-a", "broker-b"] {
        network.process_mut(member).kill();
    }
    let url = &urls[1];
    until("a word about the quorum", async || {
        let (status, reasons) = get(&format!("{url}/readyz")).await;
        (status == 503 && reasons.contains("no quorum")).then_some(())
    })
    .await;
    assert_eq!(get(&format!("{url}/healthz")).await.0, 200);
    let said = node(&at("status", &network.home("bank-a")));
    assert_eq!(said.code, 1, "{said:?}");
}
