//! The engine: inputs in, effects out. One match dispatches; each kind of input has its file.
//!
//! A call of [`Engine::handle`] does everything that follows from its input. Whatever must be durable was appended and
//! flushed before it returns, so the caller may perform the effects in any order, at once.

mod certificates;
mod commit;
mod core_effect;
mod drive;
mod follow;
mod height;
mod message;
mod propose;
mod recall;
mod start;
mod timer;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arc_malachitebft_core_consensus::State;
use stemma_chain_format::certificate::Certificate;
use stemma_chain_format::hash::{BlockId, Digest, Link, NetworkId};
use stemma_chain_format::header::Block;
use stemma_chain_format::member::MemberId;

use crate::config::Config;
use crate::context::{BlockValue, StemmaContext};
use crate::early::Early;
use crate::error::EngineError;
use crate::evidence::Evidence;
use crate::guard::{Guard, SignedMark};
use crate::ports::{Application, Log, Signer};
use crate::recall::{Asking, Own};
use crate::sync::{Sync, SyncedBlock};
use crate::validators::ValidatorSet;
use crate::wal::Step;
use turn::Turn;

/// What the caller tells the engine.
#[derive(Debug, Clone)]
pub enum Input {
    /// The first input: reads the log and begins.
    Start,
    /// A consensus message arrived.
    Message {
        /// The member that made it known to us and is accountable for it: the author of a gossip message, never a relay.
        from: MemberId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A timer that was set has elapsed.
    TimerElapsed(TimerId),
    /// Entries wait for a block that did not before.
    WorkArrived,
    /// Entries that were missing may be here now.
    EntriesArrived,
    /// A member says which height it committed last.
    PeerHead {
        /// The member.
        peer: MemberId,
        /// Its height, as it claims.
        height: u64,
    },
    /// Blocks that were requested.
    Blocks {
        /// Who sent them.
        peer: MemberId,
        /// The blocks, in ascending order.
        blocks: Vec<SyncedBlock>,
    },
    /// A request for blocks failed.
    FetchFailed {
        /// Whom it went to.
        peer: MemberId,
    },
}

/// Names a timer. Setting one that runs already starts it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// A step of a round.
    Step {
        /// The height.
        height: u64,
        /// The round.
        round: u32,
        /// The step.
        step: Step,
    },
    /// A height without work.
    Idle {
        /// The height that waits to begin.
        height: u64,
    },
    /// Missing entries of a height.
    Fetch {
        /// The height.
        height: u64,
    },
    /// One block behind.
    SyncGrace {
        /// The height that is missing.
        height: u64,
    },
    /// A request for blocks.
    SyncRequest {
        /// The request's number.
        number: u64,
    },
    /// The other validators were asked for this one's signatures.
    Recall,
}

/// What the engine asks its caller to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a consensus message to all validators, ahead of bulk.
    Broadcast(Vec<u8>),
    /// Start a timer.
    SetTimer {
        /// Which.
        id: TimerId,
        /// When it elapses, in milliseconds from now.
        after_ms: u64,
    },
    /// Stop a timer.
    CancelTimer(TimerId),
    /// A block is final and in the ledger.
    Committed {
        /// The block.
        block: Block,
        /// Its certificate.
        certificate: Certificate,
        /// It came from a peer rather than from consensus here.
        synced: bool,
    },
    /// Ask a member for entries of a block; then say [`Input::EntriesArrived`].
    FetchEntries {
        /// Their ids.
        ids: Vec<Link>,
        /// Who should have them.
        from: MemberId,
    },
    /// Ask a member for committed blocks; then say [`Input::Blocks`] or [`Input::FetchFailed`].
    RequestBlocks {
        /// The member.
        peer: MemberId,
        /// The first height.
        from_height: u64,
        /// How many at most.
        count: u64,
    },
    /// A validator contradicted itself.
    Misbehaviour(Evidence),
    /// Others hold this signature by our own key, which our log does not know of: the key signs nothing here any more.
    Silenced(SignedMark),
    /// A member sent what no honest member sends.
    Refused {
        /// The member.
        peer: MemberId,
        /// What was wrong.
        reason: String,
    },
}

/// The part that never changes.
pub(crate) struct Setup {
    pub config: Config,
    pub me: MemberId,
    pub network: NetworkId,
    pub signer: Option<Box<dyn Signer + Send>>,
}

/// What the engine does at the height after the last committed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not begun, or stopped for good.
    Stopped,
    /// Takes blocks from peers; has no vote.
    Following,
    /// Has a vote; waits for work, for a message, or for the idle timer.
    Waiting,
    /// Decides.
    Running,
}

/// A decided block on its way into the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Decided {
    pub value: BlockValue,
    pub certificate: Certificate,
    pub evidence: Vec<Evidence>,
    /// How often missing entries were asked for.
    pub asked: usize,
}

/// A proposed block whose entries are missing.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub value: BlockValue,
    pub round: u32,
    pub valid_round: Option<u32>,
    pub proposer: MemberId,
    /// How often missing entries were asked for.
    pub asked: usize,
}

