//! What a node must be told to join its network, and every limit with its default.

use std::{collections::BTreeSet, fmt, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    identity::{Keypair, PublicKey, ed25519},
    multiaddr::Protocol as Part,
};
use zeroize::Zeroizing;

use super::{
    error::{NetError, PathError},
    paths::{MAIN, NAME_BYTES_MAX, PATHS_MAX, PathAddress, relay_of},
};

/// A member that may connect.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Its Ed25519 network key: a connection that cannot prove this key is another peer's.
    pub public_key: [u8; 32],
    /// Where to dial it, in order of preference. Empty: it is waited for, never dialled.
    pub addresses: Vec<Multiaddr>,
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct NetTimeouts {
    /// From the call until the answer to a [`super::Protocol::Trade`] request. Default 10 s.
    pub trade: Duration,
    /// From the call until the answer to a [`super::Protocol::Sync`] request. Default 30 s.
    pub sync: Duration,
    /// From the call until the answer to a [`super::Protocol::Fetch`] request. Default 10 s.
    pub fetch: Duration,
    /// For one consensus message to reach the receiver of the peer's events. Default 5 s.
    pub consensus: Duration,
    /// For a connection to be set up, per address dialled or socket accepted. Default 5 s.
    pub handshake: Duration,
    /// For a connected peer to show that it belongs to our network. Default 10 s.
    pub ready: Duration,
    /// Shortest wait before a lost peer is dialled again. Default 200 ms.
    pub redial_min: Duration,
    /// Longest wait before a lost peer is dialled again. Default 5 s.
    pub redial_max: Duration,
    /// How long a connection must last for the wait to start over from the shortest. Default 10 s.
    pub stable: Duration,
    /// Time between pings on each connection. Default 5 s.
    pub ping_interval: Duration,
    /// Silence after a ping that ends the connection. Default 10 s.
    pub ping_timeout: Duration,
    /// Longest silence after something sent by a path that must be confirmed; then the path is
    /// suspect, and what is not answered is sent again by another. A path that is usually quick is
    /// suspect sooner, after half of this at the least. Default 1 s.
    pub path: Duration,
    /// Time between measurements of each path's round trip. Default 1 s.
    pub path_probe: Duration,
    /// Shortest time between measurements of each path's throughput. Default 10 s.
    pub path_bulk: Duration,
}

impl Default for NetTimeouts {
    fn default() -> Self {
        Self {
            trade: Duration::from_secs(10),
            sync: Duration::from_secs(30),
            fetch: Duration::from_secs(10),
            consensus: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            ready: Duration::from_secs(10),
            redial_min: Duration::from_millis(200),
            redial_max: Duration::from_secs(5),
            stable: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(10),
            path: Duration::from_secs(1),
            path_probe: Duration::from_secs(1),
            path_bulk: Duration::from_secs(10),
        }
    }
}

/// How much may be held or open at once.
#[derive(Debug, Clone)]
pub struct NetLimits {
    /// Main connections with one peer. More than one is normal: both sides may dial at once, and a
    /// restarted peer may be back before its old connection is known to be dead. Paths come on top.
    /// Default 4.
    pub connections_per_peer_max: u32,
    /// Sockets accepted whose handshake is not over; strangers count here only. Default 256.
    pub handshakes_max: u32,
    /// Events in the channel to their receiver. Kept short, so that urgent events, which overtake
    /// others before the channel, reach the receiver soon. Default 64.
    pub event_channel_max: usize,
    /// Bytes of requests and consensus messages of one peer that wait for a slow receiver of
    /// events; more are refused. Default 32 MiB.
    pub inbox_bytes_per_peer_max: usize,
    /// Bytes of gossip that wait for a slow receiver of events; more is dropped. Default 64 MiB.
    pub gossip_inbox_bytes_max: usize,
    /// Gossip messages that wait for one slow connection; more are dropped for that peer. Each is
    /// up to 1 MiB, so publish small ones (64 KiB). Default 2,048.
    pub gossip_outbox_messages_max: usize,
    /// Requests per peer and protocol that wait for a free stream; more are
    /// [`super::RequestError::Busy`]. Default 256.
    pub requests_waiting_max: usize,
    /// Bytes of consensus messages that wait for one slow peer; then the oldest are dropped.
    /// Default 32 MiB.
    pub consensus_outbox_bytes_max: usize,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            connections_per_peer_max: 4,
            handshakes_max: 256,
            event_channel_max: 64,
            inbox_bytes_per_peer_max: 32 << 20,
            gossip_inbox_bytes_max: 64 << 20,
            gossip_outbox_messages_max: 2048,
            requests_waiting_max: 256,
            consensus_outbox_bytes_max: 32 << 20,
        }
    }
}

