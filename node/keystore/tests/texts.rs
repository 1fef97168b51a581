//! Texts of other origin: RFC 8410's vectors, OpenSSL, and malformed ones.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use pkcs8::SecretDocument;
use stemma_keystore::{
    DecodeError, Passphrase, Purpose, ScryptCost, SecretKey, Unlock, decode_pem, encode_encrypted_pem,
    encode_plain_pem, generate, write_key_file, write_plain_key_file,
};

const V1: &[u8] = include_bytes!("vectors/rfc8410-pkcs8-v1.der");
const V2: &[u8] = include_bytes!("vectors/rfc8410-pkcs8-v2.der");
const PUBLIC: &[u8] = include_bytes!("vectors/rfc8410-pubkey.der");
const PURPOSE_LINE: &str = "Stemma-Purpose: member\n";

fn pem(label: &'static str, der: &[u8]) -> String {
    SecretDocument::try_from(der).unwrap().to_pem(label, pkcs8::LineEnding::LF).unwrap().to_string()
}

fn decode_plain(text: &str) -> Result<SecretKey, DecodeError> {
    decode_pem(text, Unlock::AllowPlain, Purpose::Member)
}

#[test]
fn rfc_8410_vectors() {
    for der in [V1, V2] {
        let key = decode_plain(&format!("{PURPOSE_LINE}{}", pem("PRIVATE KEY", der))).unwrap();
        assert_eq!(key.public_key(), PUBLIC.last_chunk::<32>().copied().unwrap());
    }
    // Version 2 with a public key of another seed.
    let mut der = V2.to_vec();
    *der.last_mut().unwrap() ^= 1;
    let text = format!("{PURPOSE_LINE}{}", pem("PRIVATE KEY", &der));
    assert!(matches!(decode_plain(&text), Err(DecodeError::KeyMismatch)));
}

#[test]
fn other_structures_are_refused() {
    let text = |der: &[u8]| format!("{PURPOSE_LINE}{}", pem("PRIVATE KEY", der));
    // X25519 (1.3.101.110) instead of Ed25519 (1.3.101.112).
    let mut x25519 = V1.to_vec();
    *x25519.get_mut(11).unwrap() = 0x6e;
    assert!(matches!(decode_plain(&text(&x25519)), Err(DecodeError::NotEd25519)));
    // An inner length that is not that of a seed.
    let mut short = V1.to_vec();
    *short.get_mut(15).unwrap() = 0x1f;
    assert!(matches!(decode_plain(&text(&short)), Err(DecodeError::Structure(_))));
}

