//! The COSE working group's EdDSA examples: our Sig_structure is theirs, byte for byte, and their signatures verify.

use minicbor::Decoder;
use serde_json::Value;
use stemma_chain_format::cose::{ContentType, Envelope, sig_structure};
use stemma_chain_format::keys;

use super::{parsed, public_key, signature, unhex};

struct Sign1 {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: String,
    bytes: Vec<u8>,
}

fn sign1(example: &Value) -> Sign1 {
    let bytes = unhex(example["output"]["cbor"].as_str().unwrap());
    let mut d = Decoder::new(&bytes);
    assert_eq!(d.tag().unwrap().as_u64(), 18);
    assert_eq!(d.array().unwrap(), Some(4));
    let protected = d.bytes().unwrap().to_vec();
    d.skip().unwrap();
    let payload = d.bytes().unwrap().to_vec();
    let signature = hex::encode(d.bytes().unwrap());
    Sign1 { protected, payload, signature, bytes }
}

fn intermediate(example: &Value) -> Vec<u8> {
    unhex(example["intermediates"]["ToBeSign_hex"].as_str().unwrap())
}

#[test]
fn the_structure_signed_is_theirs_and_the_ed25519_signature_verifies() {
    let example: Value = parsed(include_str!("../data/cose_eddsa_sig_01.json"));
    let Sign1 { protected, payload, signature: text, bytes } = sign1(&example);
    let signed = sig_structure(&protected, &payload);
    assert_eq!(signed, intermediate(&example));
    let key = public_key(example["input"]["sign0"]["key"]["x_hex"].as_str().unwrap());
    let signature = signature(&text).unwrap();
    keys::verify(&key, &signed, &signature).unwrap();
    keys::verify_strict(&key, &signed, &signature).unwrap();
    // Their envelope is valid COSE, but no stage of ours: its headers are others.
    assert!(Envelope::parse(&bytes, ContentType::Request, 4096).is_err());
}

#[test]
fn the_structure_signed_is_theirs_for_ed448_whose_signature_we_cannot_even_hold() {
    let example: Value = parsed(include_str!("../data/cose_eddsa_sig_02.json"));
    let Sign1 { protected, payload, signature: text, bytes } = sign1(&example);
    assert_eq!(sig_structure(&protected, &payload), intermediate(&example));
    assert!(signature(&text).is_none());
    assert!(Envelope::parse(&bytes, ContentType::Request, 4096).is_err());
}

#[test]
fn the_signature_of_one_signer_among_many_verifies() {
    let example: Value = parsed(include_str!("../data/cose_eddsa_01.json"));
    let signed = unhex(example["intermediates"]["signers"][0]["ToBeSign_hex"].as_str().unwrap());
    let bytes = unhex(example["output"]["cbor"].as_str().unwrap());
    let text = hex::encode(&bytes[bytes.len() - 64..]);
    let key = public_key(example["input"]["sign"]["signers"][0]["key"]["x_hex"].as_str().unwrap());
    keys::verify(&key, &signed, &signature(&text).unwrap()).unwrap();
}

#[test]
fn cose_sign_with_many_signers_is_no_stage() {
    for text in [include_str!("../data/cose_eddsa_01.json"), include_str!("../data/cose_eddsa_02.json")] {
        let example: Value = parsed(text);
        let bytes = unhex(example["output"]["cbor"].as_str().unwrap());
        assert!(Envelope::parse(&bytes, ContentType::Request, 4096).is_err());
    }
}
