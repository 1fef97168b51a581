//! What stops an engine. A peer's fault never does: it is refused and named in an effect.

use stemma_chain_format::error::Violation;

use crate::guard::Contradiction;
use crate::ports::{LogError, SignError};
use crate::validators::ValidatorsError;

/// Why the engine stopped. After any of these it refuses every further input, and the effects of the failed call are
/// withheld, because they may rest on what did not become durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The log failed, or does not hold what was written.
    #[error("the consensus log failed")]
    Log(#[source] LogError),
    /// A signature was asked for that would contradict an earlier one.
    #[error("refused to sign")]
    Contradiction(#[source] Contradiction),
    /// The signer failed.
    #[error("the signer failed")]
    Sign(#[source] SignError),
    /// The ledger refused a block that a quorum decided.
    #[error("the ledger refused the decided block of height {height}")]
    Ledger {
        /// The height.
        height: u64,
        /// The rule it named.
        #[source]
        violation: Violation,
    },
    /// The registry gives no validator set.
    #[error("the registry gives no validator set")]
    Validators(#[source] ValidatorsError),
    /// The network has come to a version of the protocol that this code does not know.
    #[error(
        "from height {height} on the network's protocol is version {needed}, and this program knows versions up to {known}: install a \
         newer one and start it again; nothing is lost, and the blocks made meanwhile are fetched then"
    )]
    Version {
        /// The first height of the version.
        height: u64,
        /// The version.
        needed: u32,
        /// The highest that this code knows, or is told to take part in.
        known: u32,
    },
    /// The core of Malachite failed in a way that it must not go on from.
    #[error("the consensus core failed: {0}")]
    Core(String),
    /// The engine stopped at an earlier error.
    #[error("the engine stopped at an earlier error")]
    Stopped,
    /// An input came before [`crate::engine::Input::Start`], or that came twice.
    #[error("the first input must be Start, and only the first")]
    Order,
}
