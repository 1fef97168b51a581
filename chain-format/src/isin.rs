//! International securities identification numbers (ISO 6166), checked.

use std::fmt;
use std::str::FromStr;

use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};

use crate::canonical::{Canonical, Reader};

/// Characters of an ISIN.
pub const ISIN_CHARS: usize = 12;

/// An ISIN: two letters, nine letters or digits, and a check digit that is right (ISO 6166).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isin(String);

/// A text that is no ISIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an ISIN is two capitals, nine capitals or digits and the right check digit, such as US0378331005; found {found:?}{}", self.hint())]
pub struct IsinError {
    found: String,
    check_digit: Option<char>,
}

impl IsinError {
    fn hint(&self) -> String {
        self.check_digit.map_or(String::new(), |digit| format!(", whose check digit would be {digit}"))
    }
}

impl Isin {
    /// The twelve characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The check digit over the first eleven characters: letters stand for 10 to 35, and Luhn's sum over all digits is a multiple
/// of ten.
fn check_digit(body: &str) -> Option<char> {
    let digits = body.chars().map(|c| c.to_digit(36)).collect::<Option<Vec<u32>>>()?;
    let spelled: String = digits.iter().map(u32::to_string).collect();
    let doubled = |(index, digit): (usize, u32)| {
        let digit = if index % 2 == 0 { digit.saturating_mul(2) } else { digit };
        if digit > 9 { digit.saturating_sub(9) } else { digit }
    };
    let values = spelled.chars().rev().filter_map(|c| c.to_digit(10));
    let sum: u32 = values.enumerate().map(doubled).sum();
    char::from_digit(10_u32.saturating_sub(sum % 10) % 10, 10)
}

impl FromStr for Isin {
    type Err = IsinError;

    fn from_str(text: &str) -> Result<Self, IsinError> {
        let refuse = |check_digit| IsinError { found: text.chars().take(40).collect(), check_digit };
        let formed = text.len() == ISIN_CHARS
            && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && text.bytes().take(2).all(|b| b.is_ascii_uppercase());
        let (body, last) = text.split_at_checked(ISIN_CHARS.saturating_sub(1)).ok_or_else(|| refuse(None))?;
        if !formed {
            return Err(refuse(None));
        }
        let right = check_digit(body);
        if right.is_none() || last.chars().next() != right {
            return Err(refuse(right));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Isin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Isin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> minicbor::Encode<C> for Isin {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Isin {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        let at = d.position();
        d.str()?.parse().map_err(|e: IsinError| CborError::message(e.to_string()).at(at))
    }
}

impl Canonical<'_> for Isin {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.text()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers_are_read_and_one_wrong_character_is_not() {
        // Apple, Microsoft, Nestlé, BMW, the Treasury Corporation of Victoria: as their issuers publish them.
        for published in ["US0378331005", "US5949181045", "CH0038863350", "DE0005190003", "AU0000XVGZA3"] {
            assert!(published.parse::<Isin>().is_ok(), "{published}");
            for at in 0..ISIN_CHARS {
                let mut other: Vec<char> = published.chars().collect();
                other[at] = if other[at] == 'Z' || other[at] == '9' { '8' } else { char::from(other[at] as u8 + 1) };
                let other: String = other.into_iter().collect();
                assert!(other.parse::<Isin>().is_err(), "{other}");
            }
        }
        for bad in ["", "US037833100", "US03783310055", "us0378331005", "1S0378331005", "US037833100ö"] {
            assert!(bad.parse::<Isin>().is_err(), "{bad}");
        }
        assert!("US0378331004".parse::<Isin>().unwrap_err().to_string().ends_with("would be 5"));
    }
}
