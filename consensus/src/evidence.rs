//! Proof that a validator contradicted itself, verifiable by anyone who knows its key.

use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use stemma_chain_format::cbor;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::NetworkId;
use stemma_chain_format::keys;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Validator;

use crate::codec::{SignedProposal, SignedVote};
use crate::context::StemmaContext;

/// Largest encoding, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 4096;

/// Two signatures of one validator that no honest one makes.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Evidence {
    /// Two different votes of one kind, for one height and round.
    #[n(0)]
    Votes(#[n(0)] SignedVote, #[n(1)] SignedVote),
    /// Two different proposals for one height and round.
    #[n(1)]
    Proposals(#[n(0)] SignedProposal, #[n(1)] SignedProposal),
}

impl Evidence {
    /// What the core collected during a height, ordered by validator.
    pub(crate) fn of(found: &MisbehaviorEvidence<StemmaContext>) -> Vec<Self> {
        let votes = found.votes.iter().flat_map(|(_, pairs)| pairs);
        let votes = votes.map(|(a, b)| Self::votes(SignedVote::of(a), SignedVote::of(b)));
        let proposals = found.proposals.iter().flat_map(|(_, pairs)| pairs);
        let proposals = proposals.map(|(a, b)| Self::proposals(SignedProposal::of(a), SignedProposal::of(b)));
        votes.chain(proposals).collect()
    }

    /// Evidence of two votes; the order given does not matter.
    pub fn votes(a: SignedVote, b: SignedVote) -> Self {
        let in_order = cbor::encode(&a) <= cbor::encode(&b);
        if in_order { Self::Votes(a, b) } else { Self::Votes(b, a) }
    }

    /// Evidence of two proposals; the order given does not matter.
    pub fn proposals(a: SignedProposal, b: SignedProposal) -> Self {
        let in_order = cbor::encode(&a) <= cbor::encode(&b);
        if in_order { Self::Proposals(a, b) } else { Self::Proposals(b, a) }
    }

    /// The validator that it accuses.
    pub fn accused(&self) -> &MemberId {
        match self {
            Self::Votes(a, _) => &a.vote.validator,
            Self::Proposals(a, _) => &a.proposal.proposer,
        }
    }

    /// The height and round.
    pub fn place(&self) -> (u64, u32) {
        match self {
            Self::Votes(a, _) => (a.vote.height, a.vote.round),
            Self::Proposals(a, _) => (a.proposal.height, a.proposal.round),
        }
    }

    /// The evidence's bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads evidence; [`verify`](Self::verify) judges it.
    ///
    /// # Errors
    /// Not the one encoding, or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        Ok(cbor::decode(bytes, "evidence", EVIDENCE_BYTES_MAX)?)
    }

    /// Requires that it proves what it says, given the validators of its height.
    ///
    /// # Errors
    /// [`Rule::Network`], [`Rule::Signer`], [`Rule::Agreement`] where the two do not contradict, [`Rule::Signature`].
    pub fn verify(&self, network: &NetworkId, validators: &[Validator]) -> Result<(), Violation> {
        let fail = |rule, expected: &str, found: &dyn std::fmt::Display| {
            Err(Violation::new(rule, "evidence", expected, found))
        };
        let accused = self.accused();
        let Some(validator) = validators.iter().find(|v| v.id == *accused) else {
            return fail(Rule::Signer, "a validator of its height", accused);
        };
        let (of_network, contradicts, checks) = match self {
            Self::Votes(a, b) => {
                let of_network = a.vote.network == *network && b.vote.network == *network;
                let (x, y) = (&a.vote, &b.vote);
                let same = x.validator == y.validator && (x.kind, x.height, x.round) == (y.kind, y.height, y.round);
                let check = |s: &SignedVote| s.vote.signature_check(validator.key, s.signature);
                (of_network, same && x != y, [check(a), check(b)])
            }
            Self::Proposals(a, b) => {
                let (x, y) = (&a.proposal, &b.proposal);
                let of_network = x.network == *network && y.network == *network;
                let same = x.proposer == y.proposer && (x.height, x.round) == (y.height, y.round);
                let check = |s: &SignedProposal| s.proposal.signature_check(validator.key, s.signature);
                (of_network, same && x != y, [check(a), check(b)])
            }
        };
        if !of_network {
            return fail(Rule::Network, "this network", &"another");
        }
        if !contradicts {
            return fail(Rule::Agreement, "two records that contradict", &"two that do not");
        }
        for check in &checks {
            if let Err(e) = keys::verify(&check.key, &check.message, &check.signature) {
                return fail(Rule::Signature, "two signatures that verify", &e);
            }
        }
        Ok(())
    }
}
