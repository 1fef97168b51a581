//! Keys in other programs' forms: public vectors, openssl and ssh-keygen both ways, and malformed ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use stemma_keystore::foreign::{About, Form, export, export_public, import, look_at, ssh_fingerprint};
use stemma_keystore::{DecodeError, ImportError, Passphrase, Purpose, SecretKey, generate, write_secret};

/// RFC 8037, appendix A.1 and A.2; the key of RFC 8032 §7.1, test 1.
const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const JWK_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PASSPHRASE: &str = "words that nobody guesses";

fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE).unwrap()
}

/// Runs a program in a folder and returns what it prints.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}, which .ci/run installs: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn seed(key: &SecretKey) -> String {
    hex::encode(key.signing_key().to_bytes())
}

#[test]
fn every_form_and_passphrase_comes_back_the_same() {
    for purpose in Purpose::ALL {
        let key = generate(purpose).unwrap();
        for form in Form::ALL {
            for passphrase in [None, Some(passphrase())] {
                let written = export(&key, form, passphrase.as_ref());
                if passphrase.is_some() && !form.can_encrypt() {
                    assert!(written.unwrap_err().to_string().contains("can't be encrypted"));
                    continue;
                }
                let written = written.unwrap();
                assert_eq!(Form::of(&written).unwrap(), form);
                let about = look_at(&written, form).unwrap();
                assert_eq!(about.is_encrypted, passphrase.is_some(), "{form}");
                let read = import(&written, form, passphrase.as_ref(), purpose).unwrap();
                assert_eq!((seed(&read), read.purpose()), (seed(&key), purpose), "{form}");
            }
        }
    }
}

#[test]
fn jwk_of_rfc_8037() {
    let key = import(JWK.as_bytes(), Form::Jwk, None, Purpose::Account).unwrap();
    assert_eq!(seed(&key), JWK_SEED);
    let public = export_public(&key.public_key(), Form::Jwk, None).unwrap();
    let expected = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert_eq!(String::from_utf8(public).unwrap(), format!("{expected}\n"));
    let written = export(&key, Form::Jwk, None).unwrap();
    assert!(std::str::from_utf8(&written).unwrap().contains("\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\""));
    assert_eq!(look_at(&written, Form::Jwk).unwrap().purpose, Some(Purpose::Account));
}

#[test]
fn bad_jwks_are_named_without_their_secret() {
    let read = |text: &str| import(text.as_bytes(), Form::Jwk, None, Purpose::Account).unwrap_err();
    let private = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    assert!(matches!(read(&JWK.replace("OKP", "EC")), ImportError::NotEd25519));
    assert!(matches!(read(&JWK.replace("Ed25519", "X25519")), ImportError::NotEd25519));
    assert!(matches!(read(&JWK.replace("11qY", "11qZ")), ImportError::KeyMismatch));
    assert!(matches!(read(&JWK.replace("yuf2A", "yuf2A=")), ImportError::JwkMember { member: "d" }));
    assert!(matches!(read(&JWK.replace("\"d\"", "\"e\"")), ImportError::JwkPublic));
    let shared = JWK.replace("\"kty\"", "\"stemma_purpose\":\"network\",\"kty\"");
    assert!(matches!(read(&shared), ImportError::WrongPurpose { found: Purpose::Network, .. }));
    for text in [JWK.replace(",\"x\"", ";\"x\""), JWK.replace(private, "\\u006e"), JWK.replace('}', "")] {
        let error = read(&text);
        assert!(matches!(error, ImportError::Json { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("nWGxne"), "{error:?}");
    }
}

#[test]
fn raw_bytes_and_digits() {
    let bytes = hex::decode(JWK_SEED).unwrap();
    let texts = [bytes.clone(), JWK_SEED.into(), format!("{JWK_SEED}\n").into_bytes(), JWK_SEED.to_uppercase().into()];
    for text in texts {
        assert_eq!(Form::of(&text).unwrap(), Form::Raw);
        assert_eq!(seed(&import(&text, Form::Raw, None, Purpose::Network).unwrap()), JWK_SEED);
    }
    let short = import(&bytes[1..], Form::Raw, None, Purpose::Network).unwrap_err();
    assert!(matches!(short, ImportError::RawLength { found: 31 }));
    assert!(matches!(Form::of(b"no key"), Err(ImportError::UnknownForm)));
    assert!(matches!(Form::of(&[0xff; 33]), Err(ImportError::UnknownForm)));
}

#[test]
fn ssh_keygen_reads_our_files() {
    let folder = tempfile::tempdir().unwrap();
    let key = generate(Purpose::Member).unwrap();
    let public = export_public(&key.public_key(), Form::OpenSsh, Some(Purpose::Member)).unwrap();
    let public = String::from_utf8(public).unwrap();
    fs::write(folder.path().join("key.pub"), &public).unwrap();
    let listed = run(folder.path(), "ssh-keygen", &["-l", "-f", "key.pub"]);
    assert!(listed.contains(&ssh_fingerprint(&key.public_key())), "{listed}");
    for (given, typed) in [(Some(passphrase()), PASSPHRASE), (None, "")] {
        let written = export(&key, Form::OpenSsh, given.as_ref()).unwrap();
        write_secret(&folder.path().join("key"), &written, true).unwrap();
        let shown = run(folder.path(), "ssh-keygen", &["-y", "-P", typed, "-f", "key"]);
        assert_eq!(shown.trim(), public.trim());
    }
}

#[test]
fn we_read_files_of_ssh_keygen() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, typed) in [("plain", ""), ("locked", PASSPHRASE)] {
        run(folder, "ssh-keygen", &["-q", "-t", "ed25519", "-N", typed, "-C", "me@here", "-f", name]);
        let written = fs::read(folder.join(name)).unwrap();
        assert_eq!(Form::of(&written).unwrap(), Form::OpenSsh);
        let is_encrypted = !typed.is_empty();
        assert_eq!(look_at(&written, Form::OpenSsh).unwrap(), About { is_encrypted, purpose: None });
        let key = import(&written, Form::OpenSsh, Some(&passphrase()), Purpose::Account).unwrap();
        let public = export_public(&key.public_key(), Form::OpenSsh, None).unwrap();
        let theirs = fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap();
        assert_eq!(theirs.trim(), format!("{} me@here", String::from_utf8(public).unwrap().trim()));
    }
    let locked = fs::read(folder.join("locked")).unwrap();
    let read = |passphrase: Option<&Passphrase>| import(&locked, Form::OpenSsh, passphrase, Purpose::Account);
    assert!(matches!(read(None), Err(ImportError::PassphraseNeeded)));
    let wrong = Passphrase::new("wrong").unwrap();
    assert!(matches!(read(Some(&wrong)), Err(ImportError::WrongPassphrase)));
    run(folder, "ssh-keygen", &["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"]);
    let rsa = fs::read(folder.join("rsa")).unwrap();
    let refused = import(&rsa, Form::OpenSsh, None, Purpose::Account).unwrap_err();
    assert!(matches!(refused, ImportError::NotEd25519), "{refused}");
    run(folder, "ssh-keygen", &["-q", "-p", "-a", "1001", "-P", "", "-N", PASSPHRASE, "-f", "plain"]);
    let costly = fs::read(folder.join("plain")).unwrap();
    let refused = import(&costly, Form::OpenSsh, Some(&passphrase()), Purpose::Account).unwrap_err();
    assert!(matches!(refused, ImportError::BcryptLimit { rounds: 1001, .. }), "{refused}");
}

