//! The checks of signatures and certificates that the core leaves to us.
//!
//! A certificate counts each validator once, for this very height, round and value; one bad signature refuses all.

#![expect(clippy::result_large_err, reason = "an error of the core's holds two member ids, and is met once in a while")]

use std::collections::BTreeSet;

use arc_malachitebft_core_consensus::ConsensusMsg;
use arc_malachitebft_core_types as malachite;
use malachite::{
    CertificateError, CommitCertificate, NilOrVal, Round, RoundCertificateType, ThresholdParam, ThresholdParams,
    VoteType,
};
use stemma_chain_format::certificate::{Certificate, Precommit};
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::keys::{self, PublicKey, Signature};

use crate::codec::{ConsensusMessage, CorePolka, CoreRound, SignedProposal, SignedVote};
use crate::context::{Address, Ballot, Height, StemmaContext, round_number};
use crate::validators::ValidatorSet;

type Verdict = Result<(), CertificateError<StemmaContext>>;

/// Checks the signature on a vote or proposal of the core.
pub(crate) fn verify_signed(message: &ConsensusMsg<StemmaContext>, key: PublicKey, signature: Signature) -> bool {
    let check = match message {
        ConsensusMsg::Vote(vote) => vote.to_vote().signature_check(key, signature),
        ConsensusMsg::Proposal(offer) => offer.to_proposal().signature_check(key, signature),
    };
    keys::verify(&check.key, &check.message, &check.signature).is_ok()
}

/// Checks that a vote or proposal was signed by a validator, and a proposal by the one whose turn it is. Certificates
/// are checked by the core.
pub(crate) fn authentic(validators: &ValidatorSet, message: &ConsensusMessage) -> bool {
    let check = match message {
        ConsensusMessage::Vote(SignedVote { vote, signature }) => {
            validators.get(&vote.validator).map(|v| vote.signature_check(v.key(), *signature))
        }
        ConsensusMessage::Proposal(SignedProposal { proposal, signature }, _) => {
            let leader = validators.proposer(proposal.height, proposal.round);
            let in_turn = *leader.id() == proposal.proposer;
            in_turn.then(|| proposal.signature_check(leader.key(), *signature))
        }
        ConsensusMessage::PolkaCertificate(_) | ConsensusMessage::RoundCertificate(_) => {
            return true;
        }
        // These count for nothing in a height.
        ConsensusMessage::Recall(_) | ConsensusMessage::Recalled(_) => return false,
    };
    check.is_some_and(|c| keys::verify(&c.key, &c.message, &c.signature).is_ok())
}

/// The core's certificate in the format that anyone verifies.
pub(crate) fn certificate_of(commit: &CommitCertificate<StemmaContext>) -> Certificate {
    let precommit = |s: &malachite::CommitSignature<StemmaContext>| Precommit {
        validator: s.address.0.clone(),
        signature: s.signature,
    };
    let mut signatures: Vec<Precommit> = commit.commit_signatures.iter().map(precommit).collect();
    signatures.sort_by(|a, b| a.validator.cmp(&b.validator));
    Certificate { height: commit.height.0, round: round_number(commit.round), block: commit.value_id, signatures }
}

struct Place<'v> {
    network: NetworkId,
    height: Height,
    round: Round,
    validators: &'v ValidatorSet,
}

pub(crate) fn verify_commit(
    network: NetworkId,
    c: &CommitCertificate<StemmaContext>,
    validators: &ValidatorSet,
    thresholds: ThresholdParams,
) -> Verdict {
    let place = Place { network, height: c.height, round: c.round, validators };
    let value = NilOrVal::Val(c.value_id);
    let votes: Vec<_> =
        c.commit_signatures.iter().map(|s| (&s.address, VoteType::Precommit, value, s.signature)).collect();
    place.verify(&votes, thresholds.quorum, |at| {
        let signature = c.commit_signatures.get(at).cloned();
        signature.map(CertificateError::InvalidCommitSignature)
    })
}

pub(crate) fn verify_polka(
    network: NetworkId,
    c: &CorePolka,
    validators: &ValidatorSet,
    thresholds: ThresholdParams,
) -> Verdict {
    let place = Place { network, height: c.height, round: c.round, validators };
    let value = NilOrVal::Val(c.value_id);
    let votes: Vec<_> =
        c.polka_signatures.iter().map(|s| (&s.address, VoteType::Prevote, value, s.signature)).collect();
    place.verify(&votes, thresholds.quorum, |at| {
        let signature = c.polka_signatures.get(at).cloned();
        signature.map(CertificateError::InvalidPolkaSignature)
    })
}

pub(crate) fn verify_round(
    network: NetworkId,
    c: &CoreRound,
    validators: &ValidatorSet,
    thresholds: ThresholdParams,
) -> Verdict {
    let place = Place { network, height: c.height, round: c.round, validators };
    let threshold = match c.cert_type {
        RoundCertificateType::Skip => thresholds.honest,
        RoundCertificateType::Precommit => thresholds.quorum,
    };
    if c.cert_type == RoundCertificateType::Precommit {
        let prevote = c.round_signatures.iter().find(|s| s.vote_type == VoteType::Prevote);
        if let Some(s) = prevote {
            return Err(CertificateError::InvalidVoteType(s.address.clone()));
        }
    }
    let votes: Vec<_> = c.round_signatures.iter().map(|s| (&s.address, s.vote_type, s.value_id, s.signature)).collect();
    place.verify(&votes, threshold, |at| {
        let signature = c.round_signatures.get(at).cloned();
        signature.map(CertificateError::InvalidRoundSignature)
    })
}

impl Place<'_> {
    fn verify(
        &self,
        votes: &[(&Address, VoteType, NilOrVal<BlockId>, Signature)],
        threshold: ThresholdParam,
        invalid: impl Fn(usize) -> Option<CertificateError<StemmaContext>>,
    ) -> Verdict {
        let (mut seen, mut signed) = (BTreeSet::new(), 0_u64);
        let mut checks = Vec::with_capacity(votes.len());
        for (address, kind, value, signature) in votes {
            let known = self.validators.get(&address.0);
            let known = known.ok_or_else(|| CertificateError::UnknownValidator((*address).clone()))?;
            if !seen.insert(known.key()) {
                return Err(CertificateError::DuplicateVote((*address).clone()));
            }
            signed = signed.saturating_add(known.power());
            let ballot = Ballot {
                network: self.network,
                kind: *kind,
                height: self.height,
                round: self.round,
                value: *value,
                validator: (*address).clone(),
            };
            checks.push(ballot.to_vote().signature_check(known.key(), *signature));
        }
        let total = self.validators.total();
        if !threshold.is_met(signed, total) {
            let expected = threshold.min_expected(total);
            return Err(CertificateError::NotEnoughVotingPower { signed, total, expected });
        }
        let first_bad = keys::verify_batch(&checks).iter().position(Result::is_err);
        match first_bad {
            None => Ok(()),
            Some(at) => Err(invalid(at).unwrap_or(CertificateError::VerificationError(None))),
        }
    }
}
