//! Promise: a bundle proves an account offline against the genesis alone, and one changed byte is always found, by this
//! implementation and by the independent one in Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use stemma_tests::binaries::binaries;
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, Network};
use stemma_tests::python;
use stemma_tools::sandbox::layout::Folder;

/// Every so manieth byte is changed, one at a time.
const STRIDE: usize = 97;
/// Of these, every so manieth is given to the Python verifier too, which takes longer to start.
const PYTHON_STRIDE: usize = 9;

const VERIFIED: i32 = 0;
const REFUTED: i32 = 1;
const UNREADABLE: i32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn bundles_of_a_living_account() {
    let network = Network::start().await;
    let mut alice = network.customer("alice");
    for number in 0..6 {
        let order = alice.buy(if number % 2 == 0 { AAPL } else { IBM }, 3 + number);
        alice.finish(&order).await;
    }
    let order = alice.sell(AAPL, 5);
    let last = alice.finish(&order).await.chain.unwrap();
    let (files, genesis) = (network.scratch(), network.genesis_file());

    let bundle = export(&alice, &["--account", &alice.account.to_string()], &files.join("alice.bundle"));
    let (code, said) = verify(&bundle, &genesis);
    assert_eq!((code, &said["verdict"]), (VERIFIED, &Value::from("verified")), "{said}");
    let shown = alice.view().await;
    assert_eq!(said["total"], serde_json::to_value(&shown.total).unwrap());
    assert_eq!((&said["chains"], shown.sequence), (&Value::from(7), 7));

    other_claims(&alice, files, &genesis, &last);
    let other = Folder::open(&files.join("other")).unwrap();
    other.make(("date,symbol,close\n", ""), &[], "").unwrap();
    let (code, said) = verify(&bundle, &other.genesis());
    assert_eq!((code, &said["verdict"]), (REFUTED, &Value::from("refuted")), "{said}");

    let python = python::find();
    if let Some(python) = &python {
        assert_eq!(python::verify(python, &bundle, &genesis), VERIFIED);
        assert_eq!(python::verify(python, &bundle, &other.genesis()), REFUTED);
    }
    every_changed_byte_is_found(&bundle, &genesis, python.as_deref());
    what_is_cut_or_longer_is_unreadable(&bundle, &genesis);
}

fn every_changed_byte_is_found(bundle: &Path, genesis: &Path, python: Option<&str>) {
    let genuine = std::fs::read(bundle).unwrap();
    let changed = bundle.with_extension("changed");
    let mut codes = [0_u32; 4];
    for (count, at) in (0..genuine.len()).step_by(STRIDE).enumerate() {
        let mut bytes = genuine.clone();
        // Another bit each time.
        bytes[at] ^= 1 << (count % 8);
        std::fs::write(&changed, &bytes).unwrap();
        let (code, said) = verify(&changed, genesis);
        assert!([REFUTED, UNREADABLE].contains(&code), "byte {at} of {}: {code} {said}", genuine.len());
        assert!(said["rule"].is_string(), "byte {at}: {said}");
        codes[usize::try_from(code).unwrap()] += 1;
        if let Some(python) = python.filter(|_| count.is_multiple_of(PYTHON_STRIDE)) {
            assert_eq!(python::verify(python, &changed, genesis), code, "byte {at}: {said}");
        }
    }
    // Keys and signatures are most of a bundle: most changes can be read and prove nothing.
    assert!(codes[1] > 0, "{codes:?}");
}

fn what_is_cut_or_longer_is_unreadable(bundle: &Path, genesis: &Path) {
    let genuine = std::fs::read(bundle).unwrap();
    let changed = bundle.with_extension("cut");
    for bytes in [&[], &genuine[..1], &genuine[..genuine.len() - 1], &[&genuine[..], &[0]].concat()] {
        std::fs::write(&changed, bytes).unwrap();
        let (code, said) = verify(&changed, genesis);
        assert_eq!((code, &said["verdict"]), (UNREADABLE, &Value::from("unreadable")), "{said}");
    }
}

/// What an account holds without why, that there is none, and that a trade stands in its block.
fn other_claims(alice: &Customer, files: &Path, genesis: &Path, trade: &str) {
    let account = alice.account.to_string();
    let nobody = "0".repeat(64);
    let cases: [(&str, &[&str], &str, &str); 3] = [
        ("holds", &["--account", &account, "--holdings"], "account", &account),
        ("nobody", &["--account", &nobody, "--holdings"], "account", &nobody),
        ("trade", &["--entry", trade], "entry", trade),
    ];
    for (name, what, field, subject) in cases {
        let bundle = export(alice, what, &files.join(format!("{name}.bundle")));
        let (code, said) = verify(&bundle, genesis);
        assert_eq!((code, &said[field]), (VERIFIED, &Value::from(subject)), "{said}");
        let python = python::find();
        assert!(python.as_deref().is_none_or(|python| python::verify(python, &bundle, genesis) == VERIFIED), "{name}");
        if name != "nobody" {
            // Another id that is none is as true.
            every_changed_byte_is_found(&bundle, genesis, python.as_deref());
        }
    }
}

fn export(customer: &Customer, what: &[&str], file: &Path) -> PathBuf {
    let mut command = Command::new(&binaries().tool);
    command.args(["audit", "export", "--node", customer.client.url()]).args(what);
    let run = command.arg("--out").arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    file.to_owned()
}

/// The exit code, and what is printed.
fn verify(bundle: &Path, genesis: &Path) -> (i32, Value) {
    let mut command = Command::new(&binaries().tool);
    command.args(["audit", "verify", "--json"]).arg(bundle).arg("--genesis").arg(genesis);
    let run = command.stdin(Stdio::null()).output().unwrap();
    let said = serde_json::from_slice(&run.stdout);
    let said = said.unwrap_or_else(|_| panic!("{:?}: {}", run.status, String::from_utf8_lossy(&run.stderr)));
    (run.status.code().unwrap(), said)
}
