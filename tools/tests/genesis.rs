//! Founders make a genesis file with keys of their own, start to end.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

fn stemma(folder: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_stemma"))
        .args(arguments)
        .arg("--json")
        .current_dir(folder)
        .env("STEMMA_PASSPHRASE", "a passphrase of many words")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn key(folder: &Path, purpose: &str, file: &str) -> String {
    let made = stemma(folder, &["key", "new", "--purpose", purpose, "--out", file]);
    made["public_key"].as_str().unwrap().to_owned()
}

#[test]
fn founders_sign_one_genesis() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    for (id, role) in [("bank-a", "bank"), ("broker-a", "institution"), ("auditor", "auditor")] {
        let member = key(folder, "member", &format!("{id}.pem"));
        let network = key(folder, "network", &format!("{id}-network.pem"));
        let out = format!("{id}.json");
        let mut arguments = vec!["genesis", "member", "--id", id, "--role", role, "--name", id, "--out", &out];
        arguments.extend(["--member-key", &member, "--network-key", &network]);
        let validator = key(folder, "validator", &format!("{id}-validator.pem"));
        if role != "auditor" {
            arguments.extend(["--validator-key", &validator, "--power", "1"]);
        }
        stemma(folder, &arguments);
    }
    let mut draft = vec!["genesis", "draft", "--name", "Test", "--out", "draft.json"];
    draft.extend(["--member", "bank-a.json", "--member", "broker-a.json", "--member", "auditor.json"]);
    let drafted = stemma(folder, &draft);
    for id in ["bank-a", "broker-a", "auditor"] {
        let (key, out) = (format!("{id}.pem"), format!("{id}.sig"));
        let signed = stemma(folder, &["genesis", "sign", "draft.json", "--key", &key, "--out", &out]);
        assert_eq!(signed["digest"], drafted["digest"]);
    }
    let mut assemble = vec!["genesis", "assemble", "draft.json", "--out", "genesis.stemma"];
    assemble.extend(["--signature", "broker-a.sig", "--signature", "auditor.sig", "--signature", "bank-a.sig"]);
    let assembled = stemma(folder, &assemble);
    let shown = stemma(folder, &["genesis", "show", "genesis.stemma"]);
    assert_eq!(shown["network"], assembled["network"]);
    assert_eq!(shown["digest"], drafted["digest"]);
    assert_eq!(shown["members"].as_array().unwrap().len(), 3);
    let file = std::fs::read(folder.join("genesis.stemma")).unwrap();
    assert_eq!(shown["network"], blake3::hash(&file).to_hex().as_str(), "b3sum gives the network's id");
}
