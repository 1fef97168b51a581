//! The wiring: one thread that owns the ledger, the engine and the roles, and alone knows everything.
//!
//! Events come in through one channel; each turn handles all that are there, makes durable what the roles ask for in one
//! transaction, and only then sends, proposes and answers. Sockets, HTTP and signature checks run elsewhere and reach
//! this thread by events alone.

mod agree;
mod back_office;
mod calls;
mod desk;
mod event;
mod exchange;
mod governance;
mod health;
mod history;
mod paths;
mod perform;
mod prices;
mod trace;
mod verifier;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use stemma_chain_format::hash::Link;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_consensus::config::Config as EngineConfig;
use stemma_consensus::engine::{Engine, Input, TimerId};
use stemma_consensus::error::EngineError;
use stemma_consensus::state::LedgerState;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

pub use event::{Call, CallReply, Event, Issue};

use crate::bank::{Bank, BankParts, Desk};
use crate::clock::now_ms;
use crate::institution::back_office::{ClientError, HttpClient};
use crate::institution::prices::ReplayError;
use crate::institution::{Institution, Prices};
use crate::ledger::{Snapshots, StoreSink};
use crate::membership::{Settings, Standing};
use crate::meters::Meters;
use crate::network;
use crate::role::{Answer, RoleEffect};
use crate::store::{EnrolmentRow, OrderRow, Silence, Store, StoreError, StoreLog};
use crate::telemetry::Traces;
use event::Asked;
use stemma_chain_format::announcement::Announcement;
use stemma_chain_format::governance::PROTOCOL_VERSION_MAX;
use stemma_chain_format::registry::Registry;
use stemma_net::{NetHandle, PeerConfig, PeerId};
use stemma_node_api::config::{ConsensusConfig, PriceSource};
use stemma_node_api::types::Status;

/// Most events that wait; whoever brings more waits too.
pub const EVENTS_MAX: usize = 4_096;
/// Most events handled in one turn.
const TURN_EVENTS_MAX: usize = 1_024;
/// Every so many ticks the head is said again, for whoever missed it.
const HEAD_TICKS: u64 = 4;
/// How often a validator that starts asks the others again for its own signatures, in milliseconds.
const RECALL_MS: u64 = 1_000;
/// Identities verified at once: a password takes some 20 MiB and a core.
const DESKS: usize = 2;
/// After so many seconds without any peer, another network key is tried, where there is one.
pub const UNREACHED_S: u64 = 20;
/// Ticks of a second.
const TICKS_PER_S: u64 = 4;
/// Every so many ticks it is told how a node that is behind catches up.
const PROGRESS_TICKS: u64 = 8;
/// Every so many ticks a peer is asked for what others announced of their addresses.
const ADDRESS_TICKS: u64 = 40;
/// The folder of snapshots in the data folder.
const SNAPSHOTS: &str = "snapshots";
/// The name of the note that holds an institution's trading day.
const DAY_NOTE: &str = "trading-day";
/// The name of the note that says when it was set, in Unix milliseconds.
const DAY_MS_NOTE: &str = "trading-day-ms";

