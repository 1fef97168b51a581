//! Verified entries that wait for a block, the oldest first.
//!
//! An entry is in one of two places: *ready* entries make a block worth proposing; *deferred* ones did not apply when last
//! tried (their parent is not committed yet, the institution is short of cash) and wait for the next block that changes
//! anything, so that they cannot keep an otherwise idle network busy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stemma_chain_format::hash::Link;
use stemma_chain_format::validate::VerifiedEntry;

/// The entries that wait.
#[derive(Debug, Default)]
pub struct Pool {
    entries: BTreeMap<Link, (u64, Arc<VerifiedEntry>)>,
    ready: BTreeMap<u64, Link>,
    deferred: BTreeSet<Link>,
    arrivals: u64,
}

/// Most entries that wait at once; beyond it, newcomers are turned away and gossip brings them again.
pub const POOL_ENTRIES_MAX: usize = 100_000;

impl Pool {
    /// Adds an entry; `false` where it is here already or the pool is full.
    pub fn insert(&mut self, entry: Arc<VerifiedEntry>) -> bool {
        let id = entry.id();
        if self.entries.contains_key(&id) || self.entries.len() >= POOL_ENTRIES_MAX {
            return false;
        }
        self.arrivals = self.arrivals.saturating_add(1);
        self.entries.insert(id, (self.arrivals, entry));
        self.ready.insert(self.arrivals, id);
        true
    }

    /// An entry by id.
    pub fn get(&self, id: &Link) -> Option<&Arc<VerifiedEntry>> {
        self.entries.get(id).map(|(_, entry)| entry)
    }

    /// Ready entries, the oldest first.
    pub fn ready(&self) -> impl Iterator<Item = &Arc<VerifiedEntry>> {
        self.ready.values().filter_map(|id| self.get(id))
    }

    /// All entries, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifiedEntry>> {
        self.entries.values().map(|(_, entry)| entry)
    }

    /// Whether an entry is ready.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many entries wait, ready or deferred.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes an entry.
    pub fn remove(&mut self, id: &Link) {
        if let Some((arrival, _)) = self.entries.remove(id) {
            self.ready.remove(&arrival);
            self.deferred.remove(id);
        }
    }

    /// Sets an entry aside until [`Self::reconsider`].
    pub fn defer(&mut self, id: &Link) {
        if let Some((arrival, _)) = self.entries.get(id) {
            self.ready.remove(arrival);
            self.deferred.insert(*id);
        }
    }

    /// Makes all deferred entries ready again, in the order of their arrival.
    pub fn reconsider(&mut self) {
        for id in std::mem::take(&mut self.deferred) {
            if let Some((arrival, _)) = self.entries.get(&id) {
                self.ready.insert(*arrival, id);
            }
        }
    }
}
