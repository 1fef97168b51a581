//! The registry of members, and the governance records that changed it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::cosign::Cosigned;
use stemma_chain_format::governance::{Change, Governance};
use stemma_chain_format::registry::Registry;
use stemma_chain_format::trust::TrustStep;
use stemma_node_api::ApiError;
use stemma_node_api::governance::{Govern, GovernanceJson, GovernanceView, RegistryView};
use stemma_node_api::types::Committed;

use super::operator::Operator;
use super::{Failure, Json, Shared, malformed};
use crate::node::Call;
use crate::store::StoreError;

/// The registry by which the next block is made: members, parameters, version, what waits, and keys that do not count any more.
#[utoipa::path(get, path = "/v1/registry", tag = "governance", responses((status = 200, body = RegistryView)))]
pub(super) async fn registry(State(shared): State<Arc<Shared>>) -> Json<RegistryView> {
    let height = shared.status.borrow().height;
    Json(RegistryView::of(&shared.registry(), height))
}

/// All committed governance records, in order.
#[utoipa::path(get, path = "/v1/governance", tag = "governance", responses((status = 200, body = Vec<GovernanceView>)))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<GovernanceView>>, Failure> {
    let steps = shared.store.trust_steps(u64::MAX)?;
    Ok(Json(views(&steps, &shared.registry())?))
}

/// Puts a governance record to the network: signed by the share of the voting power that the parameters ask for, and by every key
/// that it brings. Answers once it is committed.
#[utoipa::path(post, path = "/v1/governance", tag = "governance", request_body = Govern,
    security(("operator" = [])),
    responses((status = 200, body = Committed), (status = 400, body = ApiError), (status = 401, body = ApiError),
        (status = 409, body = ApiError, description = "the rule that it breaks")))]
pub(super) async fn govern(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Json(Govern { record }): Json<Govern>,
) -> Result<Json<Committed>, Failure> {
    let record = BASE64.decode(&record).map_err(|e| malformed(format!("record is no base64: {e}")))?;
    Ok(Json(shared.call_to_commit(|reply| Call::Govern { record, reply }).await?))
}

fn views(steps: &[TrustStep], registry: &Registry) -> Result<Vec<GovernanceView>, StoreError> {
    let mut resolved = Vec::new();
    for step in steps {
        for bytes in &step.records {
            if let Entry::Governance(signed) = Entry::decode(bytes).map_err(StoreError::damaged)? {
                resolved.push((step.header.header.height, signed));
            }
        }
    }
    let withdrawn: BTreeSet<u64> =
        resolved.iter().flat_map(|(_, signed)| &signed.record().changes).filter_map(withdrawal).collect();
    let waiting: BTreeSet<u64> = registry.scheduled().iter().map(|scheduled| scheduled.number).collect();
    let view = |(height, signed): &(u64, Box<Cosigned<Governance>>)| {
        let record = signed.record();
        let state = match (waiting.contains(&record.number), withdrawn.contains(&record.number)) {
            (true, _) => "waits",
            (false, true) => "withdrawn",
            (false, false) => "in-force",
        };
        GovernanceView {
            id: signed.link().to_string(),
            height: *height,
            state: state.to_owned(),
            record: GovernanceJson::of(record),
            signers: signed.signers().map(ToString::to_string).collect(),
        }
    };
    Ok(resolved.iter().map(view).collect())
}

fn withdrawal(change: &Change) -> Option<u64> {
    match change {
        Change::Withdraw(number) => Some(*number),
        _ => None,
    }
}
