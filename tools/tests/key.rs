//! What a transcript can't show: streams, descriptors, JSON taken apart, the file that is left.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use stemma_keystore::{Passphrase, Purpose, read_key_file};
use stemma_tools::keys::fingerprint;

fn stemma(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stemma"));
    command.args(arguments).current_dir(folder).env_remove("STEMMA_PASSPHRASE").stdin(Stdio::null());
    command
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn assert_made(folder: &Path, output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = folder.join("key.pem");
    let passphrase = Passphrase::new("a passphrase of many words").unwrap();
    let key = read_key_file(&path, &passphrase, Purpose::Account).unwrap();
    let report = parse(&output.stdout);
    assert_eq!(report["version"], 1);
    assert_eq!(report["public_key"], hex::encode(key.public_key()));
    assert_eq!(report["fingerprint"], fingerprint(&key.public_key()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let everything = [output.stdout.as_slice(), &output.stderr].concat();
    let seed = hex::encode(key.signing_key().to_bytes());
    assert!(!String::from_utf8(everything).unwrap().contains(&seed), "no secret is printed");
}

const NEW: [&str; 6] = ["--json", "key", "new", "--purpose=account", "--out", "key.pem"];

#[test]
fn passphrase_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = stemma(folder.path(), &NEW)
        .args(["--passphrase-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a passphrase of many words\nsecond line\n").unwrap();
    assert_made(folder.path(), &child.wait_with_output().unwrap());
}

#[test]
fn passphrase_from_a_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let pass = folder.path().join("pass");
    fs::write(&pass, "a passphrase of many words\n").unwrap();
    let output =
        stemma(folder.path(), &NEW).args(["--passphrase-fd", "0"]).stdin(File::open(pass).unwrap()).output().unwrap();
    assert_made(folder.path(), &output);
}

#[test]
fn flag_goes_before_environment() {
    let folder = tempfile::tempdir().unwrap();
    let pass = folder.path().join("pass");
    fs::write(&pass, "a passphrase of many words").unwrap();
    let output = stemma(folder.path(), &NEW)
        .args(["--passphrase-file", "pass"])
        .env("STEMMA_PASSPHRASE", "another")
        .output()
        .unwrap();
    assert_made(folder.path(), &output);
}

#[test]
fn a_failure_leaves_standard_output_empty() {
    let folder = tempfile::tempdir().unwrap();
    let output = stemma(folder.path(), &["--json", "key", "show", "absent.pem"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let failure = parse(&output.stderr);
    assert_eq!(failure["version"], 1);
    assert_eq!(failure["error"]["exit_code"], 3);
    assert!(failure["error"]["causes"][0].as_str().unwrap().contains("No such file"));
}

#[test]
fn no_colours_off_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let output = stemma(folder.path(), &["key", "show", "absent.pem"]).output().unwrap();
    assert!(!output.stderr.contains(&0x1b));
}
