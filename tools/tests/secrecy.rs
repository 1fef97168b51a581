//! Secrets stay secret: in no list of processes, no output, no log and no error, and in no core dump.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use stemma_keystore::paper::Phrase;
use stemma_keystore::{Purpose, SecretKey};

const PASSPHRASE: &str = "shibboleth-of-the-test-7319";
const NEW_PASSPHRASE: &str = "abracadabra-of-the-test-2846";
const SEED: [u8; 32] = *b"\x9e\x4d\xa1\x07\x5c\xee\x33\x18\xb2\x61\x0a\xf7\xd4\x29\x8c\x50\x1d\x77\xc3\xfe\x42\x96\x0b\xe8\x35\xaa\x5f\x11\xd9\x84\x6c\x20";

/// A command with everything that could make it talkative.
fn stemma(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stemma"));
    command.args(arguments).arg("-vv").current_dir(folder).stdin(Stdio::null());
    for name in ["STEMMA_LOG", "RUST_LOG"] {
        command.env(name, "trace");
    }
    command.env("RUST_BACKTRACE", "full").env_remove("STEMMA_PASSPHRASE").env_remove("STEMMA_NEW_PASSPHRASE");
    command
}

/// Every way in which the key or a passphrase could be written.
fn secrets(key: &SecretKey) -> Vec<String> {
    let seed = key.signing_key().to_bytes();
    let words = Phrase::of(key).text();
    let words: Vec<&str> = words.lines().filter(|line| !line.contains(':')).flat_map(str::split_whitespace).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| word.parse::<u8>().is_err()).collect();
    let listed = format!("{seed:?}");
    let mut secrets = vec![
        hex::encode(seed),
        hex::encode_upper(seed),
        STANDARD.encode(seed).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(seed),
        listed[1..60].to_owned(),
        words[..3].join(" "),
        PASSPHRASE.to_owned(),
        NEW_PASSPHRASE.to_owned(),
    ];
    secrets.extend([PASSPHRASE, NEW_PASSPHRASE].map(hex::encode));
    secrets
}

fn assert_silent(what: &str, said: &[u8], secrets: &[String]) {
    let said = String::from_utf8_lossy(said);
    for secret in secrets {
        assert!(!said.contains(secret.as_str()), "{what} tells {secret}:\n{said}");
    }
}

/// A folder with a key whose seed is known, and files with passphrases.
fn prepare(folder: &Path) -> SecretKey {
    use std::os::unix::fs::PermissionsExt;
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o600)).unwrap();
    };
    write("pass", &format!("{PASSPHRASE}\n"));
    write("new", &format!("{NEW_PASSPHRASE}\n"));
    write("seed", &format!("{}\n", hex::encode(SEED)));
    let arguments = ["key", "import", "seed", "--purpose", "member", "--out", "key.pem", "--passphrase-file", "pass"];
    let made = stemma(folder, &arguments).output().unwrap();
    let key = SecretKey::from_seed(&SEED, Purpose::Member);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_silent("import", &[made.stdout, made.stderr].concat(), &secrets(&key));
    key
}

