//! The task that owns the swarm. It never waits for anything but the next thing to do, whatever
//! that is; least of all for the receiver of events.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::TcpListener,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError,
    core::transport::ListenerId,
    gossipsub::PublishError,
    multiaddr::Protocol as Part,
    swarm::{
        ConnectionId, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    behaviour::Wire,
    config::NetConfig,
    error::{NetError, RequestError},
    event::{NetEvent, ReplyHandle, count},
    exchange::{Lane, Protocol},
    gossip::{Topic, Topics},
    handle::{Command, ConsensusCommand, Controls, Recipient},
    inbox::{Delivery, Inbox, WayBack},
    outbox::{Outbox, Outgoing, settle},
    paths::is_circuit,
    redial::{Due, Peers},
};

/// How long peers are given to take note that we go.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// How long the operating system may take to report an address that we listen on.
const LISTENING_MAX: Duration = Duration::from_secs(5);

/// Commands after which the task lets others run.
const BURST_MAX: u32 = 4;

/// The outcome of a request to us: its answer, or none.
type Reply = (WayBack, Option<Vec<u8>>);

/// The network's state.
pub(super) struct Task {
    pub(super) swarm: Swarm<Wire>,
    pub(super) config: NetConfig,
    pub(super) topics: Topics,
    pub(super) controls: Controls,
    pub(super) peers: Peers,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// The main connections: to others nothing here applies.
    pub(super) mains: HashMap<PeerId, HashSet<ConnectionId>>,
    /// The main connections that are being dialled.
    pub(super) dialling: HashMap<ConnectionId, PeerId>,
    events: mpsc::Sender<NetEvent>,
    replies: FuturesUnordered<BoxFuture<'static, Reply>>,
    burst: u32,
}

impl Task {
    pub(super) fn new(
        swarm: Swarm<Wire>,
        config: NetConfig,
        controls: Controls,
        events: mpsc::Sender<NetEvent>,
    ) -> Self {
        Self {
            topics: Topics::new(&config.network_tag()),
            peers: Peers::new(*swarm.local_peer_id(), config.timeouts.clone()),
            inbox: Inbox::new(&config.limits),
            outbox: Outbox::new(&config.limits),
            mains: HashMap::new(),
            dialling: HashMap::new(),
            replies: FuturesUnordered::new(),
            burst: 0,
            swarm,
            config,
            controls,
            events,
        }
    }

    /// Listens on every configured address and returns when all are bound.
    pub(super) async fn listen(&mut self) -> Result<(), NetError> {
        let mut pending: HashMap<ListenerId, Multiaddr> = HashMap::new();
        let mains = self.config.listen.iter().map(|address| (address.clone(), false));
        let paths = self.config.path_listen.iter().filter(|address| !is_circuit(address));
        let all: Vec<(Multiaddr, bool)> = mains.chain(paths.map(|address| (address.clone(), true))).collect();
        for (address, is_path) in all {
            let failed = |source| NetError::Listen { address: address.clone(), source };
            check_free(&address).map_err(failed)?;
            let id = self.swarm.listen_on(address.clone()).map_err(|error| match error {
                TransportError::MultiaddrNotSupported(address) => NetError::UnsupportedAddress(address),
                TransportError::Other(source) => failed(source),
            })?;
            if is_path {
                self.swarm.behaviour().paths().roles().path_listener(id);
            }
            pending.insert(id, address);
        }
        while let Some(address) = pending.values().next().cloned() {
            let failed = |source| NetError::Listen { address, source };
            let next = tokio::time::timeout(LISTENING_MAX, self.swarm.select_next_some()).await;
            let Ok(event) = next else { return Err(failed(io::ErrorKind::TimedOut.into())) };
            match event {
                SwarmEvent::NewListenAddr { listener_id, .. } => {
                    pending.remove(&listener_id);
                }
                SwarmEvent::ListenerClosed { listener_id, reason: Err(source), .. } => {
                    let address = pending.remove(&listener_id).unwrap_or_else(Multiaddr::empty);
                    return Err(NetError::Listen { address, source });
                }
                _ => {}
            }
            self.on_swarm_event(event);
        }
        Ok(())
    }

