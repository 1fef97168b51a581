//! The network between members: libp2p over TCP (noise, yamux), QUIC, WebSocket and circuits
//! through other members, for a small consortium in which every member is connected to every other.
//!
//! One task owns the swarm; a [`NetHandle`] commands it and a receiver of [`NetEvent`] reports
//! what arrives. The properties that the rest of the node relies on:
//!
//! * **Only members connect.** A peer whose key is not configured is refused after the handshake
//!   and before any protocol runs. Except over QUIC the network's id is part of the handshake;
//!   everywhere it is part of every protocol name and topic, and a peer counts as connected only
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
//! * **A trade goes by the best path there is, and by another when that dies.** Besides its *main*
//!   connection a peer may have up to eight *paths* ([`NetHandle::set_paths`]): connections that carry
//!   [`Protocol::Trade`] and nothing else, so that a slow one never delays a vote. A request is kept
//!   until it is answered; when its path falls silent for [`NetTimeouts::path`] or is closed it is sent
//!   again, under the same id, by the next best. The peer's application sees it once all the same.
//!
//! # Paths
//!
//! The dialler decides what a connection is for, and the listener knows by the address:
//! [`NetConfig::path_listen`] is for paths, [`NetConfig::listen`] for main connections, and both sides
//! say which they take it for. A circuit is always a path, and so is what carries it: the relay's path
//! listener is dialled once more for that, so that circuits stay off the main connection.
//!
//! On every connection the dialler opens one stream under `/stemma/<tag>/trade/2`. On it each side
//! says hello (on the main connection with its announcement), requests, answers, and what measures:
//! round trips by pings and by the receipts of short requests, smoothed as in RFC 6298; throughput by
//! trains of filler that stay about a hundredth of what a path carries, and by long requests that had
//! it for themselves. Receipts come from the connection, not from the application, so a slow answer is
//! no sign of a dead path; a long frame is confirmed every 8 KiB, so neither is a slow transfer. What
//! was sent more than once, or queued behind our own bytes, or was under way in a silence, measures
//! nothing.
//!
//! The score of a path is the time in which a typical chain (4 KiB) should arrive: smoothed round trip,
//! four times its variance, and the transfer. A live best path is left only for one that was better by
//! a fifth in every comparison for two seconds; a dead one is left at once, and may return when it has
//! lived for a hold-down of a second, doubled with each death up to a minute and forgotten after a life
//! of ten hold-downs. Peers choose for themselves: an answer goes back by the path that its request
//! last came by.
//!
//! Deviations worth knowing: a path that carries less than some 16 KiB/s looks silent while it
//! transfers. While trades are under way on a path, its throughput is known from them alone. An
//! announcement that nobody has taken yet gives way to a newer one of the same peer. When the last
//! connection with a peer is lost, requests under way end with an error as they do for other
//! protocols: who asked asks again. A path dialled at a main listener, or the reverse, is closed, with
//! a line in the log of both.
//!
//! Deliberately absent: discovery of strangers, public relays, hole punching, DNS, and any knowledge
//! of what the bytes mean. Delivery is not guaranteed: gossip and consensus messages can be lost when
//! a connection is, and the protocols above must ask or say again.

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

pub use config::{NetConfig, NetLimits, NetTimeouts, PeerConfig, is_dialable, peer_id};
pub use error::{NetError, PathError, ReplyError, RequestError, SendError};
pub use event::{NetEvent, NetStats, ReplyHandle};
pub use exchange::Protocol;
pub use gossip::Topic;
pub use handle::{NetHandle, Recipient, start};
pub use libp2p::multiaddr::Protocol as MultiaddrPart;
pub use libp2p::{Multiaddr, PeerId};
pub use paths::{PathAddress, PathReport, PathState, Transport};
