//! The behaviours put together, and the swarm that runs them.

use std::{num::NonZeroU8, time::Duration};

use libp2p::{
    PeerId, Swarm, SwarmBuilder, Transport,
    allow_block_list::{self, AllowedPeers},
    connection_limits::{self, ConnectionLimits},
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identity::Keypair,
    noise, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, yamux,
};
use tokio::sync::watch;

use super::{
    config::NetConfig,
    error::NetError,
    exchange::{self, Exchange, Lane},
    gossip::{self, Gossip},
    paths::{PATHS_MAX, PathReport, Paths, Role, Roles, Scoped},
};

/// Connections with one peer besides the main ones: the paths that either side keeps, a carrier of
/// circuits each way, and as many again that are lost without our knowing.
const PATH_CONNECTIONS_MAX: u32 = 4 * (PATHS_MAX as u32 + 1);

/// Circuits and reservations of one member at a relay.
const CIRCUITS_PER_PEER_MAX: usize = 64;

/// A circuit lasts as long as the connection in it: half the most that the protocol can say.
const CIRCUIT_MAX: Duration = Duration::from_secs(1 << 31);

/// Connections without traffic stay: they are closed by failed pings, never for being idle.
const IDLE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// All behaviours. Those that refuse connections come first: they are asked before the others see
/// the connection. Paths come last: they forget what a connection was for.
#[derive(NetworkBehaviour)]
pub(super) struct Wire {
    allowed: allow_block_list::Behaviour<AllowedPeers>,
    limits: connection_limits::Behaviour,
    ping: ping::Behaviour,
    gossip: Scoped<Gossip>,
    sync: Scoped<Exchange>,
    fetch: Scoped<Exchange>,
    consensus: Scoped<Exchange>,
    circuits: Scoped<relay::client::Behaviour>,
    relay: Scoped<Toggle<relay::Behaviour>>,
    paths: Paths,
}

impl Wire {
    fn new(
        config: &NetConfig,
        local: PeerId,
        peers: &[PeerId],
        circuits: relay::client::Behaviour,
        reports: watch::Sender<Vec<PathReport>>,
    ) -> Result<Self, NetError> {
        let roles = Roles::default();
        let lane = |lane: Lane, tag: &str| {
            exchange::build(lane, tag, &config.timeouts).map(|exchange| Scoped::new(exchange, &roles, &[Role::Main]))
        };
        let relay = config.relay.then(|| relay::Behaviour::new(local, relay_config()));
        let tag = config.network_tag();
        let timeouts = &config.timeouts;
        let ping = ping::Config::new().with_interval(timeouts.ping_interval).with_timeout(timeouts.ping_timeout);
        let mut allowed = allow_block_list::Behaviour::default();
        for peer in peers {
            allowed.allow_peer(*peer);
        }
        Ok(Self {
            allowed,
            limits: connection_limits::Behaviour::new(connection_limits(config, peers.len())),
            ping: ping::Behaviour::new(ping),
            gossip: Scoped::new(gossip::build(&tag, &config.limits)?, &roles, &[Role::Main]),
            sync: lane(Lane::Sync, &tag)?,
            fetch: lane(Lane::Fetch, &tag)?,
            consensus: lane(Lane::Consensus, &tag)?,
            circuits: Scoped::new(circuits, &roles, &[Role::Carrier]),
            relay: Scoped::new(relay.into(), &roles, &[Role::Path]),
            paths: Paths::new(config, &roles, peers, reports)?,
        })
    }

    pub(super) fn gossip_mut(&mut self) -> &mut Gossip {
        self.gossip.inner_mut()
    }

