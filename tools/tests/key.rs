//! What a transcript can't show: streams, descriptors, JSON taken apart, the file that is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

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

/// Who has no `stemma` checks a signature with openssl, as tools/FORMATS.md says.
#[test]
fn openssl_checks_a_signature_on_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = stemma(folder.path(), arguments).env("STEMMA_PASSPHRASE", "a passphrase of many words").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::write(folder.path().join("file"), vec![7; 3_000_000]).unwrap();
    run(&["key", "new", "--purpose", "member", "--out", "key.pem"]);
    run(&["key", "sign", "file", "--key", "key.pem"]);
    run(&["key", "export", "key.pem", "--public", "--format", "pkcs8", "--out", "pub.pem"]);
    // As with `head -n 5 file.sig > signed` and `sed -n 's/^signature: //p' file.sig | xxd -r -p > bytes`.
    let openssl = || {
        let text = fs::read_to_string(folder.path().join("file.sig")).unwrap();
        let (signed, signature) = text.trim_end().split_once("signature: ").unwrap();
        fs::write(folder.path().join("signed"), signed).unwrap();
        fs::write(folder.path().join("bytes"), hex::decode(signature).unwrap()).unwrap();
        let arguments = "pkeyutl -verify -rawin -pubin -inkey pub.pem -in signed -sigfile bytes";
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder.path()).output();
        output.expect("this test needs openssl: .ci/run installs it")
    };
    let good = openssl();
    assert!(
        good.status.success(),
        "{}{}",
        String::from_utf8_lossy(&good.stdout),
        String::from_utf8_lossy(&good.stderr)
    );
    let text = fs::read_to_string(folder.path().join("file.sig")).unwrap();
    fs::write(folder.path().join("file.sig"), text.replace("member", "account")).unwrap();
    assert!(!openssl().status.success());
}
