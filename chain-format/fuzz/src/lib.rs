//! What the fuzz targets check, and what they start from.
//!
//! A target is a function over bytes that panics where a property is broken. That nothing else panics, overflows, runs out of memory or
//! goes on without end is checked by libFuzzer itself. Inputs start from the golden vectors ([`seeds`]); most are changed in their
//! structure, lengths and signatures put right ([`mutate`]), so that the rules behind the encoding are reached.

pub mod blocks;
pub mod bundles;
pub mod known;
pub mod messages;
pub mod mutate;
pub mod records;
pub mod seeds;
pub mod texts;
pub mod tree;

use minicbor::{Decode, Encode};
use stemma_chain_format::cbor;

/// Largest input that a reader of [`canonical`] takes.
const BYTES_MAX: usize = 1 << 20;

/// Reads a value, and requires that these bytes are the only ones that give it.
fn canonical<T>(bytes: &[u8]) -> Option<T>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let value: T = cbor::decode(bytes, "fuzzed", BYTES_MAX).ok()?;
    assert_eq!(cbor::encode(&value), bytes, "read, but written otherwise");
    only(bytes, |bytes| cbor::decode::<T>(bytes, "fuzzed", BYTES_MAX).is_ok());
    Some(value)
}

/// Requires that what is read is not read any more with a byte more or less at its end.
fn only(bytes: &[u8], reads: impl Fn(&[u8]) -> bool) {
    assert!(!reads(&[bytes, &[0]].concat()), "read with a byte after its end");
    let shorter = bytes.split_last().map(|(_, rest)| rest);
    assert!(!shorter.is_some_and(reads), "read without its last byte");
}
