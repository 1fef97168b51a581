//! Envelopes that are not the one form of COSE_Sign1 that stages have.

use ed25519_dalek::SigningKey;
use minicbor::Encoder;
use minicbor::data::Tag;
use stemma_chain_format::cbor;
use stemma_chain_format::cose::{self, ContentType, protected_header, sig_structure};
use stemma_chain_format::keys::{self, PublicKey};

use crate::bytes::replaced;
use crate::common::world::opening;
use crate::common::{World, member_key};
use crate::vector::Vector;

/// The parts of an envelope, each to be changed; the signature is always good for what it covers.
struct Parts {
    tag: Option<u64>,
    protected: Vec<u8>,
    unprotected: Vec<u8>,
    payload: Vec<u8>,
    signature_bytes: usize,
}

impl Parts {
    fn of(payload: &[u8], key: &SigningKey) -> Self {
        Self {
            tag: Some(18),
            protected: protected_header(ContentType::Opening, &PublicKey::of(key)),
            unprotected: vec![0xa0],
            payload: payload.to_vec(),
            signature_bytes: 64,
        }
    }

    fn envelope(&self, key: &SigningKey) -> Vec<u8> {
        let signature = keys::sign(key, &sig_structure(&self.protected, &self.payload));
        let mut signature = signature.0.to_vec();
        signature.resize(self.signature_bytes, 0);
        let mut e = Encoder::new(Vec::new());
        if let Some(tag) = self.tag {
            e.tag(Tag::new(tag)).unwrap();
        }
        e.array(4).unwrap().bytes(&self.protected).unwrap();
        e.writer_mut().extend(&self.unprotected);
        e.bytes(&self.payload).unwrap().bytes(&signature).unwrap();
        e.into_writer()
    }
}

pub fn vectors(world: &World) -> Vec<Vector> {
    [headers(world), shapes(world)].concat()
}

fn headers(world: &World) -> Vec<Vector> {
    let key = member_key("bank-a");
    let payload = cbor::encode(opening(world.network(), "dora", "bank-a").record());
    let plain = Parts::of(&payload, &key);
    let protected = plain.protected.clone();
    let with = |protected: Vec<u8>| Parts { protected, ..Parts::of(&payload, &key) }.envelope(&key);
    let one_more = [&[0xa4], &protected[1..], &[0x05, 0x40]].concat();
    let no_key = [&[0xa2], &protected[1..protected.len() - 35]].concat();
    let short_key = [&protected[..protected.len() - 34], &[0x58, 0x1f], &protected[protected.len() - 31..]].concat();
    let shape = "the protected header must be {1: -8, 3: type, 4: key}";
    let other_type = "expected application/vnd.stemma.opening+cbor, found \"application/vnd.stemma.request+cbor\"";
    let cases = [
        (
            "envelope-algorithm",
            "The header names ES256.",
            shape,
            with(replaced(&protected, &[0x01, 0x27, 0x03], &[0x01, 0x26, 0x03])),
        ),
        ("envelope-header-field", "One more field in the protected header.", shape, with(one_more)),
        ("envelope-no-key", "The protected header names no key.", shape, with(no_key)),
        (
            "envelope-header-long",
            "The algorithm in two bytes.",
            "the protected header is not in its one encoding",
            with(replaced(&protected, &[0x01, 0x27, 0x03], &[0x01, 0x38, 0x07, 0x03])),
        ),
        ("envelope-key-31-bytes", "A key of 31 bytes.", "expected 32 bytes, found 31", with(short_key)),
        (
            "envelope-content-type",
            "An opening signed as a request.",
            other_type,
            cose::sign(ContentType::Request, &key, &payload),
        ),
    ];
    cases.into_iter().map(|(name, about, reason, bytes)| unreadable(name, about, reason, &bytes)).collect()
}

fn unreadable(name: &str, about: &str, reason: &str, bytes: &[u8]) -> Vector {
    Vector::unreadable(name, "opening", about, reason, bytes)
}

fn shapes(world: &World) -> Vec<Vector> {
    let key = member_key("bank-a");
    let payload = cbor::encode(opening(world.network(), "dora", "bank-a").record());
    let plain = || Parts::of(&payload, &key);
    let whole = plain().envelope(&key);
    let large = Parts { payload: vec![0; 1024], ..plain() };
    let untagged = Parts { tag: None, ..plain() };
    let key_id = Parts { unprotected: vec![0xa1, 0x04, 0x41, 0x31], ..plain() };
    let cases = [
        (
            "envelope-untagged",
            "Without the tag 18.",
            "unexpected type array at position 0: expected tag",
            untagged.envelope(&key),
        ),
        (
            "envelope-tag-98",
            "Tagged as COSE_Sign.",
            "not a tagged COSE_Sign1 of four parts",
            Parts { tag: Some(98), ..plain() }.envelope(&key),
        ),
        (
            "envelope-unprotected",
            "A key id in the unprotected header.",
            "the unprotected header must be empty",
            key_id.envelope(&key),
        ),
        (
            "envelope-signature-63",
            "A signature of 63 bytes.",
            "expected 64 bytes, found 63",
            Parts { signature_bytes: 63, ..plain() }.envelope(&key),
        ),
        (
            "envelope-signature-65",
            "A signature of 65 bytes.",
            "expected 64 bytes, found 65",
            Parts { signature_bytes: 65, ..plain() }.envelope(&key),
        ),
        (
            "envelope-trailing-byte",
            "A byte after the envelope.",
            "bytes follow the end of the record",
            [&whole, &[0x00][..]].concat(),
        ),
        (
            "envelope-cut-off",
            "The envelope ends inside its signature.",
            "the bytes end in the middle of a value",
            whole[..whole.len() - 1].to_vec(),
        ),
        ("envelope-empty", "No bytes at all.", "the bytes end in the middle of a value", Vec::new()),
        (
            "envelope-too-large",
            "Larger than an opening may be.",
            "1174 bytes, but at most 1024 are allowed",
            large.envelope(&key),
        ),
    ];
    cases.into_iter().map(|(name, about, reason, bytes)| unreadable(name, about, reason, &bytes)).collect()
}
