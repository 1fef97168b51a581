//! The README's tour, run as it stands: a customer makes a key, opens, funds and trades; an auditor exports and verifies.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use stemma_tests::binaries::{binaries, workspace};
use stemma_tests::positions;

/// The lines of the shell blocks of one part of the README, continued lines joined.
fn commands(readme: &str, heading: &str) -> Vec<String> {
    let part = readme.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let part = part.split("\n## ").next().unwrap();
    let blocks = part.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let text: String = blocks.collect();
    text.replace("\\\n", " ").lines().map(str::to_owned).collect()
}

/// Runs one line in a shell; a `stemma` command answers in JSON.
fn run(line: &str, folder: &Path, variables: &BTreeMap<&str, String>) -> Value {
    let bin = binaries().tool.parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{line} --json")).current_dir(folder).env("PATH", path).envs(variables);
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{line}: {e}\n{said}"))
}

#[tokio::test]
async fn the_tour_of_customer_and_auditor_is_true() {
    let (mut network, _prices) = positions::network(|_| {}).await;
    network.connected().await;
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let folder = network.scratch().to_owned();
    // The tour speaks of the sandbox's folder; a test's network is laid out alike.
    std::os::unix::fs::symlink(network.genesis_file().parent().unwrap(), folder.join("sandbox")).unwrap();
    let mut variables = BTreeMap::from([
        ("STEMMA_NODE", network.client("bank-a").url().to_owned()),
        ("STEMMA_GENESIS", "sandbox/genesis.stemma".to_owned()),
        ("STEMMA_OPERATOR_TOKEN_FILE", "sandbox/nodes/bank-a/operator.token".to_owned()),
    ]);
    let mut ran = Vec::new();
    for line in [commands(&readme, "Customers"), commands(&readme, "Auditors"), commands(&readme, "A bank's operators")]
        .concat()
    {
        if line.starts_with("echo ") {
            let wrote = Command::new("sh").arg("-c").arg(&line).current_dir(&folder).status().unwrap();
            assert!(wrote.success(), "{line}");
        }
        if !line.starts_with("stemma ") {
            continue;
        }
        let variables_now = variables.clone();
        let at = folder.clone();
        let asked = line.clone();
        let answer = tokio::task::spawn_blocking(move || run(&asked, &at, &variables_now)).await.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[1..3] {
            ["key", "new"] if !variables.contains_key("KEY") => {
                variables.insert("KEY", answer["public_key"].as_str().unwrap().to_owned())
            }
            ["account", "open"] => variables.insert("ACCOUNT", answer["account"].as_str().unwrap().to_owned()),
            ["trade", "buy"] => {
                assert_eq!(answer["state"], "committed", "{answer}");
                variables.insert("TRADE", answer["chain"].as_str().unwrap().to_owned());
                variables.insert("REQUEST", answer["request"].as_str().unwrap().to_owned())
            }
            ["trade", "cancel" | "margin"]
            | ["account", "withdraw" | "rotate-key" | "freeze" | "unfreeze" | "set-credit"] => {
                assert_eq!(answer["state"], "committed", "{answer}");
                None
            }
            ["promote", _] => {
                assert_eq!(answer["state"], "referred", "{answer}");
                None
            }
            ["audit", "verify"] => {
                assert_eq!(answer["verdict"], "verified", "{answer}");
                None
            }
            _ => None,
        };
        ran.push(format!("{} {}", words[1], words[2]));
    }
    let expected = [
        "key new, account open, account fund, trade buy, account show",
        "identity enrol, promote --key, trade buy",
        "account withdraw, key new, account rotate-key, request list",
        "trade buy, account show, trade cancel, trade buy, trade margin",
        "audit export, audit verify, audit export, audit export, audit verify, audit export, audit verify",
        "identity enrol, identity list, trade buy",
        "account freeze, account unfreeze, account set-credit, node queue, node refusals, node paths",
    ];
    assert_eq!(ran.join(", "), expected.join(", "));
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(workspace().join(document)).unwrap();
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            assert!(workspace().join(link).exists(), "{document} names {link}");
        }
        let quoted = text.split('`').skip(1).step_by(2);
        for path in quoted.filter(|q| q.contains('/') && q.ends_with(".rs")) {
            // Inside `node`, the documents shorten paths to what stands below its sources.
            let there = [path.to_owned(), format!("node/src/{path}")].iter().any(|p| workspace().join(p).exists());
            assert!(there, "{document} names {path}");
        }
    }
}
