//! What the core asks for while it runs: signatures, checks, log entries, messages, timers.

use arc_malachitebft_core_consensus::{
    Effect as CoreEffect, Input as CoreInput, LivenessMsg, Resumable, Resume, SignedConsensusMsg, VoteExtensionError,
};
use arc_malachitebft_core_types::{CertificateError, SignedMessage, Timeout};
use stemma_chain_format::hash::Digest;

use crate::codec::{
    ConsensusMessage, CorePolka, CoreProposal, CoreRound, CoreVote, PolkaCertificate, RoundCertificate, SignedProposal,
    SignedVote,
};
use crate::context::{Ballot, Offer, StemmaContext, round_number};
use crate::engine::certificates::{certificate_of, verify_commit, verify_polka, verify_round, verify_signed};
use crate::engine::turn::Turn;
use crate::engine::{Desk, Effect, Pending, Setup, TimerId};
use crate::error::EngineError;
use crate::evidence::Evidence;
use crate::guard::{Guard, SignedMark};
use crate::ports::{Application, Log, SignError, Signer};
use crate::wal::{Entry, Step};

/// Answers the core's effects for one run of it.
pub(crate) struct Host<'h, 't, A, L> {
    pub setup: &'h Setup,
    pub guard: &'h mut Guard,
    pub desk: &'h mut Desk,
    pub turn: &'h mut Turn<'t, A, L>,
    pub height: u64,
}

type Effects = CoreEffect<StemmaContext>;
type Resumed = Resume<StemmaContext>;

impl<A: Application, L: Log> Host<'_, '_, A, L> {
    /// Answers one effect. An error is also left on the desk, because the core's loop only reports it.
    pub fn answer(&mut self, effect: Effects) -> Result<Resumed, EngineError> {
        let answered = self.dispatch(effect);
        if let Err(e) = &answered {
            self.desk.failure.get_or_insert_with(|| e.clone());
        }
        answered
    }

    fn dispatch(&mut self, effect: Effects) -> Result<Resumed, EngineError> {
        use CoreEffect as E;
        match effect {
            E::CancelAllTimeouts(_) => self.cancel_all(),
            E::CancelTimeout(timeout, _) => self.cancel(timeout),
            E::ScheduleTimeout(timeout, _) => self.schedule(timeout),
            E::StartRound(_, round, proposer, ..) => {
                tracing::debug!(height = self.height, %round, %proposer, "round begins");
            }
            E::PublishConsensusMsg(SignedConsensusMsg::Proposal(p), _) => self.send_proposal(&p),
            E::PublishConsensusMsg(SignedConsensusMsg::Vote(v), _)
            | E::PublishLivenessMsg(LivenessMsg::Vote(v), _)
            | E::RepublishVote(v, _) => self.send_vote(&v),
            E::PublishLivenessMsg(LivenessMsg::PolkaCertificate(c), _) => self.send_polka(&c),
            E::PublishLivenessMsg(LivenessMsg::SkipRoundCertificate(c), _) | E::RepublishRoundCertificate(c, _) => {
                self.send_round(&c)
            }
            E::GetValue(_, round, ..) => self.desk.wanted = Some(round_number(round)),
            E::WalAppend(_, input, _) => self.log(&input)?,
            E::Finalize(certificate, _, found, _) => {
                self.desk.finalized = Some((certificate_of(&certificate), Evidence::of(&found)));
            }
            // `Decide`: the decision is taken from `Finalize`, which follows at once and has the evidence too.
            // `RestreamProposal`: the proposal is published right after, with its whole block.
            // Synced values: certified blocks are committed by `follow` and never fed to the core.
            E::Decide(..) | E::RestreamProposal(..) | E::CertVerifiedSyncValue(..) | E::CertRejectedSyncValue(..) => {}
            E::SignVote(ballot, r) => return Ok(r.resume_with(self.sign_vote(ballot)?)),
            E::SignProposal(offer, r) => return Ok(r.resume_with(self.sign_proposal(offer)?)),
            question => return Ok(self.check(question)),
        }
        Ok(Resume::Continue)
    }

    /// Answers what the core wants verified.
    fn check(&self, question: Effects) -> Resumed {
        use CoreEffect as E;
        let network = self.setup.network;
        match question {
            E::VerifySignature(m, key, r) => r.resume_with(verify_signed(&m.message, key, m.signature)),
            E::VerifyCommitCertificate(c, set, t, r) => r.resume_with(verify_commit(network, &c, &set, t)),
            E::VerifyPolkaCertificate(c, set, t, r) => r.resume_with(verify_polka(network, &c, &set, t)),
            E::VerifyRoundCertificate(c, set, t, r) => r.resume_with(verify_round(network, &c, &set, t)),
            // Vote extensions are off: none is made, and a certificate with some is refused.
            E::VerifyExtendedCommitCertificate(.., r) => r.resume_with(Err(CertificateError::VerificationError(None))),
            E::ExtendVote(.., r) => r.resume_with(None),
            E::VerifyVoteExtension(.., r) => r.resume_with(Err(VoteExtensionError::InvalidVoteExtension)),
            _ => Resume::Continue,
        }
    }

