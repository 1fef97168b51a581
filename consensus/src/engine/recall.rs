//! A validator's own signatures as others hold them: asking for them, answering, and falling silent.

use stemma_chain_format::certificate::{Certificate, Vote, VoteKind};
use stemma_chain_format::keys::{self, Signature};
use stemma_chain_format::member::MemberId;

use crate::codec::{ConsensusMessage, SignedProposal, SignedVote};
use crate::engine::turn::Turn;
use crate::engine::{Effect, Engine, TimerId};
use crate::error::EngineError;
use crate::guard::SignedMark;
use crate::ports::{Application, Log};
use crate::recall::{Asking, Own, RECALLED_MAX, Recall, Recalled};
use crate::validators::ValidatorSet;
use crate::wal::Entry;

/// A validator that asks more often is not answered each time: an answer reads the log.
const RECALL_PAUSE_MS: u64 = 100;

impl Engine {
    /// Takes in what the log says of this key, and begins to ask the others where it has a vote.
    pub(super) fn begin_recall<A: Application, L: Log>(
        &mut self,
        entries: &[(u64, Vec<u8>)],
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let Some(key) = self.setup.signer.as_ref().map(|s| s.public_key()) else { return Ok(()) };
        self.silenced = turn.is_silenced(&key)?;
        if self.setup.config.recall_ms == 0 || self.silenced {
            return Ok(());
        }
        // What cannot be read is told by the replay.
        let mark = |(_, bytes): &(u64, Vec<u8>)| match Entry::decode(bytes) {
            Ok(Entry::Signed(mark)) => Some(mark),
            _ => None,
        };
        self.own = Own::of_log(entries.iter().filter_map(mark).collect());
        self.own_from_height = self.log_height;
        let validators = ValidatorSet::of(turn.app.registry()).map_err(EngineError::Validators)?;
        if validators.get(&self.setup.me).is_some_and(|v| v.key() == key) {
            self.asking = Some(Asking::new(turn.now_ms));
            self.ask(turn);
        }
        Ok(())
    }

