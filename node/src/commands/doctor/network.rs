//! Looks beyond the home: the running node, ports, peers, clocks, versions.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use stemma_chain_format::registry::Registry;
use stemma_net::Multiaddr;
use stemma_node_api::Client;
use stemma_node_api::config::NodeConfig;
use stemma_node_api::types::Status;

use super::home::silenced;
use super::{Finding, Patient};
use crate::clock::now_ms;
use crate::commands::CommandError;
use crate::error::chain;

/// How long a peer may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A clock this far off needs a look: blocks carry times that others check against theirs.
const OFFSET_MS_HIGH: u64 = 1_000;
/// A clock this far off makes others refuse what this node proposes.
const OFFSET_MS_MAX: u64 = 10_000;

/// The members as the running node has them.
pub(super) fn registry(config: &NodeConfig) -> Option<Registry> {
    let client = Client::new(format!("http://{}", config.http.listen)).ok()?;
    let view = crate::commands::wait(async { client.registry().await.map_err(|e| CommandError::of(&e)) });
    view.ok()?.registry().ok()
}

/// The running node's state.
pub(super) fn status(config: &NodeConfig, findings: &mut Vec<Finding>) -> Option<Status> {
    let asked = Client::new(format!("http://{}", config.http.listen)).map_err(|e| CommandError::of(&e));
    let asked = asked
        .and_then(|client| crate::commands::wait(async { client.status().await.map_err(|e| CommandError::of(&e)) }));
    match asked {
        Ok(status) if status.not_ready.is_empty() => {
            findings.push(Finding::ok("node", format!("it runs, is ready and at height {}", status.height)));
            Some(status)
        }
        Ok(status) => {
            let found = format!("it runs and is not ready: {}", status.not_ready.join("; "));
            findings.push(Finding::failed("node", found, "wait while it catches up; see peers below"));
            Some(status)
        }
        Err(e) => {
            findings.push(Finding::failed("node", e.line(), "a process has the home and does not answer: see its log"));
            None
        }
    }
}

/// Whether the node will be able to listen.
pub(super) fn ports(patient: &Patient, findings: &mut Vec<Finding>) {
    if patient.lock.is_none() {
        findings.push(Finding::skipped("ports", "the running node has them"));
        return;
    }
    let config = &patient.config;
    let taken = |what: String, e: &std::io::Error| {
        Finding::failed(
            "ports",
            format!("{what}: {e}"),
            "stop what has the port (`ss -ltnup` shows it), or choose another one",
        )
    };
    let before = findings.len();
    if let Err(e) = TcpListener::bind(config.http.listen) {
        findings.push(taken(format!("http.listen {}", config.http.listen), &e));
    }
    for text in &config.network.listen {
        match place_of(text) {
            Some((address, true)) => {
                if let Err(e) = TcpListener::bind(address) {
                    findings.push(taken(format!("network.listen {text}"), &e));
                }
            }
            Some((address, false)) => {
                if let Err(e) = UdpSocket::bind(address) {
                    findings.push(taken(format!("network.listen {text}"), &e));
                }
            }
            None => {
                let help = "write it like /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1";
                findings.push(Finding::failed("ports", format!("network.listen: {text:?} is no such address"), help));
            }
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok("ports", "all that the node listens on are free"));
    }
}

/// The socket address in a multiaddress, and whether it is TCP's.
fn place_of(text: &str) -> Option<(SocketAddr, bool)> {
    // Only what the node itself would take.
    let _is_one: Multiaddr = text.parse().ok()?;
    let mut parts = text.split('/').skip(1);
    let (kind, host) = (parts.next()?, parts.next()?);
    let (transport, port) = (parts.next()?, parts.next()?);
    let host: IpAddr = ["ip4", "ip6"].contains(&kind).then(|| host.parse().ok())??;
    let is_tcp = match transport {
        "tcp" => true,
        "udp" => false,
        _ => return None,
    };
    Some((SocketAddr::new(host, port.parse().ok()?), is_tcp))
}

/// Whether each other member is reached: by the running node, else by a TCP connection from here.
pub(super) async fn peers(patient: &Patient, findings: &mut Vec<Finding>) {
    let known = &patient.config.network.peers;
    if known.is_empty() {
        let help = "say where they are under [[network.peers]], unless all of them connect to this node";
        findings.push(Finding::warning("peers", "no member's address is configured", help));
    }
    for peer in known {
        let name = &peer.member;
        if patient.status.as_ref().is_some_and(|status| status.peers.contains(name)) {
            findings.push(Finding::ok("peers", format!("{name}: the node is connected to it")));
            continue;
        }
        let mut tried = Vec::new();
        let mut reached = None;
        for text in &peer.addresses {
            // Whether a UDP port is open cannot be told from here.
            let Some((address, true)) = place_of(text) else { continue };
            match tokio::time::timeout(CONNECT_LIMIT, tokio::net::TcpStream::connect(address)).await {
                Ok(Ok(_)) => reached = Some(text),
                Ok(Err(e)) => tried.push(format!("{text}: {e}")),
                Err(_) => tried.push(format!("{text}: no answer in {} s", CONNECT_LIMIT.as_secs())),
            }
        }
        findings.push(match reached {
            Some(text) if patient.runs => Finding::failed(
                "peers",
                format!("{name}: {text} accepts connections, but the node is not connected to it"),
                "its log says why: another genesis or network key than ours",
            ),
            Some(text) => Finding::ok("peers", format!("{name}: {text} accepts connections")),
            None if tried.is_empty() => {
                Finding::skipped("peers", format!("{name}: no TCP address is configured; UDP is not looked at"))
            }
            None => Finding::failed(
                "peers",
                format!("{name}: {}", tried.join("; ")),
                "check the address, the firewalls on the way, and whether that node runs",
            ),
        });
    }
}

