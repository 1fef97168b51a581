//! Operators' calls: they carry the operator's token and answer once their record is committed.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_node_api::types::{Committed, IssueCash, OpenAccount};
use stemma_node_api::{ApiError, ErrorCode};
use subtle::ConstantTimeEq;

use super::{Failure, Json, Shared, id, malformed};
use crate::node::{Call, CallReply};

/// Proof that a call carries the operator's token; compared in constant time.
pub(super) struct Operator;

impl FromRequestParts<Arc<Shared>> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let given = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if given.as_bytes().ct_eq(shared.operator_token.as_bytes()).into() {
            return Ok(Self);
        }
        let error = ApiError::new(ErrorCode::Unauthorized, "this call needs the operator's token");
        Err(error.help("Send it as `Authorization: Bearer …`; it is in the node's operator token file.").into())
    }
}

/// Opens an account for a customer's key (banks).
#[utoipa::path(post, path = "/v1/accounts", tag = "operator", request_body = OpenAccount,
    security(("operator" = [])),
    responses((status = 200, body = Committed), (status = 401, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn open_account(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Json(OpenAccount { key }): Json<OpenAccount>,
) -> Result<Json<Committed>, Failure> {
    let key: PublicKey = id("key", &key)?;
    key.admit().map_err(|e| malformed(format!("key: {e}")))?;
    let mut nonce = [0_u8; 16];
    getrandom::fill(&mut nonce).map_err(|e| ApiError::new(ErrorCode::Internal, format!("no randomness: {e}")))?;
    let opened = shared.call_to_commit(|reply| Call::OpenAccount { key, nonce, reply }).await?;
    Ok(Json(opened))
}

/// Credits accounts with cash of this bank (banks).
#[utoipa::path(post, path = "/v1/issuances", tag = "operator", request_body = IssueCash,
    security(("operator" = [])),
    responses((status = 200, body = Committed), (status = 401, body = ApiError), (status = 409, body = ApiError)))]
pub(super) async fn issue(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Json(IssueCash { code, credits }): Json<IssueCash>,
) -> Result<Json<Committed>, Failure> {
    let member = shared.status.borrow().member.clone();
    let instrument: InstrumentId = id("code", &format!("{member}/{code}"))?;
    let mut parsed: Vec<(AccountId, Amount)> = Vec::with_capacity(credits.len());
    for (account, amount) in &credits {
        parsed.push((id("credits", account)?, id(account, amount)?));
    }
    let call = |reply: CallReply<Committed>| Call::Issue(crate::node::Issue { instrument, credits: parsed, reply });
    Ok(Json(shared.call_to_commit(call).await?))
}
