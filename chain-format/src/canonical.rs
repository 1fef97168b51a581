//! Reads the one encoding of a value in one pass: definite lengths, shortest heads, the known fields in their order and nothing else
//! (RFC 8949 §4.2.1).
//!
//! It does not say what is wrong with other bytes. That does [`crate::cbor::decode`], which is asked wherever this gives nothing; so every
//! refusal comes from there, and this decides nothing but how fast what is right is read.

use minicbor::bytes::{ByteSlice, ByteVec};
pub use stemma_canonical_derive::Canonical;

/// Capacity given at once for a list, whatever length it claims.
const CAPACITY_MAX: usize = 64;

/// What can be read from its one encoding.
pub trait Canonical<'b>: Sized {
    /// Takes the value that comes next; none where that is not its one encoding.
    fn read(from: &mut Reader<'b>) -> Option<Self>;
}

/// Reads bytes that are all of a value's one encoding.
pub fn read<'b, T: Canonical<'b>>(bytes: &'b [u8]) -> Option<T> {
    let mut from = Reader { rest: bytes };
    let value = T::read(&mut from)?;
    from.rest.is_empty().then_some(value)
}

/// What is still to be read. Each of its methods gives none where something else comes next.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// The argument of a head of a major type.
    #[inline]
    fn head(&mut self, major: u8) -> Option<u64> {
        let (initial, rest) = self.rest.split_first()?;
        if initial >> 5 != major {
            return None;
        }
        self.rest = rest;
        match initial & 0x1f {
            info @ 0..24 => Some(u64::from(info)),
            24 => self.argument(24, |[byte]: [u8; 1]| u64::from(byte)),
            25 => self.argument(1 << 8, |bytes| u64::from(u16::from_be_bytes(bytes))),
            26 => self.argument(1 << 16, |bytes| u64::from(u32::from_be_bytes(bytes))),
            27 => self.argument(1 << 32, u64::from_be_bytes),
            _ => None,
        }
    }

    /// An argument behind its head, at least so much that no shorter head gives it.
    #[inline]
    fn argument<const N: usize>(&mut self, least: u64, value: impl FnOnce([u8; N]) -> u64) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(value(*bytes)).filter(|value| *value >= least)
    }

    fn take(&mut self, length: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    /// An integer, not below zero.
    #[inline]
    pub fn unsigned(&mut self) -> Option<u64> {
        self.head(0)
    }

    /// An integer of any size that a record may hold: where it fits no plain one, a big integer of 9 to 16 bytes (RFC 8949 §3.4.3).
    pub fn integer(&mut self) -> Option<i128> {
        let below_zero = |n: i128| (-1_i128).checked_sub(n);
        match self.rest.first()? >> 5 {
            0 => self.head(0).map(i128::from),
            1 => self.head(1).map(i128::from).and_then(below_zero),
            6 => {
                let tag = self.head(6)?;
                let digits = self.bytes()?;
                let is_shortest = (9..=16).contains(&digits.len()) && digits.first() != Some(&0);
                let folded = |n: i128, digit: &u8| n.checked_mul(256)?.checked_add(i128::from(*digit));
                let magnitude = digits.iter().try_fold(0, folded).filter(|_| is_shortest)?;
                match tag {
                    2 => Some(magnitude),
                    3 => below_zero(magnitude),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A byte string.
    #[inline]
    pub fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = self.head(2)?;
        self.take(length)
    }

    /// A byte string of just so many bytes.
    #[inline]
    pub fn fixed_bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.head(2)? != N as u64 {
            return None;
        }
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    /// A text.
    #[inline]
    pub fn text(&mut self) -> Option<&'b str> {
        let length = self.head(3)?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// The head of an array: how many values come.
    #[inline]
    pub fn array(&mut self) -> Option<u64> {
        self.head(4)
    }

    /// The head of an array of just so many values.
    #[inline]
    pub fn array_of(&mut self, count: u64) -> Option<()> {
        (self.array()? == count).then_some(())
    }

    /// The head of a map: how many pairs come.
    #[inline]
    pub fn map(&mut self) -> Option<u64> {
        self.head(5)
    }

    /// The field of a map that has a number, up to 23; so many of the map's are left.
    #[inline]
    pub fn field<T: Canonical<'b>>(&mut self, left: &mut u64, number: u8) -> Option<T> {
        *left = left.checked_sub(1)?;
        let (key, rest) = self.rest.split_first()?;
        self.rest = rest;
        if *key == number { T::read(self) } else { None }
    }

    /// The same where it may be left out.
    #[inline]
    pub fn optional<T: Canonical<'b>>(&mut self, left: &mut u64, number: u8) -> Option<Option<T>> {
        if *left == 0 || self.rest.first() != Some(&number) {
            return Some(None);
        }
        self.field(left, number).map(Some)
    }
}

impl Canonical<'_> for u64 {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.unsigned()
    }
}

