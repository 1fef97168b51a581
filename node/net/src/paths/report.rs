//! Paths as the caller names and sees them.

use std::time::{Duration, SystemTime};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol as Part};

/// Most paths kept to one peer besides the main connection.
pub(crate) const PATHS_MAX: usize = 8;

/// One more way to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathAddress {
    /// What reports call it: 1 to 64 bytes, and not `main`.
    pub name: String,
    /// One of the peer's path listeners: `/ip…/tcp/…`, `/ip…/tcp/…/ws`, `/ip…/udp/…/quic-v1`, or any
    /// of these of a relay followed by `/p2p/<relay>/p2p-circuit`; with or without the peer's `/p2p/…`.
    pub address: Multiaddr,
}

/// By what a path goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP with noise and yamux.
    Tcp,
    /// QUIC.
    Quic,
    /// WebSocket over TCP, with noise and yamux inside.
    WebSocket,
    /// A circuit through another member.
    Relay,
}

impl Transport {
    pub(super) fn of(address: &Multiaddr) -> Self {
        let has = |wanted: fn(&Part<'_>) -> bool| address.iter().any(|part| wanted(&part));
        if has(|part| matches!(part, Part::P2pCircuit)) {
            Self::Relay
        } else if has(|part| matches!(part, Part::QuicV1)) {
            Self::Quic
        } else if has(|part| matches!(part, Part::Ws(_))) {
            Self::WebSocket
        } else {
            Self::Tcp
        }
    }

    /// Its name as people and JSON know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::WebSocket => "websocket",
            Self::Relay => "relay",
        }
    }
}

/// How a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathState {
    /// Being dialled, or connected but not greeted yet.
    Connecting,
    /// Connected, and answers.
    Up,
    /// Connected, but has not confirmed in time what was sent.
    Suspect,
    /// Not connected; dialled again after a while.
    Down,
}

impl PathState {
    /// Its name as people and JSON know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReport {
    /// To whom.
    pub peer: PeerId,
    /// `main`, the name given by [`super::NetHandle::set_paths`], or, if the peer dialled it,
    /// `from peer: ` and the name that the peer gave it.
    pub name: String,
    /// Where the other end is.
    pub address: Multiaddr,
    /// By what it goes.
    pub transport: Transport,
    /// How it is.
    pub state: PathState,
    /// Round trip, smoothed as in RFC 6298; none before it was measured.
    pub rtt_smoothed: Option<Duration>,
    /// The least round trip of the last minute or two.
    pub rtt_min: Option<Duration>,
    /// How much round trips vary, as in RFC 6298.
    pub rtt_variance: Option<Duration>,
    /// Estimate of what it carries to the peer.
    pub throughput_bytes_per_s: Option<u64>,
    /// Predicted time for a typical chain to arrive and be confirmed: the least is the best.
    pub score: Option<Duration>,
    /// Whether requests go by it now.
    pub best: bool,
    /// Requests sent by it, those sent again included.
    pub sent: u64,
    /// How often it fell silent or was lost.
    pub failed: u64,
    /// Requests first sent by it that had to be sent again by another.
    pub resent: u64,
    /// How often the choice went from another path to it.
    pub switches: u64,
    /// Since when it is in this state.
    pub since: SystemTime,
}
