//! Paths to other members, as the network layer measures them.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::State;
use stemma_net::PathReport;
use stemma_node_api::ApiError;
use stemma_node_api::types::{PathPage, PathView};

use super::operator::Operator;
use super::{Failure, Json, Shared};

/// The ways to each member that takes trades, with what was measured.
#[utoipa::path(get, path = "/v1/paths", tag = "operator", security(("operator" = [])),
    responses((status = 200, body = PathPage), (status = 401, body = ApiError)))]
pub(super) async fn paths(_: Operator, State(shared): State<Arc<Shared>>) -> Result<Json<PathPage>, Failure> {
    Ok(Json(PathPage { paths: shown(&shared) }))
}

/// By member and name.
pub(super) fn shown(shared: &Shared) -> Vec<PathView> {
    let member = |report: &PathReport| shared.members.get(&report.peer).map(ToString::to_string);
    let mut paths: Vec<PathView> =
        shared.net.paths().iter().filter_map(|report| Some(view(member(report)?, report))).collect();
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
