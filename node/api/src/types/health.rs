//! Whether a node votes, and whether it can serve.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a node votes with its validator's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteView {
    /// `voting`; `asking` the others for its own signatures before it does; `following`; or `silenced`, for ever with this key.
    pub state: String,
    /// The key.
    pub key: String,
    /// Why it does not vote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
}

/// Whether a node is ready to serve, or alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// Yes or no.
    pub ok: bool,
    /// Why not.
    pub reasons: Vec<String>,
}
