//! Prices that the operator gives, all of a call or none.

use super::board::Board;
use super::{PriceRefused, Quoted};

/// Why pushed prices were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Prices come from elsewhere.
    #[error("the prices of this institution come from the source {source_name}")]
    OtherSource {
        /// Where they come from.
        source_name: String,
    },
    /// One of them may not be taken.
    #[error("no price was taken")]
    Refused(#[source] PriceRefused),
}

pub(super) fn judge(board: &Board, pushed: &[Quoted], now_ms: u64) -> Result<(), PushError> {
    pushed.iter().try_for_each(|quoted| board.judge(quoted, now_ms)).map_err(PushError::Refused)
}
