//! RFC 8949, Appendix A: what is deterministic and of a kind that records use is accepted, all else refused by name.

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::Deserialize;
use stemma_chain_format::cbor::{self, DecodeReason};

use super::{parsed, unhex};

#[derive(Deserialize)]
struct Case {
    hex: String,
    roundtrip: bool,
}

/// Any item, kept as its bytes: only the strict scan judges it.
#[derive(Debug)]
struct Anything(Vec<u8>);

impl<C> Encode<C> for Anything {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.writer_mut().write_all(&self.0).map_err(minicbor::encode::Error::write)
    }
}

impl<'b, C> Decode<'b, C> for Anything {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let start = d.position();
        d.skip()?;
        Ok(Self(d.input()[start..d.position()].to_vec()))
    }
}

/// What our rules say of an item, judged by its first byte alone where that decides.
fn expected(case: &Case) -> Result<(), DecodeReason> {
    let bytes = unhex(&case.hex);
    match bytes[0] {
        0xf9..=0xfb => Err(DecodeReason::Forbidden("float")),
        0xf4..=0xf6 => Ok(()),
        0xe0..=0xf8 => Err(DecodeReason::Forbidden("simple value")),
        0xc2 | 0xc3 => Ok(()),
        0xc0..=0xdb => Err(DecodeReason::Forbidden("tag")),
        // Every case that does not round-trip, once floats are gone, has an indefinite length somewhere.
        _ if !case.roundtrip => Err(DecodeReason::Indefinite),
        _ => Ok(()),
    }
}

#[test]
fn each_item_is_accepted_or_refused_by_rule() {
    let cases: Vec<Case> = parsed(include_str!("../data/cbor_appendix_a.json"));
    let mut accepted = 0;
    for case in &cases {
        let bytes = unhex(&case.hex);
        let verdict = cbor::decode::<Anything>(&bytes, "item", 1024);
        accepted += usize::from(verdict.is_ok());
        let verdict = verdict.map(|item| assert_eq!(item.0, bytes)).map_err(|e| e.reason);
        assert_eq!(verdict, expected(case), "{}", case.hex);
    }
    assert_eq!((cases.len(), accepted), (82, 39));
}

#[test]
fn every_truncation_and_every_trailing_byte_is_refused() {
    let cases: Vec<Case> = parsed(include_str!("../data/cbor_appendix_a.json"));
    for case in cases.iter().filter(|case| expected(case).is_ok()) {
        let bytes = unhex(&case.hex);
        for end in 0..bytes.len() {
            let verdict = cbor::decode::<Anything>(&bytes[..end], "item", 1024);
            assert!(verdict.is_err(), "{} cut to {end} bytes", case.hex);
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(cbor::decode::<Anything>(&longer, "item", 1024).unwrap_err().reason, DecodeReason::Trailing);
    }
}
