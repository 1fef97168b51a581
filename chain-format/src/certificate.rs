//! Votes and certificates: the signatures of more than two thirds of the voting power on one block.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;

use crate::cbor;
use crate::cose::{self, ContentType};
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::{BlockId, NetworkId};
use crate::header::Header;
use crate::keys::{self, PublicKey, Signature, SignatureCheck};
use crate::limits::MEMBERS_MAX;
use crate::member::MemberId;
use crate::registry::Validator;

/// The two kinds of vote of the Tendermint algorithm (<https://arxiv.org/abs/1807.04938>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum VoteKind {
    /// The proposal was seen and is valid.
    #[n(0)]
    Prevote,
    /// A quorum of prevotes was seen.
    #[n(1)]
    Precommit,
}

/// A vote: what a validator says about one height and round. `None` is a vote for no block.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Vote {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Prevote or precommit.
    #[n(1)]
    pub kind: VoteKind,
    /// The height voted on.
    #[n(2)]
    pub height: u64,
    /// The round within the height, from 0.
    #[n(3)]
    pub round: u32,
    /// The block, or nothing.
    #[n(4)]
    pub block: Option<BlockId>,
    /// The voter.
    #[n(5)]
    pub validator: MemberId,
}

impl Vote {
    /// Signs the vote (a detached COSE_Sign1 signature over its encoding).
    pub fn sign(&self, key: &SigningKey) -> Signature {
        cose::sign_detached(ContentType::Vote, key, &cbor::encode(self))
    }

    /// The check of a signature on this vote.
    pub fn signature_check(&self, key: PublicKey, signature: Signature) -> SignatureCheck {
        cose::check_detached(ContentType::Vote, key, &cbor::encode(self), signature)
    }
}

/// The proof that a block is final.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Certificate {
    /// The block's height.
    #[n(0)]
    pub height: u64,
    /// The round in which it was decided.
    #[n(1)]
    pub round: u32,
    /// The block.
    #[n(2)]
    pub block: BlockId,
    /// One precommit signature for each signer, in ascending order of their ids.
    #[n(3)]
    pub signatures: Vec<Precommit>,
}

/// One validator's signature in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Precommit {
    /// The signer.
    #[n(0)]
    pub validator: MemberId,
    /// Its signature on the precommit.
    #[n(1)]
    pub signature: Signature,
}

/// Whether a share of the voting power is a quorum: more than two thirds.
pub fn is_quorum(power: u64, total: u64) -> bool {
    u128::from(power).saturating_mul(3) > u128::from(total).saturating_mul(2)
}

/// A header with the certificate that makes it final.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct CertifiedHeader {
    /// The header.
    #[n(0)]
    pub header: Header,
    /// Its certificate.
    #[n(1)]
    pub certificate: Certificate,
}

impl CertifiedHeader {
    /// Checks the certificate against the header and the validators of its height.
    ///
    /// # Errors
    /// [`Rule::Certificate`]; see [`Certificate::verify`].
    pub fn verify(&self, validators: &[Validator]) -> Result<u64, Violation> {
        let (header, certificate) = (&self.header, &self.certificate);
        same(Rule::Certificate, "certificate.height", &header.height, &certificate.height)?;
        same(Rule::Certificate, "certificate.block", &header.id(), &certificate.block)?;
        certificate.verify(header.network, validators)
    }
}

/// The voting power of all of these together.
pub fn total_power<'v>(validators: impl IntoIterator<Item = &'v Validator>) -> u64 {
    validators.into_iter().fold(0, |sum, validator| sum.saturating_add(validator.power))
}

impl Certificate {
    /// Requires valid precommits of more than two thirds of the voting power; returns the power that signed.
    ///
    /// Every signature must verify, for this very block, height and round; each validator counts once.
    ///
    /// # Errors
    /// [`Rule::Certificate`] naming the validator or the power.
    pub fn verify(&self, network: NetworkId, validators: &[Validator]) -> Result<u64, Violation> {
        let rule = Rule::Certificate;
        let count = self.signatures.len();
        ensure(count <= MEMBERS_MAX, rule, "certificate.signatures", "at most 256", count)?;
        let mut seen = BTreeSet::new();
        let mut previous: Option<&MemberId> = None;
        let mut power = 0_u64;
        let mut checks = Vec::with_capacity(count);
        for Precommit { validator, signature } in &self.signatures {
            let place = format!("certificate.signatures.{validator}");
            let known = validators.iter().find(|v| v.id == *validator);
            let known =
                known.ok_or_else(|| Violation::new(rule, &place, "a validator of this height", "no such validator"))?;
            let ascending = previous.is_none_or(|p| p < validator);
            ensure(ascending, rule, &place, "ids in ascending order, each once", "a repeated or misplaced id")?;
            previous = Some(validator);
            // Two members cannot share a key by the rules of the registry; counting keys holds even if they did.
            ensure(seen.insert(known.key), rule, &place, "each key once", known.key)?;
            power = power.saturating_add(known.power);
            checks.push(self.precommit(network, validator).signature_check(known.key, *signature));
        }
        for (verdict, precommit) in keys::verify_batch(&checks).into_iter().zip(&self.signatures) {
            verdict.map_err(|e| {
                let place = format!("certificate.signatures.{}", precommit.validator);
                Violation::new(rule, place, "a signature that verifies for this block", e)
            })?;
        }
        let total = total_power(validators);
        let expected = format!("more than two thirds of {total}");
        ensure(is_quorum(power, total), rule, "certificate.power", expected, power)?;
        Ok(power)
    }

    /// The precommit that a validator signed for this certificate.
    pub fn precommit(&self, network: NetworkId, validator: &MemberId) -> Vote {
        Vote {
            network,
            kind: VoteKind::Precommit,
            height: self.height,
            round: self.round,
            block: Some(self.block),
            validator: validator.clone(),
        }
    }
}