    /// Runs until told to stop, or until nobody is left to command it or to hear it.
    pub(super) async fn run(mut self) {
        let events = self.events.clone();
        let mut stop = self.controls.stop.clone();
        let stopped = async move {
            // An error means that no handle is left.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        tokio::pin!(stopped);
        loop {
            let due = self.peers.next_due();
            tokio::select! {
                () = &mut stopped => break,
                () = events.closed() => break,
                permit = events.reserve(), if !self.inbox.is_empty() => match permit {
                    Ok(permit) => self.deliver(permit),
                    Err(_) => break,
                },
                Some(message) = self.controls.consensus.recv() => self.send_consensus(&message),
                Some(command) = self.controls.commands.recv() => {
                    self.on_command(command);
                    if self.is_burst() {
                        tokio::task::yield_now().await;
                    }
                }
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                Some(reply) = self.replies.next(), if !self.replies.is_empty() => self.answer(reply),
                () = sleep_until(due) => self.on_due(),
            }
        }
        self.close().await;
    }

    /// Replaces the list of peers.
    pub(super) fn set_peers(&mut self, peers: Vec<(PeerId, Vec<Multiaddr>)>) {
        let now = Instant::now();
        let gone: Vec<PeerId> = self.peers.ids().filter(|id| !peers.iter().any(|(kept, _)| kept == id)).collect();
        for id in gone {
            self.swarm.behaviour_mut().disallow(id, &self.config);
            if self.peers.remove(&id) {
                self.inbox.push_link(NetEvent::Disconnected { peer: id });
                self.drop_waiting(id);
            }
        }
        for (id, addresses) in peers {
            self.swarm.behaviour_mut().allow(id, &self.config);
            self.peers.insert(id, addresses, now);
        }
        self.show_connected();
    }

    /// Shows the handles who is connected now.
    pub(super) fn show_connected(&self) {
        let connected = self.peers.ready();
        self.controls.status.send_modify(|status| status.connected = connected);
    }

    /// Gives up what waits for a peer that has gone.
    pub(super) fn drop_waiting(&mut self, peer: PeerId) {
        let lost = self.outbox.drop_waiting(peer);
        count(&self.controls.counters.consensus_lost_out, lost);
    }

    /// Sends what waits for a peer as far as its window allows.
    pub(super) fn pump(&mut self, peer: PeerId, lane: Lane) {
        while let Some(Outgoing { data, asker }) = self.outbox.next(peer, lane) {
            let id = self.swarm.behaviour_mut().lane_mut(lane).send_request(&peer, data);
            self.outbox.sent(peer, lane, id, asker);
        }
    }

    /// Whether so much has been published in a row that the connections must have their turn, or
    /// gossipsub's queues to them would overflow.
    fn is_burst(&mut self) -> bool {
        self.burst = self.burst.saturating_add(1);
        let is_burst = self.burst >= BURST_MAX;
        if is_burst {
            self.burst = 0;
        }
        is_burst
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, data } => self.publish(topic, data),
            Command::Request { peer, protocol, outgoing } => self.request(peer, protocol, outgoing),
            Command::SetPeers { peers } => self.set_peers(peers),
            Command::SetPaths { peer, paths, done } => {
                // Nobody may wait for it.
                let _ = done.send(self.swarm.behaviour_mut().paths_mut().set_paths(peer, paths));
            }
            Command::Announce { data } => self.swarm.behaviour_mut().paths_mut().set_announcement(data),
        }
    }

    fn request(&mut self, peer: PeerId, protocol: Protocol, outgoing: Outgoing) {
        match Lane::of(protocol) {
            // By any path, whether or not the main connection is there.
            None => self.swarm.behaviour_mut().paths_mut().request(peer, outgoing),
            Some(lane) if self.peers.is_ready(&peer) => self.push(peer, lane, outgoing),
            Some(_) => settle(outgoing.asker, Err(RequestError::NotConnected)),
        }
    }

    fn publish(&mut self, topic: Topic, data: Vec<u8>) {
        let hash = self.topics.hash(topic);
        match self.swarm.behaviour_mut().gossip_mut().publish(hash, data) {
            Ok(_) | Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic) => {
                count(&self.controls.counters.gossip_unheard, 1);
            }
            // Counted when gossipsub reports the slow peers.
            Err(error) => tracing::debug!(%error, ?topic, "a gossip message was not sent"),
        }
    }

    fn send_consensus(&mut self, message: &ConsensusCommand) {
        let recipients = match message.to {
            Recipient::All => self.peers.ready(),
            Recipient::Peer(peer) if self.peers.is_ready(&peer) => vec![peer],
            Recipient::Peer(_) => Vec::new(),
        };
        for peer in recipients {
            let outgoing = Outgoing { data: Arc::clone(&message.data), asker: None };
            self.push(peer, Lane::Consensus, outgoing);
        }
    }

    fn push(&mut self, peer: PeerId, lane: Lane, outgoing: Outgoing) {
        let displaced = self.outbox.push(peer, lane, outgoing);
        count(&self.controls.counters.consensus_lost_out, displaced);
        self.pump(peer, lane);
    }

    /// Hands the most urgent thing to the receiver of events.
    fn deliver(&mut self, permit: mpsc::Permit<'_, NetEvent>) {
        match self.inbox.pop() {
            None => {}
            Some(Delivery::Event(event)) => permit.send(event),
            Some(Delivery::Consensus(held)) => {
                permit.send(NetEvent::Consensus { from: held.from, data: held.data });
                self.answer((held.way_back, Some(Vec::new())));
            }
            Some(Delivery::Request(protocol, held)) => {
                let (reply, answer) = ReplyHandle::new(protocol);
                let way_back = held.way_back;
                let wait = async move { (way_back, answer.await.ok()) };
                self.replies.push(wait.boxed());
                permit.send(NetEvent::Request { from: held.from, protocol, data: held.data, reply });
            }
        }
    }

    /// Sends an answer. Without one a trade is refused; another stream is closed, which the requester
    /// takes for a no.
    fn answer(&mut self, (way_back, answer): Reply) {
        let (lane, channel) = match way_back {
            WayBack::Paths(peer, id) => return self.swarm.behaviour_mut().paths_mut().answer(peer, id, answer),
            WayBack::Lane(lane, channel) => (lane, channel),
        };
        let Some(answer) = answer else { return };
        if self.swarm.behaviour_mut().lane_mut(lane).send_response(channel, answer).is_err() {
            tracing::debug!(?lane, "an answer came too late");
        }
    }

    fn on_due(&mut self) {
        for due in self.peers.due(Instant::now()) {
            match due {
                Due::Dial(peer, addresses) => self.dial(peer, addresses),
                Due::GiveUp(peer) => self.refuse_foreign(peer),
            }
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.dialling.values().any(|dialled| *dialled == peer) {
            return;
        }
        let dial = DialOpts::peer_id(peer)
            // A path may be connected, or be dialled, already.
            .condition(PeerCondition::Always)
            .addresses(addresses)
            // From a port of its own: dialling from the listening port, two peers that dial each
            // other at once would meet in one TCP connection with two initiators.
            .allocate_new_port()
            .build();
        let connection = dial.connection_id();
        self.dialling.insert(connection, peer);
        if let Err(error) = self.swarm.dial(dial) {
            tracing::debug!(%peer, %error, "cannot dial");
            self.dialling.remove(&connection);
            self.peers.on_dial_failed(&peer, Instant::now(), random());
        }
    }

    /// Closes the main connections with a configured peer that does not speak our network's
    /// protocols.
    pub(super) fn refuse_foreign(&mut self, peer: PeerId) {
        tracing::warn!(%peer, "a peer is connected but not on our network");
        count(&self.controls.counters.foreign_refused, 1);
        for connection in self.mains.get(&peer).into_iter().flatten().copied() {
            self.swarm.close_connection(connection);
        }
    }

    /// Takes leave of the peers, so that they need not wait for a time-out.
    async fn close(&mut self) {
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // Fails only if there is none.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let gone = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(CLOSING_MAX, gone).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
    }
}

/// For jitter only; without a source of randomness there is none.
pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// libp2p shares TCP ports with others who do, so a second node would listen on a taken port and
/// get some of the connections. This asks the system without sharing.
fn check_free(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Part::Ip4(ip)) => ip.into(),
        Some(Part::Ip6(ip)) => std::net::IpAddr::V6(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Part::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}