    pub(super) fn lane_mut(&mut self, lane: Lane) -> &mut Exchange {
        match lane {
            Lane::Sync => self.sync.inner_mut(),
            Lane::Fetch => self.fetch.inner_mut(),
            Lane::Consensus => self.consensus.inner_mut(),
        }
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    pub(super) fn paths_mut(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// Lets a peer in from now on; the limits grow with the number of peers.
    pub(super) fn allow(&mut self, peer: PeerId, config: &NetConfig) {
        self.allowed.allow_peer(peer);
        self.paths.allow(peer);
        self.follow_limits(config);
    }

    /// Keeps a peer out from now on and closes its connections.
    pub(super) fn disallow(&mut self, peer: PeerId, config: &NetConfig) {
        self.allowed.disallow_peer(peer);
        self.paths.disallow(peer);
        self.follow_limits(config);
    }

    fn follow_limits(&mut self, config: &NetConfig) {
        let peers = self.allowed.allowed_peers().len();
        *self.limits.limits_mut() = connection_limits(config, peers);
    }
}

fn connection_limits(config: &NetConfig, peers: usize) -> ConnectionLimits {
    let per_peer = config.limits.connections_per_peer_max.saturating_add(PATH_CONNECTIONS_MAX);
    let total = per_peer.saturating_mul(u32::try_from(peers).unwrap_or(u32::MAX));
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(config.limits.handshakes_max))
        .with_max_established_per_peer(Some(per_peer))
        .with_max_established(Some(total))
}

/// Without the default limits of two minutes and 128 KiB a circuit, and without limits of rate: only
/// members are served.
fn relay_config() -> relay::Config {
    relay::Config {
        max_reservations: CIRCUITS_PER_PEER_MAX.saturating_mul(16),
        max_reservations_per_peer: CIRCUITS_PER_PEER_MAX,
        reservation_rate_limiters: Vec::new(),
        max_circuits: CIRCUITS_PER_PEER_MAX.saturating_mul(16),
        max_circuits_per_peer: CIRCUITS_PER_PEER_MAX,
        max_circuit_duration: CIRCUIT_MAX,
        // Unlimited.
        max_circuit_bytes: 0,
        circuit_src_rate_limiters: Vec::new(),
        ..relay::Config::default()
    }
}

/// Builds the swarm, which neither listens nor dials yet. Needs a tokio runtime.
pub(super) fn build(
    config: &NetConfig,
    key: Keypair,
    peers: &[PeerId],
    reports: watch::Sender<Vec<PathReport>>,
) -> Result<Swarm<Wire>, NetError> {
    let local = key.public().to_peer_id();
    let prologue = config.network_id;
    // Nodes of another network fail the handshake already.
    let secure = move |key: &Keypair| noise::Config::new(key).map(|noise| noise.with_prologue(prologue.to_vec()));
    let handshake = config.timeouts.handshake;
    let failed = |error: &dyn std::fmt::Display| NetError::Build(error.to_string());
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), secure, yamux::Config::default)
        .map_err(|error| failed(&error))?
        // libp2p's QUIC names its rustls provider (aws-lc-rs) itself: none has to be installed.
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = handshake;
            quic.keep_alive_interval = Duration::from_secs(2);
            quic.max_idle_timeout = 8_000;
            // Less than the default of 10 and 15 MB: what is under way delays what is urgent.
            quic.max_stream_data = 2 << 20;
            quic.max_connection_data = 8 << 20;
            quic
        })
        .with_other_transport(|key| {
            // Not libp2p's own phase for it, which wants DNS.
            let websocket = libp2p_websocket::Config::new(tcp::tokio::Transport::new(tcp::Config::default()));
            let secured = websocket.upgrade(Version::V1Lazy).authenticate(secure(key)?);
            let muxed = secured.multiplex(yamux::Config::default());
            Ok(muxed.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        })
        .map_err(|error| failed(&error))?
        .with_relay_client(secure, yamux::Config::default)
        .map_err(|error| failed(&error))?
        .with_behaviour(|_, circuits| Ok(Wire::new(config, local, peers, circuits, reports)?))
        .map_err(|error| failed(&error))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(IDLE_MAX)
                // One address after the other: their order is the operator's preference.
                .with_dial_concurrency_factor(NonZeroU8::MIN)
        })
        .with_connection_timeout(handshake)
        .build();
    Ok(swarm)
}
