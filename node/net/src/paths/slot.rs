//! One path of one peer: its connection, its measurements, and whether it answers.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use tokio::time::Instant;

use super::{
    super::config::NetTimeouts,
    backoff::Backoff,
    frame::{Frame, RequestId},
    link::{Sample, Say},
    path_probe::{Probe, TYPICAL_BYTES},
    path_selector::{Candidate, PathId},
    report::{PathReport, PathState, Transport},
};

/// What a path that has not been measured is taken for.
const SCORE_UNKNOWN: Duration = Duration::from_secs(10);

/// A peer confirms a long transfer at least this often.
const CONFIRMED_EVERY_BYTES: u64 = 8 << 10;

/// What a path is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The connection that carries everything else too.
    Main,
    /// One that we keep.
    Dialled(Multiaddr),
    /// One that the peer keeps.
    Inbound,
}

/// A connection of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conn {
    pub(super) id: ConnectionId,
    pub(super) address: Multiaddr,
    /// The peer has said hello.
    pub(super) is_open: bool,
}

/// Something that the peer must confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Awaited {
    Ping(u64),
    Train(u64),
    Request(RequestId),
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) failed: u64,
    pub(super) resent: u64,
    pub(super) switches: u64,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: PathId,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where the other end is or was.
    pub(super) address: Option<Multiaddr>,
    pub(super) conn: Option<Conn>,
    /// Further main connections: both sides may dial at once.
    pub(super) spares: Vec<Conn>,
    pub(super) dialling: Option<ConnectionId>,
    pub(super) backoff: Backoff,
    pub(super) probe: Probe,
    pub(super) tally: Tally,
    state: PathState,
    since: SystemTime,
    changed: Instant,
    awaited: HashMap<Awaited, Instant>,
    confirmed: Instant,
    ping_at: Instant,
}

impl Slot {
    pub(super) fn new(id: PathId, name: String, kind: Kind, now: Instant) -> Self {
        let address = match &kind {
            Kind::Dialled(address) => Some(address.clone()),
            Kind::Main | Kind::Inbound => None,
        };
        Self {
            id,
            name,
            kind,
            address,
            conn: None,
            spares: Vec::new(),
            dialling: None,
            backoff: Backoff::default(),
            probe: Probe::default(),
            tally: Tally::default(),
            state: PathState::Down,
            since: SystemTime::now(),
            changed: now,
            awaited: HashMap::new(),
            confirmed: now,
            ping_at: now,
        }
    }

    pub(super) fn state(&self) -> PathState {
        self.state
    }

    pub(super) fn set_state(&mut self, state: PathState, now: Instant) {
        if self.state != state {
            self.state = state;
            self.since = SystemTime::now();
            self.changed = now;
        }
    }

    /// What to show; nothing before there was a connection, or of one that the peer has given up.
    pub(super) fn report(&self, peer: PeerId, best: bool) -> Option<PathReport> {
        let is_gone = self.kind == Kind::Inbound && self.conn.is_none();
        let address = self.address.clone().filter(|_| !is_gone)?;
        Some(PathReport {
            peer,
            name: self.name.clone(),
            transport: Transport::of(&address),
            address,
            state: self.state,
            rtt_smoothed: self.probe.srtt(),
            rtt_min: self.probe.least(),
            rtt_variance: self.probe.variance(),
            throughput_bytes_per_s: self.probe.rate(),
            score: self.probe.predicted(TYPICAL_BYTES),
            best,
            sent: self.tally.sent,
            failed: self.tally.failed,
            resent: self.tally.resent,
            switches: self.tally.switches,
            since: self.since,
        })
    }

