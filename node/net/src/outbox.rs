//! What is on its way to peers and what waits for that: a window per peer and lane, so that no
//! honest node opens more streams than the other side takes.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    sync::Arc,
};

use libp2p::{
    PeerId,
    request_response::{OutboundFailure, OutboundRequestId},
};
use tokio::sync::oneshot;

use super::{config::NetLimits, error::RequestError, exchange::Lane};

/// Consensus messages that wait for one peer, whatever their size.
const CONSENSUS_WAITING_MAX: usize = 4096;

/// Who waits for the answer; nobody for consensus messages.
pub(super) type Asker = Option<oneshot::Sender<Result<Vec<u8>, RequestError>>>;

/// Something to send.
pub(super) struct Outgoing {
    pub(super) data: Arc<Vec<u8>>,
    pub(super) asker: Asker,
}

impl Outgoing {
    pub(super) fn is_wanted(&self) -> bool {
        self.asker.as_ref().is_none_or(|asker| !asker.is_closed())
    }
}

/// One peer and lane.
#[derive(Default)]
struct Channel {
    on_their_way: usize,
    waiting: VecDeque<Outgoing>,
    waiting_bytes: usize,
}

/// All peers and lanes.
pub(super) struct Outbox {
    channels: BTreeMap<(PeerId, Lane), Channel>,
    asked: HashMap<(Lane, OutboundRequestId), (PeerId, Asker)>,
    requests_waiting_max: usize,
    consensus_bytes_max: usize,
}

impl Outbox {
    pub(super) fn new(limits: &NetLimits) -> Self {
        Self {
            channels: BTreeMap::new(),
            asked: HashMap::new(),
            requests_waiting_max: limits.requests_waiting_max,
            consensus_bytes_max: limits.consensus_outbox_bytes_max,
        }
    }

    /// Queues something for a connected peer. A request too many is answered
    /// [`RequestError::Busy`]; a consensus message too many displaces the oldest.
    ///
    /// Returns how many consensus messages were displaced. Call [`Self::next`] afterwards.
    pub(super) fn push(&mut self, peer: PeerId, lane: Lane, outgoing: Outgoing) -> usize {
        let channel = self.channels.entry((peer, lane)).or_default();
        if lane != Lane::Consensus {
            channel.waiting.retain(Outgoing::is_wanted);
            if channel.waiting.len() >= self.requests_waiting_max {
                settle(outgoing.asker, Err(RequestError::Busy));
            } else {
                channel.waiting.push_back(outgoing);
            }
            return 0;
        }
        channel.waiting_bytes = channel.waiting_bytes.saturating_add(outgoing.data.len());
        channel.waiting.push_back(outgoing);
        let mut displaced = 0_usize;
        while channel.waiting.len() > CONSENSUS_WAITING_MAX || channel.waiting_bytes > self.consensus_bytes_max {
            let Some(oldest) = channel.waiting.pop_front() else { break };
            channel.waiting_bytes = channel.waiting_bytes.saturating_sub(oldest.data.len());
            displaced = displaced.saturating_add(1);
        }
        displaced
    }

    /// The next thing that may be sent to this peer, if its window is open. The caller must send it
    /// and say so with [`Self::sent`].
    pub(super) fn next(&mut self, peer: PeerId, lane: Lane) -> Option<Outgoing> {
        let channel = self.channels.get_mut(&(peer, lane))?;
        if channel.on_their_way >= lane.window() {
            return None;
        }
        while let Some(outgoing) = channel.waiting.pop_front() {
            channel.waiting_bytes = channel.waiting_bytes.saturating_sub(outgoing.data.len());
            if outgoing.is_wanted() {
                return Some(outgoing);
            }
        }
        None
    }

    pub(super) fn sent(&mut self, peer: PeerId, lane: Lane, id: OutboundRequestId, asker: Asker) {
        let channel = self.channels.entry((peer, lane)).or_default();
        channel.on_their_way = channel.on_their_way.saturating_add(1);
        self.asked.insert((lane, id), (peer, asker));
    }

