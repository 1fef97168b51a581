//! The caller's side: starting the network and commanding it.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    behaviour,
    config::{self, NetConfig, NetTimeouts, PeerConfig},
    error::{NetError, PathError, RequestError, SendError},
    event::{Counters, NetEvent, NetStats},
    exchange::{Lane, Protocol},
    gossip::{GOSSIP_BYTES_MAX, Topic},
    outbox::Outgoing,
    paths::{ANNOUNCEMENT_BYTES_MAX, PathAddress, PathReport},
    swarm::Task,
};

/// Commands that wait for the task; callers wait when there are more.
const COMMANDS_MAX: usize = 64;

/// Consensus messages that wait for the task, which takes them at once.
const CONSENSUS_COMMANDS_MAX: usize = 1024;

/// To whom a consensus message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every peer that is connected now.
    All,
    /// One peer; nothing happens if it is not connected.
    Peer(PeerId),
}

impl From<PeerId> for Recipient {
    fn from(peer: PeerId) -> Self {
        Self::Peer(peer)
    }
}

/// What the task is told.
pub(super) enum Command {
    Publish { topic: Topic, data: Vec<u8> },
    Request { peer: PeerId, protocol: Protocol, outgoing: Outgoing },
    SetPeers { peers: Vec<(PeerId, Vec<Multiaddr>)> },
    SetPaths { peer: PeerId, paths: Vec<PathAddress>, done: oneshot::Sender<bool> },
    Announce { data: Vec<u8> },
}

/// A consensus message for the task.
pub(super) struct ConsensusCommand {
    pub(super) to: Recipient,
    pub(super) data: Arc<Vec<u8>>,
}

/// What the task shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    pub(super) connected: Vec<PeerId>,
    pub(super) listening: Vec<Multiaddr>,
    pub(super) path_listening: Vec<Multiaddr>,
}

/// The task's ends of the channels to the handles.
pub(super) struct Controls {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) consensus: mpsc::Receiver<ConsensusCommand>,
    pub(super) status: watch::Sender<Status>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) counters: Arc<Counters>,
}

/// Commands the network. Clones command the same one; when all are dropped it shuts down.
#[derive(Clone)]
pub struct NetHandle {
    shared: Arc<Shared>,
}

struct Shared {
    local: PeerId,
    timeouts: NetTimeouts,
    commands: mpsc::Sender<Command>,
    consensus: mpsc::Sender<ConsensusCommand>,
    status: watch::Receiver<Status>,
    paths: watch::Receiver<Vec<PathReport>>,
    stop: watch::Sender<bool>,
    done: watch::Receiver<()>,
    counters: Arc<Counters>,
}

/// Starts the network: returns once every address is listened on. Must be called in a tokio
/// runtime. The network stops when the receiver of events or all handles are dropped.
///
/// # Errors
/// [`NetError`]: a key or an address that cannot be used, or that cannot be listened on.
pub async fn start(config: NetConfig) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
    let key = config.keypair()?;
    let local = key.public().to_peer_id();
    for address in &config.listen {
        config::check_listenable(address)?;
    }
    for address in &config.path_listen {
        config::check_path_listenable(address)?;
    }
    let mut peers = config::parse_peers(&config.peers)?;
    peers.retain(|(id, _)| *id != local);
    let ids: Vec<PeerId> = peers.iter().map(|(id, _)| *id).collect();
    let (paths_out, paths) = watch::channel(Vec::new());
    let swarm = behaviour::build(&config, key, &ids, paths_out)?;

    let (events, receiver) = mpsc::channel(config.limits.event_channel_max.max(1));
    let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
    let (consensus, consensus_in) = mpsc::channel(CONSENSUS_COMMANDS_MAX);
    let (status_out, status) = watch::channel(Status::default());
    let (stop, stop_in) = watch::channel(false);
    let (done_out, done) = watch::channel(());
    let counters = Arc::new(Counters::default());
    let controls = Controls {
        commands: commands_in,
        consensus: consensus_in,
        status: status_out,
        stop: stop_in,
        counters: Arc::clone(&counters),
    };
    let timeouts = config.timeouts.clone();
    let mut task = Task::new(swarm, config, controls, events);
    task.listen().await?;
    task.set_peers(peers);
    tokio::spawn(async move {
        Box::pin(task.run()).await;
        drop(done_out);
    });
    let shared = Shared { local, timeouts, commands, consensus, status, paths, stop, done, counters };
    Ok((NetHandle { shared: Arc::new(shared) }, receiver))
}

impl NetHandle {
    /// This node's own name.
    pub fn local_peer_id(&self) -> PeerId {
        self.shared.local
    }

    /// Gossips a message to every node. Waits while the task is busy; returns before the message
    /// has left. Repeating a message within a minute does nothing.
    ///
    /// # Errors
    /// [`SendError`]: over 1 MiB, or shut down. That nobody is connected is no error but counted.
    pub async fn publish(&self, topic: Topic, data: Vec<u8>) -> Result<(), SendError> {
        check_size(data.len(), GOSSIP_BYTES_MAX)?;
        let command = Command::Publish { topic, data };
        self.shared.commands.send(command).await.map_err(|_| SendError::Stopped)
    }

