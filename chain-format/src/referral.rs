//! The referral: a bank's word that one of its customers promotes a trade. It is compact, so that it fits a QR code that
//! phones scan; whoever trades on it puts its bytes into the request.
//!
//! As text it is `STEMMA1:` and the base32 (RFC 4648, no padding) of its envelope: letters, digits and a colon, which a QR
//! code holds in its alphanumeric mode.

use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Digest, NetworkId};
use crate::instrument::InstrumentId;
use crate::limits::SIGNED_REFERRAL_BYTES_MAX;
use crate::member::MemberId;
use crate::promotion::uses_hold;
use crate::record::Record;
use crate::request::Side;

/// What a referral's text starts with; the digit is the version of this form.
pub const TEXT_PREFIX: &str = "STEMMA1:";
/// Longest text of a referral, in characters: what a QR code of version 15 holds at error correction M.
pub const TEXT_CHARS_MAX: usize = 600;
/// The letters of base32, each worth five bits.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A bank's compact word about a promotion. Read it with [`crate::validate::read_referral`].
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Referral {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The promoter's bank; it signs.
    #[n(1)]
    pub bank: MemberId,
    /// The account that promotes.
    #[n(2)]
    pub promoter: AccountId,
    /// Whether buying or selling is promoted; both, where it is absent.
    #[n(3)]
    pub side: Option<Side>,
    /// The instrument that is promoted.
    #[n(4)]
    pub instrument: InstrumentId,
    /// The last height at which a trade that carries it may commit.
    #[n(5)]
    pub expires: u64,
    /// How many trades may carry it, from 1 to 1,000,000.
    #[n(6)]
    pub uses: u32,
    /// The commitment to the material by which the promoter was authenticated.
    #[n(7)]
    pub material: Digest,
}

impl Referral {
    /// Whether a trade is of the kind that it promotes.
    pub fn matches(&self, side: Side, instrument: &InstrumentId) -> bool {
        self.instrument == *instrument && self.side.is_none_or(|promoted| promoted == side)
    }

    /// Whether a trade that commits at a height may still carry it.
    pub fn is_open_at(&self, height: u64) -> bool {
        height <= self.expires
    }
}

impl Record for Referral {
    const CONTENT: ContentType = ContentType::Referral;
    const BYTES_MAX: usize = SIGNED_REFERRAL_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        uses_hold(self.uses, "referral.uses")
    }
}

/// A referral's envelope as text.
pub fn text(envelope: &[u8]) -> String {
    let mut text = String::with_capacity(TEXT_CHARS_MAX);
    text.push_str(TEXT_PREFIX);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for byte in envelope {
        bits = (bits << 8) | u32::from(*byte);
        held = held.saturating_add(8);
        while held >= 5 {
            held = held.saturating_sub(5);
            text.push(letter(bits >> held));
        }
    }
    if held > 0 {
        text.push(letter(bits << 5_u32.saturating_sub(held)));
    }
    text
}

/// The letter of the lowest five bits.
fn letter(bits: u32) -> char {
    let at = usize::try_from(bits & 31).unwrap_or(0);
    char::from(BASE32.get(at).copied().unwrap_or(b'A'))
}

/// A referral's envelope from its text. Whether the bytes are a referral, [`crate::validate::read_referral`] tells.
///
/// # Errors
/// Another beginning, too long, another character, or another text than [`text`] gives for the bytes.
pub fn from_text(text: &str) -> Result<Vec<u8>, Violation> {
    let field = "referral.text";
    let chars = text.len();
    ensure(chars <= TEXT_CHARS_MAX, Rule::Encoding, field, "at most 600 characters", chars)?;
    let wrong = || Violation::new(Rule::Encoding, field, "STEMMA1: at the beginning", "another beginning");
    let letters = text.strip_prefix(TEXT_PREFIX).ok_or_else(wrong)?;
    let mut bytes = Vec::with_capacity(SIGNED_REFERRAL_BYTES_MAX);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    for (at, found) in letters.chars().enumerate() {
        let value = BASE32.iter().zip(0_u32..).find(|(letter, _)| char::from(**letter) == found);
        let no_letter = || {
            let found = format!("{found:?} in place {at} after the colon");
            Violation::new(Rule::Encoding, field, "capital letters and the digits 2 to 7", found)
        };
        bits = (bits << 5) | value.ok_or_else(no_letter)?.1;
        held = held.saturating_add(5);
        if held >= 8 {
            held = held.saturating_sub(8);
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap_or(0));
        }
    }
    let is_whole = held < 5 && bits.trailing_zeros() >= held;
    ensure(is_whole, Rule::Encoding, field, "a whole text", "one that is cut off or changed at its end")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10, without the padding.
    #[test]
    fn texts_of_the_rfc() {
        for (bytes, letters) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            let written = format!("{TEXT_PREFIX}{letters}");
            assert_eq!(text(bytes.as_bytes()), written);
            assert_eq!(from_text(&written).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn one_referral_has_one_text() {
        let long = format!("{TEXT_PREFIX}{}", "A".repeat(600));
        for bad in [
            "",
            "MY",
            "stemma1:MY",
            "STEMMA2:MY",
            "STEMMA1:my",
            "STEMMA1:M1",
            "STEMMA1:MY======",
            "STEMMA1:MZ",
            "STEMMA1:M",
            "STEMMA1:MYA",
            "STEMMA1: MY",
            "STEMMA1:MÝ",
            &long,
        ] {
            assert_eq!(from_text(bad).unwrap_err().rule, Rule::Encoding, "{bad}");
        }
    }
}
