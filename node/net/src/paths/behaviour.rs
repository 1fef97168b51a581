//! The behaviour that runs on every connection: it keeps the paths, and trades go by them.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{ConnectedPoint, Endpoint, transport::ListenerId, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use tokio::{
    sync::watch,
    time::{Instant, Sleep},
};

use super::{
    super::{
        config::{NetConfig, NetTimeouts},
        error::{NetError, RequestError},
        outbox::{Outgoing, settle},
        swarm::random,
    },
    circuits::{self, Circuits, relay_of},
    frame::{Frame, Hello, RequestId},
    handler::{Handler, Part},
    incoming::Arrival,
    link::{Failure, Said, Say},
    peer::{Act, MAIN, Peer},
    report::{PATHS_MAX, PathAddress, PathReport, PathState},
    role::{Role, Roles, is_circuit},
    slot::{Awaited, Kind, Slot},
};

/// How often silence is looked for.
const TICK: Duration = Duration::from_millis(50);

/// A tick later than this is our own fault: what the peers said meanwhile has not been heard yet.
const TICK_LATE: Duration = Duration::from_millis(250);

/// Ticks between two comparisons of the paths: half a second.
const EVALUATE_TICKS: u64 = 10;

/// Ticks between two reports: a second.
const REPORT_TICKS: u64 = 20;

/// Accepted path connections of one peer that have said nothing: carriers of circuits, and those
/// that a peer has lost without our knowing.
const STRANGERS_MAX: usize = PATHS_MAX;

/// What the behaviour reports.
#[derive(Debug)]
pub(crate) enum PathEvent {
    /// A request, for the first time. To be answered by [`Paths::answer`].
    Request { peer: PeerId, id: RequestId, data: Vec<u8> },
    /// A peer's announcement, when its main connection comes up and when it changes.
    Announced { peer: PeerId, data: Vec<u8> },
}

pub(crate) struct Paths {
    name: StreamProtocol,
    roles: Roles,
    timeouts: NetTimeouts,
    requests_waiting_max: usize,
    serves_circuits: bool,
    peers: BTreeMap<PeerId, Peer>,
    circuits: Circuits,
    announcement: Vec<u8>,
    actions: VecDeque<ToSwarm<PathEvent, Say>>,
    timer: Pin<Box<Sleep>>,
    last_tick: Instant,
    ticks: u64,
    reports: watch::Sender<Vec<PathReport>>,
}

impl Paths {
    pub(crate) fn new(
        config: &NetConfig,
        roles: &Roles,
        peers: &[PeerId],
        reports: watch::Sender<Vec<PathReport>>,
    ) -> Result<Self, NetError> {
        let name = StreamProtocol::try_from_owned(format!("/stemma/{}/trade/2", config.network_tag()))
            .map_err(|error| NetError::Build(error.to_string()))?;
        let now = Instant::now();
        let mut circuits = Circuits::default();
        for address in config.path_listen.iter().filter(|address| is_circuit(address)) {
            circuits.reserve(address.clone());
        }
        circuits.follow(Vec::new());
        Ok(Self {
            name,
            roles: roles.clone(),
            timeouts: config.timeouts.clone(),
            requests_waiting_max: config.limits.requests_waiting_max,
            serves_circuits: config.relay,
            peers: peers.iter().map(|peer| (*peer, Peer::new(now))).collect(),
            circuits,
            announcement: Vec::new(),
            actions: VecDeque::new(),
            timer: Box::pin(tokio::time::sleep(TICK)),
            last_tick: now,
            ticks: 0,
            reports,
        })
    }

    pub(crate) fn roles(&self) -> &Roles {
        &self.roles
    }

    pub(crate) fn allow(&mut self, peer: PeerId) {
        self.peers.entry(peer).or_insert_with(|| Peer::new(Instant::now()));
    }

    /// Forgets a peer, whose connections are closed by others.
    pub(crate) fn disallow(&mut self, peer: PeerId) {
        if let Some(mut peer) = self.peers.remove(&peer) {
            peer.fail_all(lost);
        }
        self.follow_relays();
    }

    /// Replaces the paths kept to a peer. Returns whether it is one of ours.
    pub(crate) fn set_paths(&mut self, peer: PeerId, paths: Vec<PathAddress>) -> bool {
        let Some(known) = self.peers.get_mut(&peer) else { return false };
        known.set_paths(paths, Instant::now());
        self.flush(peer);
        self.follow_relays();
        true
    }