/// Why a node stopped or did not start. Each is ours, the disk's or the configuration's fault, never a peer's.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store failed.
    #[error("the node's store failed")]
    Store(#[from] StoreError),
    /// Consensus stopped.
    #[error("consensus stopped")]
    Engine(#[source] EngineError),
    /// The price file does not have the day that trading stood at.
    #[error("the price file does not fit the store")]
    Prices(#[source] ReplayError),
    /// The address of the institution's own system cannot be called.
    #[error("institution.back_office.url cannot be called")]
    BackOffice(#[source] ClientError),
    /// Errands are open at the institution's own system, which the configuration does not name any more.
    #[error(
        "{0} errands are open at the institution's own system: name it under [institution.back_office] until \
         GET /v1/status shows none"
    )]
    Errands(usize),
    /// The thread that checks signatures could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// Why a node ended, without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeEnd {
    /// It was told to.
    Stopped,
    /// A governance record changed its member: it begins anew.
    Changed,
    /// No peer let it in, and there is another network key to try.
    Unreached,
}

/// Everything the node's thread owns.
pub struct Node {
    settings: Settings,
    store: Store,
    state: LedgerState<StoreSink>,
    engine: Engine,
    log: StoreLog,
    bank: Option<Bank>,
    institution: Option<Institution>,
    /// The way to the institution's own system, where it executes in one.
    back_office: Option<Arc<HttpClient>>,
    net: NetHandle,
    runtime: tokio::runtime::Handle,
    events: mpsc::Sender<Event>,
    verifier: verifier::Verifier,
    members: BTreeMap<PeerId, MemberId>,
    peers: BTreeMap<MemberId, PeerId>,
    timers: BTreeMap<TimerId, tokio::task::JoinHandle<()>>,
    /// What the roles asked for and is not yet done.
    effects: Vec<RoleEffect>,
    /// Entries to gossip at the end of the turn.
    outgoing: Vec<Vec<u8>>,
    /// Answers to clients that may leave once the turn's writes are durable.
    replies: Vec<(CallReply<OrderRow>, OrderRow)>,
    /// Operators whose changes of verifiers are told once they are durable.
    enrolled: Vec<(CallReply<EnrolmentRow>, EnrolmentRow)>,
    /// Clients that wait for an order to become final.
    waiting: BTreeMap<Link, Vec<CallReply<OrderRow>>>,
    /// Clients whose orders' identities are being verified.
    identifying: BTreeMap<Link, Vec<CallReply<OrderRow>>>,
    /// At most so many verifications run at once.
    desks: Arc<Semaphore>,
    /// Tells every change of an order.
    changes: broadcast::Sender<Arc<OrderRow>>,
    /// Operators that wait for an entry to be committed.
    submitted: BTreeMap<Link, Vec<CallReply<stemma_node_api::types::Committed>>>,
    issues: VecDeque<Issue>,
    issuing: Option<Link>,
    /// The last height that roles and waiting operators were told of.
    told_height: u64,
    ticks: u64,
    /// Banks' messages whose questions are not all answered.
    asked: BTreeMap<u64, Asked>,
    next_message: u64,
    /// Each member's last announcement.
    announced: BTreeMap<MemberId, Announcement>,
    /// Since when, in Unix milliseconds, and from which height on the node has been catching up.
    progress: Option<(u64, u64)>,
    /// Whom to ask next for what others announced.
    asked_peers: usize,
    /// Whom the network layer is to let in and to dial.
    peers_wanted: watch::Sender<Vec<PeerConfig>>,
    /// The state of one moment, for who joins.
    snapshots: Arc<Snapshots>,
    /// At which height there is something to do about old blocks.
    history_due: Arc<AtomicU64>,
    /// Tells everybody else of the registry.
    registry: watch::Sender<Arc<Registry>>,
    /// Why the node ends, once it is to.
    ended: Option<NodeEnd>,
    status: watch::Sender<Status>,
    /// Why this node's validator key signs nothing here any more.
    silence: Option<Silence>,
    /// The height that each member last said it has.
    heads: BTreeMap<MemberId, u64>,
    /// The agreed time of the last block, once one came since the start.
    block_ms: Option<u64>,
    meters: Arc<Meters>,
    tracing: Option<trace::Tracing>,
}

/// What the node's thread is made of, beside its settings.
pub struct NodeParts {
    /// The store.
    pub store: Store,
    /// The network.
    pub net: NetHandle,
    /// Where the network's and HTTP's tasks run.
    pub runtime: tokio::runtime::Handle,
    /// The way in for events.
    pub events: mpsc::Sender<Event>,
    /// What members announced of their addresses in an earlier life of the node.
    pub announced: BTreeMap<MemberId, Announcement>,
    /// Tells everybody else of the registry.
    pub registry: watch::Sender<Arc<Registry>>,
    /// Where the node shows its state.
    pub status: watch::Sender<Status>,
    /// Where it tells every change of an order.
    pub changes: broadcast::Sender<Arc<OrderRow>>,
    /// How a bank verifies identities.
    pub desk: Arc<Desk>,
    /// Where the node counts.
    pub meters: Arc<Meters>,
    /// Where it tells of trades, if anywhere.
    pub traces: Option<Traces>,
}

impl Node {
    /// A node as its store left it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn new(settings: Settings, parts: NodeParts) -> Result<Self, NodeError> {
        let NodeParts { store, net, runtime, events, announced, registry, status, changes, desk, meters, traces } =
            parts;
        let ledger = store.load_ledger(&settings.genesis)?;
        registry.send_replace(Arc::clone(ledger.registry()));
        let members = network::members(ledger.registry(), &settings.member.id);
        let peers = network::peer_ids(ledger.registry(), &settings.member.id);
        let snapshots = Arc::new(Snapshots::new(settings.config.data.join(SNAPSHOTS)));
        let (peers_wanted, wanted) = watch::channel(Vec::new());
        runtime.spawn(governance::keep_peers(net.clone(), wanted));
        let told_height = ledger.head().height;
        let state = LedgerState::new(ledger, StoreSink::new(store.clone()));
        let signer = settings.validator_key.clone().map(|key| Box::new(key) as Box<_>);
        let network = settings.genesis.network();
        let engine =
            Engine::new(engine_config(&settings.config.consensus), network, settings.member.id.clone(), signer);
        let key = settings.validator_key.as_ref().map(stemma_chain_format::keys::PublicKey::of);
        let silence = key.map(|key| store.silence_of(&key)).transpose()?.flatten();
        let log = StoreLog::open(store.clone())?;
        let verifier = verifier::start(registry.subscribe(), events.clone()).map_err(NodeError::Thread)?;
        let (bank, institution) = roles(&settings, &store, desk)?;
        let back_office = institution.as_ref().map(|_| back_office::client(&settings, &store)).transpose()?.flatten();
        if institution.is_some() {
            prices::follow(&settings.config.institution.prices, &runtime, events.clone());
        }
        Ok(Self {
            settings,
            store,
            state,
            engine,
            log,
            bank,
            institution,
            back_office,
            net,
            runtime,
            events,
            verifier,
            members,
            peers,
            timers: BTreeMap::new(),
            effects: Vec::new(),
            outgoing: Vec::new(),
            replies: Vec::new(),
            enrolled: Vec::new(),
            waiting: BTreeMap::new(),
            identifying: BTreeMap::new(),
            desks: Arc::new(Semaphore::new(DESKS)),
            changes,
            submitted: BTreeMap::new(),
            issues: VecDeque::new(),
            issuing: None,
            told_height,
            ticks: 0,
            asked: BTreeMap::new(),
            next_message: 0,
            announced,
            progress: None,
            asked_peers: 0,
            peers_wanted,
            snapshots,
            history_due: Arc::default(),
            registry,
            ended: None,
            status,
            silence,
            heads: BTreeMap::new(),
            block_ms: None,
            meters,
            tracing: traces.map(trace::Tracing::new),
        })
    }

    /// Runs until told to stop, or until its member changes.
    ///
    /// # Errors
    /// [`NodeError`]: the node cannot go on without losing something.
    pub fn run(mut self, mut events: mpsc::Receiver<Event>) -> Result<NodeEnd, NodeError> {
        if let Some(silence) = &self.silence {
            tracing::warn!("this node follows and does not vote: {}; {}", silence.cause, health::SILENCED_HELP);
        }
        self.announce();
        self.announced.keys().for_each(|member| self.set_paths(member));
        self.warn_ahead(self.state.ledger().registry());
        self.drive(Input::Start)?;
        if let Some(bank) = &mut self.bank {
            bank.resume(self.state.ledger(), now_ms(), &mut self.effects)?;
        }
        if let Some(institution) = &mut self.institution {
            institution.resume(self.state.ledger(), now_ms(), &mut self.effects)?;
        }
        self.finish_turn()?;
        while self.ended.is_none()
            && let Some(first) = events.blocking_recv()
        {
            let mut next = Some(first);
            let mut handled = 0_usize;
            while let Some(event) = next {
                if matches!(event, Event::Stop) {
                    return Ok(NodeEnd::Stopped);
                }
                self.on_event(event)?;
                handled = handled.saturating_add(1);
                next = if handled < TURN_EVENTS_MAX { events.try_recv().ok() } else { None };
            }
            self.finish_turn()?;
        }
        Ok(self.ended.unwrap_or(NodeEnd::Stopped))
    }

    fn on_event(&mut self, event: Event) -> Result<(), NodeError> {
        match event {
            Event::Net(event) => self.on_net(event),
            Event::Timer(id) => {
                self.timers.remove(&id);
                self.drive(Input::TimerElapsed(id))
            }
            Event::Tick => self.on_tick(),
            Event::Call(call) => self.on_call(*call),
            Event::Verified(verified) => self.on_verified(verified),
            Event::Answered { links, answers } => {
                self.on_answers(&links, answers);
                Ok(())
            }
            Event::Identified(outcome) => self.on_identified(outcome),
            Event::Enrolled(enrolled) => self.on_enrolled(enrolled),
            Event::Prices(update) => self.on_prices(update),
            Event::BackOffice(heard) => self.on_back_office(heard),
            Event::Blocks { peer, blocks } => self.on_blocks(peer, blocks),
            Event::Announcements(announcements) => self.on_announcements(announcements),
            Event::Fetched(entries) => {
                if let Some(entries) = entries {
                    self.verifier.fetched(entries);
                }
                Ok(())
            }
            Event::Stop => Ok(()),
        }
    }

    fn on_tick(&mut self) -> Result<(), NodeError> {
        self.ticks = self.ticks.wrapping_add(1);
        self.show_meters();
        if self.ticks.is_multiple_of(HEAD_TICKS) {
            self.publish_head();
            self.settle();
        }
        let is_unreached = self.ticks == UNREACHED_S.saturating_mul(TICKS_PER_S) && self.heads.is_empty();
        if is_unreached && self.settings.has_other_identity && self.net.connected().is_empty() {
            self.ended = Some(NodeEnd::Unreached);
        }
        if self.ticks.is_multiple_of(PROGRESS_TICKS) {
            self.tell_progress();
            self.tend_history();
        }
        if self.ticks.is_multiple_of(ADDRESS_TICKS) {
            self.ask_addresses();
        }
        if let Some(bank) = &mut self.bank {
            bank.tick(now_ms(), &mut self.effects);
        }
        if let Some(institution) = &mut self.institution {
            institution.tick(now_ms(), &mut self.effects);
        }
        Ok(())
    }

    /// Adds a verified entry to the pool; tells consensus where it is new.
    fn pool(&mut self, entry: Arc<stemma_chain_format::validate::VerifiedEntry>) -> bool {
        let is_new = self.state.add(Arc::clone(&entry));
        if let Some(tracing) = self.tracing.as_mut().filter(|_| is_new) {
            tracing.pooled(&entry);
        }
        is_new
    }

    fn answer_question(&mut self, slot: crate::role::QuestionSlot, answer: Answer) {
        let Some(asked) = self.asked.get_mut(&slot.message) else { return };
        if let Some(place) = asked.answers.get_mut(slot.index)
            && place.is_none()
        {
            *place = Some(answer);
            asked.left = asked.left.saturating_sub(1);
        }
        if asked.left == 0
            && let Some(asked) = self.asked.remove(&slot.message)
        {
            let answers: Vec<Answer> = asked.answers.into_iter().flatten().collect();
            if let Err(e) = asked.reply.send(stemma_chain_format::cbor::encode(&answers)) {
                tracing::debug!(error = %e, "an answer found nobody waiting");
            }
        }
    }
}