/// How far this clock is from the others': by what the members' nodes said of theirs to the running node, by the time of
/// the last block, and by the `Date` of nodes that were named.
pub(super) async fn clock(patient: &Patient, compared: &[String], findings: &mut Vec<Finding>) {
    if let Some(status) = &patient.status {
        for (member, offset) in &status.clock_offsets_ms {
            let found =
                format!("{offset} ms ahead of {member}'s, by what it said with its height (a message's way included)");
            findings.push(judged(offset.unsigned_abs(), found));
        }
        let ahead = status.time_ms.saturating_sub(now_ms());
        if ahead > 0 {
            findings.push(judged(ahead, format!("{ahead} ms behind the time of the last block")));
        }
    }
    for url in compared {
        findings.push(match date_of(url).await {
            Ok(theirs_ms) => {
                let apart_ms = now_ms().abs_diff(theirs_ms);
                // The header has whole seconds.
                let least_ms = apart_ms.saturating_sub(OFFSET_MS_HIGH);
                judged(least_ms, format!("{apart_ms} ms from the Date that {url} gives in whole seconds"))
            }
            Err(e) => Finding::failed("clock", format!("{url}: {e}"), "name the address of a node's API"),
        });
    }
    let is_measured = findings.iter().any(|finding| finding.check == "clock");
    if !is_measured {
        let found = "not measured: it is compared with the members' while the node runs, or with --compare URL";
        findings.push(Finding::skipped("clock", found));
    }
}

fn judged(offset_ms: u64, found: String) -> Finding {
    let help = "set this machine's clock by NTP (`timedatectl set-ntp true`); if others are wrong, tell them";
    match offset_ms {
        0..OFFSET_MS_HIGH => Finding::ok("clock", found),
        OFFSET_MS_HIGH..OFFSET_MS_MAX => Finding::warning("clock", found, help),
        _ => Finding::failed("clock", found, help),
    }
}

/// What time it is at a node, in Unix milliseconds.
async fn date_of(url: &str) -> Result<u64, String> {
    let http = reqwest::Client::builder().timeout(CONNECT_LIMIT).no_proxy().build().map_err(|e| chain(&e))?;
    let answer = http.get(format!("{}/healthz", url.trim_end_matches('/'))).send().await.map_err(|e| chain(&e))?;
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).ok_or("it gives no Date")?;
    let moment = jiff::fmt::rfc2822::parse(date).map_err(|e| format!("its Date {date:?} is none: {e}"))?;
    Ok(u64::try_from(moment.timestamp().as_millisecond()).unwrap_or_default())
}

/// Whether the running node is of this program's version.
pub(super) fn versions(patient: &Patient, findings: &mut Vec<Finding>) {
    let own = env!("CARGO_PKG_VERSION");
    findings.push(match &patient.status {
        Some(status) if status.version != own => Finding::warning(
            "version",
            format!("the running node is {}, this program {own}", status.version),
            "restart the node, or use the program that it was started with",
        ),
        Some(_) => Finding::ok("version", format!("the running node and this program are {own}")),
        None => Finding::ok("version", format!("this program is {own}")),
    });
}

/// Whether the running node votes.
pub(super) fn vote(patient: &Patient, findings: &mut Vec<Finding>) {
    let Some(vote) = patient.status.as_ref().and_then(|status| status.vote.as_ref()) else { return };
    let reason = vote.reason.clone().unwrap_or_default();
    findings.push(match vote.state.as_str() {
        "voting" => Finding::ok("vote", "the node votes"),
        "silenced" => silenced(&reason),
        _ => Finding::warning("vote", format!("the node does not vote yet: {reason}"), "wait, and look again"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn addresses_and_clocks_are_judged() {
        assert_eq!(place_of("/ip4/127.0.0.1/tcp/4001"), Some(("127.0.0.1:4001".parse().unwrap(), true)));
        assert_eq!(place_of("/ip6/::1/udp/4001/quic-v1"), Some(("[::1]:4001".parse().unwrap(), false)));
        for bad in ["", "here", "/dns/host/tcp/1", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/x"] {
            assert_eq!(place_of(bad), None, "{bad}");
        }
        let verdict = |ms| judged(ms, String::new()).verdict;
        assert_eq!([verdict(999), verdict(1_000), verdict(10_000)], [Verdict::Ok, Verdict::Warning, Verdict::Failed]);
    }
}
