//! What a node counts for Prometheus, and how it is, beside its status. The node's thread writes, HTTP reads.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock::now_ms;

/// A node's thread that did nothing for so long is stuck: it has something to do four times a second.
const STUCK_MS: u64 = 30_000;

/// Seconds between blocks.
const BLOCK_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Seconds until an order is final.
const FINALITY_SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// A validator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfValidator {
    /// Its member.
    pub validator: String,
}

/// A reason to refuse an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfReason {
    /// The rule.
    pub reason: String,
}

/// Everything that is counted since the node started.
#[derive(Debug)]
pub struct Meters {
    /// Seconds between one block and the next, by their agreed times.
    pub block_seconds: Histogram,
    /// Seconds from when an order came to this bank until it was in a block.
    pub finality_seconds: Histogram,
    /// Rounds that came to no decision.
    pub rounds_failed: Counter,
    /// Certificates without a validator's signature, of blocks that this node took part in or fetched.
    pub votes_missed: Family<OfValidator, Counter>,
    /// Certificates with it.
    pub votes_counted: Family<OfValidator, Counter>,
    /// Orders refused at this bank, by rule.
    pub refusals: Family<OfReason, Counter>,
    /// Proofs that a validator contradicted itself.
    pub misbehaviour: Counter,
    /// The round being decided; 0 where none is.
    pub round: AtomicU64,
    /// Whether this node votes.
    pub votes: AtomicBool,
    /// When the node's thread last had its turn, in Unix milliseconds.
    ticked_ms: AtomicU64,
    /// By how much this clock is ahead of each member's, in milliseconds.
    offsets: Mutex<BTreeMap<String, i64>>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            block_seconds: Histogram::new(BLOCK_SECONDS),
            finality_seconds: Histogram::new(FINALITY_SECONDS),
            rounds_failed: Counter::default(),
            votes_missed: Family::default(),
            votes_counted: Family::default(),
            refusals: Family::default(),
            misbehaviour: Counter::default(),
            round: AtomicU64::new(0),
            votes: AtomicBool::new(false),
            ticked_ms: AtomicU64::new(now_ms()),
            offsets: Mutex::default(),
        }
    }
}

impl Meters {
    /// The node's thread has its turn.
    pub fn tick(&self) {
        self.ticked_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Whether the node's thread goes on.
    pub fn is_live(&self) -> bool {
        now_ms().saturating_sub(self.ticked_ms.load(Ordering::Relaxed)) < STUCK_MS
    }

    /// A member said what time it is there; the message took a while, so the truth is a little less.
    pub fn heard_time(&self, member: &str, their_ms: u64, our_ms: u64) {
        let whole = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let offset = whole(our_ms).saturating_sub(whole(their_ms));
        if let Ok(mut offsets) = self.offsets.lock() {
            offsets.insert(member.to_owned(), offset);
        }
    }

    /// By how much this clock is ahead of each member's, in milliseconds.
    pub fn offsets(&self) -> BTreeMap<String, i64> {
        self.offsets.lock().map(|offsets| offsets.clone()).unwrap_or_default()
    }

    /// Shows what is counted to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Seconds between one block and the next, by their agreed times";
        registry.register("block_interval_seconds", help, self.block_seconds.clone());
        let help = "Seconds from when an order came to this bank until it was in a block";
        registry.register("finality_seconds", help, self.finality_seconds.clone());
        registry.register("rounds_failed", "Rounds that came to no decision", self.rounds_failed.clone());
        let help = "Certificates held here without a validator's signature";
        registry.register("votes_missed", help, self.votes_missed.clone());
        registry.register("votes_counted", "Certificates with a validator's signature", self.votes_counted.clone());
        registry.register("refusals", "Orders refused at this bank, by rule", self.refusals.clone());
        let help = "Proofs that a validator contradicted itself";
        registry.register("misbehaviour", help, self.misbehaviour.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_ours_less_theirs() {
        let meters = Meters::default();
        meters.heard_time("bank-b", 1_000, 1_250);
        meters.heard_time("bank-c", 2_000, 1_250);
        assert_eq!(meters.offsets(), BTreeMap::from([("bank-b".to_owned(), 250), ("bank-c".to_owned(), -750)]));
        assert!(meters.is_live());
    }
}