/// What is kept for the height being decided, and dropped with it.
#[derive(Default)]
pub(crate) struct Desk {
    /// Running timers of this height.
    pub timers: BTreeSet<TimerId>,
    /// Blocks that the log holds.
    pub logged: BTreeSet<BlockId>,
    /// While replaying: the digests of the entries that the log holds.
    pub replaying: Option<BTreeSet<Digest>>,
    /// The round for which the core wants a block of ours.
    pub wanted: Option<u32>,
    /// Blocks of ours in the log, by round.
    pub offers: BTreeMap<u32, BlockValue>,
    /// Proposals that the core accepted and nobody judged yet.
    pub unjudged: VecDeque<Pending>,
    /// What was found of each block, and fed to the core.
    pub verdicts: BTreeMap<BlockId, bool>,
    /// Blocks whose entries are here for certain.
    pub here: BTreeSet<BlockId>,
    /// Blocks whose entries are missing.
    pub pending: BTreeMap<BlockId, Pending>,
    /// What the core handed over when it finished the height.
    pub finalized: Option<(Certificate, Vec<Evidence>)>,
    /// The decision, until the ledger has it.
    pub decided: Option<Decided>,
    /// A decision whose entries are missing.
    pub held: Option<Decided>,
    /// An error met while the core ran.
    pub failure: Option<EngineError>,
}

/// Consensus and catching up of one node.
pub struct Engine {
    setup: Setup,
    phase: Phase,
    core: Option<State<StemmaContext>>,
    guard: Guard,
    desk: Desk,
    validators: Option<ValidatorSet>,
    early: Early,
    sync: Sync,
    /// The height that the log was last known to be at, and whether it was replayed or begun here.
    log_height: u64,
    log_begun: bool,
    /// The others are asked for our signatures; no vote before that is over.
    asking: Option<Asking>,
    /// What we know that we signed.
    own: Own,
    /// Our signatures of lower heights were made in a life that the log does not tell of.
    own_from_height: u64,
    /// Our key signs nothing here any more.
    silenced: bool,
    /// When each validator was last answered what we hold of its signatures, in the caller's time.
    recalled_ms: BTreeMap<MemberId, u64>,
    started: bool,
    core_faults: u64,
}

impl Engine {
    /// An engine for a member of a network. Without a signer it follows.
    pub fn new(config: Config, network: NetworkId, me: MemberId, signer: Option<Box<dyn Signer + Send>>) -> Self {
        Self {
            setup: Setup { config, me, network, signer },
            phase: Phase::Stopped,
            core: None,
            guard: Guard::default(),
            desk: Desk::default(),
            validators: None,
            early: Early::default(),
            sync: Sync::default(),
            log_height: 0,
            log_begun: false,
            asking: None,
            own: Own::default(),
            own_from_height: 0,
            silenced: false,
            recalled_ms: BTreeMap::new(),
            started: false,
            core_faults: 0,
        }
    }

    /// Handles one input at a time of the caller's clock, in Unix milliseconds, and returns what to do.
    ///
    /// # Errors
    /// [`EngineError`]: the engine has stopped, and the effects of this call are withheld.
    pub fn handle<A: Application, L: Log>(
        &mut self,
        input: Input,
        now_ms: u64,
        app: &mut A,
        log: &mut L,
    ) -> Result<Vec<Effect>, EngineError> {
        let mut turn = Turn::new(now_ms, app, log);
        let done = self.dispatch(input, &mut turn).and_then(|()| turn.finish());
        if done.is_err() {
            self.phase = Phase::Stopped;
            self.core = None;
        }
        done
    }

    fn dispatch<A: Application, L: Log>(&mut self, input: Input, turn: &mut Turn<'_, A, L>) -> Result<(), EngineError> {
        let starts = matches!(input, Input::Start);
        if starts == self.started {
            return Err(EngineError::Order);
        }
        if self.started && self.phase == Phase::Stopped {
            return Err(EngineError::Stopped);
        }
        match input {
            Input::Start => self.on_start(turn),
            Input::Message { from, bytes } => self.on_message(from, &bytes, turn),
            Input::TimerElapsed(id) => self.on_timer(id, turn),
            Input::WorkArrived => self.on_work(turn),
            Input::EntriesArrived => self.on_entries(turn),
            Input::PeerHead { peer, height } => self.on_peer_head(peer, height, turn),
            Input::Blocks { peer, blocks } => self.on_blocks(peer, blocks, turn),
            Input::FetchFailed { peer } => self.on_fetch_failed(&peer, turn),
        }
    }

    /// Whether this node has a vote at the height after the last committed one.
    pub fn votes(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Running)
    }

    /// Whether the other validators are being asked for our own signatures, before the first vote.
    pub fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// The round being decided, when a height is.
    pub fn round(&self) -> Option<u32> {
        self.core.as_ref()?.round().as_u32()
    }

    /// How often the core reported a fault that it survives; for metrics, zero in health.
    pub fn core_faults(&self) -> u64 {
        self.core_faults
    }
}
