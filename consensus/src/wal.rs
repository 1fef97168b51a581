//! The entries of the consensus log, and how they become the core's inputs again.
//!
//! Logged is what votes rest on: signed votes and proposals, verdicts on blocks, time-outs, polka certificates, and a
//! mark before every signature of our own. A block is written once and named by id afterwards.

use std::collections::BTreeMap;

use arc_malachitebft_core_consensus::{Input as CoreInput, ProposedValue};
use arc_malachitebft_core_types::{Round, Timeout, TimeoutKind, Validity, ValueOrigin};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::header::Block;
use stemma_chain_format::member::MemberId;

use crate::codec::{MESSAGE_BYTES_MAX, PolkaCertificate, SignedProposal, SignedVote};
use crate::context::{Address, BlockValue, Height, StemmaContext, round_number};
use crate::guard::SignedMark;
use crate::ports::LogError;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Entry {
    /// A block that later entries name.
    #[n(0)]
    Block(#[n(0)] Block),
    /// A vote received or cast.
    #[n(1)]
    Vote(#[n(0)] SignedVote),
    /// A proposal received or made; its block was logged before.
    #[n(2)]
    Proposal(#[n(0)] SignedProposal),
    /// What we found a block to be.
    #[n(3)]
    Verdict(#[n(0)] Verdict),
    /// A time-out that elapsed.
    #[n(4)]
    Timeout(#[n(0)] Step, #[n(1)] u32),
    /// A polka certificate that was accepted.
    #[n(5)]
    Polka(#[n(0)] PolkaCertificate),
    /// A signature of ours, logged before it was made.
    #[n(6)]
    Signed(#[n(0)] SignedMark),
}

/// A verdict on a block.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Verdict {
    /// The block.
    #[n(0)]
    pub block: BlockId,
    /// The round in which it was proposed.
    #[n(1)]
    pub round: u32,
    /// The round of its polka, if it had one.
    #[n(2)]
    pub valid_round: Option<u32>,
    /// Who proposed it in that round.
    #[n(3)]
    pub proposer: MemberId,
    /// Valid or not.
    #[n(4)]
    pub valid: bool,
}

/// The steps of a round that time out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Step {
    /// Waiting for a proposal.
    #[n(0)]
    Propose,
    /// Waiting for prevotes to agree.
    #[n(1)]
    Prevote,
    /// Waiting for precommits to agree.
    #[n(2)]
    Precommit,
    /// Sending our votes again.
    #[n(3)]
    Rebroadcast,
}

impl Step {
    /// The step of a time-out of the core; `None` for a finalisation period, which we never ask for.
    pub fn of(kind: TimeoutKind) -> Option<Self> {
        match kind {
            TimeoutKind::Propose => Some(Self::Propose),
            TimeoutKind::Prevote => Some(Self::Prevote),
            TimeoutKind::Precommit => Some(Self::Precommit),
            TimeoutKind::Rebroadcast => Some(Self::Rebroadcast),
            TimeoutKind::FinalizeHeight(_) => None,
        }
    }

    /// The core's time-out for this step of a round.
    pub fn timeout(self, round: u32) -> Timeout {
        let round = Round::new(round);
        match self {
            Self::Propose => Timeout::propose(round),
            Self::Prevote => Timeout::prevote(round),
            Self::Precommit => Timeout::precommit(round),
            Self::Rebroadcast => Timeout::rebroadcast(round),
        }
    }
}

impl Entry {
    /// The entry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`LogError::Corrupt`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        cbor::decode(bytes, "log entry", MESSAGE_BYTES_MAX).map_err(|e| LogError::Corrupt(e.to_string()))
    }

    /// The entry for an input of the core, and the block it names; `None` for inputs that are not logged.
    pub(crate) fn of(network: NetworkId, input: &CoreInput<StemmaContext>) -> Option<(Self, Option<BlockValue>)> {
        match input {
            CoreInput::Vote(vote) => Some((Self::Vote(SignedVote::of(vote)), None)),
            CoreInput::Proposal(p) => Some((Self::Proposal(SignedProposal::of(p)), Some(p.message.value.clone()))),
            CoreInput::ProposedValue(v, _) => {
                let verdict = Verdict {
                    block: v.value.block_id(),
                    round: round_number(v.round),
                    valid_round: v.valid_round.as_u32(),
                    proposer: v.proposer.0.clone(),
                    valid: v.validity.is_valid(),
                };
                Some((Self::Verdict(verdict), Some(v.value.clone())))
            }
            CoreInput::TimeoutElapsed(t) => Some((Self::Timeout(Step::of(t.kind)?, round_number(t.round)), None)),
            CoreInput::PolkaCertificate(c) => Some((Self::Polka(PolkaCertificate::of(network, c)), None)),
            CoreInput::StartHeight(..)
            | CoreInput::RoundCertificate(_)
            | CoreInput::Propose(_)
            | CoreInput::SyncValueResponse(_) => None,
        }
    }
}

/// A height's log, read back.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The core's inputs in their order.
    pub inputs: Vec<CoreInput<StemmaContext>>,
    /// What we signed.
    pub marks: Vec<SignedMark>,
    /// The blocks by id.
    pub blocks: BTreeMap<BlockId, BlockValue>,
}

impl Replay {
    /// Reads the entries of one height.
    ///
    /// # Errors
    /// [`LogError::Corrupt`].
    pub fn read<'e>(height: u64, entries: impl Iterator<Item = &'e [u8]>) -> Result<Self, LogError> {
        let mut replay = Self::default();
        for bytes in entries {
            replay.take(height, Entry::decode(bytes)?)?;
        }
        Ok(replay)
    }

    fn take(&mut self, height: u64, entry: Entry) -> Result<(), LogError> {
        let input = match entry {
            Entry::Block(block) => {
                // Its id covers the header alone; what it names must be its header's, or peers would refuse it.
                block.check().map_err(|violation| LogError::Corrupt(violation.to_string()))?;
                let value = BlockValue::new(block);
                self.blocks.insert(value.block_id(), value);
                return Ok(());
            }
            Entry::Signed(mark) => {
                self.marks.push(mark);
                return Ok(());
            }
            Entry::Vote(vote) => CoreInput::Vote(vote.to_core()),
            Entry::Proposal(p) => CoreInput::Proposal(p.to_core(self.block(&p.proposal.block)?)),
            Entry::Timeout(step, round) => CoreInput::TimeoutElapsed(step.timeout(round)),
            Entry::Polka(certificate) => CoreInput::PolkaCertificate(certificate.to_core()),
            Entry::Verdict(v) => {
                let value = ProposedValue {
                    height: Height(height),
                    round: Round::new(v.round),
                    valid_round: Round::from(v.valid_round),
                    proposer: Address(v.proposer),
                    value: self.block(&v.block)?,
                    validity: Validity::from_bool(v.valid),
                };
                CoreInput::ProposedValue(value, ValueOrigin::Consensus)
            }
        };
        self.inputs.push(input);
        Ok(())
    }

    fn block(&self, id: &BlockId) -> Result<BlockValue, LogError> {
        let missing = || LogError::Corrupt(format!("block {id} is named but not there"));
        self.blocks.get(id).cloned().ok_or_else(missing)
    }
}
