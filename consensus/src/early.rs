//! Messages for heights that this node has not reached: a few, from validators only, checked before they cost memory.

use std::collections::BTreeMap;

use stemma_chain_format::member::MemberId;

use crate::codec::ConsensusMessage;

/// How many heights ahead of the one being decided messages are kept.
pub const HEIGHTS_AHEAD_MAX: u64 = 2;
/// Highest round of a height not begun whose messages are kept.
pub const EARLY_ROUND_MAX: u32 = 3;
/// Most votes kept of one validator for one height: two of each round.
const VOTES_MAX: usize = 8;
/// Most proposals kept of one validator for one height.
const PROPOSALS_MAX: usize = 2;

/// The messages kept, by height and signer.
#[derive(Debug, Default)]
pub(crate) struct Early {
    heights: BTreeMap<u64, BTreeMap<MemberId, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    votes: Vec<ConsensusMessage>,
    proposals: Vec<ConsensusMessage>,
}

impl Early {
    /// Whether a message lies in the window and is of a kind that is kept.
    pub fn wants(next: u64, message: &ConsensusMessage) -> bool {
        let ahead = message.height().saturating_sub(next);
        let signed = matches!(message, ConsensusMessage::Vote(_) | ConsensusMessage::Proposal(..));
        signed && (1..=HEIGHTS_AHEAD_MAX).contains(&ahead) && message.round() <= EARLY_ROUND_MAX
    }

    /// Keeps a message whose signature was checked, unless its signer has enough here already.
    pub fn keep(&mut self, message: ConsensusMessage) {
        let (signer, is_vote) = match &message {
            ConsensusMessage::Vote(m) => (m.vote.validator.clone(), true),
            ConsensusMessage::Proposal(m, _) => (m.proposal.proposer.clone(), false),
            _ => return,
        };
        let kept = self.heights.entry(message.height()).or_default().entry(signer).or_default();
        let (list, max) = if is_vote { (&mut kept.votes, VOTES_MAX) } else { (&mut kept.proposals, PROPOSALS_MAX) };
        if list.len() < max && !list.contains(&message) {
            list.push(message);
        }
    }

    /// What is kept of one signer.
    pub fn of(&self, signer: &MemberId) -> impl Iterator<Item = &ConsensusMessage> {
        let kept = self.heights.values().filter_map(|of_height| of_height.get(signer));
        kept.flat_map(|kept| kept.votes.iter().chain(&kept.proposals))
    }

    /// Whether messages of a height are here.
    pub fn has(&self, height: u64) -> bool {
        self.heights.contains_key(&height)
    }

    /// Takes a height's messages, proposals first, and forgets all lower heights.
    pub fn take(&mut self, height: u64) -> Vec<ConsensusMessage> {
        let later = self.heights.split_off(&height.saturating_add(1));
        let mut earlier = std::mem::replace(&mut self.heights, later);
        let of_height = earlier.remove(&height).unwrap_or_default();
        let (mut messages, mut votes) = (Vec::new(), Vec::new());
        for kept in of_height.into_values() {
            messages.extend(kept.proposals);
            votes.extend(kept.votes);
        }
        messages.append(&mut votes);
        messages
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::certificate::{Vote, VoteKind};
    use stemma_chain_format::hash::{BlockId, NetworkId};
    use stemma_chain_format::keys::Signature;

    use super::*;
    use crate::codec::SignedVote;

    fn vote(height: u64, round: u32, value: u8) -> ConsensusMessage {
        let vote = Vote {
            network: NetworkId([0; 32]),
            kind: VoteKind::Prevote,
            height,
            round,
            block: Some(BlockId([value; 32])),
            validator: "voter".parse().unwrap(),
        };
        ConsensusMessage::Vote(SignedVote { vote, signature: Signature([0; 64]) })
    }

    #[test]
    fn the_window_is_two_heights_and_four_rounds() {
        let wants = |height, round| Early::wants(10, &vote(height, round, 0));
        assert!(wants(11, 0) && wants(12, EARLY_ROUND_MAX));
        assert!(!wants(9, 0) && !wants(10, 0) && !wants(13, 0) && !wants(u64::MAX, 0));
        assert!(!wants(11, EARLY_ROUND_MAX + 1));
    }

    #[test]
    fn one_signer_fills_its_own_share_only() {
        let mut early = Early::default();
        for value in 0..50 {
            early.keep(vote(11, 0, value));
            early.keep(vote(12, 0, value));
        }
        early.keep(vote(11, 0, 0));
        assert!(early.has(11) && !early.has(10));
        assert_eq!(early.take(11).len(), VOTES_MAX);
        assert!(!early.has(11));
        assert_eq!(early.take(13).len(), 0);
        assert!(!early.has(12), "lower heights are forgotten");
    }
}
