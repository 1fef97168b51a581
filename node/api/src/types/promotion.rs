//! Promotions and referrals.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Evidence, RefusalView, RequestState};

/// A customer's signed promotion with the authentication material, which goes to the bank alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitPromotion {
    /// The signed promotion, base64 of its exact bytes.
    pub promotion: String,
    /// The material for each identity that the promotion claims: an image, audio, video, number or string.
    pub evidence: Vec<Evidence>,
}

/// A promotion, and what the bank answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromotionView {
    /// The promotion's link.
    pub promotion: String,
    /// The account that promotes.
    pub account: String,
    /// Where it stands: referred or refused.
    pub state: RequestState,
    /// When it was received, in Unix milliseconds.
    pub received_ms: u64,
    /// The referral.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub referral: Option<ReferralView>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refusal: Option<RefusalView>,
}

/// A bank-signed referral. `GET /v1/promotions/{id}/code.png` (or `.svg`, `.txt`) is its QR code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReferralView {
    /// The referral's link.
    pub referral: String,
    /// What the QR code holds: `STEMMA1:` and the base32 of the signed referral.
    pub text: String,
    /// The bank that signed it.
    pub bank: String,
    /// The account that promotes.
    pub promoter: String,
    /// buy or sell; absent where both are promoted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub side: Option<String>,
    /// The instrument that is promoted.
    pub instrument: String,
    /// The last height at which a trade that carries it may commit.
    pub expires: u64,
    /// How many trades may carry it.
    pub uses: u32,
    /// The commitment to the authentication material.
    pub material: String,
    /// The signed referral, base64 of its exact bytes.
    pub signed: String,
}
