//! One engine driven by hand, and the messages of the validators around it.

use stemma_chain_format::certificate::{Certificate, Precommit, Vote, VoteKind};
use stemma_chain_format::hash::BlockId;
use stemma_chain_format::header::Block;
use stemma_chain_format::registry::Registry;
use stemma_consensus::codec::{ConsensusMessage, SignedProposal, SignedVote};
use stemma_consensus::config::Config;
use stemma_consensus::engine::{Effect, Engine, Input};
use stemma_consensus::error::EngineError;
use stemma_consensus::guard::SignedMark;
use stemma_consensus::ports::{Application, Signer};
use stemma_consensus::proposal::Proposal;
use stemma_consensus::sync::SyncedBlock;

use super::app::TinyLedger;
use super::genesis::{id, registry, validator_key};
use super::log::MemoryLog;

pub const NOW_MS: u64 = 1_700_000_000_000;

pub struct Solo {
    pub engine: Engine,
    pub ledger: TinyLedger,
    pub log: MemoryLog,
    pub index: usize,
}

impl Solo {
    /// Node `index` of a network, started.
    pub fn start(ledger: TinyLedger, log: MemoryLog, index: usize) -> (Self, Vec<Effect>) {
        let (solo, effects) = Self::try_start(ledger, log, index, Config::default());
        (solo, effects.unwrap())
    }

    pub fn try_start(
        ledger: TinyLedger,
        log: MemoryLog,
        index: usize,
        config: Config,
    ) -> (Self, Result<Vec<Effect>, EngineError>) {
        let votes = ledger.registry().validators().iter().any(|v| v.id == id(index));
        let signer = votes.then(|| Box::new(validator_key(index)) as Box<dyn Signer + Send>);
        let engine = Engine::new(config, ledger.registry().network(), id(index), signer);
        let mut solo = Self { engine, ledger, log, index };
        let effects = solo.try_input(Input::Start);
        (solo, effects)
    }

    /// Node `index` of four validators and one auditor, started with nothing.
    pub fn fresh(index: usize) -> Self {
        let ledger = TinyLedger::new(registry(&[10, 10, 10, 10, 0]));
        Self::start(ledger, MemoryLog::default(), index).0
    }

    /// Dies, losing its pool, and starts again.
    pub fn restart(self) -> (Self, Vec<Effect>) {
        let Self { mut ledger, log, index, .. } = self;
        ledger.crash();
        Self::start(ledger, log, index)
    }

    pub fn try_input(&mut self, input: Input) -> Result<Vec<Effect>, EngineError> {
        self.engine.handle(input, NOW_MS, &mut self.ledger, &mut self.log)
    }

    pub fn input(&mut self, input: Input) -> Vec<Effect> {
        self.try_input(input).unwrap()
    }

    pub fn hear(&mut self, from: usize, message: &ConsensusMessage) -> Vec<Effect> {
        self.input(Input::Message { from: id(from), bytes: message.encode() })
    }

    /// What the effects send, decoded.
    pub fn sent(&self, effects: &[Effect]) -> Vec<ConsensusMessage> {
        let network = self.ledger.registry().network();
        let read = |effect: &Effect| match effect {
            Effect::Broadcast(bytes) => Some(ConsensusMessage::decode(bytes, &network).unwrap()),
            _ => None,
        };
        effects.iter().filter_map(read).collect()
    }

    /// The marks of what this node signed among the effects.
    pub fn signed(&self, effects: &[Effect]) -> Vec<SignedMark> {
        let me = id(self.index);
        let mark = |message: ConsensusMessage| match message {
            ConsensusMessage::Vote(m) if m.vote.validator == me => Some(SignedMark::of_vote(&m.vote)),
            ConsensusMessage::Proposal(m, _) if m.proposal.proposer == me => Some(SignedMark::of_proposal(&m.proposal)),
            _ => None,
        };
        self.sent(effects).into_iter().filter_map(mark).collect()
    }

    /// The votes that this node sends among the effects, by kind and block.
    pub fn votes(&self, effects: &[Effect]) -> Vec<(VoteKind, Option<BlockId>)> {
        let vote = |message: ConsensusMessage| match message {
            ConsensusMessage::Vote(m) => Some((m.vote.kind, m.vote.block)),
            _ => None,
        };
        self.sent(effects).into_iter().filter_map(vote).collect()
    }
}

pub fn vote(
    registry: &Registry,
    by: usize,
    (height, round): (u64, u32),
    kind: VoteKind,
    block: Option<BlockId>,
) -> ConsensusMessage {
    let vote = Vote { network: registry.network(), kind, height, round, block, validator: id(by) };
    let signature = vote.sign(&validator_key(by));
    ConsensusMessage::Vote(SignedVote { vote, signature })
}

pub fn proposal(registry: &Registry, by: usize, round: u32, block: &Block) -> ConsensusMessage {
    let proposal = Proposal {
        network: registry.network(),
        height: block.header.height,
        round,
        pol_round: None,
        block: block.id(),
        proposer: id(by),
    };
    let signature = proposal.sign(&validator_key(by));
    ConsensusMessage::Proposal(SignedProposal { proposal, signature }, block.clone())
}

/// A certificate of these validators for a block.
pub fn certificate(registry: &Registry, block: &Block, by: &[usize]) -> Certificate {
    let mut certificate =
        Certificate { height: block.header.height, round: 0, block: block.id(), signatures: Vec::new() };
    for index in by {
        let vote = certificate.precommit(registry.network(), &id(*index));
        let signature = vote.sign(&validator_key(*index));
        certificate.signatures.push(Precommit { validator: id(*index), signature });
    }
    certificate
}

/// A chain of final blocks, one entry each, as a peer sends it.
pub fn chain(registry: &Registry, length: u64) -> Vec<SyncedBlock> {
    let mut ledger = TinyLedger::new(registry.clone());
    for height in 1..=length {
        ledger.add(format!("entry of block {height}").into_bytes());
        let block = ledger.propose(&id(0), NOW_MS);
        let certificate = certificate(registry, &block, &[0, 1, 2]);
        ledger.commit(&block, &certificate).unwrap();
    }
    ledger.synced(1, length)
}
