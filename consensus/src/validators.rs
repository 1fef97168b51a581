//! The validators of one height: their keys, their voting power, and whose turn it is to propose.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_malachitebft_core_types as malachite;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::{Registry, Validator};

use crate::context::{Address, StemmaContext};

/// Largest total voting power. The core multiplies it by three and must not overflow.
pub const TOTAL_POWER_MAX: u64 = u64::MAX / 4;

/// A validator as the core sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreValidator {
    address: Address,
    key: PublicKey,
    power: u64,
}

/// The validators of one height, in the order of their ids, at least one; shared, so that clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorSet(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    first: CoreValidator,
    all: Vec<CoreValidator>,
    total: u64,
    // The greatest common divisor of all powers: equal powers then give a plain round robin.
    unit: u64,
}

/// Why members cannot be a validator set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorsError {
    /// No member has a vote.
    #[error("no member of the registry has a vote")]
    Empty,
    /// A power of zero, or a total that is too large.
    #[error("{0}: voting power zero, or a total above 2^62")]
    Power(MemberId),
    /// Two validators share a key.
    #[error("{0}: its key is another validator's too")]
    Key(MemberId),
}

impl ValidatorSet {
    /// The validators of a registry.
    ///
    /// # Errors
    /// [`ValidatorsError`]; a registry that keeps its own rules causes none.
    pub fn of(registry: &Registry) -> Result<Self, ValidatorsError> {
        Self::new(registry.validators())
    }

    /// A set of validators.
    ///
    /// # Errors
    /// [`ValidatorsError`].
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, ValidatorsError> {
        validators.sort_by(|a, b| a.id.cmp(&b.id));
        let (mut keys, mut total, mut unit) = (BTreeSet::new(), 0_u64, 0_u64);
        for v in &validators {
            total = total.saturating_add(v.power);
            unit = greatest_common_divisor(unit, v.power);
            if v.power == 0 || total > TOTAL_POWER_MAX {
                return Err(ValidatorsError::Power(v.id.clone()));
            }
            if !keys.insert(v.key) {
                return Err(ValidatorsError::Key(v.id.clone()));
            }
        }
        let of = |v: Validator| CoreValidator { address: Address(v.id), key: v.key, power: v.power };
        let all: Vec<CoreValidator> = validators.into_iter().map(of).collect();
        let first = all.first().cloned().ok_or(ValidatorsError::Empty)?;
        Ok(Self(Arc::new(Inner { first, all, total, unit })))
    }

    /// All validators in the order of their ids.
    pub fn all(&self) -> &[CoreValidator] {
        &self.0.all
    }

    /// A validator by id.
    pub fn get(&self, id: &MemberId) -> Option<&CoreValidator> {
        let at = self.0.all.binary_search_by(|v| v.address.0.cmp(id)).ok()?;
        self.0.all.get(at)
    }

    /// The sum of all voting powers.
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// Whose turn it is.
    ///
    /// Heights go round by voting power: of `total` heights in a row each validator leads as many as its power (all
    /// powers divided by their common divisor). Rounds go on from there one validator at a time, so that a dead one
    /// costs one round, whatever its power.
    pub fn proposer(&self, height: u64, round: u32) -> &CoreValidator {
        let Inner { first, all, total, unit } = &*self.0;
        let cycle = total.checked_div(*unit).unwrap_or(1);
        let mut slot = height.checked_rem(cycle).unwrap_or(0);
        let mut leader = 0_u64;
        for v in all {
            let share = v.power.checked_div(*unit).unwrap_or(1);
            if slot < share {
                break;
            }
            slot = slot.saturating_sub(share);
            leader = leader.saturating_add(1);
        }
        let turn = leader.saturating_add(u64::from(round)).checked_rem(all.len() as u64);
        let turn = usize::try_from(turn.unwrap_or(0)).unwrap_or(0);
        all.get(turn).unwrap_or(first)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

impl CoreValidator {
    /// The member.
    pub fn id(&self) -> &MemberId {
        &self.address.0
    }

    /// Its vote-signing key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Its voting power.
    pub fn power(&self) -> u64 {
        self.power
    }
}

impl malachite::Validator<StemmaContext> for CoreValidator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> u64 {
        self.power
    }
}

impl malachite::ValidatorSet<StemmaContext> for ValidatorSet {
    fn count(&self) -> usize {
        self.0.all.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.0.total
    }

    fn get_by_address(&self, address: &Address) -> Option<&CoreValidator> {
        self.get(&address.0)
    }

    fn get_by_index(&self, index: usize) -> Option<&CoreValidator> {
        self.0.all.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(powers: &[u64]) -> ValidatorSet {
        let of = |(i, power): (usize, &u64)| Validator {
            id: format!("v{i}").parse().unwrap(),
            key: PublicKey([u8::try_from(i).unwrap(); 32]),
            power: *power,
        };
        ValidatorSet::new(powers.iter().enumerate().map(of).collect()).unwrap()
    }

    #[test]
    fn equal_powers_take_turns() {
        let set = set(&[10, 10, 10, 10]);
        let turns: Vec<_> = (0..5).map(|h| set.proposer(h, 0).id().to_string()).collect();
        assert_eq!(turns, ["v0", "v1", "v2", "v3", "v0"]);
        assert_eq!(set.proposer(3, 1).id().as_str(), "v0");
    }

    #[test]
    fn power_decides_how_many_heights_and_rounds_move_on() {
        let set = set(&[6, 2, 2]);
        let led = (0..50).filter(|h| set.proposer(*h, 0).id().as_str() == "v0").count();
        assert_eq!(led, 30);
        for height in 0..10 {
            let mut seen: BTreeSet<_> = BTreeSet::new();
            seen.extend((0..3).map(|r| set.proposer(height, r).id().clone()));
            assert_eq!(seen.len(), 3);
        }
    }

    #[test]
    fn sets_that_cannot_be_are_refused() {
        assert_eq!(ValidatorSet::new(vec![]), Err(ValidatorsError::Empty));
        let v = |id: &str, key, power| Validator { id: id.parse().unwrap(), key: PublicKey([key; 32]), power };
        assert!(matches!(ValidatorSet::new(vec![v("a", 1, 0)]), Err(ValidatorsError::Power(_))));
        assert!(matches!(ValidatorSet::new(vec![v("a", 1, 1), v("b", 1, 1)]), Err(ValidatorsError::Key(_))));
        assert!(matches!(ValidatorSet::new(vec![v("a", 1, u64::MAX)]), Err(ValidatorsError::Power(_))));
    }
}
