//! Signatures on which libraries differ: our verdict is ZIP 215's, alone and in every batch.

use serde::Deserialize;
use stemma_chain_format::keys::{self, KeyError, SignatureCheck};

use super::{parsed, public_key, signature, unhex};

#[derive(Deserialize)]
struct SpeccheckCase {
    message: String,
    pub_key: String,
    signature: String,
}

fn row(verdicts: impl Iterator<Item = Result<(), KeyError>>) -> String {
    verdicts.map(|verdict| if verdict.is_ok() { 'V' } else { 'X' }).collect()
}

/// The rows that the speccheck paper (<https://eprint.iacr.org/2020/1244>) gives for ZIP 215 and for dalek's strict check.
#[test]
fn speccheck_rows_are_as_published() {
    let cases: Vec<SpeccheckCase> = parsed(include_str!("../data/ed25519_speccheck_cases.json"));
    let check = |case: &SpeccheckCase| SignatureCheck {
        key: public_key(&case.pub_key),
        message: unhex(&case.message),
        signature: signature(&case.signature).unwrap(),
    };
    let checks: Vec<_> = cases.iter().map(check).collect();
    let single = checks.iter().map(|c| keys::verify(&c.key, &c.message, &c.signature));
    assert_eq!(row(single), "VVVVVVXXXVVV");
    let strict = checks.iter().map(|c| keys::verify_strict(&c.key, &c.message, &c.signature));
    assert_eq!(row(strict), "XXXVXXXXXXXX");
    assert_eq!(row(keys::verify_batch(&checks).into_iter()), "VVVVVVXXXVVV");
}

#[derive(Deserialize)]
struct CctvCase {
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

impl CctvCase {
    fn flagged(&self, flag: &str) -> bool {
        self.flags.as_ref().is_some_and(|flags| flags.iter().any(|own| own.starts_with(flag)))
    }

    fn check(&self) -> SignatureCheck {
        SignatureCheck {
            key: public_key(&self.key),
            message: self.msg.as_bytes().to_vec(),
            signature: signature(&self.sig).unwrap(),
        }
    }
}

fn cctv() -> Vec<(CctvCase, SignatureCheck)> {
    let cases: Vec<CctvCase> = parsed(include_str!("../data/ed25519_cctv.json"));
    cases.into_iter().map(|case| (case.check(), case)).map(|(check, case)| (case, check)).collect()
}

/// Refused are exactly those whose hash was made from re-encoded points (we hash the bytes as given), unless the key is of
/// low order: the cofactored equation then holds whatever the hash is.
#[test]
fn cctv_accepts_all_but_the_re_encoded_where_that_matters() {
    let cases = cctv();
    let mut accepted = 0;
    for (case, c) in &cases {
        let verdict = keys::verify(&c.key, &c.message, &c.signature);
        let other_hash_matters = case.flagged("reencoded_k") && !case.flagged("low_order_A");
        assert_eq!(verdict.is_ok(), !other_hash_matters, "{} {}", case.msg, case.sig);
        accepted += usize::from(verdict.is_ok());
    }
    assert_eq!((cases.len(), accepted), (914, 826));
}

/// What the door asks in addition accepts only signatures that every library accepts.
#[test]
fn cctv_strict_accepts_only_what_carries_no_edge() {
    let mut accepted = 0;
    for (case, c) in &cctv() {
        let edges = ["low_order_A", "low_order_R", "low_order_residue", "non_canonical", "reencoded_k"];
        let plain = !edges.iter().any(|flag| case.flagged(flag));
        let verdict = keys::verify_strict(&c.key, &c.message, &c.signature);
        assert_eq!(verdict.is_ok(), plain, "{} {}", case.msg, case.sig);
        accepted += usize::from(verdict.is_ok());
        let weak = case.flagged("low_order_A") || case.flagged("low_order_component_A");
        let weak_or_other = weak || case.flagged("non_canonical_A");
        assert_eq!(c.key.admit().is_err(), weak_or_other, "{}", case.key);
    }
    assert_eq!(accepted, 43);
}

#[test]
fn cctv_verdicts_are_the_same_in_batches_of_every_mixture() {
    let checks: Vec<_> = cctv().into_iter().map(|(_, check)| check).collect();
    let single: Vec<_> = checks.iter().map(|c| keys::verify(&c.key, &c.message, &c.signature)).collect();
    assert_eq!(keys::verify_batch(&checks), single);
    for size in [1, 2, 3, 4, 5, 16, 64, 256] {
        let verdicts: Vec<_> = checks.chunks(size).flat_map(keys::verify_batch).collect();
        assert_eq!(verdicts, single, "batches of {size}");
    }
    // Good ones alone, and each bad one hidden at a moving place among good ones.
    let sorted =
        |good: bool| checks.iter().zip(&single).filter(move |(_, v)| v.is_ok() == good).map(|(c, _)| c.clone());
    let (good, bad): (Vec<_>, Vec<_>) = (sorted(true).collect(), sorted(false).collect());
    assert!(keys::verify_batch(&good).iter().all(Result::is_ok));
    for (at, one) in bad.iter().enumerate() {
        let mut batch = good[at..at + 9].to_vec();
        let place = at % 10;
        batch.insert(place, one.clone());
        let verdicts = keys::verify_batch(&batch);
        let refused: Vec<_> = (0..10).filter(|i| verdicts[*i].is_err()).collect();
        assert_eq!(refused, [place]);
    }
}
