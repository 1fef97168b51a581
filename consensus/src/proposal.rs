//! The record that a proposer signs: which block it offers for a height and round.

use ed25519_dalek::SigningKey;
use stemma_chain_format::cbor;
use stemma_chain_format::cose::{self, ContentType};
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::keys::{PublicKey, Signature, SignatureCheck};
use stemma_chain_format::member::MemberId;

/// A proposal. Its signature is a detached COSE_Sign1 over this encoding; the block travels beside it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Proposal {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The height proposed for.
    #[n(1)]
    pub height: u64,
    /// The round within the height, from 0.
    #[n(2)]
    pub round: u32,
    /// The earlier round in which the block had a quorum of prevotes, when it is offered again.
    #[n(3)]
    pub pol_round: Option<u32>,
    /// The block.
    #[n(4)]
    pub block: BlockId,
    /// The proposer.
    #[n(5)]
    pub proposer: MemberId,
}

impl Proposal {
    /// Signs the proposal.
    pub fn sign(&self, key: &SigningKey) -> Signature {
        cose::sign_detached(ContentType::Proposal, key, &cbor::encode(self))
    }

    /// The check of a signature on this proposal.
    pub fn signature_check(&self, key: PublicKey, signature: Signature) -> SignatureCheck {
        cose::check_detached(ContentType::Proposal, key, &cbor::encode(self), signature)
    }
}
