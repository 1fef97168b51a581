//! BLAKE3 in its three modes, through the functions of ours that use it.

use serde::Deserialize;
use stemma_chain_format::hash::{AccountId, BlockId, Digest, Link};
use stemma_chain_format::request::commitment;

use super::{parsed, unhex};

#[derive(Deserialize)]
struct File {
    key: String,
    context_string: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    input_len: usize,
    hash: String,
    keyed_hash: String,
    derive_key: String,
}

#[test]
fn every_mode_gives_the_published_hash() {
    let file: File = parsed(include_str!("../data/blake3_test_vectors.json"));
    let salt: [u8; 32] = file.key.as_bytes().try_into().unwrap();
    assert_eq!(file.cases.len(), 35);
    for case in &file.cases {
        let input: Vec<u8> = (0..case.input_len).map(|at| (at % 251) as u8).collect();
        let first_32 = |text: &str| -> [u8; 32] { unhex(text)[..32].try_into().unwrap() };
        assert_eq!(Digest::of(&input).0, first_32(&case.hash), "hash of {}", case.input_len);
        assert_eq!(Link::of(&input).0, first_32(&case.hash), "link of {}", case.input_len);
        assert_eq!(commitment(&salt, &input).0, first_32(&case.keyed_hash), "commitment of {}", case.input_len);
        let derived = blake3::derive_key(&file.context_string, &input);
        assert_eq!(derived, first_32(&case.derive_key), "derived from {}", case.input_len);
    }
}

#[test]
fn ids_read_and_write_the_published_hash() {
    let file: File = parsed(include_str!("../data/blake3_test_vectors.json"));
    let text = &file.cases[0].hash[..64];
    assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
    assert_eq!(text.parse::<BlockId>().unwrap().to_string(), text);
    assert_eq!(AccountId::from(text.parse::<Link>().unwrap()).to_string(), text);
}
