//! Promise: the whole ledger, a block, and what an account held at any height are proved offline, from a node that runs and from the store of
//! one that stands still.

use std::path::{Path, PathBuf};

use serde_json::Value;
use stemma_tests::command::{Said, tool};
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, Network};
use stemma_tests::proof::both_verify;

struct Auditor<'n> {
    network: &'n Network,
    /// The node that runs, or the folder of one that stands still.
    from: [String; 2],
}

impl Auditor<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.network.scratch().join(format!("{}-{name}.bundle", self.from[0].trim_start_matches('-')))
    }

    fn export(&self, what: &[&str], file: &Path) -> Said {
        let out = file.display().to_string();
        let [flag, from] = &self.from;
        let mut arguments = vec!["audit", "export", flag.as_str(), from, "--out", &out, "--json"];
        arguments.extend(what);
        tool(&arguments)
    }

    /// Exports and verifies by both implementations; gives what ours says.
    fn prove(&self, name: &str, what: &[&str]) -> Value {
        let file = self.file(name);
        let said = self.export(what, &file);
        assert_eq!(said.code, 0, "{said:?}");
        both_verify(self.network, &file)
    }

    /// Everything that there is to prove.
    async fn proves(&self, alice: &Customer, earlier: &(u64, Value), (last, entries): (u64, u64)) {
        let account = alice.account.to_string();
        // Empty blocks go on coming, so the height is named where the same is to be proved again.
        let until = last.to_string();
        let newest = self.prove("newest", &["--ledger"]);
        assert!(newest["height"].as_u64().is_some_and(|height| height >= last), "{newest}");
        let ledger = self.prove("ledger", &["--ledger", "--height", &until]);
        assert_eq!((&ledger["claim"], &ledger["height"]), (&"ledger".into(), &last.into()), "{ledger}");
        assert_eq!((&ledger["blocks"], &ledger["entries"]), (&last.into(), &entries.into()), "{ledger}");

        let (height, held) = (earlier.0.to_string(), &earlier.1);
        let before = self.prove("held", &["--account", &account, "--holdings", "--height", &height]);
        assert_eq!((&before["holdings"], &before["height"]), (held, &earlier.0.into()), "{before}");
        let lineage = self.prove("lineage", &["--account", &account, "--height", &height]);
        assert_eq!((&lineage["holdings"], &lineage["chains"]), (held, &1.into()), "{lineage}");
        let since = self.prove("since", &["--account", &account, "--from", &height, "--height", &until]);
        assert_eq!((&since["claim"], &since["from_height"]), (&"lineage-from".into(), &earlier.0.into()), "{since}");
        assert_eq!((&since["chains"], &since["height"]), (&2.into(), &last.into()), "{since}");
        let none = self.prove("none", &["--account", &account, "--holdings", "--height", "1"]);
        assert_eq!((&none["claim"], &none["height"]), (&"absence".into(), &1.into()), "{none}");
        let part = self.prove("part", &["--ledger", "--height", &height]);
        assert_eq!((&part["height"], &part["blocks"]), (&earlier.0.into(), &earlier.0.into()), "{part}");
        let block = self.prove("block", &["--block", &height]);
        assert_eq!((&block["claim"], &block["height"]), (&"block".into(), &earlier.0.into()), "{block}");

        // What is not there is said, and leaves no file.
        let (beyond, nothing) = ((last + 1_000).to_string(), "0".repeat(64));
        for what in [&["--ledger", "--height", &beyond][..], &["--block", &beyond], &["--entry", &nothing]] {
            let file = self.file("beyond");
            let said = self.export(what, &file);
            assert_eq!((said.code, file.exists(), said.out.as_str()), (3, false, ""), "{what:?}: {said:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_proved_from_a_node_and_from_its_store() {
    let mut network = Network::start().await;
    let mut alice = network.customer("alice");
    let order = alice.buy(AAPL, 3);
    alice.finish(&order).await;
    network.agreed().await;
    let shown = alice.view().await;
    let earlier = (shown.height, serde_json::to_value(&shown.holdings).unwrap());
    for instrument in [IBM, AAPL] {
        let order = alice.buy(instrument, 1);
        alice.finish(&order).await;
    }
    let status = network.agreed().await;
    let auditor = network.client("auditor").url().to_owned();
    let from_node = Auditor { network: &network, from: ["--node".to_owned(), auditor] };
    from_node.proves(&alice, &earlier, (status.height, status.entries)).await;
    let (ledger, genesis) = (from_node.file("ledger"), network.genesis_file());
    explained(&ledger, &genesis, &network.scratch().join("ledger.html"), "blocks[0]");
    explained(&from_node.file("lineage"), &genesis, &network.scratch().join("lineage.html"), "lineage[1]");

    let home = network.home("auditor").display().to_string();
    let from_store = Auditor { network: &network, from: ["--home".to_owned(), home.clone()] };
    let said = from_store.export(&["--ledger"], &from_store.file("running"));
    assert!(said.code == 3 && said.err.contains("stemma audit export --node"), "{said:?}");
    network.process_mut("auditor").stop().await;
    let from_store = Auditor { network: &network, from: ["--home".to_owned(), home] };
    from_store.proves(&alice, &earlier, (status.height, status.entries)).await;
    assert_eq!(std::fs::read(from_store.file("ledger")).unwrap(), std::fs::read(&ledger).unwrap());
}

/// The steps are told, and drawn, and a bundle that does not hold is told up to the step that fails.
fn explained(bundle: &Path, genesis: &Path, page: &Path, step: &str) {
    let (file, genesis, html) =
        (bundle.display().to_string(), genesis.display().to_string(), page.display().to_string());
    let said = tool(&["audit", "verify", &file, "--genesis", &genesis, "--explain", "--html", &html]);
    assert!(said.code == 0 && said.out.contains(&format!(". {step}: ")), "{said:?}");
    let drawn = std::fs::read_to_string(page).unwrap();
    assert!(drawn.contains("<h1>verified</h1>") && drawn.contains(&format!(">{step}</span>")), "{drawn}");
    let said = tool(&["audit", "verify", &file, "--genesis", &genesis, "--explain", "--json"]).json();
    let steps: Vec<&str> =
        said["steps"].as_array().unwrap().iter().map(|step| step["place"].as_str().unwrap()).collect();
    assert!(steps.contains(&step) && said["verdict"] == "verified", "{said}");

    let mut bytes = std::fs::read(bundle).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let broken = bundle.with_extension("broken");
    std::fs::write(&broken, bytes).unwrap();
    let said = tool(&["audit", "verify", &broken.display().to_string(), "--genesis", &genesis, "--explain", "--json"]);
    let json = said.json();
    assert_ne!(json["verdict"], "verified");
    let told = json["steps"].as_array().unwrap();
    assert!(!told.is_empty() && told.len() < steps.len(), "{} of {}", told.len(), steps.len());
}