macro_rules! small {
    ($($integer:ty),*) => {
        $(impl Canonical<'_> for $integer {
            #[inline]
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                from.unsigned()?.try_into().ok()
            }
        })*
    };
}

small!(u8, u16, u32);

impl Canonical<'_> for String {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.text().map(str::to_owned)
    }
}

impl<'b> Canonical<'b> for &'b ByteSlice {
    fn read(from: &mut Reader<'b>) -> Option<Self> {
        from.bytes().map(Into::into)
    }
}

impl Canonical<'_> for ByteVec {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.bytes().map(|bytes| bytes.to_vec().into())
    }
}

impl<'b, T: Canonical<'b>> Canonical<'b> for Vec<T> {
    fn read(from: &mut Reader<'b>) -> Option<Self> {
        let count = from.array()?;
        let mut list = Self::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(CAPACITY_MAX));
        for _ in 0..count {
            list.push(T::read(from)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, minicbor::Encode, Canonical)]
    #[cbor(map)]
    struct Pair {
        #[n(0)]
        first: u64,
        #[n(2)]
        second: Option<String>,
        #[n(5)]
        list: Vec<u16>,
    }

    fn pair(hex_text: &str) -> Option<Pair> {
        read(&hex::decode(hex_text.replace(' ', "")).unwrap())
    }

    #[test]
    fn only_the_one_encoding_is_read() {
        let whole = Pair { first: 24, second: Some("a".to_owned()), list: vec![1, 256] };
        assert_eq!(pair("a3 00 1818 02 6161 05 82 01 190100"), Some(whole));
        assert_eq!(pair("a2 00 00 05 80"), Some(Pair { first: 0, second: None, list: Vec::new() }));
        let others = [
            ("a number in more bytes than it needs", "a2 00 1800 05 80"),
            ("a length in more bytes than it needs", "a2 00 00 05 9800"),
            ("an indefinite length", "a2 00 00 05 9fff"),
            ("another order", "a2 05 80 00 00"),
            ("an unknown field at the end", "a3 00 00 05 80 06 00"),
            ("an unknown field between", "a3 00 00 01 00 05 80"),
            ("an absent field as null", "a3 00 00 02 f6 05 80"),
            ("a field twice", "a3 00 00 00 00 05 80"),
            ("a field too few", "a1 00 00"),
            ("a map that claims more", "a3 00 00 05 80"),
            ("a map that claims less", "a1 00 00 05 80"),
            ("bytes behind it", "a2 00 00 05 80 00"),
            ("the end in the middle", "a2 00 00 05 81"),
            ("a value out of range", "a2 00 00 05 81 1a00010000"),
            ("a text that is none", "a3 00 00 02 61ff 05 80"),
            ("a list that claims the world", "a2 00 00 05 9bffffffffffffffff"),
        ];
        for (what, bytes) in others {
            assert_eq!(pair(bytes), None, "{what}");
        }
    }

    #[test]
    fn big_integers_are_read_in_their_shortest_form() {
        let integer = |text: &str| {
            let bytes = hex::decode(text).unwrap();
            let mut from = Reader { rest: &bytes };
            from.integer().filter(|_| from.rest.is_empty())
        };
        assert_eq!(integer("1bffffffffffffffff"), Some(i128::from(u64::MAX)));
        assert_eq!(integer("3bffffffffffffffff"), Some(-1 - i128::from(u64::MAX)));
        assert_eq!(integer("c249010000000000000000"), Some(1 << 64));
        assert_eq!(integer("c349010000000000000000"), Some(-1 - (1 << 64)));
        for other in ["c2480100000000000000", "c24900ffffffffffffffff", "c149010000000000000000", "c25101", "20f6"] {
            assert_eq!(integer(other), None, "{other}");
        }
        assert_eq!(integer("c250ffffffffffffffffffffffffffffffff"), None, "beyond what a record holds");
    }
}
