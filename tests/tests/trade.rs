//! Promise: one command runs a whole network, trades through it, and everything that it says holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stemma_node_api::Client;
use stemma_node_api::types::RequestState;
use stemma_tests::binaries::binaries;
use stemma_tests::books::{Sums, add_executed, must_balance, parsed};
use stemma_tests::slot::Slot;

const CUSTOMERS: &str = "name,bank,cash\nalice,bank-a,50000.00\nbruno,bank-a,1000.00\nemeka,bank-b,75000.00\n";
const ORDERS: &str = "\
date,customer,side,instrument,quantity,limit,fault
2000-01-01,alice,buy,broker-a/AAPL,100,26.00,
2000-01-01,alice,sell,AAPL,101,,
2000-01-01,alice,buy,IBM,20,,
2000-01-01,alice,sell,AAPL,40,25.94,
2000-01-01,alice,buy,AAPL,1,,repeated-counter
2000-01-01,bruno,buy,broker-a/NOPE,1,,
2000-01-01,bruno,buy,MSFT,10,,forged-signature
2000-01-01,bruno,buy,MSFT,1000,,
2000-01-01,bruno,buy,MSFT,10,,
2000-01-01,emeka,buy,AMZN,7,64.55,
2000-01-01,emeka,buy,AMZN,7,64.56,
2000-01-01,nobody,buy,AMZN,1,,
2000-02-01,alice,sell,AAPL,60,,
2000-02-01,bruno,sell,MSFT,10,9999.00,
2000-02-01,emeka,buy,AAPL,33,,
";
const COMMITTED: u64 = 7;
const REFUSED: [(&str, u64); 7] = [
    ("insufficient-holdings", 1),
    ("repeated-counter", 1),
    ("unknown-instrument", 1),
    ("bad-signature", 1),
    ("insufficient-cash", 1),
    ("price-outside-limit", 2),
    ("unknown-account", 1),
];

fn sandbox(dir: &Path) -> Command {
    let mut command = Command::new(&binaries().tool);
    command.args(["sandbox", "--json", "--quiet", "--dir"]).arg(dir).arg("--node-binary").arg(&binaries().node);
    command.stdin(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_trades_and_everything_it_says_holds() {
    let _slot = Slot::take().await;
    let root = tempfile::tempdir().unwrap();
    let (orders, customers, dir) =
        (root.path().join("orders.csv"), root.path().join("customers.csv"), root.path().join("sandbox"));
    std::fs::write(&orders, ORDERS).unwrap();
    std::fs::write(&customers, CUSTOMERS).unwrap();

    let run = sandbox(&dir).arg("--orders").arg(&orders).arg("--customers").arg(&customers).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&run.stdout));
    let first: Value = serde_json::from_slice(&run.stdout).unwrap();
    report_is_as_documented(&first, &dir);

    // The same command again goes on with the same ledger, here left running to be asked.
    let mut again = Running::start(sandbox(&dir).arg("--keep-running"));
    let second = again.report();
    report_is_as_documented(&second, &dir);
    assert_eq!(second["accounts"], first["accounts"]);
    let height = |report: &Value| report["nodes"][0]["height"].as_u64().unwrap();
    assert!(height(&second) >= height(&first), "{} then {}", height(&first), height(&second));
    // Only a committed entry changes the root, and there was none.
    assert_eq!(second["nodes"][0]["account_root"], first["nodes"][0]["account_root"]);

    let mut committed = 0;
    for account in second["accounts"].as_array().unwrap() {
        committed += holdings_follow(&second, account).await;
    }
    assert_eq!(committed, COMMITTED);
    must_balance(&client(&second, "auditor")).await;
    must_balance(&client(&second, "bank-b")).await;
    assert_eq!(again.stop(), Some(0));
}

/// Every field that the documentation names, and what it must say after these orders.
fn report_is_as_documented(report: &Value, dir: &Path) {
    assert_eq!(report["version"], 1);
    assert_eq!(report["trades_committed"], COMMITTED, "{report}");
    assert_eq!(report["orders"], ORDERS.lines().count() - 1);
    let refused: BTreeMap<&str, u64> = REFUSED.into();
    assert_eq!(report["refusals"], serde_json::json!(refused));
    assert!(report["finality_ms"]["p50"].as_f64().unwrap() > 0.0);
    assert!(report["finality_ms"]["p99"].as_f64() >= report["finality_ms"]["p50"].as_f64());
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 5);
    for field in ["height", "head", "account_root"] {
        assert!(nodes.iter().all(|node| node[field] == nodes[0][field]), "{field}: {nodes:?}");
    }
    let names: BTreeSet<&str> = nodes.iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["auditor", "bank-a", "bank-b", "broker-a", "broker-b"]));
    assert_eq!(report["accounts"].as_array().unwrap().len(), 3);
    let bundles = report["bundles"].as_array().unwrap();
    assert!(bundles.len() == 3 && bundles.iter().all(|bundle| bundle["verdict"] == "verified"), "{bundles:?}");
    assert_eq!(report["genesis"], dir.join("genesis.stemma").display().to_string());
    assert_eq!(report["failures"], serde_json::json!([]));
}

/// What a customer holds is what its first cash and the executed requests make; refused ones made nothing.
async fn holdings_follow(report: &Value, account: &Value) -> u64 {
    let text = |field: &str| account[field].as_str().unwrap();
    let client = client(report, text("bank"));
    let line = CUSTOMERS.lines().find(|line| line.starts_with(text("name"))).unwrap();
    let cash: i128 = line.rsplit(',').next().unwrap().replace('.', "").parse().unwrap();
    let mut expected = Sums::from([(format!("{}/USD", text("bank")), cash)]);
    let mut committed = 0;
    for view in client.account_requests(text("account")).await.unwrap().requests {
        match view.state {
            RequestState::Committed => {
                add_executed(&client, &view, &mut expected).await;
                committed += 1;
            }
            RequestState::Refused => assert!(view.refusal.is_some() && view.chain.is_none(), "{view:?}"),
            other => panic!("{other:?} is not final"),
        }
    }
    expected.retain(|_, sum| *sum != 0);
    let found = client.account(text("account")).await.unwrap();
    assert_eq!(parsed(&found.total), expected, "{}", text("name"));
    assert_eq!(serde_json::to_value(&found.total).unwrap(), account["holdings"]);
    assert_eq!((found.sequence, account["trades"].as_u64()), (committed, Some(committed)));
    committed
}

fn client(report: &Value, member: &str) -> Client {
    let nodes = report["nodes"].as_array().unwrap();
    let node = nodes.iter().find(|node| node["name"] == member).unwrap();
    Client::new(node["url"].as_str().unwrap()).unwrap()
}

/// A sandbox that stays up until it is told to end.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn report(&mut self) -> Value {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Ends it as Ctrl-C would.
    fn stop(mut self) -> Option<i32> {
        self.signal();
        self.0.wait().unwrap().code()
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked and not killed: it stops its nodes before it ends.
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal();
            let _ = self.0.wait();
        }
    }
}
