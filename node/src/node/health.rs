//! How the node is: whether it votes, whether it is ready, and what it counts of blocks and orders.

use std::sync::atomic::Ordering;

use stemma_chain_format::certificate::{Certificate, is_quorum, total_power};
use stemma_chain_format::header::Block;
use stemma_chain_format::keys::PublicKey;
use stemma_consensus::guard::SignedMark;
use stemma_consensus::ports::Application;
use stemma_node_api::types::VoteView;

use super::Node;
use crate::clock::now_ms;
use crate::meters::{OfReason, OfValidator};
use crate::store::{OrderRow, OrderState, Silence, SilenceCause};

/// What an operator does about a silenced key.
pub(super) const SILENCED_HELP: &str = "the node goes on following; to vote again, have the member's validator key rotated by a \
    governance record and start with the new key";

/// From so many blocks on it is told how far behind a node is: others are one or two ahead all the time.
const BEHIND_TOLD_MIN: u64 = 10;

impl Node {
    /// Others hold a signature by this node's key that it does not know of. It is durable already.
    pub(super) fn tell_silence(&mut self, mark: &SignedMark) {
        let SignedMark { kind, height, round, .. } = mark;
        let cause = SilenceCause::UnknownSignature { signed: kind.to_string(), height: *height, round: *round };
        tracing::error!("this node does not vote any more: {cause}; {SILENCED_HELP}");
        self.silence = Some(Silence { cause, since_ms: now_ms(), height: self.state.height() });
    }

    /// Whether this node votes, and why not.
    pub(super) fn vote_view(&self) -> Option<VoteView> {
        let key = self.settings.validator_key.as_ref().map(PublicKey::of)?;
        let view = |state: &str, reason: Option<String>, help: Option<&str>| VoteView {
            state: state.to_owned(),
            key: key.to_string(),
            reason,
            help: help.map(str::to_owned),
        };
        Some(if let Some(silence) = &self.silence {
            view("silenced", Some(silence.cause.to_string()), Some(SILENCED_HELP))
        } else if self.engine.is_asking() {
            let reason =
                "validators that make a quorum with this one have not yet said which of its signatures they hold";
            view(
                "asking",
                Some(reason.to_owned()),
                Some("wait; `stemma-node doctor` shows which members are not reached"),
            )
        } else if self.engine.votes() {
            view("voting", None, None)
        } else {
            view("following", Some("the registry names another key, or the node is catching up".to_owned()), None)
        })
    }

    /// What keeps the node from being ready; nothing where it is.
    pub(super) fn unready(&self, vote: Option<&VoteView>) -> Vec<String> {
        let mut reasons = Vec::new();
        let registry = self.state.ledger().registry();
        let connected: Vec<_> =
            self.net.connected().iter().filter_map(|peer| self.members.get(peer)).cloned().collect();
        let height = self.state.height();
        let highest = self.heads.iter().filter(|(id, _)| connected.contains(id)).map(|(_, head)| *head).max();
        match highest {
            // Others are one block ahead all the time.
            Some(head) if head > height.saturating_add(1) => {
                reasons.push(format!("catching up: at height {height} of {head}"));
            }
            None if !self.members.is_empty() => reasons.push("no member has said yet how far the ledger is".to_owned()),
            _ => {}
        }
        let Some(vote) = vote else { return reasons };
        if vote.state == "asking" {
            reasons.extend(vote.reason.clone());
        }
        let validators = registry.validators();
        let me = self.settings.member.id.as_str();
        let is_here = |id: &str| id == me || connected.iter().any(|other| other.as_str() == id);
        let here = total_power(validators.iter().filter(|v| is_here(v.id.as_str())));
        let total = total_power(&validators);
        if !is_quorum(here, total) {
            reasons.push(format!("validators with {here} of {total} votes are connected: no quorum"));
        }
        reasons
    }

    /// Tells how far behind this node is, how fast it catches up, and how long that is going to take.
    pub(super) fn tell_progress(&mut self) {
        let (now, height) = (now_ms(), self.state.height());
        let target = self.heads.values().max().copied().unwrap_or(0);
        let behind = target.saturating_sub(height);
        if behind < BEHIND_TOLD_MIN {
            self.progress = None;
            return;
        }
        let (since_ms, since_height) = *self.progress.get_or_insert((now, height));
        let (elapsed_ms, done) = (now.saturating_sub(since_ms), height.saturating_sub(since_height));
        let left_ms = u128::from(behind).saturating_mul(elapsed_ms.into()).checked_div(u128::from(done));
        let left_s = left_ms.map(|ms| u64::try_from(ms / 1_000).unwrap_or(u64::MAX));
        let blocks_s = done.saturating_mul(1_000).checked_div(elapsed_ms);
        tracing::info!(height, of = target, blocks_s, left_s, "catching up");
    }

    /// Counts a block that became final here.
    pub(super) fn count_block(&mut self, block: &Block, certificate: &Certificate) {
        let header = &block.header;
        if let Some(before) = self.block_ms.replace(header.time_ms) {
            self.meters.block_seconds.observe(seconds(header.time_ms.saturating_sub(before)));
        }
        self.meters.rounds_failed.inc_by(u64::from(certificate.round));
        for validator in self.state.ledger().registry().validators() {
            let label = OfValidator { validator: validator.id.to_string() };
            let has_signed = certificate.signatures.iter().any(|s| s.validator == validator.id);
            let counted = if has_signed { &self.meters.votes_counted } else { &self.meters.votes_missed };
            counted.get_or_create(&label).inc();
        }
    }

    /// Counts an order that came to its end at this bank.
    pub(super) fn count_order(&self, row: &OrderRow) {
        match row.state {
            OrderState::Committed => {
                let ended_ms = row.steps.last().map_or(0, |step| step.at_ms);
                self.meters.finality_seconds.observe(seconds(ended_ms.saturating_sub(row.received_ms())));
            }
            OrderState::Refused => {
                let refusal = super::refusal_of(row);
                let reason = refusal.map_or("unknown".to_owned(), |refusal| refusal.record().reason.to_string());
                self.meters.refusals.get_or_create(&OfReason { reason }).inc();
            }
            _ => {}
        }
    }

    /// Shows what changes by itself.
    pub(super) fn show_meters(&self) {
        self.meters.tick();
        self.meters.round.store(u64::from(self.engine.round().unwrap_or(0)), Ordering::Relaxed);
        self.meters.votes.store(self.engine.votes(), Ordering::Relaxed);
    }
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