    /// Says from now on what this node has to announce.
    pub(crate) fn set_announcement(&mut self, announcement: Vec<u8>) {
        if announcement == self.announcement {
            return;
        }
        self.announcement = announcement;
        for (peer, known) in &self.peers {
            let mains = known.slots.iter().filter(|slot| slot.kind == Kind::Main);
            for conn in mains.flat_map(|slot| slot.conn.iter().chain(&slot.spares)) {
                let hello = Hello { is_path: false, name: MAIN.to_owned(), announcement: self.announcement.clone() };
                self.actions.push_back(say(*peer, conn.id, Say::Hello(hello)));
            }
        }
    }

    /// Sends a request by the best path.
    pub(crate) fn request(&mut self, peer: PeerId, outgoing: Outgoing) {
        match self.peers.get_mut(&peer) {
            Some(known) => known.push(outgoing, self.requests_waiting_max, Instant::now()),
            None => settle(outgoing.asker, Err(RequestError::NotConnected)),
        }
        self.flush(peer);
    }

    /// Answers a request; none says that there will be no answer.
    pub(crate) fn answer(&mut self, peer: PeerId, id: RequestId, answer: Option<Vec<u8>>) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        let answer = answer.map(Arc::new);
        let Some(asked_by) = known.incoming.on_answer(id, answer.as_ref()) else { return };
        let Some(connection) = known.way_back(asked_by) else { return };
        let frame = match answer {
            Some(data) => Frame::Answer { id, data },
            None => Frame::Refused(id),
        };
        self.actions.push_back(say(peer, connection, frame.into()));
    }

    /// Moves what a peer wants done to the swarm's queue.
    fn flush(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        for act in known.acts.drain(..) {
            self.actions.push_back(match act {
                Act::Say(connection, what) => say(peer, connection, what),
                Act::Close(connection) => close(peer, connection),
            });
        }
    }

    fn follow_relays(&mut self) {
        let slots = self.peers.values().flat_map(|peer| &peer.slots);
        let relays = slots.filter_map(|slot| match &slot.kind {
            Kind::Dialled(address) => relay_of(address),
            Kind::Main | Kind::Inbound => None,
        });
        let gone = self.circuits.follow(relays.collect());
        self.actions.extend(gone.into_iter().map(|(relay, connection)| close(relay, connection)));
    }

    fn hello(&self, role: Role, name: &str) -> Hello {
        let is_path = role != Role::Main;
        let announcement = if is_path { Vec::new() } else { self.announcement.clone() };
        Hello { is_path, name: name.to_owned(), announcement }
    }

    fn on_established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        let role = self.roles.of(connection);
        if role == Role::Carrier {
            return self.circuits.on_connected(connection, now);
        }
        let known = self.peers.entry(peer).or_insert_with(|| Peer::new(now));
        let is_wanted = known.slots.iter().any(|slot| slot.dialling == Some(connection));
        if role == Role::Path && endpoint.is_dialer() && !is_wanted {
            // The path was removed while it was dialled.
            self.actions.push_back(close(peer, connection));
            return;
        }
        known.on_connected(connection, endpoint.get_remote_address().clone(), role == Role::Main, now);
    }

    /// A connection, or the stream on it, has gone.
    fn on_gone(&mut self, peer: PeerId, connection: ConnectionId, explain: impl Fn(bool) -> RequestError) {
        let now = Instant::now();
        self.circuits.on_closed(connection, now, &self.timeouts, random());
        if let Some(known) = self.peers.get_mut(&peer) {
            known.on_closed(connection, now, &self.timeouts, random());
            if !known.is_reachable() {
                known.fail_all(explain);
            }
            if known.slots.iter().all(|slot| slot.kind != Kind::Main || slot.conn.is_none()) {
                known.announced = None;
            }
        }
        self.flush(peer);
    }

    fn on_dial_failed(&mut self, peer: Option<PeerId>, connection: ConnectionId) {
        let now = Instant::now();
        self.circuits.on_closed(connection, now, &self.timeouts, random());
        if let Some(known) = peer.and_then(|peer| self.peers.get_mut(&peer)) {
            known.on_dial_failed(connection, now, &self.timeouts, random());
        }
        self.roles.forget(connection);
    }

    fn on_new_address(&mut self, listener: ListenerId, address: &Multiaddr) {
        if !self.roles.listening(listener, address) {
            return;
        }
        self.circuits.on_listening(listener, Instant::now());
        // A relay tells who reserves where it can be reached; it must know that itself.
        if self.serves_circuits && !is_circuit(address) {
            self.actions.push_back(ToSwarm::ExternalAddrConfirmed(address.clone()));
        }
    }

    fn on_said(&mut self, peer: PeerId, connection: ConnectionId, said: Said) {
        let now = Instant::now();
        let Some(known) = self.peers.get_mut(&peer) else { return };
        match said {
            Said::Hello(hello) => self.on_hello(peer, connection, hello),
            Said::Request { id, data } => match known.incoming.on_request(id, connection) {
                Arrival::New => {
                    let data = Arc::unwrap_or_clone(data);
                    self.actions.push_back(ToSwarm::GenerateEvent(PathEvent::Request { peer, id, data }));
                }
                Arrival::Pending => {}
                Arrival::Answered(data) => {
                    self.actions.push_back(say(peer, connection, Frame::Answer { id, data }.into()));
                }
                Arrival::Refused => self.actions.push_back(say(peer, connection, Frame::Refused(id).into())),
            },
            Said::Accepted { id, sample } => {
                known.on_confirmed(connection, Some(Awaited::Request(id)), sample, now);
            }
            Said::Answer { id, data } => {
                known.on_confirmed(connection, Some(Awaited::Request(id)), None, now);
                known.finish(id, Ok(Arc::unwrap_or_clone(data)), now);
            }
            Said::Refused { id } => {
                known.on_confirmed(connection, Some(Awaited::Request(id)), None, now);
                known.finish(id, Err(RequestError::NoAnswer), now);
            }
            Said::Pong { nonce, sample } => known.on_confirmed(connection, Some(Awaited::Ping(nonce)), sample, now),
            Said::Train { nonce, sample } => known.on_confirmed(connection, Some(Awaited::Train(nonce)), sample, now),
            Said::Heard => known.on_confirmed(connection, None, None, now),
            Said::Failed(failure) => self.on_failed(peer, connection, &failure),
        }
        self.flush(peer);
    }

    fn on_hello(&mut self, peer: PeerId, connection: ConnectionId, hello: Hello) {
        let role = self.roles.of(connection);
        if hello.is_path != (role == Role::Path) {
            let hint = "a path must be dialled at a path listener, and nothing else may be";
            tracing::warn!(%peer, path = hello.name, "closing a connection of two minds: {hint}");
            self.actions.push_back(close(peer, connection));
            return;
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if known.on_hello(connection, &hello, Instant::now()) {
            tracing::debug!(%peer, path = hello.name, "a path is up");
        }
        // Silence is no announcement, but taking one back is.
        let is_news = known.announced.as_ref().map_or(!hello.announcement.is_empty(), |old| *old != hello.announcement);
        if role == Role::Main && is_news {
            known.announced = Some(hello.announcement.clone());
            let event = PathEvent::Announced { peer, data: hello.announcement };
            self.actions.push_back(ToSwarm::GenerateEvent(event));
        }
    }

    fn on_failed(&mut self, peer: PeerId, connection: ConnectionId, failure: &Failure) {
        match failure {
            Failure::Malformed(error) => tracing::warn!(%peer, %error, "closing a connection that said what cannot be"),
            Failure::Unsupported => tracing::debug!(%peer, "a connection does not carry trades"),
            Failure::Io(error) => tracing::debug!(%peer, %error, "a path's stream failed"),
        }
        let is_unsupported = matches!(failure, Failure::Unsupported);
        self.on_gone(peer, connection, if is_unsupported { |_| RequestError::Unsupported } else { lost });
        // A main connection may serve a peer that trades with nobody.
        if !is_unsupported || self.roles.of(connection) == Role::Path {
            self.actions.push_back(close(peer, connection));
        }
    }

    fn on_tick(&mut self, now: Instant) {
        let may_judge = now.saturating_duration_since(self.last_tick) < TICK_LATE;
        self.last_tick = now;
        self.ticks = self.ticks.wrapping_add(1);
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            let Some(known) = self.peers.get_mut(&peer) else { continue };
            known.tick(now, &self.timeouts, may_judge);
            if self.ticks.is_multiple_of(EVALUATE_TICKS) {
                known.evaluate(now);
            }
            for slot in &mut known.slots {
                if let Some(address) = dial_due(slot, now, &self.circuits) {
                    let dial = circuits::dial(peer, vec![address]);
                    self.roles.dialled(dial.connection_id(), Role::Path);
                    slot.dialling = Some(dial.connection_id());
                    self.actions.push_back(ToSwarm::Dial { opts: dial });
                }
            }
            self.flush(peer);
        }
        let (dials, listens) = self.circuits.due(now, &self.roles);
        self.actions.extend(dials.into_iter().map(|opts| ToSwarm::Dial { opts }));
        self.actions.extend(listens.into_iter().map(|opts| ToSwarm::ListenOn { opts }));
    }

    fn report(&mut self) {
        let switched = self.peers.values_mut().filter_map(|peer| peer.take_switched().then_some(())).count();
        if switched == 0 && !self.ticks.is_multiple_of(REPORT_TICKS) {
            return;
        }
        let reports = self.peers.iter().flat_map(|(peer, known)| {
            let best = known.best();
            known.slots.iter().filter_map(move |slot| slot.report(*peer, best == Some(slot.id)))
        });
        self.reports.send_replace(reports.collect());
    }
}

