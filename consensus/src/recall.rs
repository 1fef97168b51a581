//! What others know of a validator's own signatures: asked before it votes again after a start.
//!
//! A log that was put back from an older copy does not know what was signed since. The others do: each answers with the
//! votes and proposals of the asker that it holds for heights that are open, and with its own height. The asker votes once
//! validators have answered that make a quorum with it, and it has caught up with what an honest one of them has; and never
//! with a key of which it was shown a signature that its log does not hold. Waiting costs nothing that is not lost anyway:
//! without a quorum nothing is decided.

use std::collections::BTreeMap;

use stemma_chain_format::certificate::is_quorum;
use stemma_chain_format::hash::NetworkId;
use stemma_chain_format::member::MemberId;

use crate::codec::{SignedProposal, SignedVote};
use crate::guard::{Guard, SignedMark};
use crate::validators::ValidatorSet;

/// Most votes, and most proposals, in one answer; the latest ones.
pub const RECALLED_MAX: usize = 64;

/// Asks all validators what they hold of one validator's signatures.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Recall {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Signatures of this height and above are asked for.
    #[n(1)]
    pub height: u64,
    /// Tells the answers to this life from those to an earlier one.
    #[n(2)]
    pub life: u64,
}

/// What a validator holds of another's signatures.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Recalled {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Who asked.
    #[n(1)]
    pub to: MemberId,
    /// In which life.
    #[n(2)]
    pub life: u64,
    /// The height that the answering validator has committed.
    #[n(3)]
    pub head: u64,
    /// The asker's votes.
    #[n(4)]
    pub votes: Vec<SignedVote>,
    /// The asker's proposals.
    #[n(5)]
    pub proposals: Vec<SignedProposal>,
}

/// Who answered, and the height that it has committed.
#[derive(Debug)]
pub(crate) struct Asking {
    pub life: u64,
    heads: BTreeMap<MemberId, u64>,
}

impl Asking {
    pub fn new(life: u64) -> Self {
        Self { life, heads: BTreeMap::new() }
    }

    pub fn answered(&mut self, from: MemberId, head: u64) {
        self.heads.insert(from, head);
    }

    /// Whether enough validators answered, and this node has caught up with what one that is honest has.
    pub fn is_over(&self, me: &MemberId, height: u64, validators: &ValidatorSet) -> bool {
        let power = |id: &MemberId| validators.get(id).map_or(0, |v| v.power());
        let total = validators.total();
        let mut heads: Vec<(u64, u64)> = self.heads.iter().map(|(id, head)| (*head, power(id))).collect();
        let heard = heads.iter().fold(power(me), |sum, (_, power)| sum.saturating_add(*power));
        heads.sort_unstable_by(|a, b| b.cmp(a));
        // A third may lie about their heights; beyond that, one at least is honest.
        let mut claimed = 0_u64;
        let honest = heads.into_iter().find(|(_, power)| {
            claimed = claimed.saturating_add(*power);
            claimed.saturating_mul(3) >= total
        });
        is_quorum(heard, total) && honest.is_none_or(|(head, _)| height >= head)
    }
}

/// What this node knows that it signed: the guard for the height being decided, and what the log held at the start.
#[derive(Debug, Default)]
pub(crate) struct Own {
    logged: Vec<SignedMark>,
}

impl Own {
    pub fn of_log(logged: Vec<SignedMark>) -> Self {
        Self { logged }
    }

    pub fn knows(&self, mark: &SignedMark, guard: &Guard) -> bool {
        guard.holds(mark) || self.logged.contains(mark)
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::keys::PublicKey;
    use stemma_chain_format::registry::Validator;

    use super::*;

    fn id(index: u8) -> MemberId {
        format!("member-{index}").parse().unwrap()
    }

    fn four() -> ValidatorSet {
        let validator = |index| Validator { id: id(index), key: PublicKey([index; 32]), power: 10 };
        ValidatorSet::new((0..4).map(validator).collect()).unwrap()
    }

    #[test]
    fn a_quorum_must_answer_and_one_liar_delays_nobody() {
        let (set, me) = (four(), id(0));
        let mut asking = Asking::new(1);
        assert!(!asking.is_over(&me, 5, &set));
        asking.answered(id(1), u64::MAX);
        asking.answered(id(1), u64::MAX);
        assert!(!asking.is_over(&me, 5, &set), "one of four is no quorum, however often it answers");
        asking.answered(id(2), 5);
        assert!(asking.is_over(&me, 5, &set), "the height of one alone may be a lie");
        assert!(!asking.is_over(&me, 4, &set));
        asking.answered(id(3), 6);
        assert!(!asking.is_over(&me, 5, &set) && asking.is_over(&me, 6, &set));
    }

    #[test]
    fn a_validator_that_is_a_quorum_alone_asks_nobody() {
        let lone = Validator { id: id(0), key: PublicKey([0; 32]), power: 10 };
        let set = ValidatorSet::new(vec![lone]).unwrap();
        assert!(Asking::new(1).is_over(&id(0), 0, &set));
    }
}
