//! From settings to what the network layer is told: who the members are, where to listen, what to announce.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use stemma_chain_format::announcement::AnnouncedPath;
use stemma_chain_format::member::MemberId;
use stemma_net::{Multiaddr, NetConfig, PeerConfig, PeerId};
use stemma_node_api::config::PathConfig;

use crate::config::Settings;

/// The other members by their network identities.
///
/// # Errors
/// A network key that is none; the genesis admits no such.
pub fn members(settings: &Settings) -> anyhow::Result<BTreeMap<PeerId, MemberId>> {
    let others = settings.registry.members().filter(|member| member.id != settings.member.id);
    others.map(|member| Ok((stemma_net::peer_id(&member.network_key.0)?, member.id.clone()))).collect()
}

/// What the network layer is told.
///
/// # Errors
/// An address that is none, or a name that is no member's.
pub fn net_config(settings: &Settings) -> anyhow::Result<NetConfig> {
    let config = &settings.config.network;
    let parsed = |addresses: &[String], field: &str| -> anyhow::Result<Vec<Multiaddr>> {
        addresses.iter().map(|text| address(field, text)).collect()
    };
    let mut peers = Vec::new();
    for member in settings.registry.members().filter(|member| member.id != settings.member.id) {
        let known = config.peers.iter().find(|peer| peer.member == member.id.as_str());
        let addresses = known.map(|peer| parsed(&peer.addresses, "network.peers")).transpose()?.unwrap_or_default();
        peers.push(PeerConfig { public_key: member.network_key.0, addresses });
    }
    if let Some(stranger) = config.peers.iter().find(|peer| settings.registry.member_by_text(&peer.member).is_none()) {
        anyhow::bail!("network.peers: {} is no member of the network", stranger.member);
    }
    let listen = parsed(&config.listen, "network.listen")?;
    let listens = |path: &PathConfig| path_address(settings, path, &path.listen);
    let path_listen = config.paths.iter().map(listens).collect::<anyhow::Result<_>>()?;
    let mut base = NetConfig::new(settings.network_seed.clone(), settings.genesis.network().0);
    base.timeouts.path = Duration::from_millis(config.path_timeout_ms);
    Ok(NetConfig { listen, path_listen, relay: config.relay, peers, ..base })
}

/// The further addresses that this member announces.
///
/// # Errors
/// As [`net_config`].
pub fn announced(settings: &Settings) -> anyhow::Result<Vec<AnnouncedPath>> {
    let announce = |path: &PathConfig| {
        let address = path_address(settings, path, path.announce.as_ref().unwrap_or(&path.listen))?;
        Ok(AnnouncedPath { name: path.name.clone(), address: address.to_string() })
    };
    settings.config.network.paths.iter().map(announce).collect()
}

/// A path's own address, or the circuit through the member that relays.
fn path_address(settings: &Settings, path: &PathConfig, text: &str) -> anyhow::Result<Multiaddr> {
    let field = format!("network.paths.{}", path.name);
    let bare = address(&field, text)?;
    let Some(relay) = &path.relay else { return Ok(bare) };
    let member = settings.registry.member_by_text(relay);
    let member = member.with_context(|| format!("{field}: the relay {relay} is no member of the network"))?;
    let peer = stemma_net::peer_id(&member.network_key.0)?;
    address(&field, &format!("{bare}/p2p/{peer}/p2p-circuit"))
}

fn address(field: &str, text: &str) -> anyhow::Result<Multiaddr> {
    text.parse().with_context(|| format!("{field}: {text:?} is no multiaddress"))
}
