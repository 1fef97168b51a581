//! Founders make a genesis file with keys of their own, start to end, and a draft that was tampered with is noticed by each of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use stemma_tools::member_entry::MemberEntry;

const FOUNDERS: [(&str, &str); 3] = [("bank-a", "bank"), ("broker-a", "institution"), ("auditor", "auditor")];

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stemma"));
    command.args(arguments).arg("--json").current_dir(folder).stdin(Stdio::null());
    command.env("STEMMA_PASSPHRASE", "a passphrase of many words").output().unwrap()
}

fn stemma(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The message and causes with which a command fails.
fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty());
    said
}

/// Keys and entries of all founders, and their draft.
fn founders(folder: &Path) -> Value {
    let mut draft = vec!["genesis", "draft", "--name", "Test", "--out", "draft.json"];
    draft.extend(["--set", "expiry_blocks_max=500"]);
    let files = FOUNDERS.map(|(id, _)| format!("{id}.json"));
    for ((id, role), out) in FOUNDERS.iter().zip(&files) {
        for purpose in ["member", "network", "validator"] {
            let key = format!("{id}/{purpose}.pem");
            stemma(folder, &["key", "new", "--purpose", purpose, "--out", &key, "--plain"]);
        }
        let mut member = vec!["genesis", "member", "--network", "Test", "--id", id, "--role", role, "--name", id];
        member.extend(["--keys", id, "--out", out]);
        stemma(folder, &member);
        draft.extend(["--member", out]);
    }
    stemma(folder, &draft)
}

fn sign(folder: &Path, draft: &str, id: &str) -> String {
    let (key, out) = (format!("{id}/member.pem"), format!("{id}-{draft}.sig"));
    stemma(folder, &["genesis", "sign", draft, "--key", &key, "--out", &out]);
    out
}

/// Changes a file of JSON.
fn change(folder: &Path, from: &str, to: &str, pointer: &str, value: Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(folder.join(from)).unwrap()).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    fs::write(folder.join(to), json.to_string()).unwrap();
}

#[test]
fn founders_sign_one_genesis() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let drafted = founders(folder);
    let inspected = stemma(folder, &["genesis", "show", "draft.json"]);
    assert_eq!(inspected["digest"], drafted["digest"]);
    assert_eq!(inspected["parameters"]["expiry_blocks_max"], 500);
    let signatures = FOUNDERS.map(|(id, _)| sign(folder, "draft.json", id));
    let mut assemble = vec!["genesis", "assemble", "draft.json", "--out", "genesis.stemma"];
    signatures.iter().rev().for_each(|file| assemble.extend(["--signature", file]));
    let assembled = stemma(folder, &assemble);
    let shown = stemma(folder, &["genesis", "show", "genesis.stemma"]);
    assert_eq!(shown["network"], assembled["network"]);
    assert_eq!(shown["digest"], drafted["digest"]);
    assert_eq!(shown["members"], inspected["members"]);
    assert_eq!(shown["members"].as_array().unwrap().len(), 3);
    let auditor = shown["members"].as_array().unwrap().iter().find(|member| member["id"] == "auditor").unwrap();
    assert!(auditor["validator_key"].is_null(), "an auditor has no vote, whatever lies in its folder");
    let file = fs::read(folder.join("genesis.stemma")).unwrap();
    assert_eq!(shown["network"], blake3::hash(&file).to_hex().as_str(), "b3sum gives the network's id");
    // The entry that others read is the member that the genesis holds.
    let entry = MemberEntry::read(&folder.join("bank-a.json"), &["Test"]).unwrap();
    let genesis = stemma_chain_format::genesis::GenesisFile::decode(file).unwrap();
    assert!(genesis.genesis().members.contains(entry.member()));
}

#[test]
fn a_draft_that_was_tampered_with_is_signed_by_nobody() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    founders(folder);
    let key = stemma(folder, &["key", "new", "--purpose", "network", "--out", "other.pem", "--plain"]);
    let entries: Value = serde_json::from_slice(&fs::read(folder.join("draft.json")).unwrap()).unwrap();
    assert_eq!(entries["members"][1]["id"], "bank-a");
    for (pointer, value) in [
        ("/members/1/power", Value::from(1_000)),
        ("/members/1/network_key", key["public_key"].clone()),
        ("/members/1/name", Value::from("Bank of Another")),
        ("/name", Value::from("Another network")),
    ] {
        change(folder, "draft.json", "tampered.json", pointer, value);
        let arguments = ["genesis", "sign", "tampered.json", "--key", "broker-a/member.pem", "--out", "x.sig"];
        let said = refused(folder, &arguments, 1);
        let member = if pointer == "/name" { "auditor" } else { "bank-a" };
        assert!(said.contains("tampered.json") && said.contains(member), "{pointer}: {said}");
    }
    // A parameter is nobody's entry: the digest tells, and who signed the other draft is named.
    change(folder, "draft.json", "changed.json", "/parameters/block_entries_max", Value::from(1));
    let agreed = stemma(folder, &["genesis", "show", "draft.json"])["digest"].as_str().unwrap().to_owned();
    let mut arguments = vec!["genesis", "sign", "changed.json", "--key", "broker-a/member.pem", "--out", "x.sig"];
    arguments.extend(["--digest", &agreed]);
    assert!(refused(folder, &arguments, 1).contains(&agreed));
    let mut assemble = vec!["genesis", "assemble", "draft.json", "--out", "genesis.stemma"];
    let signatures = [sign(folder, "draft.json", "bank-a"), sign(folder, "changed.json", "broker-a")];
    signatures.iter().for_each(|file| assemble.extend(["--signature", file]));
    let said = refused(folder, &assemble, 1);
    assert!(said.contains(&signatures[1]) && said.contains("block_entries_max is 1 there and 4000 here"), "{said}");
}

#[test]
fn a_signature_that_does_not_hold_is_named_with_its_file() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    founders(folder);
    let signatures = FOUNDERS.map(|(id, _)| sign(folder, "draft.json", id));
    let theirs: Value = serde_json::from_slice(&fs::read(folder.join(&signatures[0])).unwrap()).unwrap();
    let assemble = |files: &[&str]| {
        let mut arguments = vec!["genesis", "assemble", "draft.json", "--out", "genesis.stemma"];
        files.iter().for_each(|file| arguments.extend(["--signature", file]));
        refused(folder, &arguments, 1)
    };
    change(folder, &signatures[1], "forged.sig", "/signature", theirs["signature"].clone());
    let said = assemble(&[&signatures[0], "forged.sig", &signatures[2]]);
    assert!(said.contains("forged.sig, the signature of broker-a, does not hold"), "{said}");
    let stranger = stemma(folder, &["key", "new", "--purpose", "member", "--out", "stranger.pem", "--plain"]);
    change(folder, &signatures[1], "stranger.sig", "/key", stranger["public_key"].clone());
    let said = assemble(&[&signatures[0], "stranger.sig", &signatures[2]]);
    assert!(said.contains("stranger.sig") && said.contains("no founder's member key"), "{said}");
    let said = assemble(&[&signatures[0], &signatures[2]]);
    assert!(said.contains("the signature of broker-a is missing"), "{said}");
    let out = folder.join("genesis.stemma");
    assert!(!out.exists(), "nothing is written");
    let refused = refused(folder, &["genesis", "sign", "draft.json", "--key", "stranger.pem", "--out", "x.sig"], 2);
    assert!(refused.contains("no founder's member key"), "{refused}");
}
