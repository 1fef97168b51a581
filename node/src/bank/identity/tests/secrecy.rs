//! What was shown to the bank appears nowhere: not in errors, not in what is printed, not in what is stored.

use super::*;

/// A word that stands in all evidence here.
const SECRET: &str = "Xyzzy-Plugh-7";

fn assert_hidden(what: &str, text: &str) {
    let bytes = format!("{:?}", SECRET.as_bytes());
    let hex = SECRET.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    for form in [SECRET, bytes.trim_matches(['[', ']']), &hex, &SECRET.to_uppercase(), "Plugh", "PLUGH"] {
        assert!(!text.contains(form), "{what}: {text}");
    }
}

/// Material with the secret in it, in forms that types accept and refuse.
fn materials() -> Vec<Vec<u8>> {
    let forms = [
        "{}",
        "CN:{}",
        "otpauth://totp/{}",
        "otpauth://totp/{}?secret={}",
        "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&algorithm={}",
        "otpauth://totp/{}?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "RIFF....WAVE{}",
        "\0\0\0\x20ftypisom{}",
        "\x7fPNG{}",
    ];
    let mut materials: Vec<Vec<u8>> = forms.iter().map(|form| form.replace("{}", SECRET).into_bytes()).collect();
    materials.push([b"\x89PNG\r\n\x1a\n".as_slice(), SECRET.as_bytes()].concat());
    materials.push([b"\xff\xd8\xff\xe0".as_slice(), SECRET.as_bytes()].concat());
    materials.push(stemma_node_api::x509::evidence(&[SECRET.as_bytes().to_vec()], Some(SECRET.as_bytes())));
    materials
}

/// An error with all its causes, in both forms.
fn printed(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| format!("{error} {error:?}\n")).collect()
}

#[test]
fn no_error_says_what_was_shown() {
    let mut settings = settings();
    settings.image.perceptual = true;
    let context = context(&settings);
    let verifiers = Verifiers::standard();
    let mut errors = 0;
    for kind in verifiers.kinds() {
        for material in materials() {
            let stored = match verifiers.enrol(kind, &material, &context) {
                Ok(enrolled) => Some(enrolled.stored),
                Err(error) => {
                    errors += 1;
                    assert_hidden(kind, &printed(&error));
                    None
                }
            };
            let other = [material.as_slice(), SECRET.as_bytes()].concat();
            let damaged = Some(SECRET.as_bytes().repeat(20));
            for (evidence, stored) in
                [(&material, None), (&other, stored.as_ref()), (&other, None), (&other, damaged.as_ref())]
            {
                if let Err(error) = verify(kind, evidence, stored.map(Vec::as_slice), &context) {
                    errors += 1;
                    assert_hidden(kind, &printed(&error));
                }
            }
        }
    }
    assert!(errors > 300, "{errors}");
}

#[test]
fn nothing_printed_shows_evidence_or_keys() {
    let mut settings = settings();
    settings.sealing_key = Zeroizing::new(*b"Xyzzy-Plugh-7Xyzzy-Plugh-7Xyzzy-");
    settings.cas.push(SECRET.as_bytes().to_vec());
    let (_, evidence) = claim("password", SECRET.as_bytes());
    let context = context(&settings);
    let stored = enrol("password", SECRET.as_bytes(), &context).unwrap();
    let verified = verify("password", SECRET.as_bytes(), Some(&stored.stored), &context).unwrap();
    assert_hidden("printed", &format!("{evidence:?} {context:?} {settings:?} {stored:?} {verified:?}"));
    assert_eq!(format!("{evidence:?}"), "Evidence { kind: \"password\", .. }");
    for finding in settings.findings(NOW_S) {
        assert_hidden("finding", &printed(&finding));
    }
}

#[test]
fn nothing_stored_holds_what_was_shown() {
    let settings = settings();
    let context = context(&settings);
    let otpauth = b"otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    for (kind, material, words) in [
        ("password", SECRET.as_bytes(), &[SECRET.as_bytes(), b"argon2"][..]),
        ("national-id", b"11010519491231002X", &[b"19491231", b"11010519491231002X", b"argon2"]),
        ("totp", otpauth, &[b"12345678901234567890", b"GEZDGNBV"]),
        ("audio", b"fLaC Xyzzy-Plugh-7", &[b"fLaC", SECRET.as_bytes()]),
    ] {
        let stored = enrol(kind, material, &context).unwrap().stored;
        for word in words {
            assert!(!stored.windows(word.len()).any(|bytes| bytes == *word), "{kind}");
        }
        let plain = blake3::hash(material);
        assert!(!stored.windows(32).any(|bytes| bytes == plain.as_bytes()), "{kind}");
    }
}

#[test]
fn the_ledgers_digest_is_no_hash_of_anything_that_can_be_listed() {
    let settings = settings();
    let number = b"CN:11010519491231002X";
    let enrolled = enrol("national-id", number, &context(&settings)).unwrap();
    for guess in [number.to_vec(), b"11010519491231002X".to_vec()] {
        let digest = blake3::hash(&[b"national-id\0".as_slice(), &guess].concat());
        assert_ne!(enrolled.verifier.0, *digest.as_bytes());
        assert_ne!(enrolled.verifier.0, *blake3::hash(&guess).as_bytes());
    }
}
