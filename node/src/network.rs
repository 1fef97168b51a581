//! From settings to what the network layer is told: who the members are, where to listen, what to announce; and
//! what it measures, told in the API's words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use stemma_chain_format::announcement::{AnnouncedPath, Announcement};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::limits::ANNOUNCED_PATHS_MAX;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::validate::verify_announcement;
use stemma_net::{Multiaddr, NetConfig, NetHandle, PathReport, PeerConfig, PeerId};
use stemma_node_api::config::PathConfig;
use stemma_node_api::types::PathView;

use tokio::sync::watch;

use crate::membership::Settings;
use crate::store::{Store, StoreError};

/// The other members by their network identities: those they have, and those they are going to have.
pub fn members(registry: &Registry, own: &MemberId) -> BTreeMap<PeerId, MemberId> {
    let others = registry.peers().into_iter().filter(|(member, _)| member != own);
    others.filter_map(|(member, key)| Some((peer_of(&key)?, member))).collect()
}

/// The network identity by which a member is reached now.
pub fn peer_ids(registry: &Registry, own: &MemberId) -> BTreeMap<MemberId, PeerId> {
    let mut ids = BTreeMap::new();
    for (member, key) in registry.peers().into_iter().filter(|(member, _)| member != own) {
        // The key in use comes before one that is to come.
        if let Some(peer) = peer_of(&key) {
            ids.entry(member).or_insert(peer);
        }
    }
    ids
}

fn peer_of(key: &PublicKey) -> Option<PeerId> {
    // The registry admits no key that is none.
    stemma_net::peer_id(&key.0).ok()
}

/// What members announced of their addresses in an earlier life of the node, as far as it still holds.
///
/// # Errors
/// The store cannot be read.
pub fn stored_announcements(
    store: &Store,
    registry: &Registry,
) -> Result<BTreeMap<MemberId, Announcement>, StoreError> {
    let mut announced = BTreeMap::new();
    for bytes in store.announcements()? {
        let read = Signed::<Announcement>::decode(bytes);
        let read = read.and_then(|signed| verify_announcement(&signed, registry).map(|()| signed));
        match read {
            Ok(signed) => drop(announced.insert(signed.record().member.clone(), signed.record().clone())),
            Err(violation) => tracing::debug!(%violation, "a stored announcement holds no more"),
        }
    }
    Ok(announced)
}

/// Whom the network layer lets in and dials: every peer of the registry, at the addresses that the configuration names and at those
/// that the member announced.
///
/// # Errors
/// An address that is none.
pub fn peers(
    settings: &Settings,
    registry: &Registry,
    announced: &BTreeMap<MemberId, Announcement>,
) -> anyhow::Result<Vec<PeerConfig>> {
    let mut peers = Vec::new();
    for (member, key) in registry.peers().into_iter().filter(|(member, _)| *member != settings.member.id) {
        let is_to_come = registry.registration(&member).is_some_and(|known| known.member.network_key != key);
        if is_to_come {
            // Let in, once it calls: until then the member answers by the key that it has.
            peers.push(PeerConfig { public_key: key.0, addresses: Vec::new() });
            continue;
        }
        let known = settings.config.network.peers.iter().find(|peer| peer.member == member.as_str());
        let mut addresses = Vec::new();
        for text in known.iter().flat_map(|peer| &peer.addresses) {
            addresses.push(address("network.peers", text)?);
        }
        let told = announced.get(&member).into_iter().flat_map(|announcement| &announcement.addresses);
        // What others announce may be anything: what cannot be dialled is left out.
        for address in told.filter_map(|text| text.parse().ok()).filter(stemma_net::is_dialable) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        peers.push(PeerConfig { public_key: key.0, addresses });
    }
    Ok(peers)
}

/// What the network layer is told.
///
/// # Errors
/// An address that is none, or a name that is no member's.
pub fn net_config(settings: &Settings, announced: &BTreeMap<MemberId, Announcement>) -> anyhow::Result<NetConfig> {
    let config = &settings.config.network;
    let registry = &settings.registry;
    let is_known = |name: &str| registry.peers().iter().any(|(member, _)| member.as_str() == name);
    for stranger in config.peers.iter().filter(|peer| !is_known(&peer.member)) {
        // It may have left, or be admitted by a block that is not here yet.
        tracing::warn!(member = %stranger.member, "network.peers names who is no member of the network as it is known here");
    }
    let listen = config.listen.iter().map(|text| address("network.listen", text)).collect::<anyhow::Result<_>>()?;
    let listens = |path: &PathConfig| path_address(settings, path, &path.listen);
    let path_listen = config.paths.iter().map(listens).collect::<anyhow::Result<_>>()?;
    let mut base = NetConfig::new(settings.network_seed.clone(), settings.genesis.network().0);
    base.timeouts.path = Duration::from_millis(config.path_timeout_ms);
    let peers = peers(settings, registry, announced)?;
    Ok(NetConfig { listen, path_listen, relay: config.relay, peers, ..base })
}

/// Where others connect, as this member announces it: as configured, or the addresses listened on that name one machine.
///
/// # Errors
/// An address that is none.
pub fn announced_addresses(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let config = &settings.config.network;
    let told = if config.announce.is_empty() { &config.listen } else { &config.announce };
    let addresses: Vec<Multiaddr> =
        told.iter().map(|text| address("network.announce", text)).collect::<anyhow::Result<_>>()?;
    let addresses = addresses.iter().filter(|address| names_one_machine(address));
    Ok(addresses.take(ANNOUNCED_PATHS_MAX).map(ToString::to_string).collect())
}

/// Neither every address of the machine, nor a port that the system chooses.
fn names_one_machine(address: &Multiaddr) -> bool {
    use stemma_net::MultiaddrPart as Part;
    address.iter().all(|part| match part {
        Part::Ip4(ip) => !ip.is_unspecified(),
        Part::Ip6(ip) => !ip.is_unspecified(),
        Part::Tcp(port) | Part::Udp(port) => port != 0,
        _ => true,
    })
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
pub fn paths(
    net: NetHandle,
    registry: watch::Receiver<Arc<Registry>>,
    own: MemberId,
) -> Box<dyn Fn() -> Vec<PathView> + Send + Sync> {
    Box::new(move || {
        let registry = Arc::clone(&registry.borrow());
        shown(&net, &members(&registry, &own))
    })
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
