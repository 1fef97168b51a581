//! From settings to what the network layer is told: who the members are, where to listen, what to announce; and
//! what it measures, told in the API's words.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use stemma_chain_format::announcement::AnnouncedPath;
use stemma_chain_format::member::MemberId;
use stemma_net::{Multiaddr, NetConfig, NetHandle, PathReport, PeerConfig, PeerId};
use stemma_node_api::config::PathConfig;
use stemma_node_api::types::PathView;

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

/// Tells the paths to other members, as they are measured now.
pub fn paths(net: NetHandle, members: BTreeMap<PeerId, MemberId>) -> Box<dyn Fn() -> Vec<PathView> + Send + Sync> {
    Box::new(move || shown(&net, &members))
}

/// By member and name.
fn shown(net: &NetHandle, members: &BTreeMap<PeerId, MemberId>) -> Vec<PathView> {
    let member = |report: &PathReport| members.get(&report.peer).map(ToString::to_string);
    let mut paths: Vec<PathView> =
        net.paths().iter().filter_map(|report| Some(view(member(report)?, report))).collect();
    paths.sort_by(|a, b| (&a.member, &a.name).cmp(&(&b.member, &b.name)));
    paths
}

fn view(member: String, report: &PathReport) -> PathView {
    let us = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    let since = report.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    PathView {
        member,
        name: report.name.clone(),
        address: report.address.to_string(),
        transport: report.transport.name().to_owned(),
        state: report.state.name().to_owned(),
        best: report.best,
        rtt_us: us(report.rtt_smoothed),
        rtt_min_us: us(report.rtt_min),
        rtt_variance_us: us(report.rtt_variance),
        throughput: report.throughput_bytes_per_s,
        score_us: us(report.score),
        sent: report.sent,
        failed: report.failed,
        resent: report.resent,
        switches: report.switches,
        since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
    }
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