    /// Notes the outcome of something sent, tells who asked, and opens the window for the next.
    pub(super) fn finish(&mut self, lane: Lane, id: OutboundRequestId, outcome: Result<Vec<u8>, RequestError>) {
        let Some((peer, asker)) = self.asked.remove(&(lane, id)) else { return };
        settle(asker, outcome);
        if let Some(channel) = self.channels.get_mut(&(peer, lane)) {
            channel.on_their_way = channel.on_their_way.saturating_sub(1);
            if channel.on_their_way == 0 && channel.waiting.is_empty() {
                self.channels.remove(&(peer, lane));
            }
        }
    }

    /// Gives up what waits for a peer that has gone; what is on its way finishes by itself.
    ///
    /// Returns how many consensus messages were lost so.
    pub(super) fn drop_waiting(&mut self, peer: PeerId) -> usize {
        let mut lost = 0_usize;
        for lane in Lane::ALL {
            let Some(channel) = self.channels.get_mut(&(peer, lane)) else { continue };
            channel.waiting_bytes = 0;
            for outgoing in std::mem::take(&mut channel.waiting) {
                if lane == Lane::Consensus {
                    lost = lost.saturating_add(1);
                }
                settle(outgoing.asker, Err(RequestError::NotConnected));
            }
            if channel.on_their_way == 0 {
                self.channels.remove(&(peer, lane));
            }
        }
        lost
    }
}

/// Tells the asker, if there is one and it still listens.
pub(super) fn settle(asker: Asker, outcome: Result<Vec<u8>, RequestError>) {
    if let Some(asker) = asker {
        // The asker has lost patience: there is nobody left to tell.
        let _ = asker.send(outcome);
    }
}

/// What a failure means to the asker.
pub(super) fn explain(lane: Lane, failure: OutboundFailure) -> RequestError {
    match failure {
        OutboundFailure::DialFailure => RequestError::NotConnected,
        OutboundFailure::Timeout => RequestError::Timeout,
        OutboundFailure::ConnectionClosed => RequestError::ConnectionClosed,
        OutboundFailure::UnsupportedProtocols => RequestError::Unsupported,
        OutboundFailure::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => RequestError::NoAnswer,
            io::ErrorKind::InvalidData => RequestError::AnswerTooLarge { limit: lane.answer_bytes_max() },
            _ => RequestError::Io(error),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    fn message(length: usize) -> Outgoing {
        Outgoing { data: Arc::new(vec![0; length]), asker: None }
    }

    #[test]
    fn the_oldest_consensus_messages_make_room() {
        let limits = NetLimits { consensus_outbox_bytes_max: 100, ..NetLimits::default() };
        let mut outbox = Outbox::new(&limits);
        let peer = PeerId::random();
        assert_eq!(outbox.push(peer, Lane::Consensus, message(60)), 0);
        assert_eq!(outbox.push(peer, Lane::Consensus, message(40)), 0);
        assert_eq!(outbox.push(peer, Lane::Consensus, message(41)), 1);
        assert_eq!(outbox.next(peer, Lane::Consensus).unwrap().data.len(), 40);
        assert_eq!(outbox.drop_waiting(peer), 1);
        assert!(outbox.next(peer, Lane::Consensus).is_none());
    }

    #[test]
    fn requests_too_many_are_busy_and_abandoned_ones_are_skipped() {
        let limits = NetLimits { requests_waiting_max: 1, ..NetLimits::default() };
        let mut outbox = Outbox::new(&limits);
        let peer = PeerId::random();
        let ask = |outbox: &mut Outbox| {
            let (asker, answer) = oneshot::channel();
            let outgoing = Outgoing { data: Arc::new(Vec::new()), asker: Some(asker) };
            outbox.push(peer, Lane::Sync, outgoing);
            answer
        };
        let first = ask(&mut outbox);
        let mut second = ask(&mut outbox);
        assert!(matches!(second.try_recv(), Ok(Err(RequestError::Busy))));
        drop(first);
        assert!(outbox.next(peer, Lane::Sync).is_none());
    }
}
