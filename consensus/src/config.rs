//! Times and limits of the engine. All validators of a network should use the same.

use stemma_chain_format::governance::PROTOCOL_VERSION_MAX;

use crate::wal::Step;

/// Times in milliseconds, and limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long round 0 waits for a proposal.
    pub propose_ms: u64,
    /// How long round 0 waits for prevotes to agree.
    pub prevote_ms: u64,
    /// How long round 0 waits for precommits to agree.
    pub precommit_ms: u64,
    /// Added to each of these per round.
    pub round_delta_ms: u64,
    /// The longest any of them becomes.
    pub timeout_ms_max: u64,
    /// After how long without progress the votes of this round are sent again.
    pub rebroadcast_ms: u64,
    /// How long a height without work waits before an empty block is made.
    pub idle_ms: u64,
    /// How long a validator that is one block behind waits before it asks a peer for it.
    pub sync_grace_ms: u64,
    /// How long a peer may take to send blocks.
    pub sync_request_ms: u64,
    /// Most blocks asked for at once.
    pub sync_blocks_max: u64,
    /// After how long missing entries are asked for again, of another validator.
    pub fetch_retry_ms: u64,
    /// Below this height the node follows without voting: for a validator that lost its log, a height that no vote of
    /// its former life can have reached.
    pub vote_from_height: u64,
    /// The highest version of the protocol that the node takes part in. The code knows no higher than
    /// [`PROTOCOL_VERSION_MAX`].
    pub protocol_max: u32,
    /// How often a validator that starts asks the others again which signatures of its own they hold; it does not vote
    /// before they have answered ([`recall`](crate::recall)). With 0 it neither asks nor looks for signatures of its own
    /// that its log does not hold: for trials that replay a log by hand.
    pub recall_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            propose_ms: 1_000,
            prevote_ms: 500,
            precommit_ms: 500,
            round_delta_ms: 300,
            timeout_ms_max: 30_000,
            rebroadcast_ms: 1_000,
            idle_ms: 5_000,
            sync_grace_ms: 500,
            sync_request_ms: 3_000,
            sync_blocks_max: 32,
            fetch_retry_ms: 1_000,
            vote_from_height: 0,
            protocol_max: PROTOCOL_VERSION_MAX,
            recall_ms: 0,
        }
    }
}

impl Config {
    /// How long a step of a round lasts, in milliseconds.
    pub fn step_ms(&self, step: Step, round: u32) -> u64 {
        let base = match step {
            Step::Propose => self.propose_ms,
            Step::Prevote => self.prevote_ms,
            Step::Precommit => self.precommit_ms,
            // Sending again must not slow down with the rounds: it is what ends them.
            Step::Rebroadcast => return self.rebroadcast_ms,
        };
        let grown = self.round_delta_ms.saturating_mul(u64::from(round)).saturating_add(base);
        grown.min(self.timeout_ms_max)
    }
}
