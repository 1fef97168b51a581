//! National identity numbers, by country, with their check digits.
//!
//! Evidence is text: the number, with its country's ISO 3166 code and a colon before it or, where one country of the
//! table alone has such numbers, without. Spaces, hyphens and the case of letters do not count. Numbers can be listed,
//! so what is stored is an Argon2id of `country:number`.

use time::{Date, Month, OffsetDateTime};
use zeroize::Zeroizing;

use super::{Context, IdentityType, Malformed, Match, Mismatch, Unfit, argon};

/// A country's numbers.
struct Scheme {
    /// ISO 3166-1 alpha-2.
    country: &'static str,
    /// Whether a number, in capitals and without spaces, can have been given out by this day.
    holds: fn(number: &[u8], today: Date) -> bool,
}

/// The countries; another one is another entry.
const SCHEMES: [Scheme; 2] = [
    // GB 11643-1999: six digits of region, eight of birth, three of order, one check character.
    Scheme { country: "CN", holds: chinese },
    // DNI: eight digits and a check letter.
    Scheme { country: "ES", holds: spanish },
];

/// What is told of a number that cannot be one.
const EXPECTED: &str = "a national identity number with its check digit, such as CN:11010519491231002X";

/// The type `national-id`.
pub(super) struct NationalId;

impl IdentityType for NationalId {
    fn kind(&self) -> &'static str {
        "national-id"
    }

    fn evidence_bytes_max(&self) -> usize {
        1024
    }

    fn well_formed(&self, evidence: &[u8], context: &Context<'_>) -> Result<(), Malformed> {
        normalised(evidence, context).map(|_| ()).ok_or(Malformed { expected: EXPECTED })
    }

    fn enrol(&self, material: &[u8], context: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        let number = normalised(material, context).ok_or(Unfit::Material("no number with a right check digit"))?;
        argon::hash(number.as_bytes())
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], context: &Context<'_>) -> Result<Match, Mismatch> {
        let number = normalised(evidence, context).ok_or(Mismatch::Differs)?;
        argon::verify(stored, number.as_bytes())
    }

    fn dummy(&self, evidence: &[u8], context: &Context<'_>) {
        if let Some(number) = normalised(evidence, context) {
            argon::dummy(number.as_bytes());
        }
    }
}

/// The number in its one form, `CN:11010519491231002X`.
fn normalised(evidence: &[u8], context: &Context<'_>) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(evidence).ok()?;
    let counts = |c: &char| !c.is_ascii_whitespace() && *c != '-';
    // Room for all of it at once, so that no copy is left behind when it grows.
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().filter(counts).map(|c| c.to_ascii_uppercase()));
    let (country, number) = plain.split_once(':').map_or((None, plain.as_str()), |(c, n)| (Some(c), n));
    let today = OffsetDateTime::from_unix_timestamp(i64::try_from(context.now_s).ok()?).ok()?.date();
    let possible = |s: &&Scheme| country.is_none_or(|c| c == s.country) && (s.holds)(number.as_bytes(), today);
    let mut schemes = SCHEMES.iter().filter(possible);
    match (schemes.next(), schemes.next()) {
        (Some(scheme), None) => Some(Zeroizing::new([scheme.country, ":", number].concat())),
        _ => None,
    }
}

/// The value of ASCII digits, if all are.
fn decimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

fn chinese(number: &[u8], today: Date) -> bool {
    let Some((digits, [check])) = number.split_last_chunk::<1>() else { return false };
    let (true, Some(digits @ [first, ..])) = (digits.len() == 17, Some(digits)) else { return false };
    // ISO 7064 MOD 11-2: doubled sums, and X for ten.
    let sum = digits.iter().try_fold(0_u32, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some(sum.saturating_add(digit).saturating_mul(2) % 11)
    });
    let check = if *check == b'X' { Some(10) } else { char::from(*check).to_digit(10) };
    let checks = sum.zip(check).is_some_and(|(sum, check)| sum.saturating_add(check) % 11 == 1);
    checks && *first != b'0' && digits.get(6..14).is_some_and(|day| born(day, today))
}

/// Whether `YYYYMMDD` is a day from 1850 to today.
fn born(day: &[u8], today: Date) -> bool {
    let part = |range| day.get(range).and_then(decimal);
    let (Some(year), Some(month), Some(day)) = (part(0..4), part(4..6), part(6..8)) else { return false };
    let year = i32::try_from(year).unwrap_or_default();
    let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok());
    let date = month.zip(u8::try_from(day).ok()).and_then(|(m, d)| Date::from_calendar_date(year, m, d).ok());
    date.is_some_and(|date| year >= 1850 && date <= today)
}

fn spanish(number: &[u8], _: Date) -> bool {
    let Some((digits, [letter])) = number.split_last_chunk::<1>() else { return false };
    let at = (digits.len() == 8).then(|| decimal(digits)).flatten().map(|number| (number % 23) as usize);
    at.and_then(|at| b"TRWAGMYFPDXBNJZSQVHLCKE".get(at)) == Some(letter)
}
