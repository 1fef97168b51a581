//! Payloads that are not the one encoding of their record, signed all the same.

use stemma_chain_format::cbor;
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::cose::{self, ContentType};
use stemma_chain_format::header::Block;

use crate::bytes::replaced;
use crate::common::world::opening;
use crate::common::{Order, Plan, World, entry_bytes, member_key};
use crate::vector::Vector;
use stemma_chain_format::request::Side;

const OTHER_FORM: &str = "not the one encoding of this record (an unknown field, or a field in another form)";
const NON_MINIMAL: &str = "an integer or length is not in its shortest form";
const INDEFINITE: &str = "indefinite lengths are not allowed";
const KEY_ORDER: &str = "map keys are not in strictly ascending order";
const TRAILING: &str = "bytes follow the end of the record";
const CUT_OFF: &str = "the bytes end in the middle of a value";

pub fn vectors(world: &World) -> Vec<Vector> {
    [maps(world), numbers(world), texts(world), holdings(world), entries(world), blocks(world)].concat()
}

fn signed_opening(payload: &[u8]) -> Vec<u8> {
    cose::sign(ContentType::Opening, &member_key("bank-a"), payload)
}

/// What is wrong with the maps of an opening record.
fn maps(world: &World) -> Vec<Vector> {
    let record = opening(world.network(), "dora", "bank-a").record().clone();
    let payload = cbor::encode(&record);
    // The last three fields are the key, 3 + 32 bytes, the nonce, 2 + 16 bytes, and the terms of credit, 1 + 7 bytes.
    let (front, credit) = payload.split_at(payload.len() - 8);
    let (front, nonce) = front.split_at(front.len() - 18);
    let (front, key) = front.split_at(front.len() - 35);
    let fields = &payload[1..];
    let one_more = |extra: &[u8]| [&[0xa6], fields, extra].concat();
    let without_nonce = [&[0xa4], &front[1..], key, credit].concat();
    let nested = [vec![0xa6], fields.to_vec(), vec![0x05], vec![0x81; 20], vec![0x00]].concat();
    let cases = [
        ("opening-keys-unsorted", "Two fields change places.", KEY_ORDER, [front, nonce, key, credit].concat()),
        ("opening-key-repeated", "A field stands twice.", KEY_ORDER, one_more(credit)),
        ("opening-unknown-field", "A field that the record has not.", OTHER_FORM, one_more(&[0x05, 0x00])),
        ("opening-trailing-byte", "A byte after the payload's map.", TRAILING, [&payload, &[0x00][..]].concat()),
        ("opening-indefinite-map", "The map has no length.", INDEFINITE, [&[0xbf], fields, &[0xff]].concat()),
        ("opening-cut-off", "The payload ends inside its last field.", CUT_OFF, payload[..payload.len() - 1].to_vec()),
        ("opening-too-deep", "Arrays in arrays.", "nested more than 12 levels deep", nested),
        (
            "opening-long-length",
            "A length in two bytes.",
            NON_MINIMAL,
            replaced(&payload, b"\x01\x66bank-a", b"\x01\x78\x06bank-a"),
        ),
        ("opening-map-long-count", "The count of fields in two bytes.", NON_MINIMAL, [&[0xb8, 0x05], fields].concat()),
        (
            "opening-tagged-field",
            "A field under a tag that no record uses.",
            "a kind of value that no record uses (tag)",
            replaced(&payload, b"\x01\x66bank-a", b"\x01\xd8\x20\x66bank-a"),
        ),
        ("opening-field-missing", "A field is left out.", "missing value at index 3", without_nonce),
    ];
    let reject = |(name, about, reason, payload): (&str, &str, &str, Vec<u8>)| {
        Vector::unreadable(name, "opening", about, reason, &signed_opening(&payload))
    };
    cases.into_iter().map(reject).collect()
}

