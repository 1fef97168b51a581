//! Strict deterministic CBOR (RFC 8949 §4.2.1): one value, one encoding, every other refused.
//!
//! [`decode`] works in three steps. A scan walks the bytes without allocating and refuses what no record may
//! hold: indefinite lengths, non-minimal heads, unsorted or repeated map keys, floats, unknown tags, deep nesting,
//! trailing bytes. Then the typed decoder reads the fields. Last, the value is encoded again and compared, which
//! refuses unknown fields and every freedom that the typed decoder might leave.
//!
//! Bytes of a record that are its one encoding are read in one pass instead ([`crate::canonical`]); only others take all three steps, to say
//! what is wrong with them.

use minicbor::encode::{Error as WriteError, Write};
use minicbor::{Decode, Encode, Encoder};

use crate::canonical::{self, Canonical};
use crate::limits::CBOR_DEPTH_MAX;

/// Why bytes are not the one encoding of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{record}: at byte {offset}: {reason}")]
pub struct DecodeError {
    /// What was to be read.
    pub record: &'static str,
    /// Where the reading stopped, counted in bytes from the start of the record.
    pub offset: usize,
    /// What was wrong there.
    pub reason: DecodeReason,
}

/// The reason in a [`DecodeError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeReason {
    /// Larger than the record may be.
    #[error("{found} bytes, but at most {max} are allowed")]
    TooLarge {
        /// Size found, in bytes.
        found: usize,
        /// Size allowed, in bytes.
        max: usize,
    },
    /// The bytes end inside a value.
    #[error("the bytes end in the middle of a value")]
    Truncated,
    /// Bytes follow the value.
    #[error("bytes follow the end of the record")]
    Trailing,
    /// An integer or length is not in its shortest form.
    #[error("an integer or length is not in its shortest form")]
    NonMinimal,
    /// An indefinite length.
    #[error("indefinite lengths are not allowed")]
    Indefinite,
    /// Keys of a map not in strictly ascending order.
    #[error("map keys are not in strictly ascending order")]
    KeyOrder,
    /// Nested too deeply.
    #[error("nested more than {CBOR_DEPTH_MAX} levels deep")]
    TooDeep,
    /// A text that is not UTF-8.
    #[error("a text is not valid UTF-8")]
    Utf8,
    /// A tag, float or simple value that no record uses.
    #[error("a kind of value that no record uses ({0})")]
    Forbidden(&'static str),
    /// A big integer that is not in its one form.
    #[error("a big integer is not in its shortest form or exceeds 16 bytes")]
    BigInteger,
    /// The typed decoder refused the value.
    #[error("{0}")]
    Value(String),
    /// Encoding the value again gives other bytes.
    #[error("not the one encoding of this record (an unknown field, or a field in another form)")]
    NotCanonical,
}

/// Encodes a record. Encoding into memory cannot fail for our records; the `Result` of the library is folded away.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Writing into a Vec is infallible, and no Encode of ours returns an error of its own.
    let _infallible = minicbor::encode(value, &mut bytes);
    bytes
}

/// Decodes a record of at most `bytes_max` bytes and refuses everything but its one encoding.
///
/// # Errors
/// [`DecodeError`] names the record, the offset and the reason.
pub fn decode<'b, T>(bytes: &'b [u8], record: &'static str, bytes_max: usize) -> Result<T, DecodeError>
where
    T: Decode<'b, ()> + Encode<()>,
{
    let fail = |offset, reason| DecodeError { record, offset, reason };
    if bytes.len() > bytes_max {
        let reason = DecodeReason::TooLarge { found: bytes.len(), max: bytes_max };
        return Err(fail(0, reason));
    }
    scan(bytes).map_err(|(offset, reason)| fail(offset, reason))?;
    let value: T =
        minicbor::decode(bytes).map_err(|e| fail(e.position().unwrap_or(0), DecodeReason::Value(e.to_string())))?;
    if is_written(bytes, |e| e.encode(&value)?.ok()) {
        return Ok(value);
    }
    let again = encode(&value);
    let same = again.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(fail(same, DecodeReason::NotCanonical))
}