    /// How long it has been as it is.
    pub(super) fn lasts(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.changed)
    }

    /// The connection if the peer has said hello on it.
    pub(super) fn open(&self) -> Option<ConnectionId> {
        self.conn.as_ref().filter(|conn| conn.is_open).map(|conn| conn.id)
    }

    pub(super) fn has(&self, connection: ConnectionId) -> bool {
        self.conn.iter().chain(&self.spares).any(|conn| conn.id == connection)
    }

    pub(super) fn candidate(&self) -> Option<Candidate> {
        let score = self.probe.predicted(TYPICAL_BYTES).unwrap_or(SCORE_UNKNOWN);
        (self.state == PathState::Up).then_some(Candidate { id: self.id, score })
    }

    /// The connection answers for the first time.
    pub(super) fn on_open(&mut self, now: Instant) {
        self.probe.on_connected();
        self.awaited.clear();
        self.confirmed = now;
        self.ping_at = now;
        self.backoff.on_success(now);
        self.set_state(PathState::Up, now);
    }

    /// Takes a connection's end. Returns whether it was the one in use.
    pub(super) fn on_closed(&mut self, connection: ConnectionId) -> bool {
        self.spares.retain(|spare| spare.id != connection);
        if self.conn.as_ref().is_none_or(|conn| conn.id != connection) {
            return false;
        }
        self.conn = None;
        self.awaited.clear();
        if let Some(place) = self.spares.iter().position(|spare| spare.is_open) {
            self.conn = Some(self.spares.swap_remove(place));
        } else {
            self.conn = self.spares.pop();
        }
        true
    }

    pub(super) fn await_confirmation(&mut self, what: Awaited, now: Instant) {
        self.awaited.insert(what, now);
    }

    /// Takes a sign that what we send arrives. Returns whether the path was suspect until now.
    pub(super) fn on_confirmed(&mut self, what: Option<Awaited>, sample: Option<Sample>, now: Instant) -> bool {
        if let Some(what) = what {
            self.awaited.remove(&what);
        }
        self.confirmed = now;
        if self.state == PathState::Suspect {
            self.set_state(PathState::Up, now);
            return true;
        }
        // What was sent before a silence measures the silence.
        let is_of_this_life = |took: Duration| took <= self.lasts(now);
        match sample {
            Some(Sample::RoundTrip(took)) if is_of_this_life(took) => self.probe.on_round_trip(took, now),
            Some(Sample::Transfer { bytes, took }) if is_of_this_life(took) => match what {
                Some(Awaited::Train(_)) => self.probe.on_train(bytes, took),
                _ => self.probe.on_transfer(bytes, took),
            },
            _ => {}
        }
        false
    }

    /// Whether the peer has been silent for too long about something sent.
    pub(super) fn is_silent(&self, now: Instant, timeouts: &NetTimeouts) -> bool {
        let Some(oldest) = self.awaited.values().min() else { return false };
        let silence = now.saturating_duration_since(self.confirmed.max(*oldest));
        self.state == PathState::Up && silence >= self.probe.patience(CONFIRMED_EVERY_BYTES, timeouts.path)
    }

    pub(super) fn on_silent(&mut self, now: Instant) {
        self.set_state(PathState::Suspect, now);
        // Its pong will be the sign of life. The rest is sent elsewhere, or measures nothing.
        self.awaited.retain(|what, _| matches!(what, Awaited::Ping(_)));
    }

    /// What to send for measuring, if anything; `is_busy` tells that requests are unanswered.
    pub(super) fn measure(&mut self, now: Instant, timeouts: &NetTimeouts, is_busy: bool) -> Vec<Say> {
        let mut say = Vec::new();
        if self.open().is_none() {
            return say;
        }
        let is_pinging = self.awaited.keys().any(|what| matches!(what, Awaited::Ping(_)));
        // Who waits for an answer wants to know soon whether it can still come.
        let quarter = timeouts.path.checked_div(4).unwrap_or_default();
        let soon = self.confirmed.checked_add(quarter).filter(|_| is_busy).unwrap_or(self.ping_at);
        if !is_pinging && now >= self.ping_at.min(soon) {
            let nonce = nonce();
            self.ping_at = now.checked_add(timeouts.path_probe).unwrap_or(now);
            self.awaited.insert(Awaited::Ping(nonce), now);
            say.push(Frame::Ping(nonce).into());
        }
        let is_training = self.awaited.keys().any(|what| matches!(what, Awaited::Train(_)));
        if self.state == PathState::Up
            && !is_busy
            && !is_training
            && let Some(bytes) = self.probe.train_due(now, timeouts.path_probe, timeouts.path_bulk)
        {
            let nonce = nonce();
            self.awaited.insert(Awaited::Train(nonce), now);
            say.push(Say::Train { nonce, bytes });
        }
        say
    }
}

/// Only has to differ from those under way on one connection, and not be guessed by chance.
fn nonce() -> u64 {
    getrandom::u64().unwrap_or(0)
}