/// What is wrong with the numbers of a request.
fn numbers(world: &World) -> Vec<Vector> {
    let bob = world.customer("bob");
    let plan = Plan::new(world, Order::new(bob, "broker", Side::Buy));
    let Entry::Chain(chain) = plan.entry() else { panic!("a chain") };
    let payload = cbor::encode(chain.request.record());
    let counter =
        |form: &[u8]| replaced(&payload, b"\x02\x04\x03\x66bank-a", &[b"\x02", form, b"\x03\x66bank-a"].concat());
    // Field 2 of the trade: the size's kind, 0, and 100 smallest units.
    let size =
        |form: &[u8]| replaced(&payload, b"\x02\x82\x00\x18\x64\x03", &[b"\x02\x82\x00", form, b"\x03"].concat());
    let expires_null = [&[0xa8], &payload[1..], &[0x07, 0xf6]].concat();
    let beyond = [b"\xc2\x4d\x01".as_slice(), &[0; 11], &[0x01]].concat();
    let big = "a big integer is not in its shortest form or exceeds 16 bytes";
    let cases = [
        ("request-counter-long", "The counter 4 in two bytes.", NON_MINIMAL, counter(b"\x18\x04")),
        (
            "request-counter-float",
            "The counter as 4.0.",
            "a kind of value that no record uses (float)",
            counter(b"\xf9\x44\x00"),
        ),
        ("request-size-small-big", "The size 100 as a big integer.", big, size(b"\xc2\x41\x64")),
        (
            "request-size-leading-zero",
            "A big integer with a zero before it.",
            big,
            size(b"\xc2\x4a\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"),
        ),
        (
            "request-size-17-bytes",
            "A big integer of 17 bytes.",
            big,
            size(&[b"\xc2\x51".as_slice(), &[0xff; 17]].concat()),
        ),
        ("request-size-beyond", "A size of 2^96 + 1.", "the amount exceeds 2^96 smallest units", size(&beyond)),
        ("request-expires-null", "An absent field stated as null.", OTHER_FORM, expires_null),
        (
            "request-side-unknown",
            "A side that is neither buy nor sell.",
            "unknown enum variant 2",
            replaced(&payload, b"\x05\x82\x00\xa4\x00\x00\x01", b"\x05\x82\x00\xa4\x00\x02\x01"),
        ),
    ];
    let reject = |(name, about, reason, payload): (&str, &str, &str, Vec<u8>)| {
        let bytes = cose::sign(ContentType::Request, &bob.key(), &payload);
        Vector::unreadable(name, "request", about, reason, &bytes)
    };
    cases.into_iter().map(reject).collect()
}

fn texts(world: &World) -> Vec<Vector> {
    let payload = cbor::encode(opening(world.network(), "dora", "bank-a").record());
    let bank = |id: &[u8]| replaced(&payload, b"\x01\x66bank-a", &[b"\x01\x66", id].concat());
    let rule = "a member id is a lowercase letter, then up to 31 lowercase letters, digits and hyphens; found ";
    let cases = [
        (
            "opening-bank-not-utf8",
            "A text that is not UTF-8.",
            "a text is not valid UTF-8".to_owned(),
            bank(b"bank-\xff"),
        ),
        ("opening-bank-capitals", "A member id in capitals.", format!("{rule}\"Bank-A\""), bank(b"Bank-A")),
        (
            "opening-bank-digit-first",
            "A member id that begins with a digit.",
            format!("{rule}\"0ank-a\""),
            bank(b"0ank-a"),
        ),
    ];
    let reject = |(name, about, reason, payload): (&str, &str, String, Vec<u8>)| {
        Vector::unreadable(name, "opening", about, &reason, &signed_opening(&payload))
    };
    cases.into_iter().map(reject).collect()
}