/// The same in one pass where nothing is wrong: [`canonical::read`] reads what this admits and nothing else.
///
/// # Errors
/// Those of [`decode`].
pub(crate) fn decode_record<'b, T>(bytes: &'b [u8], record: &'static str, bytes_max: usize) -> Result<T, DecodeError>
where
    T: Decode<'b, ()> + Encode<()> + Canonical<'b>,
{
    if bytes.len() <= bytes_max
        && let Some(value) = canonical::read(bytes)
    {
        debug_assert!(
            decode::<T>(bytes, record, bytes_max).is_ok_and(|slow| encode(&slow) == encode(&value)),
            "{record}"
        );
        return Ok(value);
    }
    let decoded = decode(bytes, record, bytes_max);
    debug_assert!(decoded.is_err(), "{record}: its one encoding is not read in one pass");
    decoded
}

/// Whether bytes are just what is written; nothing of it is kept.
pub(crate) fn is_written<'b>(
    bytes: &'b [u8],
    write: impl FnOnce(&mut Encoder<Expected<'b>>) -> Result<(), WriteError<Differs>>,
) -> bool {
    let mut encoder = Encoder::new(Expected(bytes));
    write(&mut encoder).is_ok() && encoder.writer().0.is_empty()
}

/// What is still to be written.
pub(crate) struct Expected<'b>(&'b [u8]);

/// Something else was written than expected.
pub(crate) struct Differs;

impl Write for Expected<'_> {
    type Error = Differs;

    #[inline]
    fn write_all(&mut self, written: &[u8]) -> Result<(), Differs> {
        self.0 = self.0.strip_prefix(written).ok_or(Differs)?;
        Ok(())
    }
}