    /// Asks a peer and waits for its answer, at most for the protocol's time. Dropping the future
    /// abandons the request, which the peer may yet receive.
    ///
    /// A [`Protocol::Trade`] request goes by the best path, and again by the next best if that falls
    /// silent or is lost. The peer's application sees it once, unless its answer was lost together
    /// with the peer's memory of it: the last 1,024 answers, of up to 8 MiB together.
    ///
    /// # Errors
    /// [`RequestError`], whose variants say whether the peer may have acted.
    pub async fn request(&self, peer: PeerId, protocol: Protocol, data: Vec<u8>) -> Result<Vec<u8>, RequestError> {
        let (size, limit) = (data.len(), protocol.request_bytes_max());
        if size > limit {
            return Err(RequestError::TooLarge { size, limit });
        }
        let (asker, answer) = oneshot::channel();
        let outgoing = Outgoing { data: Arc::new(data), asker: Some(asker) };
        let ask = async {
            let command = Command::Request { peer, protocol, outgoing };
            self.shared.commands.send(command).await.map_err(|_| RequestError::Stopped)?;
            answer.await.unwrap_or(Err(RequestError::Stopped))
        };
        let timeout = protocol.timeout(&self.shared.timeouts);
        tokio::time::timeout(timeout, ask).await.unwrap_or(Err(RequestError::Timeout))
    }

    /// Sends a consensus message to one peer or to all that are connected, ahead of everything
    /// else. Never waits. Order is not kept, and a message may be lost with its connection.
    ///
    /// # Errors
    /// [`SendError`]: over 4 MiB, sent faster than the task takes them, or shut down.
    pub fn send(&self, to: impl Into<Recipient>, data: Vec<u8>) -> Result<(), SendError> {
        check_size(data.len(), Lane::Consensus.request_bytes_max())?;
        let command = ConsensusCommand { to: to.into(), data: Arc::new(data) };
        self.shared.consensus.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Stopped,
        })
    }

    /// Replaces the list of peers, as when members join or leave. Peers that are no longer listed
    /// are disconnected and refused; new ones are dialled.
    ///
    /// # Errors
    /// [`NetError`]: an unusable key or address (then nothing is changed), or shut down.
    pub async fn set_peers(&self, peers: &[PeerConfig]) -> Result<(), NetError> {
        let command = Command::SetPeers { peers: config::parse_peers(peers)? };
        self.shared.commands.send(command).await.map_err(|_| NetError::Stopped)
    }

    /// Replaces the paths kept to a peer besides the main connection, at most 8. They are dialled,
    /// dialled again when lost, and closed when no longer listed. A peer that leaves the list of peers
    /// loses them.
    ///
    /// # Errors
    /// [`PathError`]: an unusable name or address, a peer that is not configured (then nothing is
    /// changed), or shut down.
    pub async fn set_paths(&self, peer: PeerId, paths: Vec<PathAddress>) -> Result<(), PathError> {
        let paths = config::parse_paths(peer, paths)?;
        let (done, outcome) = oneshot::channel();
        let command = Command::SetPaths { peer, paths, done };
        self.shared.commands.send(command).await.map_err(|_| PathError::Stopped)?;
        match outcome.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(PathError::UnknownPeer),
            Err(_) => Err(PathError::Stopped),
        }
    }

    /// Announces something to every peer, which sees it as [`NetEvent::Announced`]: now if it is
    /// connected, and whenever it connects. At first nothing is announced.
    ///
    /// # Errors
    /// [`SendError`]: over 4 KiB, or shut down.
    pub async fn set_announcement(&self, data: Vec<u8>) -> Result<(), SendError> {
        check_size(data.len(), ANNOUNCEMENT_BYTES_MAX)?;
        self.shared.commands.send(Command::Announce { data }).await.map_err(|_| SendError::Stopped)
    }

    /// What is known of every path to every peer, refreshed once a second and when another path
    /// becomes the best.
    pub fn paths(&self) -> Vec<PathReport> {
        self.shared.paths.borrow().clone()
    }

    /// The peers that are connected and on our network, in the order of their ids.
    pub fn connected(&self) -> Vec<PeerId> {
        self.shared.status.borrow().connected.clone()
    }

    /// The addresses listened on, with the ports that the system chose.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.shared.status.borrow().listening.clone()
    }

    /// The addresses listened on for paths, with the ports that the system chose; circuits while
    /// their relay has us.
    pub fn path_listen_addresses(&self) -> Vec<Multiaddr> {
        self.shared.status.borrow().path_listening.clone()
    }

    /// What was lost or refused so far.
    pub fn stats(&self) -> NetStats {
        self.shared.counters.snapshot()
    }

    /// Closes all connections and listeners and waits until that is done. Requests that wait end
    /// with [`RequestError::Stopped`]. May be called more than once.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        let mut done = self.shared.done.clone();
        // Nothing is ever sent: the channel closes when the task has ended.
        while done.changed().await.is_ok() {}
    }
}

impl std::fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetHandle").field("local", &self.shared.local).finish_non_exhaustive()
    }
}

fn check_size(size: usize, limit: usize) -> Result<(), SendError> {
    if size > limit { Err(SendError::TooLarge { size, limit }) } else { Ok(()) }
}
