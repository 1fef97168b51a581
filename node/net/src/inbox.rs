//! What has arrived and waits for the receiver of events: bounded, and urgent things first.

use std::collections::{BTreeMap, VecDeque};

use libp2p::{PeerId, request_response::ResponseChannel};

use super::{config::NetLimits, event::NetEvent, exchange::Lane, exchange::Protocol, gossip::Topic, paths::RequestId};

/// Charged per message besides its bytes, so that empty messages are not free.
const MESSAGE_COST_BYTES: usize = 256;

/// Connections coming and going that are remembered; the oldest are forgotten first.
const LINK_EVENTS_MAX: usize = 1024;

/// A request or a consensus message whose sender waits.
pub(super) struct Held {
    pub(super) from: PeerId,
    pub(super) data: Vec<u8>,
    pub(super) way_back: WayBack,
}

/// By what to answer.
pub(super) enum WayBack {
    Lane(Lane, ResponseChannel<Vec<u8>>),
    /// A trade: by whatever path is there then.
    Paths(PeerId, RequestId),
}

impl WayBack {
    /// Whether the sender still waits, as far as is known: a trade's may ask again by another path.
    fn is_open(&self) -> bool {
        match self {
            Self::Lane(_, channel) => channel.is_open(),
            Self::Paths(..) => true,
        }
    }
}

/// The next thing for the receiver of events.
pub(super) enum Delivery {
    /// Needs no answer.
    Event(NetEvent),
    /// To be confirmed when delivered.
    Consensus(Held),
    /// To be delivered with the means to answer.
    Request(Protocol, Held),
}

/// Queues by urgency.
pub(super) struct Inbox {
    links: VecDeque<NetEvent>,
    /// The latest of each peer.
    announced: BTreeMap<PeerId, Vec<u8>>,
    consensus: VecDeque<Held>,
    requests: VecDeque<(Protocol, Held)>,
    gossip: VecDeque<NetEvent>,
    gossip_bytes: usize,
    bytes_by_peer: BTreeMap<PeerId, usize>,
    gossip_bytes_max: usize,
    peer_bytes_max: usize,
}

impl Inbox {
    pub(super) fn new(limits: &NetLimits) -> Self {
        Self {
            links: VecDeque::new(),
            announced: BTreeMap::new(),
            consensus: VecDeque::new(),
            requests: VecDeque::new(),
            gossip: VecDeque::new(),
            gossip_bytes: 0,
            bytes_by_peer: BTreeMap::new(),
            gossip_bytes_max: limits.gossip_inbox_bytes_max,
            peer_bytes_max: limits.inbox_bytes_per_peer_max,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
            && self.announced.is_empty()
            && self.consensus.is_empty()
            && self.requests.is_empty()
            && self.gossip.is_empty()
    }

    pub(super) fn push_link(&mut self, event: NetEvent) {
        if self.links.len() >= LINK_EVENTS_MAX {
            self.links.pop_front();
        }
        self.links.push_back(event);
    }

    /// Takes the place of an earlier announcement of the same peer that was not taken yet.
    pub(super) fn push_announced(&mut self, peer: PeerId, data: Vec<u8>) {
        self.announced.insert(peer, data);
    }

    /// Returns whether the message was taken; if not it is dropped.
    #[must_use]
    pub(super) fn push_gossip(&mut self, from: PeerId, topic: Topic, data: Vec<u8>) -> bool {
        let total = self.gossip_bytes.saturating_add(cost(&data));
        if total > self.gossip_bytes_max {
            return false;
        }
        self.gossip_bytes = total;
        self.gossip.push_back(NetEvent::Gossip { from, topic, data });
        true
    }

    /// Takes a consensus message (`protocol` is none) or a request; if its sender already has too
    /// much waiting here, drops it, which the sender sees, and returns false.
    #[must_use]
    pub(super) fn push_held(&mut self, protocol: Option<Protocol>, held: Held) -> bool {
        let cost = cost(&held.data);
        if !self.has_room(held.from, cost) {
            self.forget_expired();
            if !self.has_room(held.from, cost) {
                return false;
            }
        }
        let used = self.bytes_by_peer.entry(held.from).or_default();
        *used = used.saturating_add(cost);
        match protocol {
            None => self.consensus.push_back(held),
            Some(protocol) => self.requests.push_back((protocol, held)),
        }
        true
    }

    /// The most urgent thing that waits. Requests whose sender lost patience are skipped.
    pub(super) fn pop(&mut self) -> Option<Delivery> {
        if let Some(event) = self.links.pop_front() {
            return Some(Delivery::Event(event));
        }
        if let Some((peer, data)) = self.announced.pop_first() {
            return Some(Delivery::Event(NetEvent::Announced { peer, data }));
        }
        if let Some(held) = self.consensus.pop_front() {
            self.release(held.from, cost(&held.data));
            return Some(Delivery::Consensus(held));
        }
        while let Some((protocol, held)) = self.requests.pop_front() {
            self.release(held.from, cost(&held.data));
            if held.way_back.is_open() {
                return Some(Delivery::Request(protocol, held));
            }
        }
        let event = self.gossip.pop_front()?;
        if let NetEvent::Gossip { data, .. } = &event {
            self.gossip_bytes = self.gossip_bytes.saturating_sub(cost(data));
        }
        Some(Delivery::Event(event))
    }

    fn has_room(&self, from: PeerId, cost: usize) -> bool {
        let used = self.bytes_by_peer.get(&from).copied().unwrap_or(0);
        used.saturating_add(cost) <= self.peer_bytes_max
    }

    fn release(&mut self, from: PeerId, cost: usize) {
        if let Some(used) = self.bytes_by_peer.get_mut(&from) {
            *used = used.saturating_sub(cost);
            if *used == 0 {
                self.bytes_by_peer.remove(&from);
            }
        }
    }

    /// Drops requests that nobody waits for any more.
    fn forget_expired(&mut self) {
        for (protocol, held) in std::mem::take(&mut self.requests) {
            if held.way_back.is_open() {
                self.requests.push_back((protocol, held));
            } else {
                self.release(held.from, cost(&held.data));
            }
        }
    }
}

fn cost(data: &[u8]) -> usize {
    data.len().saturating_add(MESSAGE_COST_BYTES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn gossip_over_the_limit_is_dropped_and_room_returns() {
        let limits = NetLimits { gossip_inbox_bytes_max: 1000, ..NetLimits::default() };
        let mut inbox = Inbox::new(&limits);
        let from = PeerId::random();
        assert!(inbox.push_gossip(from, Topic::Heads, vec![0; 700]));
        assert!(!inbox.push_gossip(from, Topic::Heads, Vec::new()));
        assert!(matches!(inbox.pop(), Some(Delivery::Event(NetEvent::Gossip { .. }))));
        assert!(inbox.push_gossip(from, Topic::Heads, Vec::new()));
    }

    #[test]
    fn links_come_before_gossip_and_are_bounded() {
        let mut inbox = Inbox::new(&NetLimits::default());
        let peer = PeerId::random();
        assert!(inbox.push_gossip(peer, Topic::Entries, vec![1]));
        for _ in 0..LINK_EVENTS_MAX + 5 {
            inbox.push_link(NetEvent::Disconnected { peer });
        }
        for _ in 0..LINK_EVENTS_MAX {
            assert!(matches!(inbox.pop(), Some(Delivery::Event(NetEvent::Disconnected { .. }))));
        }
        assert!(matches!(inbox.pop(), Some(Delivery::Event(NetEvent::Gossip { .. }))));
        assert!(inbox.pop().is_none() && inbox.is_empty());
    }
}
