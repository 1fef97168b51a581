//! Metrics in Prometheus' text format (OpenMetrics 1.0). Nothing in them tells of customers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stemma_chain_format::member::Role;
use stemma_node_api::types::PathView;
use stemma_node_api::{ApiError, ErrorCode};

use super::{Failure, Shared};
use crate::node::Call;

/// The format's media type.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    member: String,
    path: String,
    transport: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
    member: String,
    role: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMember {
    member: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Institution {
    institution: String,
}

/// What is told of each path.
struct Measure {
    name: &'static str,
    help: &'static str,
    of: fn(&PathView) -> Option<u64>,
}

/// What a node does, for Prometheus: height, peers, pool; at a bank its queue; the paths to other members.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses((status = 200, content_type = "application/openmetrics-text", description = "metrics")))]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<impl IntoResponse, Failure> {
    let mut registry = Registry::with_prefix("stemma");
    of_node(&mut registry, &shared);
    of_operation(&mut registry, &shared);
    shared.meters.register(&mut registry);
    of_paths(&mut registry, &(shared.paths)());
    // A node that is no bank has no queue.
    if let Ok((queues, open)) = shared.call(|reply| Call::Queues { count: 0, reply }).await {
        set(&mut registry, "orders_open", "Orders that are not final", open as u64);
        let [sent, waiting] = [Family::<Institution, Gauge>::default(), Family::default()];
        // An empty queue is told too: a series that comes and goes cannot be watched.
        for member in shared.registry().members().filter(|member| member.role == Role::Institution) {
            let label = Institution { institution: member.id.to_string() };
            sent.get_or_create(&label).set(0);
            waiting.get_or_create(&label).set(0);
        }
        for queue in &queues {
            let label = Institution { institution: queue.institution.to_string() };
            sent.get_or_create(&label).set(whole(queue.sent as u64));
            waiting.get_or_create(&label).set(whole(queue.waiting as u64));
        }
        registry.register("chains_sent", "Second chains sent and not answered", sent);
        registry.register("chains_waiting", "Second chains that wait to be sent", waiting);
    }
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|e| ApiError::new(ErrorCode::Internal, format!("metrics cannot be written: {e}")))?;
    Ok(([(CONTENT_TYPE, OPENMETRICS)], text))
}

fn of_node(registry: &mut Registry, shared: &Shared) {
    let status = shared.status.borrow().clone();
    set(registry, "height", "Height of the last committed block", status.height);
    set(registry, "block_time_ms", "Agreed time of the last block, in Unix milliseconds", status.time_ms);
    set(registry, "peers", "Members connected", status.peers.len() as u64);
    set(registry, "pool", "Verified entries that wait for a block", status.pool);
    set(registry, "entries", "Entries committed", status.entries);
    set(registry, "trades", "Trades committed", status.trades);
    // Only an institution that executes in its own system has one.
    if let Some(office) = status.back_office {
        let help = "Instructions that the back office has not acknowledged to the end";
        set(registry, "back_office_errands", help, office.errands);
        set(registry, "back_office_failures", "Calls of the back office that failed", office.failures);
        let help = "Whether the circuit breaker keeps calls of the back office back";
        set(registry, "back_office_breaker_open", help, u64::from(office.breaker != "closed"));
    }
}

/// How the node itself is.
fn of_operation(registry: &mut Registry, shared: &Shared) {
    let status = shared.status.borrow().clone();
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION"), member: status.member, role: status.role }).set(1);
    registry.register("build_info", "Always 1; the labels say which version runs for which member", build);
    set(registry, "ready", "Whether the node is ready", u64::from(status.not_ready.is_empty()));
    set(registry, "voting", "Whether the node votes", u64::from(shared.meters.votes.load(Ordering::Relaxed)));
    let is_silenced = status.vote.is_some_and(|vote| vote.state == "silenced");
    let help = "Whether the validator's key is silenced here: it never votes again";
    set(registry, "silenced", help, u64::from(is_silenced));
    set(registry, "round", "The round being decided", shared.meters.round.load(Ordering::Relaxed));
    let size = std::fs::metadata(&shared.store_file).map_or(0, |file| file.len());
    set(registry, "store_bytes", "Size of the store's file", size);
    let offsets = Family::<OfMember, Gauge>::default();
    for (member, offset) in shared.meters.offsets() {
        offsets.get_or_create(&OfMember { member }).set(offset);
    }
    let help = "By how much this clock is ahead of a member's, in milliseconds, a message's way included";
    registry.register("clock_offset_ms", help, offsets);
}

fn of_paths(registry: &mut Registry, paths: &[PathView]) {
    let measures = [
        Measure { name: "path_up", help: "Whether a path is up", of: |path| Some(u64::from(path.state == "up")) },
        Measure { name: "path_best", help: "Whether chains go by a path", of: |path| Some(u64::from(path.best)) },
        Measure { name: "path_rtt_us", help: "Smoothed round trip, in microseconds", of: |path| path.rtt_us },
        Measure { name: "path_throughput_bytes_per_s", help: "Throughput", of: |path| path.throughput },
        Measure { name: "path_score_us", help: "Expected time of a chain, in microseconds", of: |path| path.score_us },
        Measure { name: "path_sent", help: "Messages sent by a path", of: |path| Some(path.sent) },
        Measure { name: "path_failed", help: "Messages lost with a path", of: |path| Some(path.failed) },
        Measure {
            name: "path_switches",
            help: "How often chains were moved to a path",
            of: |path| Some(path.switches),
        },
    ];
    for Measure { name, help, of } in measures {
        let family = Family::<Path, Gauge>::default();
        for path in paths {
            let label =
                Path { member: path.member.clone(), path: path.name.clone(), transport: path.transport.clone() };
            if let Some(value) = of(path) {
                family.get_or_create(&label).set(whole(value));
            }
        }
        registry.register(name, help, family);
    }
}

fn set(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(whole(value));
    registry.register(name, help, gauge);
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