fn engine_config(c: &ConsensusConfig) -> EngineConfig {
    EngineConfig {
        propose_ms: c.propose_ms,
        prevote_ms: c.prevote_ms,
        precommit_ms: c.precommit_ms,
        round_delta_ms: c.delta_ms,
        idle_ms: c.idle_ms,
        protocol_max: c.protocol_max.unwrap_or(PROTOCOL_VERSION_MAX),
        recall_ms: RECALL_MS,
        ..EngineConfig::default()
    }
}

fn roles(
    settings: &Settings,
    store: &Store,
    desk: Arc<Desk>,
) -> Result<(Option<Bank>, Option<Institution>), NodeError> {
    use stemma_chain_format::member::Role;
    if settings.standing != Standing::Active {
        tracing::info!(standing = settings.standing.as_str(), "this node follows: its member may not act");
        return Ok((None, None));
    }
    let (id, network) = (settings.member.id.clone(), settings.genesis.network());
    let key = settings.member_key.clone();
    match settings.member.role {
        Role::Bank => {
            let config = settings.config.bank.clone();
            for finding in desk.findings(now_ms() / 1_000) {
                tracing::warn!("identity rules: {finding}");
            }
            let parts = BankParts { id, network, key, config, desk };
            Ok((Some(Bank::open(parts, store.clone())?), None))
        }
        Role::Institution => {
            let config = settings.config.institution.clone();
            let now_ms = now_ms();
            let mut prices = Prices::open(&config.prices, store.prices()?, now_ms).map_err(NodeError::Prices)?;
            if let (PriceSource::Replay, Some(day)) = (prices.source(), store.note(DAY_NOTE)?) {
                // The day's prices are of when it was set, not of now.
                let set_ms = store.note(DAY_MS_NOTE)?.and_then(|text| text.parse().ok());
                prices.set_day(&day, set_ms.unwrap_or(now_ms)).map_err(NodeError::Prices)?;
            }
            let institution = Institution::open(id, network, key, config, prices, store.clone())?;
            Ok((None, Some(institution)))
        }
        Role::Auditor => Ok((None, None)),
    }
}

/// What a stored refusal says.
pub fn refusal_of(row: &OrderRow) -> Option<Signed<stemma_chain_format::refusal::Refusal>> {
    row.refusal.as_ref().and_then(|bytes| Signed::decode(bytes.to_vec()).ok())
}
