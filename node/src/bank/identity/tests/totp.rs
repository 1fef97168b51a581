//! One-time codes: the RFC's vectors, steps, replay.

use super::super::totp::provision;
use super::*;

const KIND: &str = "totp";
/// The RFC's secrets, `12345678901234567890` and so on, in base32.
const SHA1: &str = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8";
const SHA256: &str = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA====\
                      &digits=8&algorithm=SHA256";
/// RFC 6238, appendix B.
const VECTORS: [(u64, &str, &str); 6] = [
    (59, "94287082", "46119246"),
    (1_111_111_109, "07081804", "68084774"),
    (1_111_111_111, "14050471", "67062674"),
    (1_234_567_890, "89005924", "91819424"),
    (2_000_000_000, "69279037", "90698825"),
    (20_000_000_000, "65353130", "77737706"),
];

fn at(now_s: u64, settings: &IdentitySettings) -> Context<'_> {
    Context { now_s, ..context(settings) }
}

#[test]
fn the_vectors_of_rfc_6238() {
    let settings = settings();
    for (now_s, sha1, sha256) in VECTORS {
        let context = at(now_s, &settings);
        for (address, code) in [(SHA1, sha1), (SHA256, sha256)] {
            let stored = enrol(KIND, address.as_bytes(), &context).unwrap().stored;
            assert!(verify(KIND, code.as_bytes(), Some(&stored), &context).is_ok(), "{now_s}: {code}");
            let short = &code[2..];
            assert_eq!(verify(KIND, short.as_bytes(), Some(&stored), &context), Err(IdentityError::Mismatch));
            // The same secret with codes of six digits: the last six of eight.
            let six = address.replace("digits=8", "digits=6");
            let stored = enrol(KIND, six.as_bytes(), &context).unwrap().stored;
            assert!(verify(KIND, short.as_bytes(), Some(&stored), &context).is_ok(), "{now_s}: {short}");
            assert_eq!(verify(KIND, code.as_bytes(), Some(&stored), &context), Err(IdentityError::Mismatch));
        }
    }
}

#[test]
fn a_code_counts_one_step_each_way() {
    let settings = settings();
    let stored = enrol(KIND, SHA1.as_bytes(), &context(&settings)).unwrap().stored;
    let (now_s, code, _) = VECTORS[3];
    let begin = now_s / 30 * 30;
    for (now_s, holds) in [
        (begin - 31, false),
        (begin - 30, true),
        (begin - 1, true),
        (begin, true),
        (begin + 59, true),
        (begin + 60, false),
    ] {
        let verified = verify(KIND, code.as_bytes(), Some(&stored), &at(now_s, &settings));
        assert_eq!(verified.is_ok(), holds, "{now_s}");
    }
}

#[test]
fn a_code_counts_once_and_none_before_it_afterwards() {
    let settings = settings();
    // These two codes are of neighbouring steps.
    let (earlier, later) = (VECTORS[1], VECTORS[2]);
    let context = at(earlier.0, &settings);
    let enrolled = enrol(KIND, SHA1.as_bytes(), &context).unwrap();
    let first = verify(KIND, earlier.1.as_bytes(), Some(&enrolled.stored), &context).unwrap();
    let used = first.stored.unwrap();
    assert_eq!(verify(KIND, earlier.1.as_bytes(), Some(&used), &context), Err(IdentityError::Mismatch));
    let next = verify(KIND, later.1.as_bytes(), Some(&used), &context).unwrap();
    assert_eq!(enrolled.verifier, first.verifier, "the digest is of the enrolment, not of its use");
    assert_eq!(enrolled.verifier, next.verifier);
    // A later code used first takes the earlier one with it.
    let later_first = verify(KIND, later.1.as_bytes(), Some(&enrolled.stored), &context).unwrap().stored.unwrap();
    assert_eq!(verify(KIND, earlier.1.as_bytes(), Some(&later_first), &context), Err(IdentityError::Mismatch));
}

#[test]
fn what_is_no_code_is_told_so() {
    let settings = settings();
    for wrong in ["", "12345", "1234567", "123456789", "12345x", " 123456", "１２"] {
        let error = verify(KIND, wrong.as_bytes(), None, &context(&settings)).unwrap_err();
        assert!(matches!(error, IdentityError::Malformed { .. }), "{wrong}");
    }
}

#[test]
fn addresses_that_are_not_enrolled() {
    let settings = settings();
    for wrong in [
        "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "otpauth://totp/x",
        "otpauth://totp/x?digits=6",
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ",
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1",
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=7",
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm=MD5",
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&period=60",
    ] {
        let error = enrol(KIND, wrong.as_bytes(), &context(&settings)).unwrap_err();
        assert!(matches!(error, EnrolError::Unfit { .. }), "{wrong}");
    }
}

#[test]
fn a_provisioned_address_is_enrolled_and_never_the_same() {
    let settings = settings();
    let (one, two) = (provision("Bank & Co", "a?b").unwrap(), provision("Bank & Co", "a?b").unwrap());
    assert!(one.starts_with("otpauth://totp/Bank___Co:a_b?secret="), "{}", one.as_str());
    assert_ne!(one, two);
    enrol(KIND, one.as_bytes(), &context(&settings)).unwrap();
}