/// All that [`super::start`] needs. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct NetConfig {
    /// Ed25519 secret seed of this node's network identity.
    pub network_key: Zeroizing<[u8; 32]>,
    /// The network's id. Nodes with different ids never exchange anything.
    pub network_id: [u8; 32],
    /// Addresses to listen on, TCP or QUIC; port 0 lets the system choose. May be empty.
    pub listen: Vec<Multiaddr>,
    /// Addresses to listen on for paths, none of which is in `listen`: TCP, QUIC, WebSocket
    /// (`/ip…/tcp/…/ws`), or a reservation at a member that relays,
    /// `<its path listener>/p2p/<its id>/p2p-circuit`, which is asked for again whenever it is lost.
    pub path_listen: Vec<Multiaddr>,
    /// Whether members may reach each other through this node (circuit relay v2), by its path
    /// listeners.
    pub relay: bool,
    /// Every member that may connect. An entry with our own key is ignored.
    pub peers: Vec<PeerConfig>,
    /// Times, with defaults.
    pub timeouts: NetTimeouts,
    /// Sizes and counts, with defaults.
    pub limits: NetLimits,
}

impl NetConfig {
    /// A configuration with the default times and limits, no address and no peer.
    pub fn new(network_key: Zeroizing<[u8; 32]>, network_id: [u8; 32]) -> Self {
        Self {
            network_key,
            network_id,
            listen: Vec::new(),
            path_listen: Vec::new(),
            relay: false,
            peers: Vec::new(),
            timeouts: NetTimeouts::default(),
            limits: NetLimits::default(),
        }
    }

    /// The identity made from the seed.
    pub(super) fn keypair(&self) -> Result<Keypair, NetError> {
        let mut seed = self.network_key.clone();
        Keypair::ed25519_from_bytes(&mut seed[..]).map_err(NetError::NetworkKey)
    }

    /// The part of protocol names and topics that tells this network from others: 16 hex digits.
    pub(super) fn network_tag(&self) -> String {
        hex::encode(self.network_id).chars().take(16).collect()
    }
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("network_key", &"(secret)")
            .field("network_id", &hex::encode(self.network_id))
            .field("listen", &self.listen)
            .field("path_listen", &self.path_listen)
            .field("relay", &self.relay)
            .field("peers", &self.peers)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .finish()
    }
}

/// The name under which libp2p knows the holder of an Ed25519 public key.
///
/// # Errors
/// [`NetError::PublicKey`] if the bytes are not a point of the curve.
pub fn peer_id(public_key: &[u8; 32]) -> Result<PeerId, NetError> {
    ed25519::PublicKey::try_from_bytes(public_key)
        .map(|key| PublicKey::from(key).to_peer_id())
        .map_err(|source| NetError::PublicKey { key: *public_key, source })
}

/// Peers by name, their addresses checked; entries for one key are merged.
pub(super) fn parse_peers(peers: &[PeerConfig]) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, NetError> {
    let mut parsed: Vec<(PeerId, Vec<Multiaddr>)> = Vec::with_capacity(peers.len());
    for peer in peers {
        let id = peer_id(&peer.public_key)?;
        for address in &peer.addresses {
            check_dialable(address, id)?;
        }
        match parsed.iter_mut().find(|(known, _)| *known == id) {
            Some((_, addresses)) => addresses.extend(peer.addresses.iter().cloned()),
            None => parsed.push((id, peer.addresses.clone())),
        }
    }
    Ok(parsed)
}

/// Whether an address can be dialled: `/ip…/tcp/…` or `/ip…/udp/…/quic-v1`.
pub fn is_dialable(address: &Multiaddr) -> bool {
    check_listenable(address).is_ok()
}

/// Accepts `/ip…/tcp/…` and `/ip…/udp/…/quic-v1`, with or without this peer's `/p2p/…`.
fn check_dialable(address: &Multiaddr, peer: PeerId) -> Result<(), NetError> {
    let mut bare = address.clone();
    if let Some(Part::P2p(named)) = address.iter().last() {
        if named != peer {
            return Err(NetError::UnsupportedAddress(address.clone()));
        }
        bare.pop();
    }
    check_listenable(&bare)
}

/// Accepts `/ip…/tcp/…` and `/ip…/udp/…/quic-v1`: names are not looked up.
pub(super) fn check_listenable(address: &Multiaddr) -> Result<(), NetError> {
    let mut parts = address.iter();
    let known = matches!(
        (parts.next(), parts.next(), parts.next(), parts.next()),
        (Some(Part::Ip4(_) | Part::Ip6(_)), Some(Part::Tcp(_)), None, None)
            | (Some(Part::Ip4(_) | Part::Ip6(_)), Some(Part::Udp(_)), Some(Part::QuicV1), None)
    );
    if known { Ok(()) } else { Err(NetError::UnsupportedAddress(address.clone())) }
}

