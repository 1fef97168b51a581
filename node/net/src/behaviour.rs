//! The behaviours put together, and the swarm that runs them.

use std::{num::NonZeroU8, time::Duration};

use libp2p::{
    PeerId, Swarm, SwarmBuilder,
    allow_block_list::{self, AllowedPeers},
    connection_limits::{self, ConnectionLimits},
    identity::Keypair,
    noise, ping,
    swarm::NetworkBehaviour,
    tcp, yamux,
};

use super::{
    config::NetConfig,
    error::NetError,
    exchange::{self, Exchange, Lane},
    gossip::{self, Gossip},
};

/// Connections without traffic stay: they are closed by failed pings, never for being idle.
const IDLE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// All behaviours. Those that refuse connections come first: they are asked before the others see
/// the connection.
#[derive(NetworkBehaviour)]
pub(super) struct Wire {
    allowed: allow_block_list::Behaviour<AllowedPeers>,
    limits: connection_limits::Behaviour,
    ping: ping::Behaviour,
    gossip: Gossip,
    trade: Exchange,
    sync: Exchange,
    fetch: Exchange,
    consensus: Exchange,
}

impl Wire {
    fn new(config: &NetConfig, peers: &[PeerId]) -> Result<Self, NetError> {
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
            gossip: gossip::build(&tag, &config.limits)?,
            trade: exchange::build(Lane::Trade, &tag, timeouts)?,
            sync: exchange::build(Lane::Sync, &tag, timeouts)?,
            fetch: exchange::build(Lane::Fetch, &tag, timeouts)?,
            consensus: exchange::build(Lane::Consensus, &tag, timeouts)?,
        })
    }

    pub(super) fn gossip_mut(&mut self) -> &mut Gossip {
        &mut self.gossip
    }

    pub(super) fn lane_mut(&mut self, lane: Lane) -> &mut Exchange {
        match lane {
            Lane::Trade => &mut self.trade,
            Lane::Sync => &mut self.sync,
            Lane::Fetch => &mut self.fetch,
            Lane::Consensus => &mut self.consensus,
        }
    }

    /// Lets a peer in from now on; the limits grow with the number of peers.
    pub(super) fn allow(&mut self, peer: PeerId, config: &NetConfig) {
        self.allowed.allow_peer(peer);
        self.follow_limits(config);
    }

    /// Keeps a peer out from now on and closes its connections.
    pub(super) fn disallow(&mut self, peer: PeerId, config: &NetConfig) {
        self.allowed.disallow_peer(peer);
        self.follow_limits(config);
    }

    fn follow_limits(&mut self, config: &NetConfig) {
        let peers = self.allowed.allowed_peers().len();
        *self.limits.limits_mut() = connection_limits(config, peers);
    }
}

fn connection_limits(config: &NetConfig, peers: usize) -> ConnectionLimits {
    let per_peer = config.limits.connections_per_peer_max;
    let total = per_peer.saturating_mul(u32::try_from(peers).unwrap_or(u32::MAX));
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(config.limits.handshakes_max))
        .with_max_established_per_peer(Some(per_peer))
        .with_max_established(Some(total))
}

/// Builds the swarm, which neither listens nor dials yet. Needs a tokio runtime.
pub(super) fn build(config: &NetConfig, key: Keypair, peers: &[PeerId]) -> Result<Swarm<Wire>, NetError> {
    let behaviour = Wire::new(config, peers)?;
    let prologue = config.network_id;
    let handshake = config.timeouts.handshake;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            // Nodes of another network fail the handshake already.
            |key: &Keypair| noise::Config::new(key).map(|noise| noise.with_prologue(prologue.to_vec())),
            yamux::Config::default,
        )
        .map_err(|error| NetError::Build(error.to_string()))?
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
        .with_behaviour(|_| behaviour)
        .map_err(|error| NetError::Build(error.to_string()))?
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