#[test]
fn no_command_tells_a_secret_whether_it_succeeds_or_fails() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let secrets = secrets(&prepare(folder));
    fs::write(folder.join("file"), "to sign").unwrap();
    fs::create_dir(folder.join("in-the-way")).unwrap();
    let pass = ["--passphrase-file", "pass"];
    let good = |arguments: &[&'static str]| [arguments, &pass].concat();
    let commands: Vec<(Vec<&str>, i32)> = vec![
        (good(&["key", "show", "key.pem"]), 0),
        (good(&["key", "sign", "file", "--key", "key.pem"]), 0),
        (good(&["key", "export", "key.pem", "--format", "openssh", "--out", "ssh"]), 0),
        (good(&["key", "export", "key.pem", "--format", "jwk", "--plain", "--out", "jwk"]), 0),
        (good(&["key", "backup", "key.pem", "--out", "words"]), 0),
        (good(&["key", "backup", "key.pem", "--threshold", "2", "--shares", "2", "--out", "shares"]), 0),
        (good(&["key", "restore", "--words", "words", "--out", "a.pem"]), 0),
        (
            good(&[
                "key",
                "restore",
                "--share",
                "shares/share-1-of-2.txt",
                "--share",
                "shares/share-2-of-2.txt",
                "--out",
                "b.pem",
            ]),
            0,
        ),
        (good(&["key", "import", "ssh", "--purpose", "member", "--out", "c.pem"]), 0),
        (good(&["key", "import", "jwk", "--out", "in-the-way", "--force"]), 3),
        (good(&["key", "import", "jwk", "--purpose", "account", "--out", "d.pem"]), 3),
        (good(&["key", "import", "seed", "--format", "jwk", "--purpose", "account", "--out", "d.pem"]), 3),
        (good(&["key", "import", "seed", "--format", "pkcs8", "--purpose", "account", "--out", "d.pem"]), 3),
        (good(&["key", "import", "pass", "--format", "raw", "--purpose", "account", "--out", "d.pem"]), 3),
        (good(&["key", "restore", "--words", "shares/share-1-of-2.txt", "--out", "d.pem"]), 3),
        (good(&["key", "restore", "--share", "words", "--out", "d.pem"]), 3),
        (good(&["key", "restore", "--words", "pass", "--out", "d.pem"]), 3),
        (vec!["key", "passwd", "key.pem", "--passphrase-file", "new", "--new-passphrase-file", "pass"], 3),
        (vec!["key", "passwd", "key.pem", "--passphrase-file", "pass", "--new-passphrase-file", "new"], 0),
        (vec!["key", "sign", "file", "--key", "key.pem", "--passphrase-file", "pass", "--force"], 3),
    ];
    for (arguments, code) in commands {
        for json in [&["--json"][..], &[]] {
            // What succeeded once finds its files there the second time: that is a failure to look at, too.
            let output: Output = stemma(folder, &arguments).args(json).output().unwrap();
            let what = format!("{arguments:?} {json:?}");
            let said = [output.stdout.as_slice(), &output.stderr].concat();
            assert_silent(&what, &said, &secrets);
            if !json.is_empty() {
                assert_eq!(output.status.code(), Some(code), "{what}: {}", String::from_utf8_lossy(&said));
            }
        }
    }
}

#[test]
fn a_passphrase_is_not_in_the_list_of_processes_and_memory_is_not_dumped() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let secrets = secrets(&prepare(folder));
    let mut child =
        stemma(folder, &["key", "sign", "pass", "--key", "key.pem", "--passphrase-file", "-", "--out", "sig"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Half of the passphrase is there, so that the process has begun to read and waits for the rest.
    stdin.write_all(&PASSPHRASE.as_bytes()[..10]).unwrap();
    let proc = Path::new("/proc").join(child.id().to_string());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let limits = loop {
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        let numbers: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
        if numbers == ["0", "0"] || std::time::Instant::now() > until {
            break numbers.join(" ");
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert_eq!(limits, "0 0", "no core dump, and no way back");
    for file in ["cmdline", "environ", "status"] {
        assert_silent(file, &fs::read(proc.join(file)).unwrap(), &secrets);
    }
    stdin.write_all(&PASSPHRASE.as_bytes()[10..]).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_silent("sign", &[output.stdout, output.stderr].concat(), &secrets);
    assert_silent("the signature", &fs::read(folder.join("sig")).unwrap(), &secrets);
}

#[test]
fn only_what_must_hold_the_key_holds_it() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let secrets = secrets(&prepare(folder));
    assert_silent("the key file", &fs::read(folder.join("key.pem")).unwrap(), &secrets);
    let shares = ["key", "backup", "key.pem", "--threshold", "2", "--shares", "3", "--out", "shares"];
    let made = stemma(folder, &[&shares[..], &["--passphrase-file", "pass"]].concat()).output().unwrap();
    assert!(made.status.success());
    for entry in fs::read_dir(folder.join("shares")).unwrap() {
        let path = entry.unwrap().path();
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_silent("a share", &fs::read(path).unwrap(), &secrets);
    }
    // The search does find what is there: a plain export holds the key.
    let plain = ["key", "export", "key.pem", "--format", "jwk", "--plain", "--out", "-", "--passphrase-file", "pass"];
    let said = stemma(folder, &plain).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(secrets.iter().any(|secret| said.contains(secret.as_str())));
}
