//! Which peers there are, which are connected, and when to dial whom: no sockets, and the time is
//! an argument.
//!
//! Both sides of a lost connection want it back, and a second connection is harmless (neither side
//! closes it) but wasteful. So the peer with the smaller id dials first and the other one a little
//! later, in case the first has no address or no luck.

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::{config::NetTimeouts, gossip::Topic};

/// Even a configuration without a wait does not dial in a tight loop.
const WAIT_FLOOR: Duration = Duration::from_millis(10);

/// What the time has come for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Dial this peer at one of these addresses, in this order.
    Dial(PeerId, Vec<Multiaddr>),
    /// This peer is connected but has not shown in time that it is on our network.
    GiveUp(PeerId),
}

#[derive(Debug, Default)]
struct Peer {
    addresses: Vec<Multiaddr>,
    /// The other end of its first connection, and since when; none if not connected.
    link: Option<(Multiaddr, Instant)>,
    entries: bool,
    heads: bool,
    dial_at: Option<Instant>,
    /// Attempts since the last stable connection.
    failures: u32,
}

impl Peer {
    fn is_ready(&self) -> bool {
        self.link.is_some() && self.entries && self.heads
    }
}

/// The configured peers.
#[derive(Debug)]
pub(super) struct Peers {
    local: PeerId,
    timeouts: NetTimeouts,
    peers: BTreeMap<PeerId, Peer>,
}

impl Peers {
    pub(super) fn new(local: PeerId, timeouts: NetTimeouts) -> Self {
        Self { local, timeouts, peers: BTreeMap::new() }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> {
        self.peers.keys().copied()
    }

    pub(super) fn ready(&self) -> Vec<PeerId> {
        self.peers.iter().filter(|(_, peer)| peer.is_ready()).map(|(id, _)| *id).collect()
    }

    pub(super) fn is_ready(&self, id: &PeerId) -> bool {
        self.peers.get(id).is_some_and(Peer::is_ready)
    }

    /// Adds a peer or replaces its addresses, and plans to dial it.
    pub(super) fn insert(&mut self, id: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if id == self.local {
            return;
        }
        let delay = self.handicap(&id);
        let peer = self.peers.entry(id).or_default();
        peer.addresses = addresses;
        if peer.link.is_none() {
            peer.dial_at = now.checked_add(delay);
        }
    }

    /// Forgets a peer; returns whether it was ready.
    pub(super) fn remove(&mut self, id: &PeerId) -> bool {
        self.peers.remove(id).is_some_and(|peer| peer.is_ready())
    }

    /// A connection is up.
    pub(super) fn on_established(&mut self, id: &PeerId, address: Multiaddr, now: Instant) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.dial_at = None;
            peer.link.get_or_insert((address, now));
        }
    }

    /// The peer hears one of our topics. Returns its address if that made it ready.
    pub(super) fn on_subscribed(&mut self, id: &PeerId, topic: Topic) -> Option<Multiaddr> {
        let peer = self.peers.get_mut(id)?;
        let was_ready = peer.is_ready();
        match topic {
            Topic::Entries => peer.entries = true,
            Topic::Heads => peer.heads = true,
        }
        let (address, _) = peer.link.as_ref()?;
        (peer.is_ready() && !was_ready).then(|| address.clone())
    }

    /// The last connection is gone. Returns whether the peer had been ready.
    pub(super) fn on_gone(&mut self, id: &PeerId, now: Instant, random: u32) -> bool {
        let stable = self.timeouts.stable;
        let Some(peer) = self.peers.get_mut(id) else { return false };
        let was_ready = peer.is_ready();
        let lasted = peer.link.take().map(|(_, since)| now.saturating_duration_since(since));
        peer.entries = false;
        peer.heads = false;
        if was_ready && lasted.is_some_and(|lasted| lasted >= stable) {
            peer.failures = 0;
        }
        self.plan(id, now, random);
        was_ready
    }

    /// A dial failed; unless a connection came up by other means, it is tried again.
    pub(super) fn on_dial_failed(&mut self, id: &PeerId, now: Instant, random: u32) {
        self.plan(id, now, random);
    }

    /// The earliest time at which [`Self::due`] may have something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| self.due_at(peer)).min()
    }

    /// What the time has come for. A dial that is due is not due again until it has failed.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        let ids: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| self.due_at(peer).is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            peer.dial_at = None;
            match &mut peer.link {
                None => due.push(Due::Dial(id, peer.addresses.clone())),
                Some((_, since)) => {
                    // Asked again after another such time, should the connection not close.
                    *since = now;
                    due.push(Due::GiveUp(id));
                }
            }
        }
        due
    }

    fn due_at(&self, peer: &Peer) -> Option<Instant> {
        match &peer.link {
            None => peer.dial_at.filter(|_| !peer.addresses.is_empty()),
            Some((_, since)) if !peer.is_ready() => since.checked_add(self.timeouts.ready),
            Some(_) => None,
        }
    }

    fn plan(&mut self, id: &PeerId, now: Instant, random: u32) {
        let handicap = self.handicap(id);
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.link.is_some() {
            return;
        }
        let wait = backoff(&self.timeouts, peer.failures, random);
        peer.failures = peer.failures.saturating_add(1);
        peer.dial_at = now.checked_add(wait.saturating_add(handicap));
    }

    fn handicap(&self, id: &PeerId) -> Duration {
        if self.local < *id { Duration::ZERO } else { self.timeouts.redial_min }
    }
}