#[test]
fn openssl_reads_our_exports_and_we_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = generate(Purpose::Validator).unwrap();
    fs::write(folder.join("pass"), format!("{PASSPHRASE}\n")).unwrap();
    write_secret(&folder.join("key.pem"), &export(&key, Form::Pkcs8, Some(&passphrase())).unwrap(), false).unwrap();
    let public = run(folder, "openssl", &["pkey", "-in", "key.pem", "-passin", "file:pass", "-pubout"]);
    let ours = export_public(&key.public_key(), Form::Pkcs8, None).unwrap();
    assert_eq!(public.as_bytes(), ours);

    // What `openssl genpkey` writes when nothing is said: PBKDF2, not scrypt.
    for cipher in ["-aes-256-cbc", "-aes-128-cbc"] {
        let arguments = ["genpkey", "-algorithm", "ed25519", cipher, "-pass", "file:pass", "-out", "theirs.pem"];
        run(folder, "openssl", &arguments);
        let theirs = fs::read(folder.join("theirs.pem")).unwrap();
        assert!(look_at(&theirs, Form::Pkcs8).unwrap().is_encrypted);
        let read = import(&theirs, Form::Pkcs8, Some(&passphrase()), Purpose::Network).unwrap();
        let public = run(folder, "openssl", &["pkey", "-in", "theirs.pem", "-passin", "file:pass", "-pubout"]);
        assert_eq!(public.as_bytes(), export_public(&read.public_key(), Form::Pkcs8, None).unwrap());
        let wrong = Passphrase::new("wrong").unwrap();
        let refused = import(&theirs, Form::Pkcs8, Some(&wrong), Purpose::Network).unwrap_err();
        assert!(matches!(refused, ImportError::Pkcs8(DecodeError::WrongPassphrase)), "{refused}");
    }
    fs::copy(folder.join("pass"), folder.join("pass-out")).unwrap();
    let weak = [
        "pkcs8",
        "-topk8",
        "-in",
        "theirs.pem",
        "-passin",
        "file:pass",
        "-passout",
        "file:pass-out",
        "-out",
        "weak.pem",
    ];
    run(folder, "openssl", &[&weak[..], &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"]].concat());
    let weak = import(&fs::read(folder.join("weak.pem")).unwrap(), Form::Pkcs8, Some(&passphrase()), Purpose::Network);
    assert!(matches!(weak, Err(ImportError::Pkcs8(DecodeError::WeakEncryption))));
}
