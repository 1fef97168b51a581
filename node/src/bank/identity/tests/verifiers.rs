//! What is asked of all types alike: commitments, sealing, digests, unknown identities.

use super::super::argon::tests::RUNS;
use super::*;

const OTPAUTH: &[u8] = b"otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Material that enrols, for each type that is enrolled and needs no chain.
fn materials() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("national-id", b"CN:11010519491231002X".to_vec()),
        ("password", b"correct horse".to_vec()),
        ("totp", OTPAUTH.to_vec()),
        ("image", image::png(&image::picture(1, 200, 150))),
        ("audio", b"RIFF\x24\x00\x00\x00WAVEfmt a recording".to_vec()),
        ("video", b"\x1a\x45\xdf\xa3 a recording".to_vec()),
    ]
}

/// The costs of the Argon2 runs that something does.
fn runs(work: impl FnOnce()) -> Vec<(u32, u32, u32)> {
    RUNS.with(|runs| runs.borrow_mut().clear());
    work();
    RUNS.with(|runs| runs.borrow().clone())
}

#[test]
fn types_are_as_registered() {
    let kinds: Vec<_> = Verifiers::standard().kinds().collect();
    assert_eq!(kinds, ["account-key", "x509", "national-id", "password", "totp", "image", "audio", "video"]);
    let settings = settings();
    let error = verify("iris", b"", None, &context(&settings)).unwrap_err();
    let known = "account-key, x509, national-id, password, totp, image, audio, video";
    assert_eq!(error.to_string(), format!("no verifier for the type iris; known: {known}"));
    assert!(matches!(enrol("iris", b"", &context(&settings)), Err(EnrolError::UnknownType { .. })));
}

#[test]
fn the_account_key_needs_no_enrolment_and_its_digest_is_of_the_key() {
    let settings = settings();
    let context = context(&settings);
    let verified = verify("account-key", &[3; 32], None, &context).unwrap();
    let digest = blake3::hash(&[b"account-key\0".as_slice(), &[3; 32]].concat());
    assert_eq!(verified.verifier.0, *digest.as_bytes());
    assert_eq!(verified.stored, None);
    assert_eq!(verify("account-key", &[4; 32], None, &context), Err(IdentityError::Mismatch));
    assert_eq!(verify("account-key", &[4; 32], Some(&[4; 32]), &context), Err(IdentityError::Mismatch));
    assert_eq!(enrol("account-key", &[3; 32], &context), Err(EnrolError::Implied { kind: "account-key" }));
}

#[test]
fn enrolled_evidence_is_verified_against_its_own_digest() {
    let settings = settings();
    let context = context(&settings);
    for (kind, material) in materials() {
        let one = enrol(kind, &material, &context).unwrap();
        let two = enrol(kind, &material, &context).unwrap();
        assert_ne!(one.verifier, two.verifier, "{kind}: the digest is salted");
        if kind != "totp" {
            let verified = verify(kind, &material, Some(&one.stored), &context).unwrap();
            assert_eq!(verified, Verified { verifier: one.verifier, stored: None }, "{kind}");
            let mut other = material.clone();
            *other.last_mut().unwrap() ^= 1;
            let error = verify(kind, &other, Some(&one.stored), &context).unwrap_err();
            assert!(matches!(error, IdentityError::Mismatch | IdentityError::Malformed { .. }), "{kind}: {error}");
        }
    }
}

#[test]
fn claim_and_evidence_belong_together() {
    let settings = settings();
    let context = context(&settings);
    let stored = enrol("password", b"correct horse", &context).unwrap().stored;
    let verify = |claim: &IdentityClaim, evidence: &Evidence| {
        Verifiers::standard().verify(claim, evidence, Some(&stored), &context)
    };
    let (right, evidence) = claim("password", b"correct horse");
    assert!(verify(&right, &evidence).is_ok());
    let (other, _) = claim("password", b"other horse");
    let salted = Evidence { salt: [6; 32], ..claim("password", b"correct horse").1 };
    let named = Evidence { kind: "national-id".to_owned(), ..claim("password", b"correct horse").1 };
    let none = runs(|| {
        assert_eq!(verify(&other, &evidence), Err(IdentityError::Mismatch));
        assert_eq!(verify(&right, &salted), Err(IdentityError::Mismatch));
        assert_eq!(verify(&right, &named), Err(IdentityError::Mismatch));
    });
    assert_eq!(none, [], "a claim that its own evidence refutes costs no Argon2");
}

#[test]
fn an_unknown_identity_does_the_work_of_a_wrong_one() {
    let settings = settings();
    let context = context(&settings);
    let (right, wrong) = (b"CN:11010519491231002X", b"CN:440524188001010014");
    for (kind, right, wrong) in
        [("password", b"correct horse".as_slice(), b"wrong horse".as_slice()), ("national-id", right, wrong)]
    {
        let stored = enrol(kind, right, &context).unwrap().stored;
        let of_wrong = runs(|| assert_eq!(verify(kind, wrong, Some(&stored), &context), Err(IdentityError::Mismatch)));
        let of_unknown = runs(|| assert_eq!(verify(kind, wrong, None, &context), Err(IdentityError::Mismatch)));
        assert_eq!(of_wrong, [(19 * 1024, 2, 1)], "{kind}");
        assert_eq!(of_unknown, of_wrong, "{kind}");
    }
}