    fn send(&mut self, message: &ConsensusMessage) {
        self.turn.emit(Effect::Broadcast(message.encode()));
    }

    fn send_vote(&mut self, vote: &CoreVote) {
        self.send(&ConsensusMessage::Vote(SignedVote::of(vote)));
    }

    fn send_proposal(&mut self, p: &CoreProposal) {
        let block = p.message.value.block().clone();
        self.send(&ConsensusMessage::Proposal(SignedProposal::of(p), block));
    }

    fn send_polka(&mut self, c: &CorePolka) {
        let certificate = PolkaCertificate::of(self.setup.network, c);
        self.send(&ConsensusMessage::PolkaCertificate(certificate));
    }

    fn send_round(&mut self, c: &CoreRound) {
        let certificate = RoundCertificate::of(self.setup.network, c);
        self.send(&ConsensusMessage::RoundCertificate(certificate));
    }

    fn timer(&self, timeout: Timeout) -> Option<(TimerId, u64)> {
        let (step, round) = (Step::of(timeout.kind)?, round_number(timeout.round));
        let id = TimerId::Step { height: self.height, round, step };
        Some((id, self.setup.config.step_ms(step, round)))
    }

    fn schedule(&mut self, timeout: Timeout) {
        if let Some((id, after_ms)) = self.timer(timeout) {
            self.desk.timers.insert(id);
            self.turn.set_timer(id, after_ms);
        }
    }

    fn cancel(&mut self, timeout: Timeout) {
        let id = self.timer(timeout).map(|(id, _)| id);
        if let Some(id) = id.filter(|id| self.desk.timers.remove(id)) {
            self.turn.emit(Effect::CancelTimer(id));
        }
    }

    /// Stops the timers of rounds; those of fetching go on.
    fn cancel_all(&mut self) {
        let steps = |id: &TimerId| matches!(id, TimerId::Step { .. });
        for id in self.desk.timers.iter().copied().filter(steps) {
            self.turn.emit(Effect::CancelTimer(id));
        }
        self.desk.timers.retain(|id| !steps(id));
    }

    fn sign_vote(&mut self, ballot: Ballot) -> Result<CoreVote, EngineError> {
        let vote = ballot.to_vote();
        self.mark(&SignedMark::of_vote(&vote))?;
        let signature = self.signer()?.sign_vote(&vote).map_err(EngineError::Sign)?;
        Ok(SignedMessage::new(ballot, signature))
    }

    fn sign_proposal(&mut self, offer: Offer) -> Result<CoreProposal, EngineError> {
        let proposal = offer.to_proposal();
        self.mark(&SignedMark::of_proposal(&proposal))?;
        let signature = self.signer()?.sign_proposal(&proposal).map_err(EngineError::Sign)?;
        Ok(SignedMessage::new(offer, signature))
    }

    fn signer(&self) -> Result<&dyn Signer, EngineError> {
        let none = || EngineError::Sign(SignError("this node has no signer".into()));
        self.setup.signer.as_ref().map(|s| s.as_ref() as &dyn Signer).ok_or_else(none)
    }

    /// Asks the guard and logs the mark before anything is signed.
    fn mark(&mut self, mark: &SignedMark) -> Result<(), EngineError> {
        if self.guard.admit(mark).map_err(EngineError::Contradiction)? {
            self.append(&Entry::Signed(mark.clone()))?;
            self.guard.record(mark).map_err(EngineError::Contradiction)?;
        }
        Ok(())
    }

    fn log(&mut self, input: &CoreInput<StemmaContext>) -> Result<(), EngineError> {
        match input {
            // Logged means accepted: the signature holds and it was its proposer's turn. Now the block is worth judging.
            CoreInput::Proposal(p) => self.desk.unjudged.push_back(Pending {
                value: p.message.value.clone(),
                round: round_number(p.message.round),
                valid_round: p.message.pol_round.as_u32(),
                proposer: p.message.proposer.0.clone(),
                asked: 0,
            }),
            CoreInput::ProposedValue(v, _) => {
                self.desk.verdicts.insert(v.value.block_id(), v.validity.is_valid());
                if v.proposer.0 == self.setup.me && v.valid_round.is_nil() {
                    self.desk.offers.insert(round_number(v.round), v.value.clone());
                }
            }
            _ => {}
        }
        let Some((entry, block)) = Entry::of(self.setup.network, input) else {
            return Ok(());
        };
        if let Some(value) = block
            && self.desk.logged.insert(value.block_id())
        {
            self.append(&Entry::Block(value.block().clone()))?;
        }
        self.append(&entry)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), EngineError> {
        let bytes = entry.encode();
        if let Some(there) = &self.desk.replaying
            && there.contains(&Digest::of(&bytes))
        {
            return Ok(());
        }
        self.turn.append(self.height, &bytes)
    }
}
