//! What the network reports, and the means to answer.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::{error::ReplyError, exchange::Protocol, gossip::Topic};

/// Something that arrived or happened. Consensus messages overtake requests, and both overtake
/// gossip; otherwise the order of arrival is kept. Its `Debug` shows lengths, not contents.
pub enum NetEvent {
    /// A gossip message, seen for the first time within the last minute.
    Gossip {
        /// Who passed it on, which need not be who wrote it.
        from: PeerId,
        /// Its topic.
        topic: Topic,
        /// Its bytes, at most 1 MiB.
        data: Vec<u8>,
    },
    /// A peer asks. May precede the peer's [`NetEvent::Connected`].
    Request {
        /// Who asks.
        from: PeerId,
        /// By which protocol.
        protocol: Protocol,
        /// The request, within the protocol's limit.
        data: Vec<u8>,
        /// Takes the answer. Dropped, it tells the peer that there will be none.
        reply: ReplyHandle,
    },
    /// A consensus message. May precede the peer's [`NetEvent::Connected`].
    Consensus {
        /// Who sent it.
        from: PeerId,
        /// Its bytes, at most 4 MiB.
        data: Vec<u8>,
    },
    /// A configured peer is connected and on our network; what is published from now on reaches it.
    Connected {
        /// Who.
        peer: PeerId,
        /// The other end of its first connection.
        address: Multiaddr,
    },
    /// What a peer announces of itself by [`super::NetHandle::set_announcement`]: said when its main
    /// connection comes up and again when it changes.
    Announced {
        /// Who.
        peer: PeerId,
        /// Its bytes, at most 4 KiB.
        data: Vec<u8>,
    },
    /// The last main connection with a peer is gone. It is being dialled again. Trades may still go
    /// by other paths.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
}

impl fmt::Debug for NetEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gossip { from, topic, data } => {
                write!(f, "Gossip({topic:?}, {} bytes, from {from})", data.len())
            }
            Self::Request { from, protocol, data, .. } => {
                write!(f, "Request({protocol:?}, {} bytes, from {from})", data.len())
            }
            Self::Consensus { from, data } => {
                write!(f, "Consensus({} bytes, from {from})", data.len())
            }
            Self::Connected { peer, address } => write!(f, "Connected({peer} at {address})"),
            Self::Announced { peer, data } => write!(f, "Announced({} bytes, by {peer})", data.len()),
            Self::Disconnected { peer } => write!(f, "Disconnected({peer})"),
        }
    }
}

/// Answers one request, once. Dropped unused, it makes the requester see
/// [`super::RequestError::NoAnswer`].
pub struct ReplyHandle {
    answer: oneshot::Sender<Vec<u8>>,
    limit: usize,
}

impl ReplyHandle {
    pub(super) fn new(protocol: Protocol) -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (answer, receiver) = oneshot::channel();
        (Self { answer, limit: protocol.answer_bytes_max() }, receiver)
    }

    /// Sends the answer. Success means that it was taken, not that it arrived: the requester may
    /// have gone or have lost patience.
    ///
    /// # Errors
    /// [`ReplyError`] if the answer is over the protocol's limit or the network was shut down.
    pub fn send(self, answer: Vec<u8>) -> Result<(), ReplyError> {
        let size = answer.len();
        if size > self.limit {
            return Err(ReplyError::TooLarge { size, limit: self.limit });
        }
        self.answer.send(answer).map_err(|_| ReplyError::Stopped)
    }
}

impl fmt::Debug for ReplyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyHandle").finish_non_exhaustive()
    }
}

/// What was lost or refused since the start; all are counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetStats {
    /// Gossip messages dropped because the receiver of events was slow.
    pub gossip_dropped_in: u64,
    /// Gossip messages dropped because a peer's connection was slow, once per peer.
    pub gossip_dropped_out: u64,
    /// Gossip messages published while no peer was there to take them.
    pub gossip_unheard: u64,
    /// Requests and consensus messages refused because the receiver of events was slow.
    pub refused_in: u64,
    /// Consensus messages that were dropped or not confirmed, once per peer.
    pub consensus_lost_out: u64,
    /// Connections refused because the peer is not configured.
    pub strangers_refused: u64,
    /// Incoming connections whose handshake failed, among them those from other networks by TCP.
    pub handshakes_failed: u64,
    /// Connections closed because the peer, though configured, is not on our network.
    pub foreign_refused: u64,
}

/// The counters behind [`NetStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) gossip_dropped_in: AtomicU64,
    pub(super) gossip_dropped_out: AtomicU64,
    pub(super) gossip_unheard: AtomicU64,
    pub(super) refused_in: AtomicU64,
    pub(super) consensus_lost_out: AtomicU64,
    pub(super) strangers_refused: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) foreign_refused: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> NetStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NetStats {
            gossip_dropped_in: read(&self.gossip_dropped_in),
            gossip_dropped_out: read(&self.gossip_dropped_out),
            gossip_unheard: read(&self.gossip_unheard),
            refused_in: read(&self.refused_in),
            consensus_lost_out: read(&self.consensus_lost_out),
            strangers_refused: read(&self.strangers_refused),
            handshakes_failed: read(&self.handshakes_failed),
            foreign_refused: read(&self.foreign_refused),
        }
    }
}

/// Adds to a counter, which wraps after 2⁶⁴.
pub(super) fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}