#[test]
fn every_type_answers_for_an_unknown_identity() {
    let mut settings = settings();
    settings.image.perceptual = true;
    let context = context(&settings);
    for (kind, material) in materials() {
        let evidence = if kind == "totp" { b"123456".to_vec() } else { material };
        assert_eq!(verify(kind, &evidence, None, &context), Err(IdentityError::Mismatch), "{kind}");
    }
}

#[test]
fn a_row_opens_for_its_own_place_alone() {
    let (settings, mut other_key) = (settings(), settings());
    other_key.sealing_key = Zeroizing::new([8; 32]);
    let context = context(&settings);
    let sound = b"RIFF\x24\x00\x00\x00WAVEfmt a recording";
    let stored = enrol("audio", sound, &context).unwrap().stored;
    assert!(verify("audio", sound, Some(&stored), &context).is_ok());
    let account = Context { account: AccountId([4; 32]), ..context };
    let network = Context { network: NetworkId([4; 32]), ..context };
    let key = Context { settings: &other_key, ..context };
    for moved in [account, network, key] {
        let damaged = Err(IdentityError::Damaged { kind: "audio" });
        assert_eq!(verify("audio", sound, Some(&stored), &moved), damaged);
    }
    let film = b"\x1a\x45\xdf\xa3 a recording";
    assert_eq!(verify("video", film, Some(&stored), &context), Err(IdentityError::Damaged { kind: "video" }));
    for at in 0..stored.len() {
        let mut changed = stored.clone();
        changed[at] ^= 1;
        let error = verify("audio", sound, Some(&changed), &context);
        assert_eq!(error, Err(IdentityError::Damaged { kind: "audio" }), "byte {at}");
        assert!(verify("audio", sound, Some(&stored[..at]), &context).is_err());
    }
}

#[test]
fn a_change_of_the_sealing_key_needs_no_evidence_and_keeps_the_digest() {
    let (old, mut new) = (settings(), settings());
    new.sealing_key = Zeroizing::new([8; 32]);
    let with_old = context(&old);
    let with_new = Context { settings: &new, ..with_old };
    let enrolled = enrol("password", b"correct horse", &with_old).unwrap();
    let resealed = Verifiers::standard().reseal("password", &enrolled.stored, &with_old, &new).unwrap();
    let verified = verify("password", b"correct horse", Some(&resealed), &with_new).unwrap();
    assert_eq!(verified.verifier, enrolled.verifier);
    assert!(verify("password", b"correct horse", Some(&resealed), &with_old).is_err());
    let again = Verifiers::standard().reseal("password", &enrolled.stored, &with_new, &old);
    assert_eq!(again, Err(IdentityError::Damaged { kind: "password" }));
}

#[test]
fn evidence_and_material_are_bounded() {
    let settings = settings();
    let context = context(&settings);
    let verifiers = Verifiers::standard();
    for kind in verifiers.kinds().collect::<Vec<_>>() {
        let bytes_max = verifiers.evidence_bytes_max(kind).unwrap();
        let large = vec![b'1'; bytes_max + 1];
        let error = verify(kind, &large, None, &context).unwrap_err();
        assert_eq!(error, IdentityError::TooLarge { kind, bytes: bytes_max + 1, bytes_max });
        let error = enrol(kind, &large, &context).unwrap_err();
        assert!(matches!(error, EnrolError::TooLarge { .. } | EnrolError::Implied { .. }), "{error}");
    }
    assert_eq!(verifiers.evidence_bytes_max("iris"), None);
}

#[test]
fn nonsense_is_no_recording() {
    let settings = settings();
    let context = context(&settings);
    for (kind, nonsense) in [
        ("audio", &b""[..]),
        ("audio", b"RIFF\x24\x00\x00\x00AVI fmt "),
        ("audio", b"nonsense"),
        ("video", b"fLaC"),
        ("video", b"RIFF\x24\x00\x00\x00WAVE"),
        ("image", b"GIF89a"),
        ("image", b"nonsense"),
    ] {
        let error = verify(kind, nonsense, None, &context).unwrap_err();
        assert!(matches!(error, IdentityError::Malformed { .. }), "{kind}: {error}");
        assert!(enrol(kind, nonsense, &context).is_err());
    }
    for (kind, file) in [
        ("audio", &b"fLaC...."[..]),
        ("audio", b"ID3....."),
        ("audio", b"\xff\xfb\x90\x00"),
        ("audio", b"OggS...."),
        ("audio", b"\0\0\0\x20ftypM4A "),
        ("audio", b"\x1a\x45\xdf\xa3"),
        ("video", b"\0\0\0\x20ftypisom"),
        ("video", b"RIFF\x24\x00\x00\x00AVI LIST"),
    ] {
        assert!(enrol(kind, file, &context).is_ok(), "{kind}");
    }
}
