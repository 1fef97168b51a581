//! All paths of one peer, and the requests that go by them. No sockets: what happened and the time
//! go in, what to do comes out.

use std::collections::{HashMap, HashSet, VecDeque};

use libp2p::{Multiaddr, swarm::ConnectionId};
use tokio::time::Instant;

use super::{
    super::{
        config::NetTimeouts,
        error::RequestError,
        outbox::{Outgoing, settle},
    },
    frame::{Frame, Hello, RequestId},
    incoming::Incoming,
    link::{Sample, Say},
    path_selector::{Candidate, PathId, Selector},
    report::{PATHS_MAX, PathAddress, PathState},
    slot::{Awaited, Conn, Kind, Slot},
};

/// Requests to one peer that are on their way at once; others wait here.
const WINDOW: usize = 256;

/// What the main connection is called as a path.
pub(crate) const MAIN: &str = "main";

/// What is to be done for this peer.
#[derive(Debug)]
pub(super) enum Act {
    Say(ConnectionId, Say),
    Close(ConnectionId),
}

/// A request on its way.
struct Asked {
    outgoing: Outgoing,
    at: Option<(PathId, ConnectionId)>,
}

pub(super) struct Peer {
    pub(super) slots: Vec<Slot>,
    pub(super) incoming: Incoming,
    pub(super) acts: VecDeque<Act>,
    pub(super) announced: Option<Vec<u8>>,
    /// Accepted path connections whose dialler has not said hello yet.
    strangers: HashMap<ConnectionId, Multiaddr>,
    selector: Selector,
    asked: HashMap<RequestId, Asked>,
    waiting: VecDeque<Outgoing>,
    next_id: PathId,
    has_switched: bool,
}

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        let main = Slot::new(0, MAIN.to_owned(), Kind::Main, now);
        Self {
            slots: vec![main],
            incoming: Incoming::default(),
            acts: VecDeque::new(),
            announced: None,
            strangers: HashMap::new(),
            selector: Selector::default(),
            asked: HashMap::new(),
            waiting: VecDeque::new(),
            next_id: 1,
            has_switched: false,
        }
    }

    pub(super) fn best(&self) -> Option<PathId> {
        self.selector.best().filter(|best| self.slot(*best).is_some_and(|slot| slot.state() == PathState::Up))
    }

    /// Whether the choice has changed since this was asked last.
    pub(super) fn take_switched(&mut self) -> bool {
        std::mem::take(&mut self.has_switched)
    }

    /// Replaces the paths that we keep.
    pub(super) fn set_paths(&mut self, paths: Vec<PathAddress>, now: Instant) {
        let is_kept = |slot: &Slot| match &slot.kind {
            Kind::Dialled(address) => paths.iter().any(|path| path.name == slot.name && path.address == *address),
            Kind::Main | Kind::Inbound => true,
        };
        let (kept, gone): (Vec<Slot>, Vec<Slot>) = std::mem::take(&mut self.slots).into_iter().partition(is_kept);
        self.slots = kept;
        for slot in gone {
            self.acts.extend(slot.conn.iter().map(|conn| Act::Close(conn.id)));
            self.selector.forget(slot.id);
        }
        for path in paths {
            let is_new = !self.slots.iter().any(|slot| slot.name == path.name && slot.kind != Kind::Inbound);
            if is_new {
                self.add_slot(path.name, Kind::Dialled(path.address), now);
            }
        }
        self.rearrange(now);
    }

    /// A connection has come up; whether it is usable is not known yet.
    pub(super) fn on_connected(&mut self, connection: ConnectionId, address: Multiaddr, is_main: bool, now: Instant) {
        let conn = Conn { id: connection, address: address.clone(), is_open: false };
        let wanted = |slot: &&mut Slot| match is_main {
            true => slot.kind == Kind::Main,
            false => slot.dialling == Some(connection),
        };
        let Some(slot) = self.slots.iter_mut().find(wanted) else {
            self.strangers.insert(connection, address);
            return;
        };
        slot.dialling = None;
        if slot.conn.is_none() {
            slot.address = Some(address);
            slot.conn = Some(conn);
            slot.set_state(PathState::Connecting, now);
        } else {
            slot.spares.push(conn);
        }
    }

    /// The other side has said hello. Returns whether it was for the first time on this connection.
    pub(super) fn on_hello(&mut self, connection: ConnectionId, hello: &Hello, now: Instant) -> bool {
        if let Some(address) = self.strangers.remove(&connection) {
            return self.on_inbound(Conn { id: connection, address, is_open: true }, &hello.name, now);
        }
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.has(connection)) else { return false };
        let is_first = match slot.conn.iter_mut().chain(&mut slot.spares).find(|conn| conn.id == connection) {
            Some(conn) => !std::mem::replace(&mut conn.is_open, true),
            None => false,
        };
        // A spare that can be used at once is better than a connection that may never be.
        let is_idle = slot.conn.as_ref().is_some_and(|conn| !conn.is_open);
        if let Some(place) = slot.spares.iter().position(|spare| is_idle && spare.is_open) {
            let spare = slot.spares.swap_remove(place);
            slot.spares.extend(slot.conn.replace(spare));
        }
        let (id, opens) = (slot.id, is_first && slot.open() == Some(connection));
        if opens {
            self.open(id, now);
        }
        is_first
    }

    /// What we sent has arrived.
    pub(super) fn on_confirmed(
        &mut self,
        connection: ConnectionId,
        what: Option<Awaited>,
        sample: Option<Sample>,
        now: Instant,
    ) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.open() == Some(connection)) else { return };
        if slot.on_confirmed(what, sample, now) {
            tracing::info!(path = slot.name, "a path answers again");
            let id = slot.id;
            self.selector.on_alive(id, now);
            self.rearrange(now);
        }
    }

    /// A connection has gone, or is of no use.
    pub(super) fn on_closed(&mut self, connection: ConnectionId, now: Instant, timeouts: &NetTimeouts, random: u32) {
        self.strangers.remove(&connection);
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.has(connection)) else { return };
        let was_up = slot.state() == PathState::Up;
        let Some(id) = slot.on_closed(connection).then_some(slot.id) else { return };
        if was_up {
            slot.tally.failed = slot.tally.failed.saturating_add(1);
        }
        slot.backoff.on_failure(now, timeouts, random);
        let next = match (&slot.conn, slot.open()) {
            (_, Some(_)) => PathState::Up,
            (Some(_), None) => PathState::Connecting,
            (None, _) => PathState::Down,
        };
        slot.set_state(next, now);
        self.selector.on_death(id, now);
        if next == PathState::Up {
            self.open(id, now);
        }
        self.rearrange(now);
    }

    /// Dialling a path has failed.
    pub(super) fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        now: Instant,
        timeouts: &NetTimeouts,
        random: u32,
    ) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.dialling == Some(connection)) else { return };
        slot.dialling = None;
        slot.backoff.on_failure(now, timeouts, random);
        if slot.conn.is_none() {
            slot.set_state(PathState::Down, now);
        }
    }

    /// Whether anything may come through, now or when connections have been greeted.
    pub(super) fn is_reachable(&self) -> bool {
        self.slots.iter().any(|slot| slot.conn.is_some())
    }

    /// Takes a request. One too many is [`RequestError::Busy`].
    pub(super) fn push(&mut self, outgoing: Outgoing, waiting_max: usize, now: Instant) {
        if !self.is_reachable() {
            return settle(outgoing.asker, Err(RequestError::NotConnected));
        }
        if self.asked.len() >= WINDOW {
            self.forget_abandoned();
        }
        self.waiting.retain(Outgoing::is_wanted);
        if self.waiting.len() >= waiting_max {
            return settle(outgoing.asker, Err(RequestError::Busy));
        }
        self.waiting.push_back(outgoing);
        self.pump(now);
    }

    /// The outcome of a request, by whatever path it came.
    pub(super) fn finish(&mut self, id: RequestId, outcome: Result<Vec<u8>, RequestError>, now: Instant) {
        let Some(asked) = self.asked.remove(&id) else { return };
        settle(asked.outgoing.asker, outcome);
        self.pump(now);
    }

    /// By which connection to answer what was asked by this one.
    pub(super) fn way_back(&self, asked_by: ConnectionId) -> Option<ConnectionId> {
        let is_up = |slot: &&Slot| slot.state() == PathState::Up;
        let up = || self.slots.iter().filter(is_up);
        let same = up().find(|slot| slot.has(asked_by)).map(|_| asked_by);
        let best = || self.best().and_then(|best| self.slot(best)).and_then(Slot::open);
        // Silence is not death: if there is nothing better it may come through yet.
        let any = || self.slots.iter().find(|slot| slot.has(asked_by)).map(|_| asked_by);
        same.or_else(best).or_else(any)
    }

    /// Looks for silence and sends what measures.
    pub(super) fn tick(&mut self, now: Instant, timeouts: &NetTimeouts, may_judge: bool) {
        self.forget_abandoned();
        let busy: HashSet<PathId> = self.asked.values().filter_map(|asked| asked.at.map(|(path, _)| path)).collect();
        let mut dead = Vec::new();
        for slot in &mut self.slots {
            if may_judge && slot.is_silent(now, timeouts) {
                slot.on_silent(now);
                slot.tally.failed = slot.tally.failed.saturating_add(1);
                tracing::info!(path = slot.name, "a path has fallen silent");
                dead.push(slot.id);
            }
            let is_lost = slot.state() == PathState::Suspect && slot.lasts(now) >= timeouts.ping_timeout;
            if let Some(connection) = slot.open() {
                let say = slot.measure(now, timeouts, busy.contains(&slot.id));
                self.acts.extend(say.into_iter().map(|say| Act::Say(connection, say)));
                if is_lost && slot.kind != Kind::Main {
                    self.acts.push_back(Act::Close(connection));
                }
            }
        }
        for id in &dead {
            self.selector.on_death(*id, now);
        }
        if !dead.is_empty() {
            self.rearrange(now);
        }
        self.pump(now);
    }

    /// Compares the paths.
    pub(super) fn evaluate(&mut self, now: Instant) {
        let live = self.live();
        let before = self.selector.best();
        if self.selector.evaluate(now, &live) {
            self.on_switched(before);
        }
    }

    /// Ends every request with an outcome made for it; `true` asks for one that may have arrived.
    pub(super) fn fail_all(&mut self, explain: impl Fn(bool) -> RequestError) {
        for (_, asked) in std::mem::take(&mut self.asked) {
            settle(asked.outgoing.asker, Err(explain(asked.at.is_some())));
        }
        for outgoing in std::mem::take(&mut self.waiting) {
            settle(outgoing.asker, Err(explain(false)));
        }
    }

    pub(super) fn strangers(&self) -> usize {
        self.strangers.len()
    }

    fn slot(&self, id: PathId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    fn live(&self) -> Vec<Candidate> {
        self.slots.iter().filter_map(Slot::candidate).collect()
    }

    fn add_slot(&mut self, name: String, kind: Kind, now: Instant) -> PathId {
        let id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        self.slots.push(Slot::new(id, name, kind, now));
        id
    }

    /// A path that the peer keeps is known by the name that the peer gave it.
    fn on_inbound(&mut self, conn: Conn, name: &str, now: Instant) -> bool {
        let name = format!("from peer: {name}");
        let is_same = |slot: &Slot| slot.kind == Kind::Inbound && slot.name == name;
        if !self.slots.iter().any(is_same) {
            let inbound = self.slots.iter().filter(|slot| slot.kind == Kind::Inbound);
            if inbound.count() >= PATHS_MAX {
                let unused = |slot: &Slot| slot.kind == Kind::Inbound && slot.conn.is_none();
                let Some(place) = self.slots.iter().position(unused) else {
                    self.acts.push_back(Act::Close(conn.id));
                    return false;
                };
                let slot = self.slots.remove(place);
                self.selector.forget(slot.id);
            }
            self.add_slot(name.clone(), Kind::Inbound, now);
        }
        let Some(slot) = self.slots.iter_mut().find(|slot| is_same(slot)) else { return false };
        slot.address = Some(conn.address.clone());
        // The peer has lost the old one, or it would not have dialled again.
        self.acts.extend(slot.conn.replace(conn).map(|old| Act::Close(old.id)));
        let id = slot.id;
        self.open(id, now);
        true
    }

    fn open(&mut self, id: PathId, now: Instant) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) {
            slot.on_open(now);
            self.selector.on_alive(id, now);
        }
        self.rearrange(now);
    }

    /// Finds the best path after one came or went, and sends again what cannot be answered by the
    /// one that it was sent by.
    fn rearrange(&mut self, now: Instant) {
        let live = self.live();
        let before = self.selector.best();
        if self.selector.choose(now, &live) {
            self.on_switched(before);
        }
        let up: HashMap<PathId, (Option<ConnectionId>, bool)> =
            self.slots.iter().map(|slot| (slot.id, (slot.open(), slot.state() == PathState::Up))).collect();
        let has_best = self.best().is_some();
        let is_stuck = |asked: &Asked| match asked.at {
            None => true,
            Some((path, connection)) => match up.get(&path) {
                Some((Some(open), is_up)) if *open == connection => !is_up && has_best,
                _ => true,
            },
        };
        let stuck: Vec<RequestId> = self.asked.iter().filter(|(_, asked)| is_stuck(asked)).map(|(id, _)| *id).collect();
        for id in stuck {
            self.place(id, now);
        }
        self.pump(now);
    }

    fn on_switched(&mut self, before: Option<PathId>) {
        self.has_switched = true;
        let from = before.and_then(|id| self.slot(id)).map(|slot| slot.name.clone());
        let Some(best) = self.selector.best() else { return };
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == best) else { return };
        if before.is_some() {
            slot.tally.switches = slot.tally.switches.saturating_add(1);
        }
        tracing::info!(from, to = slot.name, switches = self.selector.switches(), "trades go by another path");
    }

    /// Sends what waits as far as the window allows.
    fn pump(&mut self, now: Instant) {
        while self.asked.len() < WINDOW {
            let Some(outgoing) = self.waiting.pop_front() else { return };
            if !outgoing.is_wanted() {
                continue;
            }
            match RequestId::random() {
                Some(id) => {
                    self.asked.insert(id, Asked { outgoing, at: None });
                    self.place(id, now);
                }
                None => settle(outgoing.asker, Err(RequestError::Io(std::io::ErrorKind::Other.into()))),
            }
        }
    }

    /// Sends a request by the best path; without one it waits for one.
    fn place(&mut self, id: RequestId, now: Instant) {
        let best = self.best();
        let Some(asked) = self.asked.get_mut(&id) else { return };
        let before = asked.at.map(|(path, _)| path);
        let usable = |slot: &&mut Slot| slot.open().is_some() && best.is_none_or(|best| slot.id == best);
        let target = self.slots.iter_mut().find(usable);
        let Some((slot, connection)) = target.and_then(|slot| slot.open().map(|connection| (slot, connection))) else {
            asked.at = None;
            return;
        };
        asked.at = Some((slot.id, connection));
        slot.tally.sent = slot.tally.sent.saturating_add(1);
        slot.await_confirmation(Awaited::Request(id), now);
        let data = std::sync::Arc::clone(&asked.outgoing.data);
        self.acts.push_back(Act::Say(connection, Frame::Request { id, data }.into()));
        if let Some(slot) = self.slots.iter_mut().find(|slot| Some(slot.id) == before) {
            slot.tally.resent = slot.tally.resent.saturating_add(1);
        }
    }

    fn forget_abandoned(&mut self) {
        self.asked.retain(|_, asked| asked.outgoing.is_wanted());
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
