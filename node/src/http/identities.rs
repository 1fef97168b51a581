//! Identities: enrolled, replaced, removed and unlocked by a bank's operator. Material comes in and never goes out.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stemma_chain_format::hash::AccountId;
use stemma_node_api::ApiError;
use stemma_node_api::types::{EnrolIdentity, EnrolmentPage, EnrolmentView, IdentityPage, IdentityView};
use zeroize::Zeroizing;

use super::bulk::Bulk;
use super::operator::Operator;
use super::{Failure, Json, Path, Shared, id, malformed};
use crate::node::Call;
use crate::store::{EnrolmentKind, EnrolmentRow};

/// Lines of the log in one answer.
const LOG_COUNT: usize = 1_000;

/// The identities enrolled for an account, and what the bank demands.
#[utoipa::path(get, path = "/v1/accounts/{id}/identities", tag = "operator", params(("id" = String, Path)),
    security(("operator" = [])), responses((status = 200, body = IdentityPage), (status = 401, body = ApiError)))]
pub(super) async fn list(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Json<IdentityPage>, Failure> {
    let account: AccountId = id("id", &text)?;
    let view = |row: crate::store::VerifierRow| IdentityView {
        kind: row.kind,
        verifier: row.digest.to_string(),
        enrolled_ms: row.enrolled_ms,
    };
    let identities = shared.store.verifiers(&account)?.into_iter().map(view).collect();
    let kinds = shared.desk.kinds().into_iter().map(str::to_owned).collect();
    let demands = shared.desk.policy().rules.iter().map(ToString::to_string).collect();
    Ok(Json(IdentityPage { identities, kinds, demands }))
}

/// Enrols or replaces an identity. What is sent is kept only as a verifier.
#[utoipa::path(put, path = "/v1/accounts/{id}/identities/{kind}", tag = "operator", request_body = EnrolIdentity,
    params(("id" = String, Path), ("kind" = String, Path)), security(("operator" = [])),
    responses((status = 200, body = EnrolmentView), (status = 400, body = ApiError), (status = 401, body = ApiError)))]
pub(super) async fn enrol(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path((text, kind)): Path<(String, String)>,
    Bulk(EnrolIdentity { material, counter }, _room): Bulk<EnrolIdentity>,
) -> Result<Json<EnrolmentView>, Failure> {
    let account: AccountId = id("id", &text)?;
    let material = Zeroizing::new(material);
    let material = BASE64.decode(material.as_bytes()).map_err(|_| malformed("material: not base64".to_owned()))?;
    let material = Zeroizing::new(material);
    let row = shared.call(|reply| Call::Enrol { account, kind, material, counter, reply }).await?;
    Ok(Json(view(row)))
}

/// Removes an identity.
#[utoipa::path(delete, path = "/v1/accounts/{id}/identities/{kind}", tag = "operator",
    params(("id" = String, Path), ("kind" = String, Path)), security(("operator" = [])),
    responses((status = 200, body = EnrolmentView), (status = 404, body = ApiError), (status = 401, body = ApiError)))]
pub(super) async fn remove(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path((text, kind)): Path<(String, String)>,
) -> Result<Json<EnrolmentView>, Failure> {
    change(&shared, &text, kind, EnrolmentKind::Removed).await
}

/// Forgets the failed attempts at an identity, so that the customer need not wait.
#[utoipa::path(delete, path = "/v1/accounts/{id}/identities/{kind}/failures", tag = "operator",
    params(("id" = String, Path), ("kind" = String, Path)), security(("operator" = [])),
    responses((status = 200, body = EnrolmentView), (status = 404, body = ApiError), (status = 401, body = ApiError)))]
pub(super) async fn unlock(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path((text, kind)): Path<(String, String)>,
) -> Result<Json<EnrolmentView>, Failure> {
    change(&shared, &text, kind, EnrolmentKind::Unlocked).await
}

/// The log of enrolments, replacements, removals and unlockings.
#[utoipa::path(get, path = "/v1/enrolments", tag = "operator", security(("operator" = [])),
    responses((status = 200, body = EnrolmentPage), (status = 401, body = ApiError)))]
pub(super) async fn log(_: Operator, State(shared): State<Arc<Shared>>) -> Result<Json<EnrolmentPage>, Failure> {
    Ok(Json(EnrolmentPage { enrolments: shared.store.enrolments(LOG_COUNT)?.into_iter().map(view).collect() }))
}

async fn change(
    shared: &Shared,
    text: &str,
    kind: String,
    what: EnrolmentKind,
) -> Result<Json<EnrolmentView>, Failure> {
    let account: AccountId = id("id", text)?;
    Ok(Json(view(shared.call(|reply| Call::ChangeVerifier { account, kind, what, reply }).await?)))
}

fn view(row: EnrolmentRow) -> EnrolmentView {
    let what = match row.what {
        EnrolmentKind::Enrolled => "enrolled",
        EnrolmentKind::Replaced => "replaced",
        EnrolmentKind::Removed => "removed",
        EnrolmentKind::Unlocked => "unlocked",
    };
    EnrolmentView {
        what: what.to_owned(),
        account: row.account.to_string(),
        kind: row.kind,
        verifier: row.digest.map(|digest| digest.to_string()),
        at_ms: row.at_ms,
    }
}
