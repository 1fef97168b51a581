//! Typed errors of the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of error it is; clients may branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The request's form is wrong: JSON, base64, hex, a record's encoding.
    Malformed,
    /// An operator's call without the operator's token, or with a wrong one.
    Unauthorized,
    /// There is nothing under that id or height.
    NotFound,
    /// This node's role does not serve the call.
    WrongRole,
    /// The call contradicts the ledger's state.
    Conflict,
    /// The body exceeds the limit.
    TooLarge,
    /// The node has too much to do; try again after a while.
    Busy,
    /// The call was accepted but not finished in the time it was given; ask again.
    TimedOut,
    /// The node's own fault.
    Internal,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::WrongRole | Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Busy => 503,
            Self::TimedOut => 504,
            Self::Internal => 500,
        }
    }
}

/// An error, as the body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// The error.
    pub error: ErrorBody,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The kind.
    pub code: ErrorCode,
    /// What was wrong and where.
    pub message: String,
    /// What to do, where there is something.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
    /// After how many milliseconds the call may be repeated, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
    /// The signed refusal that goes with it, base64 of its exact bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refusal: Option<String>,
}

impl ApiError {
    /// An error of a kind with a message.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error: ErrorBody { code, message: message.into(), help: None, retry_after_ms: None, refusal: None } }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.error.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error.message)?;
        match &self.error.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}