/// Accepts what [`check_listenable`] does, WebSocket, and circuits through a relay at one of these.
pub(super) fn check_path_listenable(address: &Multiaddr) -> Result<(), NetError> {
    let refused = || NetError::UnsupportedAddress(address.clone());
    let mut bare = address.clone();
    if let Some((relay, at)) = relay_of(address) {
        let whole = at.clone().with(Part::P2p(relay)).with(Part::P2pCircuit);
        if whole != *address {
            return Err(refused());
        }
        bare = at;
    }
    if let Some(Part::Ws(path)) = bare.iter().last() {
        if path != "/" {
            return Err(refused());
        }
        bare.pop();
        if !bare.iter().any(|part| matches!(part, Part::Tcp(_))) {
            return Err(refused());
        }
    }
    check_listenable(&bare).map_err(|_| refused())
}

/// Checks paths to a peer as a whole, and takes the peer's own `/p2p/…` off their addresses.
pub(super) fn parse_paths(peer: PeerId, mut paths: Vec<PathAddress>) -> Result<Vec<PathAddress>, PathError> {
    if paths.len() > PATHS_MAX {
        return Err(PathError::TooMany { count: paths.len(), limit: PATHS_MAX });
    }
    let mut names = BTreeSet::new();
    for PathAddress { name, address } in &mut paths {
        let is_fit = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != MAIN;
        if !is_fit || !names.insert(name.clone()) {
            return Err(PathError::Name(name.clone()));
        }
        let whole = address.clone();
        if address.iter().last() == Some(Part::P2p(peer)) {
            address.pop();
        }
        let is_through_itself = relay_of(address).is_some_and(|(relay, _)| relay == peer);
        if is_through_itself || check_path_listenable(address).is_err() {
            return Err(PathError::UnsupportedAddress(whole));
        }
    }
    Ok(paths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_seed() {
        let config = NetConfig::new(Zeroizing::new([0xab; 32]), [1; 32]);
        let text = format!("{config:?}");
        assert!(text.contains("(secret)"));
        assert!(!text.contains("171") && !text.contains("abab"));
    }

    #[test]
    fn addresses_by_name_are_refused() {
        for good in ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/udp/1/quic-v1"] {
            check_listenable(&good.parse().unwrap()).unwrap();
        }
        for bad in ["/dns4/example.org/tcp/1", "/ip4/127.0.0.1/udp/1", "/ip4/1.1.1.1/tcp/1/ws"] {
            assert!(check_listenable(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_may_go_by_websocket_and_through_others() {
        let [peer, relay] = [1, 2].map(|seed| {
            let key = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
            key.public().to_peer_id()
        });
        let path = |address: String| vec![PathAddress { name: "a".into(), address: address.parse().unwrap() }];
        for good in ["/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/1/ws", "/ip6/::1/udp/1/quic-v1"] {
            for through in [String::new(), format!("/p2p/{relay}/p2p-circuit")] {
                for tail in [String::new(), format!("/p2p/{peer}")] {
                    let parsed = parse_paths(peer, path(format!("{good}{through}{tail}"))).unwrap();
                    assert_eq!(parsed, path(format!("{good}{through}")));
                }
            }
        }
        for bad in [
            "/dns4/example.org/tcp/1/ws".into(),
            "/ip4/1.1.1.1/udp/1/ws".into(),
            "/ip4/1.1.1.1/tcp/1/wss".into(),
            "/ip4/1.1.1.1/tcp/1/p2p-circuit".into(),
            format!("/ip4/1.1.1.1/tcp/1/p2p/{relay}"),
            format!("/ip4/1.1.1.1/tcp/1/p2p/{peer}/p2p-circuit"),
            format!("/ip4/1.1.1.1/tcp/1/p2p/{relay}/p2p-circuit/p2p/{relay}"),
        ] {
            let refused = parse_paths(peer, path(bad.clone()));
            assert!(matches!(refused, Err(PathError::UnsupportedAddress(_))), "{bad}");
        }
        let named = |name: &str| PathAddress { name: name.into(), address: "/ip4/1.1.1.1/tcp/1".parse().unwrap() };
        for bad in [vec![named("")], vec![named("main")], vec![named("a"), named("a")], vec![named(&"a".repeat(65))]] {
            assert!(matches!(parse_paths(peer, bad), Err(PathError::Name(_))));
        }
        let many = (0..9).map(|n| named(&n.to_string())).collect();
        assert!(matches!(parse_paths(peer, many), Err(PathError::TooMany { count: 9, limit: 8 })));
    }
}