/// The wait after a number of failures: doubling, capped, and up to a quarter shorter at random
/// (but never below the shortest).
fn backoff(timeouts: &NetTimeouts, failures: u32, random: u32) -> Duration {
    let shortest = timeouts.redial_min.max(WAIT_FLOOR);
    let doubled = shortest.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    let capped = doubled.min(timeouts.redial_max);
    let jitter = capped.mul_f64(f64::from(random) / f64::from(u32::MAX) / 4.0);
    capped.saturating_sub(jitter).max(shortest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    fn address() -> Multiaddr {
        "/ip4/127.0.0.1/tcp/1".parse().unwrap()
    }

    /// A table with one peer, whose id is greater than ours.
    fn table() -> (Peers, PeerId, Instant) {
        let (a, b) = (PeerId::random(), PeerId::random());
        let (local, peer) = (a.min(b), a.max(b));
        let now = Instant::now();
        let mut peers = Peers::new(local, NetTimeouts::default());
        peers.insert(local, vec![address()], now);
        peers.insert(peer, vec![address()], now);
        (peers, peer, now)
    }

    #[test]
    fn waits_double_up_to_the_cap_and_stay_in_range() {
        let timeouts = NetTimeouts::default();
        let waits: Vec<u128> = (0..8).map(|n| backoff(&timeouts, n, 0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff(&timeouts, 0, u32::MAX), timeouts.redial_min);
        assert_eq!(backoff(&timeouts, 40, u32::MAX).as_millis(), 3750);
    }

    #[test]
    fn a_peer_is_dialled_once_until_that_fails() {
        let (mut peers, peer, now) = table();
        assert_eq!(peers.ids().count(), 1);
        assert_eq!(peers.due(now), [Due::Dial(peer, vec![address()])]);
        assert_eq!(peers.next_due(), None);
        peers.on_dial_failed(&peer, now, 0);
        assert_eq!(peers.next_due(), Some(now + Duration::from_millis(200)));
        peers.on_established(&peer, address(), now);
        peers.on_dial_failed(&peer, now, 0);
        assert_eq!(peers.next_due(), Some(now + Duration::from_secs(10)));
    }

    #[test]
    fn ready_needs_both_topics_and_starts_over() {
        let (mut peers, peer, now) = table();
        peers.on_established(&peer, address(), now);
        assert_eq!(peers.on_subscribed(&peer, Topic::Heads), None);
        assert_eq!(peers.on_subscribed(&peer, Topic::Entries), Some(address()));
        assert_eq!(peers.on_subscribed(&peer, Topic::Entries), None);
        assert_eq!((peers.ready(), peers.next_due()), (vec![peer], None));
        assert!(peers.on_gone(&peer, now, 0));
        assert!(!peers.is_ready(&peer) && peers.next_due().is_some());
    }

    #[test]
    fn only_a_stable_connection_resets_the_wait() {
        let (mut peers, peer, now) = table();
        for expected in [200, 400, 800] {
            peers.on_established(&peer, address(), now);
            peers.on_gone(&peer, now, 0);
            assert_eq!(peers.next_due(), Some(now + Duration::from_millis(expected)));
        }
        peers.on_established(&peer, address(), now);
        peers.on_subscribed(&peer, Topic::Heads);
        peers.on_subscribed(&peer, Topic::Entries);
        let later = now + Duration::from_secs(10);
        peers.on_gone(&peer, later, 0);
        assert_eq!(peers.next_due(), Some(later + Duration::from_millis(200)));
    }

    #[test]
    fn a_connected_peer_that_stays_silent_is_given_up() {
        let (mut peers, peer, now) = table();
        peers.on_established(&peer, address(), now);
        assert_eq!(peers.due(now), []);
        assert_eq!(peers.due(now + Duration::from_secs(10)), [Due::GiveUp(peer)]);
    }
}