    /// Asks all validators; again when nobody, or too few, answered.
    pub(super) fn ask<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) {
        let Some(asking) = &self.asking else { return };
        let recall = Recall { network: self.setup.network, height: turn.next_height(), life: asking.life };
        turn.emit(Effect::Broadcast(ConsensusMessage::Recall(recall).encode()));
        turn.set_timer(TimerId::Recall, self.setup.config.recall_ms);
    }

    /// Ends the asking where enough was heard. Called whenever a height is entered.
    pub(super) fn end_recall<A: Application, L: Log>(&mut self, validators: &ValidatorSet, turn: &mut Turn<'_, A, L>) {
        let height = turn.app.height();
        if self.asking.as_ref().is_some_and(|asking| asking.is_over(&self.setup.me, height, validators)) {
            self.asking = None;
            turn.emit(Effect::CancelTimer(TimerId::Recall));
            tracing::info!(height, "the other validators know of no signature that this log does not hold");
        }
    }

    /// Answers with what this node holds of the asker's signatures.
    pub(super) fn on_recall<A: Application, L: Log>(
        &mut self,
        from: &MemberId,
        recall: &Recall,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let last = self.recalled_ms.insert(from.clone(), turn.now_ms);
        let is_too_soon = |last: u64| (last..last.saturating_add(RECALL_PAUSE_MS)).contains(&turn.now_ms);
        if last.is_some_and(is_too_soon) {
            return Ok(());
        }
        let (mut votes, mut proposals) = (Vec::new(), Vec::new());
        for (_, bytes) in turn.read_log()? {
            match Entry::decode(&bytes) {
                Ok(Entry::Vote(m)) if m.vote.validator == *from => votes.push(m),
                Ok(Entry::Proposal(m)) if m.proposal.proposer == *from => proposals.push(m),
                _ => {}
            }
        }
        for message in self.early.of(from) {
            match message {
                ConsensusMessage::Vote(m) => votes.push(m.clone()),
                ConsensusMessage::Proposal(m, _) => proposals.push(m.clone()),
                _ => {}
            }
        }
        votes.retain(|m| m.vote.height >= recall.height);
        proposals.retain(|m| m.proposal.height >= recall.height);
        let recalled = Recalled {
            network: self.setup.network,
            to: from.clone(),
            life: recall.life,
            head: turn.app.height(),
            votes: latest(votes),
            proposals: latest(proposals),
        };
        turn.emit(Effect::Broadcast(ConsensusMessage::Recalled(recalled).encode()));
        Ok(())
    }

    /// Takes an answer.
    pub(super) fn on_recalled<A: Application, L: Log>(
        &mut self,
        from: MemberId,
        recalled: Recalled,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let is_for_us = recalled.to == self.setup.me;
        if !is_for_us || self.asking.as_ref().is_none_or(|asking| asking.life != recalled.life) {
            return Ok(());
        }
        for SignedVote { vote, signature } in &recalled.votes {
            if self.is_unknown_vote(vote, signature, turn) {
                return self.fall_silent(&SignedMark::of_vote(vote), turn);
            }
        }
        for signed in &recalled.proposals {
            if self.is_unknown_proposal(signed, turn) {
                return self.fall_silent(&SignedMark::of_proposal(&signed.proposal), turn);
            }
        }
        self.sync.hint(&from, recalled.head);
        if let Some(asking) = &mut self.asking {
            asking.answered(from, recalled.head);
        }
        self.enter_height(turn)
    }

    /// Whether a message shows a signature by our key that we do not know of; then it is told which.
    pub(super) fn unknown_in<A: Application, L: Log>(
        &self,
        message: &ConsensusMessage,
        turn: &Turn<'_, A, L>,
    ) -> Option<SignedMark> {
        let me = &self.setup.me;
        let vote = |kind, height, round, block, signature: &Signature| {
            let vote = Vote { network: self.setup.network, kind, height, round, block, validator: me.clone() };
            self.is_unknown_vote(&vote, signature, turn).then(|| SignedMark::of_vote(&vote))
        };
        match message {
            ConsensusMessage::Vote(SignedVote { vote, signature }) => {
                self.is_unknown_vote(vote, signature, turn).then(|| SignedMark::of_vote(vote))
            }
            ConsensusMessage::Proposal(signed, _) => {
                self.is_unknown_proposal(signed, turn).then(|| SignedMark::of_proposal(&signed.proposal))
            }
            ConsensusMessage::PolkaCertificate(c) => c
                .votes
                .iter()
                .filter(|v| v.validator == *me)
                .find_map(|v| vote(VoteKind::Prevote, c.height, c.round, Some(c.block), &v.signature)),
            ConsensusMessage::RoundCertificate(c) => c
                .votes
                .iter()
                .filter(|v| v.validator == *me)
                .find_map(|v| vote(v.kind, c.height, c.round, v.block, &v.signature)),
            ConsensusMessage::Recall(_) | ConsensusMessage::Recalled(_) => None,
        }
    }

    /// The same for a certificate that makes a block final, before the block is taken.
    pub(super) fn unknown_in_certificate<A: Application, L: Log>(
        &self,
        certificate: &Certificate,
        turn: &Turn<'_, A, L>,
    ) -> Option<SignedMark> {
        let mine = certificate.signatures.iter().find(|s| s.validator == self.setup.me)?;
        let vote = certificate.precommit(self.setup.network, &self.setup.me);
        self.is_unknown_vote(&vote, &mine.signature, turn).then(|| SignedMark::of_vote(&vote))
    }

    fn is_unknown_vote<A: Application, L: Log>(
        &self,
        vote: &Vote,
        signature: &Signature,
        turn: &Turn<'_, A, L>,
    ) -> bool {
        // The same key may sign in another network, where the same name stands for somebody else.
        let is_ours = vote.network == self.setup.network && vote.validator == self.setup.me;
        is_ours
            && self.is_unknown(&SignedMark::of_vote(vote), turn)
            && self.is_by_our_key(|key| vote.signature_check(key, *signature))
    }

    fn is_unknown_proposal<A: Application, L: Log>(&self, signed: &SignedProposal, turn: &Turn<'_, A, L>) -> bool {
        let SignedProposal { proposal, signature } = signed;
        let is_ours = proposal.network == self.setup.network && proposal.proposer == self.setup.me;
        is_ours
            && self.is_unknown(&SignedMark::of_proposal(proposal), turn)
            && self.is_by_our_key(|key| proposal.signature_check(key, *signature))
    }

    /// Whether this node should know of a signature of its own and does not. What lies below the open height was cleared
    /// with its block; what lies below the log's height at the start, or below the height from which it is to vote, was
    /// signed in a life that is known to be over.
    fn is_unknown<A: Application, L: Log>(&self, mark: &SignedMark, turn: &Turn<'_, A, L>) -> bool {
        let from = turn.next_height().max(self.own_from_height).max(self.setup.config.vote_from_height);
        let is_watched = self.setup.config.recall_ms > 0 && !self.silenced;
        is_watched && mark.height >= from && !self.own.knows(mark, &self.guard)
    }

    /// A peer could claim anything of us: only what our key signed counts.
    fn is_by_our_key(&self, check: impl FnOnce(keys::PublicKey) -> keys::SignatureCheck) -> bool {
        let key = self.setup.signer.as_ref().map(|s| s.public_key());
        key.map(check).is_some_and(|c| keys::verify(&c.key, &c.message, &c.signature).is_ok())
    }

    /// Stops signing with this key for ever, durably, and follows from now on.
    pub(super) fn fall_silent<A: Application, L: Log>(
        &mut self,
        mark: &SignedMark,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        self.silence(mark, turn)?;
        self.harvest(turn);
        self.enter_height(turn)
    }

    /// The same where the height is entered later.
    pub(super) fn silence<A: Application, L: Log>(
        &mut self,
        mark: &SignedMark,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        if let Some(signer) = &self.setup.signer {
            turn.silence(&signer.public_key(), mark)?;
        }
        self.silenced = true;
        self.asking = None;
        turn.emit(Effect::CancelTimer(TimerId::Recall));
        turn.emit(Effect::Silenced(mark.clone()));
        Ok(())
    }
}

/// The last ones, which are of the latest rounds.
fn latest<T>(mut all: Vec<T>) -> Vec<T> {
    let surplus = all.len().saturating_sub(RECALLED_MAX);
    all.drain(..surplus);
    all
}
