//! The last line against double signing: what this node signed at a height, asked before every signature.
//!
//! The core has guards of its own and, on restart, replays the log to the votes it had cast. This guard does not trust
//! that reasoning: it keeps one digest for each (kind, round) and refuses whatever differs, and refuses rounds that lie
//! behind. Each mark is in the log, flushed before the signature leaves the node.

use std::collections::BTreeMap;
use std::fmt;

use stemma_chain_format::cbor;
use stemma_chain_format::certificate::{Vote, VoteKind};
use stemma_chain_format::hash::Digest;

use crate::proposal::Proposal;

/// What was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum SignedKind {
    /// A proposal.
    #[n(0)]
    Proposal,
    /// A prevote.
    #[n(1)]
    Prevote,
    /// A precommit.
    #[n(2)]
    Precommit,
}

/// One signature that this node was about to make.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SignedMark {
    /// What.
    #[n(0)]
    pub kind: SignedKind,
    /// The height.
    #[n(1)]
    pub height: u64,
    /// The round.
    #[n(2)]
    pub round: u32,
    /// The BLAKE3 of the record.
    #[n(3)]
    pub digest: Digest,
}

/// A signature that would contradict an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {kind} at height {height}, round {round} {conflict}")]
pub struct Contradiction {
    /// What was to be signed.
    pub kind: SignedKind,
    /// Its height.
    pub height: u64,
    /// Its round.
    pub round: u32,
    /// What it contradicts.
    pub conflict: Conflict,
}

/// What a refused signature contradicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Another value was signed for the same height, round and kind.
    OtherValue,
    /// A later round of this height was signed already.
    LaterRound,
    /// The height is not the one being decided.
    OtherHeight,
}

/// What this node signed at the height being decided.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    height: u64,
    marks: BTreeMap<(SignedKind, u32), Digest>,
}

impl SignedMark {
    /// The mark of a vote.
    pub fn of_vote(vote: &Vote) -> Self {
        let kind = match vote.kind {
            VoteKind::Prevote => SignedKind::Prevote,
            VoteKind::Precommit => SignedKind::Precommit,
        };
        let digest = Digest::of(&cbor::encode(vote));
        Self { kind, height: vote.height, round: vote.round, digest }
    }

    /// The mark of a proposal.
    pub fn of_proposal(proposal: &Proposal) -> Self {
        let digest = Digest::of(&cbor::encode(proposal));
        let kind = SignedKind::Proposal;
        Self { kind, height: proposal.height, round: proposal.round, digest }
    }
}

impl Guard {
    /// Forgets the marks of lower heights; nothing is ever signed for these again.
    pub fn enter(&mut self, height: u64) {
        if height > self.height {
            self.height = height;
            self.marks.clear();
        }
    }

    /// Allows or refuses a signature. `true` says that the mark is new and must be logged first.
    ///
    /// # Errors
    /// [`Contradiction`].
    pub fn admit(&self, mark: &SignedMark) -> Result<bool, Contradiction> {
        let SignedMark { kind, height, round, digest } = mark;
        let refuse = |conflict| Err(Contradiction { kind: *kind, height: *height, round: *round, conflict });
        if *height != self.height {
            return refuse(Conflict::OtherHeight);
        }
        match self.marks.get(&(*kind, *round)) {
            Some(earlier) if earlier == digest => Ok(false),
            Some(_) => refuse(Conflict::OtherValue),
            None if self.marks.keys().any(|(_, r)| r > round) => refuse(Conflict::LaterRound),
            None => Ok(true),
        }
    }

    /// Whether this very signature was recorded at the height being decided.
    pub fn holds(&self, mark: &SignedMark) -> bool {
        mark.height == self.height && self.marks.get(&(mark.kind, mark.round)) == Some(&mark.digest)
    }

    /// Takes a mark in: one just logged, or one read back from the log.
    ///
    /// # Errors
    /// [`Contradiction`] when the log itself holds two different marks for one (kind, round).
    pub fn record(&mut self, mark: &SignedMark) -> Result<(), Contradiction> {
        let SignedMark { kind, height, round, digest } = mark;
        let earlier = self.marks.insert((*kind, *round), *digest);
        if *height == self.height && earlier.is_none_or(|e| e == *digest) {
            return Ok(());
        }
        let conflict = Conflict::OtherValue;
        Err(Contradiction { kind: *kind, height: *height, round: *round, conflict })
    }
}

impl fmt::Display for SignedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proposal => "proposal",
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherValue => "would contradict another one signed before",
            Self::LaterRound => "comes after a signature for a later round",
            Self::OtherHeight => "is not for the height being decided",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(kind: SignedKind, round: u32, value: u8) -> SignedMark {
        SignedMark { kind, height: 5, round, digest: Digest([value; 32]) }
    }

    #[test]
    fn the_same_is_signed_again_and_nothing_else() {
        let mut guard = Guard::default();
        guard.enter(5);
        let first = mark(SignedKind::Prevote, 1, 1);
        assert_eq!(guard.admit(&first), Ok(true));
        guard.record(&first).unwrap();
        assert_eq!(guard.admit(&first), Ok(false));
        let conflict = |m: &SignedMark| guard.admit(m).unwrap_err().conflict;
        assert_eq!(conflict(&mark(SignedKind::Prevote, 1, 2)), Conflict::OtherValue);
        assert_eq!(conflict(&mark(SignedKind::Precommit, 0, 1)), Conflict::LaterRound);
        let lower = SignedMark { height: 4, ..mark(SignedKind::Prevote, 9, 1) };
        assert_eq!(conflict(&lower), Conflict::OtherHeight);
        assert_eq!(guard.admit(&mark(SignedKind::Precommit, 1, 1)), Ok(true));
    }

    #[test]
    fn heights_do_not_go_back() {
        let mut guard = Guard::default();
        guard.enter(5);
        guard.record(&mark(SignedKind::Prevote, 0, 1)).unwrap();
        guard.enter(4);
        guard.enter(5);
        assert!(guard.admit(&mark(SignedKind::Prevote, 0, 2)).is_err());
        guard.enter(6);
        assert!(guard.admit(&mark(SignedKind::Prevote, 0, 2)).is_err());
    }
}
