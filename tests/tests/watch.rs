//! Promise: whoever watches several nodes is told when one shows another block than the rest, and keeps what proves it to anybody.

use std::path::Path;

use serde_json::Value;
use stemma_tests::command::{Said, tool};
use stemma_tests::liar::{Liar, forged};
use stemma_tests::network::{AAPL, MEMBERS, Network};
use stemma_tests::proof::both_verify;

/// More than two thirds of the voting power.
const GUILTY: [&str; 3] = ["bank-a", "bank-b", "broker-a"];

fn watch(network: &Network, nodes: &[&str], until: u64, evidence: &Path) -> Said {
    let (genesis, until) = (network.genesis_file().display().to_string(), until.to_string());
    let evidence = evidence.display().to_string();
    let mut arguments = vec!["audit", "watch", "--json", "--genesis", &genesis, "--evidence", &evidence];
    arguments.extend(["--from", "1", "--until", &until, "--every", "50"]);
    nodes.iter().for_each(|node| arguments.extend(["--node", node]));
    tool(&arguments)
}

fn events(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_is_seen_and_kept() {
    let network = Network::start().await;
    let mut alice = network.customer("alice");
    let order = alice.buy(AAPL, 3);
    let trade = alice.finish(&order).await.chain.unwrap();
    let height = network.client("bank-a").chain(&trade).await.unwrap().height;
    let until = network.agreed().await.height;
    let evidence = network.scratch().join("evidence");

    // Nobody lies: nothing is found, and every entry was verified once.
    let honest: Vec<&str> = MEMBERS.iter().map(|member| network.client(member).url()).collect();
    let said = watch(&network, &honest, until, &evidence);
    assert_eq!((said.code, evidence.exists()), (0, false), "{said:?}");
    let looked = events(&said);
    let verified: u64 = looked.iter().filter_map(|event| event["entries"].as_u64()).sum();
    assert_eq!(verified, network.client("auditor").status().await.unwrap().entries, "{looked:?}");
    assert_eq!(looked.last().unwrap()["height"], until);

    // One shows a block that three of four validators signed beside the real one, with a trade executed otherwise.
    let auditor = network.client("auditor");
    let real = auditor.block_bundle(height).await.unwrap();
    let liar = Liar::start(auditor.url(), &forged(&network, &real, &GUILTY));
    let said = watch(&network, &[network.client("bank-b").url(), &liar.url], until, &evidence);
    assert_eq!(said.code, 1, "{said:?}");
    let found: Vec<Value> = events(&said).into_iter().filter(|event| event["event"] == "evidence").collect();
    assert_eq!(found.len(), 2, "{said:?}");
    assert!(found.iter().all(|event| event["node"] == *liar.url && event["height"] == height), "{found:?}");
    // Of the real block's certificate, as the honest node has it, three of four may be enough.
    let signed = network.client("bank-b").block(height).await.unwrap().signers;
    let both: Vec<&str> = GUILTY.into_iter().filter(|member| signed.iter().any(|signer| signer == member)).collect();
    for (event, claim, accused) in [(&found[0], "conflict", both.as_slice()), (&found[1], "executions", &["broker-a"])]
    {
        must_prove(&network, Path::new(event["file"].as_str().unwrap()), claim, accused);
    }

    // What too few signed is no evidence against anybody, but told of the node that shows it.
    let liar = Liar::start(auditor.url(), &forged(&network, &real, &GUILTY[..2]));
    let nothing = network.scratch().join("nothing");
    let said = watch(&network, &[network.client("bank-b").url(), &liar.url], until, &nothing);
    assert_eq!((said.code, nothing.exists()), (1, false), "{said:?}");
    let told: Vec<Value> = events(&said).into_iter().filter(|event| event["event"] == "refuted").collect();
    assert!(told.len() == 1 && told[0]["message"].as_str().unwrap().contains("certificate.power"), "{said:?}");
}

/// Evidence proves the same to both implementations.
fn must_prove(network: &Network, file: &Path, claim: &str, accused: &[&str]) {
    let proved = both_verify(network, file);
    assert_eq!((&proved["verdict"], &proved["claim"]), (&"verified".into(), &claim.into()), "{proved}");
    assert_eq!(proved["accused"], serde_json::to_value(accused).unwrap(), "{proved}");
}
