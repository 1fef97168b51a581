//! Messages of other validators.

use arc_malachitebft_core_consensus::Input as CoreInput;
use stemma_chain_format::member::MemberId;

use crate::codec::ConsensusMessage;
use crate::context::BlockValue;
use crate::early::Early;
use crate::engine::certificates::authentic;
use crate::engine::turn::Turn;
use crate::engine::{Effect, Engine, Phase};
use crate::error::EngineError;
use crate::ports::{Application, Log};

impl Engine {
    pub(super) fn on_message<A: Application, L: Log>(
        &mut self,
        from: MemberId,
        bytes: &[u8],
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let Some(validators) = self.validators.clone() else {
            return Ok(());
        };
        // Only validators are heard, and nobody tells us what we said ourselves.
        if from == self.setup.me || validators.get(&from).is_none() {
            return Ok(());
        }
        let message = match ConsensusMessage::decode(bytes, &self.setup.network) {
            Ok(ConsensusMessage::Recall(recall)) => return self.on_recall(&from, &recall, turn),
            Ok(ConsensusMessage::Recalled(recalled)) => return self.on_recalled(from, recalled, turn),
            Ok(message) => message,
            Err(e) => {
                turn.emit(Effect::Refused { peer: from, reason: e.to_string() });
                return Ok(());
            }
        };
        if let Some(mark) = self.unknown_in(&message, turn) {
            return self.fall_silent(&mark, turn);
        }
        if self.is_mine(&message) {
            return Ok(());
        }
        let next = turn.next_height();
        let height = message.height();
        if height < next {
            return Ok(());
        }
        if height > next {
            // Whoever is at a height has committed the one below.
            self.sync.hint(&from, height.saturating_sub(1));
            if self.votes() && Early::wants(next, &message) && authentic(&validators, &message) {
                self.early.keep(message);
            }
            self.catch_up(turn);
            return Ok(());
        }
        match self.phase {
            Phase::Stopped | Phase::Following => Ok(()),
            Phase::Running => self.feed(message, turn),
            Phase::Waiting if !authentic(&validators, &message) => Ok(()),
            Phase::Waiting => {
                self.begin_height(turn)?;
                if turn.next_height() == next { self.feed(message, turn) } else { Ok(()) }
            }
        }
    }

    fn is_mine(&self, message: &ConsensusMessage) -> bool {
        match message {
            ConsensusMessage::Vote(m) => m.vote.validator == self.setup.me,
            ConsensusMessage::Proposal(m, _) => m.proposal.proposer == self.setup.me,
            _ => false,
        }
    }

    /// Hands a message of the height being decided to the core, which checks it.
    pub(super) fn feed<A: Application, L: Log>(
        &mut self,
        message: ConsensusMessage,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let input = match message {
            ConsensusMessage::Vote(vote) => CoreInput::Vote(vote.to_core()),
            ConsensusMessage::Proposal(proposal, block) => {
                CoreInput::Proposal(proposal.to_core(BlockValue::new(block)))
            }
            ConsensusMessage::PolkaCertificate(c) => CoreInput::PolkaCertificate(c.to_core()),
            ConsensusMessage::RoundCertificate(c) => CoreInput::RoundCertificate(c.to_core()),
            ConsensusMessage::Recall(_) | ConsensusMessage::Recalled(_) => return Ok(()),
        };
        self.drive(input, turn)
    }
}
