//! Whether a block is the next one.

use std::sync::Arc;

use super::{Changes, Ledger};
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::Link;
use crate::header::Block;
use crate::limits::BLOCK_STAGE_BYTES_MAX;
use crate::validate::VerifiedEntry;

impl Ledger {
    /// Checks a block that claims to be the next one, with all its entries at hand, and says what it changes.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check_block(&self, block: &Block, entries: &[Arc<VerifiedEntry>]) -> Result<Changes, Violation> {
        let (rule, head, header) = (Rule::Block, self.head(), &block.header);
        same(rule, "header.network", &self.registry().network(), &header.network)?;
        same(rule, "header.height", &head.height.saturating_add(1), &header.height)?;
        same(rule, "header.parent", &head.block, &header.parent)?;
        let later = header.time_ms > head.time_ms;
        ensure(later, rule, "header.time_ms", format_args!("later than {}", head.time_ms), header.time_ms)?;
        block.check()?;
        let (count, entries_max) = (block.entries.len(), self.registry().parameters().block_entries_max);
        let fits = count as u64 <= u64::from(entries_max);
        ensure(fits, rule, "block.entries", format_args!("at most {entries_max}"), count)?;
        let bytes = entries.iter().fold(0_usize, |sum, entry| sum.saturating_add(entry.entry().stage_bytes()));
        let expected = format!("stages of at most {BLOCK_STAGE_BYTES_MAX} bytes");
        ensure(bytes <= BLOCK_STAGE_BYTES_MAX, rule, "block.entries", expected, bytes)?;
        let at_hand: Vec<Link> = entries.iter().map(|entry| entry.id()).collect();
        ensure(block.entries == at_hand, rule, "block.entries", "the entries at hand", "others")?;
        let mut draft = self.draft(header.time_ms);
        for (index, entry) in entries.iter().enumerate() {
            draft.apply(entry).map_err(|violation| violation.within(format!("entries[{index}]")))?;
        }
        let changes = draft.finish();
        same(rule, "header.accounts_root", &changes.root(), &header.accounts_root)?;
        same(rule, "header.registry_root", &changes.registry.root(), &header.registry_root)?;
        Ok(changes)
    }
}
