//! Evidence of the identity type `x509`, as customers make it and banks read it.
//!
//! A certificate is public, so the leaf's key signs a challenge that names network, account and the order's counter: one
//! order's evidence is of no use for another order, nor to somebody else.

use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, NetworkId};

/// What a challenge starts with.
const CHALLENGE: &[u8] = b"stemma x509 identity v1\0";

/// A chain of certificates, and the proof of the leaf's key; deterministic CBOR.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Presented {
    /// Certificates in DER, leaf first, the CA left out or not.
    #[n(0)]
    pub chain: Vec<ByteVec>,
    /// The leaf key's signature over [`challenge`]; may be left out at an enrolment, since every use proves the key.
    #[n(1)]
    pub signature: Option<ByteVec>,
}

/// What the leaf's key signs.
pub fn challenge(network: &NetworkId, account: &AccountId, counter: u64) -> Vec<u8> {
    [CHALLENGE, network.as_bytes(), account.as_bytes(), &counter.to_be_bytes()].concat()
}

/// Evidence from a chain in DER, leaf first, and the signature over the challenge.
pub fn evidence(chain: &[Vec<u8>], signature: Option<&[u8]>) -> Vec<u8> {
    let chain = chain.iter().map(|der| der.clone().into()).collect();
    cbor::encode(&Presented { chain, signature: signature.map(|bytes| bytes.to_vec().into()) })
}
