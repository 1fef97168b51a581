//! Promotions: a client's signed promotion comes in with its material, the referral goes out, as record and as QR code.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_chain_format::referral::{self, Referral};
use stemma_node_api::ApiError;
use stemma_node_api::qr::{Code, CodeError};
use stemma_node_api::types::{PromotionView, ReferralView, SubmitPromotion};

use super::bulk::Bulk;
use super::orders::{refusal_view, state};
use super::requests::{Source, submitted};
use super::{Failure, Json, Path, Shared, id, malformed, not_found};
use crate::base64;
use crate::error::chain;
use crate::store::{OrderKind, OrderRow, StoreError};

/// Takes a signed promotion in, authenticates its material, and answers with the bank's referral. It is durable before the
/// answer leaves; the same promotion always gets the same referral. The material is not kept.
#[utoipa::path(post, path = "/v1/promotions", tag = "promotions", request_body = SubmitPromotion,
    params(("Idempotency-Key" = Option<String>, Header, description = "the client's own name for the promotion")),
    responses((status = 200, body = PromotionView, description = "the referral; a refusal is a state"),
        (status = 400, body = ApiError), (status = 409, body = ApiError),
        (status = 503, body = ApiError, description = "the bank is full; Retry-After says when to try again")))]
pub(super) async fn promote(
    State(shared): State<Arc<Shared>>,
    source: Source,
    Bulk(body, _room): Bulk<SubmitPromotion>,
) -> Result<Json<PromotionView>, Failure> {
    let bytes = BASE64.decode(&body.promotion).map_err(|e| malformed(format!("promotion: not base64: {e}")))?;
    let row = submitted(&shared, OrderKind::Promotion, bytes, body.evidence, source).await?;
    Ok(Json(view(&shared, &row)?))
}

/// A promotion by its link, with the referral that answers it.
#[utoipa::path(get, path = "/v1/promotions/{id}", tag = "promotions",
    params(("id" = String, Path, description = "the promotion's link")),
    responses((status = 200, body = PromotionView), (status = 404, body = ApiError)))]
pub(super) async fn promotion(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Json<PromotionView>, Failure> {
    let link: Link = id("id", &text)?;
    let row = shared.store.order(&link)?.filter(|row| row.kind == OrderKind::Promotion);
    let row = row.ok_or_else(|| not_found(format!("this bank knows no promotion {link}")))?;
    Ok(Json(view(&shared, &row)?))
}

/// The QR code of a promotion's referral: a picture in PNG or SVG, or characters for a terminal.
#[utoipa::path(get, path = "/v1/promotions/{id}/{code}", tag = "promotions",
    params(("id" = String, Path, description = "the promotion's link"),
        ("code" = String, Path, description = "code.png, code.svg or code.txt")),
    responses((status = 200, content_type = "image/png", description = "the code, in the form that was asked for"),
        (status = 404, body = ApiError)))]
pub(super) async fn code(
    State(shared): State<Arc<Shared>>,
    Path((text, form)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let link: Link = id("id", &text)?;
    let row = shared.store.referral(&link)?;
    let row = row.ok_or_else(|| not_found(format!("this bank has given no referral for a promotion {link}")))?;
    let code = Code::of(&referral::text(&row.referral)).map_err(no_code)?;
    let (content_type, bytes) = match form.as_str() {
        "code.png" => ("image/png", code.png().map_err(no_code)?),
        "code.svg" => ("image/svg+xml", code.svg().into_bytes()),
        "code.txt" => ("text/plain; charset=utf-8", code.terminal().into_bytes()),
        other => return Err(not_found(format!("a code is code.png, code.svg or code.txt; found {other:?}"))),
    };
    Ok(([(CONTENT_TYPE, content_type)], bytes).into_response())
}

fn no_code(e: CodeError) -> Failure {
    tracing::error!(error = %chain(&e), "a stored referral gives no code");
    Failure::from(StoreError::damaged(e))
}

fn view(shared: &Shared, row: &OrderRow) -> Result<PromotionView, Failure> {
    let stored = shared.store.referral(&row.link)?;
    let referral = stored.map(|stored| Signed::<Referral>::decode(stored.referral.into())).transpose();
    let referral = referral.map_err(StoreError::damaged)?;
    Ok(PromotionView {
        promotion: row.link.to_string(),
        account: row.account.to_string(),
        state: state(row.state),
        received_ms: row.received_ms(),
        referral: referral.as_ref().map(referral_view),
        refusal: refusal_view(row),
    })
}

fn referral_view(signed: &Signed<Referral>) -> ReferralView {
    let Referral { bank, promoter, side, instrument, expires, uses, material, .. } = signed.record();
    ReferralView {
        referral: signed.link().to_string(),
        text: referral::text(signed.bytes()),
        bank: bank.to_string(),
        promoter: promoter.to_string(),
        side: side.map(|side| side.to_string()),
        instrument: instrument.to_string(),
        expires: *expires,
        uses: *uses,
        material: material.to_string(),
        signed: base64(signed.bytes()),
    }
}
