//! Honest signatures and known forgeries: RFC 8032 with djb's sign.input, and Wycheproof.

use ed25519_dalek::SigningKey;
use serde::Deserialize;
use stemma_chain_format::keys::{self, KeyError, PublicKey, SignatureCheck};

use super::{parsed, public_key, signature, unhex};

fn djb_checks() -> Vec<(SigningKey, SignatureCheck)> {
    let lines = include_str!("../data/ed25519_djb_sign_input.txt").lines().filter(|line| !line.is_empty());
    let check = |line: &str| {
        let mut parts = line.split(':').map(unhex);
        let [secret, public, message, signed] = [(); 4].map(|()| parts.next().unwrap());
        let seed: [u8; 32] = secret[..32].try_into().unwrap();
        let key = PublicKey(public.try_into().unwrap());
        let signature = signature(&hex::encode(&signed[..64])).unwrap();
        (SigningKey::from_bytes(&seed), SignatureCheck { key, message, signature })
    };
    lines.map(check).collect()
}

#[test]
fn djb_signatures_are_made_and_verified() {
    let checks = djb_checks();
    assert_eq!(checks.len(), 128);
    for (secret, check) in &checks {
        assert_eq!(PublicKey::of(secret), check.key);
        assert_eq!(keys::sign(secret, &check.message), check.signature);
        keys::verify(&check.key, &check.message, &check.signature).unwrap();
        keys::verify_strict(&check.key, &check.message, &check.signature).unwrap();
        check.key.admit().unwrap();
    }
    let batch: Vec<_> = checks.into_iter().map(|(_, check)| check).collect();
    assert!(keys::verify_batch(&batch).iter().all(Result::is_ok));
}

#[test]
fn djb_signatures_do_not_verify_for_another_message() {
    for (_, check) in djb_checks() {
        let longer = [check.message.as_slice(), &[0]].concat();
        assert_eq!(keys::verify(&check.key, &longer, &check.signature), Err(KeyError::BadSignature));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wycheproof {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    public_key: Key,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Key {
    pk: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    tc_id: u32,
    msg: String,
    sig: String,
    result: String,
}

/// Case 151 has an R whose x is "negative zero". RFC 8032 §5.1.3 refuses to decode it, ZIP 215 demands that it be accepted.
const NON_CANONICAL_R: u32 = 151;

/// Our rule gives Wycheproof's verdicts but for the one signature on which ZIP 215 and RFC 8032 differ; the strict check
/// that is asked at the door gives them all.
#[test]
fn wycheproof_verdicts_are_ours_but_for_one() {
    let file: Wycheproof = parsed(include_str!("../data/ed25519_wycheproof.json"));
    let mut checks = Vec::new();
    let mut seen = 0;
    for group in &file.test_groups {
        let key = public_key(&group.public_key.pk);
        for test in &group.tests {
            seen += 1;
            let valid = test.result == "valid";
            // A signature of another length cannot be held, which refuses it.
            let Some(signature) = signature(&test.sig) else {
                assert!(!valid, "{}", test.tc_id);
                continue;
            };
            let message = unhex(&test.msg);
            assert_eq!(keys::verify_strict(&key, &message, &signature).is_ok(), valid, "strict {}", test.tc_id);
            let valid = valid || test.tc_id == NON_CANONICAL_R;
            assert_eq!(keys::verify(&key, &message, &signature).is_ok(), valid, "{}", test.tc_id);
            checks.push((SignatureCheck { key, message, signature }, valid));
        }
    }
    assert_eq!((seen, file.number_of_tests), (151, 151));
    let batch: Vec<_> = checks.iter().map(|(check, _)| check.clone()).collect();
    let verdicts: Vec<bool> = keys::verify_batch(&batch).iter().map(Result::is_ok).collect();
    assert_eq!(verdicts, checks.iter().map(|(_, valid)| *valid).collect::<Vec<_>>());
}
