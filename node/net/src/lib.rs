//! The network between members: libp2p over TCP (noise, yamux) and QUIC, for a small consortium
//! in which every member is connected to every other.
//!
//! One task owns the swarm; a [`NetHandle`] commands it and a receiver of [`NetEvent`] reports
//! what arrives. The properties that the rest of the node relies on:
//!
//! * **Only members connect.** A peer whose key is not configured is refused after the handshake
//!   and before any protocol runs. Over TCP the network's id is part of the handshake; over both
//!   transports it is part of every protocol name and topic, and a peer counts as connected only
//!   once it has shown that it speaks them.
//! * **Urgent is separate from bulk.** Consensus messages have a protocol of their own, go straight
//!   to each peer, and overtake everything else on their way to the receiver of events.
//! * **Everything is bounded.** Frames are measured before memory is taken for them; what one peer
//!   may have in flight, and what waits here for a slow receiver, has a limit.
//! * **The task never waits for the receiver of events.** A slow receiver therefore never blocks a
//!   call on the handle. What waits for it is bounded so: requests and consensus messages are held,
//!   unanswered, and so slow their sender down; past [`NetLimits::inbox_bytes_per_peer_max`] those
//!   of that peer are refused. Gossip is held up to [`NetLimits::gossip_inbox_bytes_max`], after
//!   which new messages are dropped and counted; they are found again by fetching or by sync.
//!
//! Deliberately absent: discovery of strangers, relays, DNS, and any knowledge of what the bytes
//! mean. Delivery is not guaranteed: gossip and consensus messages can be lost when a connection
//! is, and the protocols above must ask or say again.

mod arrival;
mod behaviour;
mod config;
mod error;
mod event;
mod exchange;
mod gossip;
mod handle;
mod inbox;
mod outbox;
mod paths;
mod redial;
mod swarm;

pub use config::{NetConfig, NetLimits, NetTimeouts, PeerConfig, peer_id};
pub use error::{NetError, PathError, ReplyError, RequestError, SendError};
pub use event::{NetEvent, NetStats, ReplyHandle};
pub use exchange::Protocol;
pub use gossip::Topic;
pub use handle::{NetHandle, Recipient, start};
pub use libp2p::{Multiaddr, PeerId};
pub use paths::{PathAddress, PathReport, PathState, Transport};