/// What is wrong with the holdings of an account's state.
fn holdings(world: &World) -> Vec<Vector> {
    let state = &world.ledger.account(&world.customer("carol").account).unwrap().state;
    let bytes = cbor::encode(state);
    let mut lone = minicbor::Encoder::new(Vec::new());
    let (shares, cash) = ("broker/ACME", "bank-b/USD");
    let held = |name: &str| state.holdings.get(&name.parse().unwrap());
    let pair = |name: &str| [cbor::encode(&name), cbor::encode(&held(name))].concat();
    lone.str(shares).unwrap();
    // A third pair stands after these.
    let map = [&[0x06, 0xa3], pair(cash).as_slice(), pair(shares).as_slice()].concat();
    let unsorted = [&[0x06, 0xa3], pair(shares).as_slice(), pair(cash).as_slice()].concat();
    let zero = [&[0x06, 0xa3], pair(cash).as_slice(), lone.writer().as_slice(), &[0x00]].concat();
    let nameless = [&[0x06, 0xa3], pair(cash).as_slice(), b"\x6bbroker-ACME", &cbor::encode(&held(shares))].concat();
    let text = "an instrument is written issuer/CODE, the code in capitals, digits, dots and hyphens (at most 24); found \"broker-ACME\"";
    let cases = [
        ("holdings-unsorted", "The longer instrument stands first.", KEY_ORDER, unsorted),
        ("holdings-zero", "A holding of nothing is stated.", "a holding of zero must be left out", zero),
        ("holdings-no-issuer", "An instrument without an issuer.", text, nameless),
    ];
    let reject = |(name, about, reason, with): (&str, &str, &str, Vec<u8>)| {
        Vector::unreadable(name, "account-state", about, reason, &replaced(&bytes, &map, &with))
    };
    cases.into_iter().map(reject).collect()
}

/// What is wrong with the framing of an entry.
fn entries(world: &World) -> Vec<Vector> {
    let stages = Plan::new(world, Order::new(world.customer("bob"), "broker", Side::Buy)).stages();
    let [first, second, third] = stages.clone();
    let whole = entry_bytes(EntryKind::Chain, &stages);
    let kind_9 = [&[0x82, 0x09], &whole[2..]].concat();
    let wrong_first = "expected application/vnd.stemma.request+cbor, found \"application/vnd.stemma.endorsement+cbor\"";
    let wrong_third =
        "expected application/vnd.stemma.execution+cbor, found \"application/vnd.stemma.endorsement+cbor\"";
    let cases = [
        ("entry-two-stages", "A chain without its third stage.", "2", entry_bytes(EntryKind::Chain, &stages[..2])),
        (
            "entry-four-stages",
            "A chain with its third stage twice.",
            "4",
            entry_bytes(EntryKind::Chain, &[first.clone(), second.clone(), third.clone(), third.clone()]),
        ),
        (
            "entry-stages-swapped",
            "The second stage stands first.",
            wrong_first,
            entry_bytes(EntryKind::Chain, &[second.clone(), first.clone(), third]),
        ),
        (
            "entry-stage-repeated",
            "The second stage stands in the place of the third.",
            wrong_third,
            entry_bytes(EntryKind::Chain, &[first, second.clone(), second]),
        ),
        ("entry-kind-unknown", "A kind of entry that there is not.", "unknown enum variant 9", kind_9),
        (
            "entry-indefinite",
            "The list of stages has no length.",
            INDEFINITE,
            [&whole[..2], &[0x9f], &whole[3..], &[0xff]].concat(),
        ),
        ("entry-trailing-byte", "A byte after the entry.", TRAILING, [&whole, &[0x00][..]].concat()),
        (
            "entry-third-element",
            "A third element beside kind and stages.",
            OTHER_FORM,
            [&[0x83], &whole[1..], &[0x00]].concat(),
        ),
    ];
    let reject = |(name, about, reason, bytes): (&str, &str, &str, Vec<u8>)| {
        Vector::unreadable(name, "entry", about, reason, &bytes)
    };
    cases.into_iter().map(reject).collect()
}

fn blocks(world: &World) -> Vec<Vector> {
    use stemma_chain_format::error::Rule;
    let (block, _) = world.last_full_block();
    let with = |change: fn(&mut Block)| {
        let mut block = block.clone();
        change(&mut block);
        cbor::encode(&block)
    };
    let broken = (Rule::Block, "header.entries_root");
    let judged = ("decode", "block");
    vec![
        Vector::reject(
            "block-entry-dropped",
            judged,
            "The last entry is left out.",
            broken,
            &with(|b| {
                b.entries.pop();
            }),
        ),
        Vector::reject(
            "block-entries-swapped",
            judged,
            "Two entries change places.",
            broken,
            &with(|b| b.entries.swap(0, 1)),
        ),
        Vector::reject(
            "block-entry-repeated",
            judged,
            "The last entry stands twice.",
            broken,
            &with(|b| {
                b.entries.push(*b.entries.last().unwrap());
            }),
        ),
    ]
}
