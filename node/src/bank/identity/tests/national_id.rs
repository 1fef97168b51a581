//! National numbers: check digits, dates, countries, one form.

use proptest::prelude::*;

use super::super::national_id::NationalId;
use super::*;

const KIND: &str = "national-id";
/// The example of GB 11643-1999 and of its Wikipedia article.
const NUMBER: &str = "11010519491231002X";

fn is_one(number: &str) -> bool {
    let settings = settings();
    let error = verify(KIND, number.as_bytes(), None, &context(&settings)).unwrap_err();
    match error {
        IdentityError::Malformed { .. } => false,
        IdentityError::Mismatch => true,
        other => panic!("{other}"),
    }
}

/// A number with its right check digit, by the table of weights that the standard prints rather than by the recursion.
fn with_check(digits: &str) -> String {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits.bytes().zip(weights).map(|(d, w)| u32::from(d - b'0') * w).sum();
    format!("{digits}{}", char::from(b"10X98765432"[(sum % 11) as usize]))
}

#[test]
fn one_number_however_it_is_written_and_no_other() {
    let settings = settings();
    let context = context(&settings);
    let stored = enrol(KIND, b"110105 19491231 002x", &context).unwrap().stored;
    for same in [NUMBER, "11010519491231002x", "CN:11010519491231002X", "cn: 110105-19491231-002 X"] {
        assert!(verify(KIND, same.as_bytes(), Some(&stored), &context).is_ok(), "{same}");
    }
    let other = with_check("11010519491231003");
    assert_eq!(verify(KIND, other.as_bytes(), Some(&stored), &context), Err(IdentityError::Mismatch));
}

#[test]
fn a_number_of_one_country_is_none_of_another() {
    assert!(is_one("12345678Z") && is_one("ES:12345678Z") && is_one("es 12345678-z".replace(' ', ":").as_str()));
    for wrong in ["12345678A", "CN:12345678Z", "ES:11010519491231002X", "XX:12345678Z", "", ":", "CN:"] {
        assert!(!is_one(wrong), "{wrong}");
    }
}

#[test]
fn days_that_never_were_are_refused() {
    for (day, holds) in [
        ("19491231", true),
        ("20000229", true),
        ("19000229", false),
        ("20010229", false),
        ("19991301", false),
        ("19990001", false),
        ("19990431", false),
        ("18491231", false),
        ("20251231", true),
        ("20260101", true),
        ("20260102", false),
    ] {
        let number = with_check(&format!("110105{day}002"));
        assert_eq!(is_one(&number), holds, "{day}");
    }
    assert!(!is_one(&with_check("01010519491231002")), "a region does not begin with 0");
}

#[test]
fn hostile_text_is_no_number() {
    for bytes in
        [&b"\xff\xfe"[..], "１１０１０５１９４９１２３１００２X".as_bytes(), b"1101051949123100\0X", &[b'1'; 1024]]
    {
        let settings = settings();
        let error = verify(KIND, bytes, None, &context(&settings)).unwrap_err();
        assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_single_digit_and_every_swap_is_caught(
        region in 110_000_u32..820_000,
        year in 1900_u32..2025,
        month in 1_u32..=12,
        day in 1_u32..=28,
        order in 0_u32..1000,
    ) {
        let number = with_check(&format!("{region:06}{year:04}{month:02}{day:02}{order:03}"));
        let settings = settings();
        let context = context(&settings);
        let holds = |bytes: &[u8]| NationalId.well_formed(bytes, &context).is_ok();
        prop_assert!(holds(number.as_bytes()));
        for at in 0..18 {
            for digit in *b"0123456789X" {
                let mut changed = number.clone().into_bytes();
                if changed[at] != digit {
                    changed[at] = digit;
                    prop_assert!(!holds(&changed), "{}", String::from_utf8_lossy(&changed));
                }
            }
            let mut swapped = number.clone().into_bytes();
            if at < 17 && swapped[at] != swapped[at + 1] {
                swapped.swap(at, at + 1);
                prop_assert!(!holds(&swapped), "{}", String::from_utf8_lossy(&swapped));
            }
        }
    }
}