impl NetworkBehaviour for Paths {
    type ConnectionHandler = Handler;
    type ToSwarm = PathEvent;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.roles.accepted(connection, local);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let role = self.roles.of(connection);
        let strangers = self.peers.get(&peer).map_or(0, Peer::strangers);
        if role == Role::Path && strangers >= STRANGERS_MAX {
            return Err(ConnectionDenied::new("too many path connections of this peer say nothing"));
        }
        Ok(Handler::new(self.name.clone(), Part::Accept, self.hello(role, "")))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let role = self.roles.of(connection);
        let slots = self.peers.get(&peer).map_or(&[][..], |known| &known.slots);
        let slot = slots.iter().find(|slot| slot.dialling == Some(connection));
        let name = slot.map_or(MAIN, |slot| &slot.name);
        let part = if role == Role::Carrier { Part::None } else { Part::Open };
        Ok(Handler::new(self.name.clone(), part, self.hello(role, name)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                self.on_established(event.peer_id, event.connection_id, event.endpoint);
            }
            FromSwarm::ConnectionClosed(event) => {
                self.on_gone(event.peer_id, event.connection_id, lost);
                self.roles.forget(event.connection_id);
            }
            FromSwarm::DialFailure(event) => self.on_dial_failed(event.peer_id, event.connection_id),
            FromSwarm::ListenFailure(event) => self.roles.forget(event.connection_id),
            FromSwarm::NewListenAddr(event) => self.on_new_address(event.listener_id, event.addr),
            FromSwarm::ListenerClosed(event) => {
                self.roles.listener_closed(event.listener_id);
                self.circuits.on_listener_closed(event.listener_id, Instant::now(), &self.timeouts, random());
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.on_said(peer, connection, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.timer.as_mut().reset(now.checked_add(TICK).unwrap_or(now));
            self.on_tick(now);
            self.report();
        }
    }
}

/// What became of a request when there was no path left, by whether it had been sent.
fn lost(was_sent: bool) -> RequestError {
    if was_sent { RequestError::ConnectionClosed } else { RequestError::NotConnected }
}

fn say(peer_id: PeerId, connection: ConnectionId, event: Say) -> ToSwarm<PathEvent, Say> {
    ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event }
}

fn close(peer_id: PeerId, connection: ConnectionId) -> ToSwarm<PathEvent, Say> {
    ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) }
}

/// Where to dial a path now, if it is to be dialled.
fn dial_due(slot: &mut Slot, now: Instant, circuits: &Circuits) -> Option<Multiaddr> {
    let Kind::Dialled(address) = &slot.kind else { return None };
    let address = address.clone();
    let is_free = slot.conn.is_none() && slot.dialling.is_none() && slot.backoff.is_due(now);
    let has_relay = relay_of(&address).is_none_or(|(relay, _)| circuits.is_up(&relay));
    if !is_free || !has_relay {
        return None;
    }
    if slot.backoff.failures() == 0 {
        slot.set_state(PathState::Connecting, now);
    }
    Some(address)
}