#[test]
fn lines_and_labels() {
    let block = pem("PRIVATE KEY", V1);
    let public = hex::encode(PUBLIC.last_chunk::<32>().unwrap());
    let accepted = [
        format!("{PURPOSE_LINE}{block}"),
        format!("{PURPOSE_LINE}{}", block.replace('\n', "\r\n")),
        format!("A note: any text\n\nPublic-Key: {public}\n{PURPOSE_LINE}{block}\n\n"),
    ];
    for text in accepted {
        decode_plain(&text).unwrap();
    }
    let error = |text: String| decode_plain(&text).unwrap_err();
    assert!(matches!(error(block.clone()), DecodeError::MissingPurpose { expected: Purpose::Member }));
    assert!(matches!(error(format!("Stemma-Purpose: king\n{block}")), DecodeError::UnknownPurpose(_)));
    assert!(matches!(
        error(format!("Stemma-Purpose: account\n{block}")),
        DecodeError::WrongPurpose { found: Purpose::Account, .. }
    ));
    assert!(matches!(
        error(format!("{PURPOSE_LINE}{PURPOSE_LINE}{block}")),
        DecodeError::DuplicateLine { name: "Stemma-Purpose" }
    ));
    assert!(matches!(error(format!("{PURPOSE_LINE}Public-Key: 12\n{block}")), DecodeError::MalformedPublicKey));
    assert!(matches!(
        error(format!("{PURPOSE_LINE}Public-Key: {}\n{block}", "0".repeat(64))),
        DecodeError::KeyMismatch
    ));
    assert!(matches!(error(format!("{PURPOSE_LINE}{block}{block}")), DecodeError::TrailingText));
    assert!(matches!(error(String::new()), DecodeError::NoPem));
    assert!(matches!(error(format!("x{block}")), DecodeError::NoPem));
    let certificate = format!("{PURPOSE_LINE}{}", pem("CERTIFICATE", V1));
    assert!(matches!(error(certificate), DecodeError::NotAPrivateKey { label } if label == "CERTIFICATE"));
    let encrypted_label = format!("{PURPOSE_LINE}{}", pem("ENCRYPTED PRIVATE KEY", V1));
    let passphrase = Passphrase::new("x").unwrap();
    let decoded = decode_pem(&encrypted_label, &passphrase, Purpose::Member);
    assert!(matches!(decoded, Err(DecodeError::Structure(_))));
}

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output();
    let output = output.expect("this test needs openssl: .ci/run installs it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn openssl_reads_our_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pass"), "openssl reads this\n").unwrap();
    let passphrase = Passphrase::new("openssl reads this").unwrap();
    let key = generate(Purpose::Validator).unwrap();
    let path = folder.path().join("key.pem");
    for cost in [Some(ScryptCost::Standard), Some(ScryptCost::Trial), None] {
        match cost {
            Some(cost) => write_key_file(&path, &key, &passphrase, cost, true).unwrap(),
            None => write_plain_key_file(&path, &key, true).unwrap(),
        }
        let arguments = ["pkey", "-in", "key.pem", "-passin", "file:pass", "-noout", "-text"];
        let text = openssl(folder.path(), &arguments);
        let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
        assert!(digits.contains(&hex::encode(key.public_key())), "{text}");
        assert!(digits.contains(&hex::encode(key.signing_key().to_bytes())));
    }
}

#[test]
fn we_read_files_of_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let passphrase = Passphrase::new("from openssl").unwrap();
    let genpkey = ["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"];
    openssl(folder, &genpkey);
    let text = openssl(folder, &["pkey", "-in", "plain.pem", "-noout", "-text_pub"]);
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
    let read = |name: &str| format!("{PURPOSE_LINE}{}", fs::read_to_string(folder.join(name)).unwrap());

    let plain = decode_plain(&read("plain.pem")).unwrap();
    assert!(digits.contains(&hex::encode(plain.public_key())));

    let convert = |extra: &[&str]| {
        let mut arguments =
            vec!["pkcs8", "-topk8", "-in", "plain.pem", "-out", "key.pem", "-passout", "pass:from openssl"];
        arguments.extend_from_slice(extra);
        openssl(folder, &arguments);
        decode_pem(&read("key.pem"), &passphrase, Purpose::Member)
    };
    let scrypt = convert(&["-scrypt"]).unwrap();
    assert_eq!(scrypt.public_key(), plain.public_key());
    assert!(matches!(convert(&["-v2", "aes256"]), Err(DecodeError::UnsupportedEncryption)));
    assert!(matches!(convert(&["-scrypt", "-v2", "aes-128-cbc"]), Err(DecodeError::UnsupportedEncryption)));
    assert!(matches!(
        convert(&["-scrypt", "-scrypt_r", "1", "-scrypt_p", "17"]),
        Err(DecodeError::ScryptLimits { .. })
    ));
}

#[test]
fn the_text_is_frozen_up_to_what_is_random() {
    let key = SecretKey::from_seed(&[1; 32], Purpose::Network);
    let plain = encode_plain_pem(&key).unwrap();
    assert_eq!(
        plain.as_str(),
        "Stemma-Purpose: network\n\
         Public-Key: 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\n\
         -----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
         -----END PRIVATE KEY-----\n"
    );
    let passphrase = Passphrase::new("x").unwrap();
    let one = encode_encrypted_pem(&key, &passphrase, ScryptCost::Trial).unwrap();
    let other = encode_encrypted_pem(&key, &passphrase, ScryptCost::Trial).unwrap();
    assert_ne!(one, other, "salt and IV are new each time");
    assert!(one.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
}
