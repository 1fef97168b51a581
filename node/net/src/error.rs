//! What can go wrong, one enum per operation; each variant says whose fault it is.

use std::io;

use libp2p::Multiaddr;

/// Why the network could not start, or could not take a new list of peers.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Our fault: the secret seed of this node's identity is unusable.
    #[error("the network key is not a usable Ed25519 seed")]
    NetworkKey(#[source] libp2p::identity::DecodingError),
    /// The caller's fault: a configured public key is not a point of the curve.
    #[error("{} is not an Ed25519 public key", hex::encode(key))]
    PublicKey {
        /// The 32 bytes that were given.
        key: [u8; 32],
        /// What the key parser said.
        #[source]
        source: libp2p::identity::DecodingError,
    },
    /// The caller's fault: a main address is neither `/ip4|ip6/…/tcp/…` nor
    /// `/ip4|ip6/…/udp/…/quic-v1`, or a path listener is neither of these nor `/ip4|ip6/…/tcp/…/ws` nor
    /// a circuit `…/p2p/<relay>/p2p-circuit`.
    #[error("{0} is not an address by number that can be used here (expected e.g. /ip4/10.0.0.1/tcp/4001)")]
    UnsupportedAddress(Multiaddr),
    /// The machine's or the caller's fault: the address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: Multiaddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Our fault: the transports or behaviours could not be put together.
    #[error("cannot build the network: {0}")]
    Build(String),
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Stopped,
}

/// Why the paths to a peer could not be replaced. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The caller's fault: more paths than are kept to one peer.
    #[error("{count} paths are over the limit of {limit}")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many are kept.
        limit: usize,
    },
    /// The caller's fault: a name is empty, too long, `main`, or given twice.
    #[error("{0:?} cannot be a path's name: it must be unique, of 1 to 64 bytes, and not \"main\"")]
    Name(String),
    /// The caller's fault: the address is of none of the forms that a path may have.
    #[error("{0} cannot be a path's address (expected TCP, QUIC or WebSocket by number, or a circuit)")]
    UnsupportedAddress(Multiaddr),
    /// The caller's fault: the peer is not in the list of peers.
    #[error("the peer is not configured")]
    UnknownPeer,
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Stopped,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The caller's fault: the request is longer than its protocol allows.
    #[error("the request of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Length of the request in bytes.
        size: usize,
        /// The protocol's limit in bytes.
        limit: usize,
    },
    /// Nobody's fault: the peer is unknown or not connected now. Nothing was sent.
    #[error("the peer is not connected")]
    NotConnected,
    /// The caller's fault: too many requests wait for this peer already. Nothing was sent.
    #[error("too many requests wait for this peer")]
    Busy,
    /// The peer's fault: no answer in time. It may have acted on the request.
    #[error("the peer did not answer in time")]
    Timeout,
    /// The connection was lost. The peer may have acted on the request.
    #[error("the connection was lost before the answer came")]
    ConnectionClosed,
    /// The peer's decision: it closed the stream without an answer, because it refused the request,
    /// was overloaded, or had an answer over the limit.
    #[error("the peer gave no answer")]
    NoAnswer,
    /// The peer's fault: its answer announced more bytes than the protocol allows.
    #[error("the peer's answer is over the limit of {limit} bytes")]
    AnswerTooLarge {
        /// The protocol's limit in bytes.
        limit: usize,
    },
    /// The peer's fault: it does not speak this protocol of this network.
    #[error("the peer does not speak this protocol")]
    Unsupported,
    /// The stream failed.
    #[error("the stream to the peer failed")]
    Io(#[source] io::Error),
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Stopped,
}

/// Why a message was not taken for sending. Success never means that it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The caller's fault: the message is longer than allowed.
    #[error("the message of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Length of the message in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The caller sends faster than the task takes; the message was dropped.
    #[error("too many messages wait to be sent")]
    Full,
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Stopped,
}

/// Why an answer was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The caller's fault: the answer is longer than its protocol allows. The requester sees
    /// [`RequestError::NoAnswer`].
    #[error("the answer of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Length of the answer in bytes.
        size: usize,
        /// The protocol's limit in bytes.
        limit: usize,
    },
    /// The network has been shut down.
    #[error("the network has been shut down")]
    Stopped,
}
