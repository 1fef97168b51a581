//! The positions of a ledger, found by key, by account and by instrument.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::hash::AccountId;
use crate::instrument::InstrumentId;
use crate::position::Position;

#[derive(Debug, Clone, Default)]
pub(super) struct Positions {
    by_key: BTreeMap<AccountId, Position>,
    by_account: BTreeMap<AccountId, BTreeSet<AccountId>>,
    by_instrument: BTreeMap<InstrumentId, BTreeSet<AccountId>>,
}

impl Positions {
    pub(super) fn get(&self, key: &AccountId) -> Option<&Position> {
        self.by_key.get(key)
    }

    pub(super) fn after(&self, before: Option<&AccountId>) -> Option<(&AccountId, &Position)> {
        self.by_key.range((super::above(before), Bound::Unbounded)).next()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&AccountId, &Position)> {
        self.by_key.iter()
    }

    pub(super) fn of_account(&self, account: &AccountId) -> impl Iterator<Item = (&AccountId, &Position)> {
        self.named(self.by_account.get(account))
    }

    pub(super) fn in_instrument(&self, instrument: &InstrumentId) -> impl Iterator<Item = (&AccountId, &Position)> {
        self.named(self.by_instrument.get(instrument))
    }

    /// A position as it is now; none where it ended.
    pub(super) fn put(&mut self, key: AccountId, position: Option<Position>) {
        match position {
            Some(position) => {
                self.by_account.entry(position.account).or_default().insert(key);
                self.by_instrument.entry(position.instrument.clone()).or_default().insert(key);
                self.by_key.insert(key, position);
            }
            None => {
                let Some(before) = self.by_key.remove(&key) else { return };
                forget(&mut self.by_account, &before.account, &key);
                forget(&mut self.by_instrument, &before.instrument, &key);
            }
        }
    }

    fn named<'p>(
        &'p self,
        keys: Option<&'p BTreeSet<AccountId>>,
    ) -> impl Iterator<Item = (&'p AccountId, &'p Position)> {
        keys.into_iter().flatten().filter_map(|key| self.by_key.get_key_value(key))
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<AccountId>>, of: &K, key: &AccountId) {
    if let Some(keys) = index.get_mut(of) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(of);
        }
    }
}
