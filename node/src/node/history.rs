//! Old blocks: forgotten beside the node's thread, where the configuration says how many are kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stemma_consensus::ports::Application as _;

use super::Node;
use crate::error::chain;

impl Node {
    /// Sees to old blocks, where there is something to do at this height.
    pub(super) fn tend_history(&self) {
        let keep_blocks = self.settings.config.history.keep_blocks;
        let due = &self.history_due;
        if keep_blocks == 0 || self.state.height() < due.load(Ordering::Relaxed) {
            return;
        }
        // Not again before this is done.
        due.store(u64::MAX, Ordering::Relaxed);
        let (store, genesis, due) = (self.store.clone(), self.settings.genesis.clone(), Arc::clone(due));
        let height = self.state.height();
        self.runtime.spawn_blocking(move || {
            let again = match store.tend_history(&genesis, keep_blocks) {
                Ok(next) => next.unwrap_or(height).max(height),
                Err(e) => {
                    tracing::warn!("old blocks are not forgotten: {}", chain(&e));
                    height.saturating_add(keep_blocks)
                }
            };
            due.store(again, Ordering::Relaxed);
        });
    }
}