/// The size of the shortest head that gives a length.
pub(crate) const fn head_bytes(length: usize) -> usize {
    match length as u64 {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// Walks one item that must fill `bytes`, and refuses whatever no record may hold.
pub(crate) fn scan(bytes: &[u8]) -> Result<(), (usize, DecodeReason)> {
    let mut scanner = Scanner { bytes, at: 0 };
    match scanner.item(0) {
        Ok(()) if scanner.at == bytes.len() => Ok(()),
        Ok(()) => Err((scanner.at, DecodeReason::Trailing)),
        Err(reason) => Err((scanner.at, reason)),
    }
}

/// The first item of bytes that may hold more; [`DecodeReason::Truncated`] where they end within it.
pub(crate) fn first_item(bytes: &[u8]) -> Result<&[u8], (usize, DecodeReason)> {
    let mut scanner = Scanner { bytes, at: 0 };
    match scanner.item(0) {
        Ok(()) => Ok(bytes.get(..scanner.at).unwrap_or_default()),
        Err(reason) => Err((scanner.at, reason)),
    }
}

/// Tags that records use: unsigned and negative big integers, COSE_Sign1 and COSE_Sign (RFC 9052 §2).
const TAG_BIG_UNSIGNED: u64 = 2;
const TAG_BIG_NEGATIVE: u64 = 3;
const TAG_COSE_SIGN1: u64 = 18;
const TAG_COSE_SIGN: u64 = 98;

struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Scanner<'b> {
    fn item(&mut self, depth: usize) -> Result<(), DecodeReason> {
        if depth > CBOR_DEPTH_MAX {
            return Err(DecodeReason::TooDeep);
        }
        let (major, argument) = self.head()?;
        let deeper = depth.saturating_add(1);
        match major {
            0 | 1 => Ok(()),
            2 => self.take(argument).map(|_| ()),
            3 => {
                let text = self.take(argument)?;
                std::str::from_utf8(text).map(|_| ()).map_err(|_| DecodeReason::Utf8)
            }
            4 => (0..self.count(argument)?).try_for_each(|_| self.item(deeper)),
            5 => self.map(argument, deeper),
            6 => self.tagged(argument, deeper),
            _ => Ok(()),
        }
    }

    fn map(&mut self, pairs: u64, depth: usize) -> Result<(), DecodeReason> {
        let mut previous: Option<&'b [u8]> = None;
        for _ in 0..self.count(pairs)? {
            let start = self.at;
            self.item(depth)?;
            let key = self.bytes.get(start..self.at).unwrap_or_default();
            if previous.is_some_and(|p| p >= key) {
                self.at = start;
                return Err(DecodeReason::KeyOrder);
            }
            previous = Some(key);
            self.item(depth)?;
        }
        Ok(())
    }

    fn tagged(&mut self, tag: u64, depth: usize) -> Result<(), DecodeReason> {
        match tag {
            TAG_BIG_UNSIGNED | TAG_BIG_NEGATIVE => {
                let (major, length) = self.head()?;
                let digits = if major == 2 { self.take(length)? } else { &[] };
                // Up to 8 bytes fit a plain integer, which is then the shorter form.
                let minimal = digits.first().is_some_and(|first| *first != 0);
                if minimal && (9..=16).contains(&digits.len()) { Ok(()) } else { Err(DecodeReason::BigInteger) }
            }
            TAG_COSE_SIGN1 | TAG_COSE_SIGN => self.item(depth),
            _ => Err(DecodeReason::Forbidden("tag")),
        }
    }

    /// Reads a head: major type and argument, the argument in its shortest form.
    fn head(&mut self) -> Result<(u8, u64), DecodeReason> {
        let initial = *self.take(1)?.first().ok_or(DecodeReason::Truncated)?;
        let (major, info) = (initial >> 5, initial & 0x1f);
        if major == 7 {
            return match info {
                20 | 21 => Ok((7, u64::from(info))),
                22 => Ok((7, 22)),
                25..=27 => Err(DecodeReason::Forbidden("float")),
                31 => Err(DecodeReason::Indefinite),
                _ => Err(DecodeReason::Forbidden("simple value")),
            };
        }
        let (width, floor) = match info {
            0..=23 => return Ok((major, u64::from(info))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            31 => return Err(DecodeReason::Indefinite),
            _ => return Err(DecodeReason::Forbidden("reserved head")),
        };
        let value = self.take(width)?.iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
        if value < floor {
            return Err(DecodeReason::NonMinimal);
        }
        Ok((major, value))
    }

    /// A count of items cannot exceed the bytes that are left, whatever the head claims.
    fn count(&self, claimed: u64) -> Result<u64, DecodeReason> {
        let left = self.bytes.len().saturating_sub(self.at);
        match usize::try_from(claimed) {
            Ok(n) if n <= left => Ok(claimed),
            _ => Err(DecodeReason::Truncated),
        }
    }

    fn take(&mut self, length: u64) -> Result<&'b [u8], DecodeReason> {
        let length = usize::try_from(length).map_err(|_| DecodeReason::Truncated)?;
        let end = self.at.checked_add(length).ok_or(DecodeReason::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeReason::Truncated)?;
        self.at = end;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(hex_text: &str) -> DecodeReason {
        scan(&hex::decode(hex_text).unwrap()).unwrap_err().1
    }

    #[test]
    fn each_forbidden_form_is_named() {
        assert_eq!(reason("1800"), DecodeReason::NonMinimal);
        assert_eq!(reason("5f4100ff"), DecodeReason::Indefinite);
        assert_eq!(reason("a2020001 00".replace(' ', "").as_str()), DecodeReason::KeyOrder);
        assert_eq!(reason("a201000100"), DecodeReason::KeyOrder);
        assert_eq!(reason("f93c00"), DecodeReason::Forbidden("float"));
        assert_eq!(reason("c100"), DecodeReason::Forbidden("tag"));
        assert_eq!(reason("61ff"), DecodeReason::Utf8);
        assert_eq!(reason("0000"), DecodeReason::Trailing);
        assert_eq!(reason("82"), DecodeReason::Truncated);
        assert_eq!(reason("9bffffffffffffffff"), DecodeReason::Truncated);
        assert_eq!(reason(&"81".repeat(40)), DecodeReason::TooDeep);
        assert_eq!(reason("c24101"), DecodeReason::BigInteger);
    }

    #[test]
    fn bytes_are_what_is_written_whole_and_in_order() {
        let two = |e: &mut Encoder<Expected<'_>>| e.u8(1)?.u8(2)?.ok();
        assert!(is_written(&[1, 2], two));
        for other in [&[][..], &[1], &[1, 3], &[2, 1], &[1, 2, 3]] {
            assert!(!is_written(other, two), "{other:?}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_by_encoding_again() {
        #[derive(Encode, Decode, Debug)]
        #[cbor(map)]
        struct One {
            #[n(0)]
            a: u8,
        }
        let known: One = decode(&[0xa1, 0x00, 0x01], "one", 16).unwrap();
        assert_eq!(known.a, 1);
        let error = decode::<One>(&[0xa2, 0x00, 0x01, 0x01, 0x01], "one", 16).unwrap_err();
        assert_eq!(error.reason, DecodeReason::NotCanonical);
    }
}
