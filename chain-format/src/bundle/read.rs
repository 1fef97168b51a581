//! The entries of a bundle, each by the registry under which it was committed.

use minicbor::bytes::ByteVec;

use crate::chain::Entry;
use crate::error::Violation;
use crate::registry::Registry;
use crate::validate::{VerifiedEntry, rules_hold, verify_each};

/// Reads lists of entries, and counts signatures.
pub(super) struct Reader<'t> {
    /// The registries that were in force up to the checkpoint, the genesis' first.
    pub registries: &'t [(u64, Registry)],
    /// The last of them.
    pub last: &'t Registry,
    /// Signatures so far.
    pub signatures: u64,
}

impl<'t> Reader<'t> {
    /// All entries of one list: read first, then verified in one batch. Which registry was in force when an entry was committed, no record
    /// says: it is the first under which the entry holds, in a lineage from that of the entry before on.
    pub(super) fn entries(
        &mut self,
        raw: &[ByteVec],
        place: &str,
        in_order: bool,
    ) -> Result<Vec<VerifiedEntry>, Violation> {
        let mut entries = Vec::with_capacity(raw.len());
        for (index, bytes) in raw.iter().enumerate() {
            let entry = Entry::decode(bytes).map_err(|v| v.within(format!("{place}[{index}]")))?;
            self.signatures = self.signatures.saturating_add(entry.signers().len() as u64);
            entries.push(entry);
        }
        let mut since = 0;
        let mut judged = Vec::with_capacity(entries.len());
        for entry in entries {
            let registry = self.registry_of(&entry, &mut since);
            if !in_order {
                since = 0;
            }
            judged.push((entry, registry));
        }
        let verdicts = verify_each(judged).into_iter().enumerate();
        verdicts.map(|(i, verdict)| verdict.map_err(|v| v.within(format!("{place}[{i}]")))).collect()
    }

    /// The first registry from a place on under which an entry holds; where there is none, the last, which then says why.
    fn registry_of(&self, entry: &Entry, since: &mut usize) -> &'t Registry {
        let known = self.registries.iter().enumerate().skip(*since);
        let found =
            known.map(|(at, (_, registry))| (at, registry)).find(|(_, registry)| rules_hold(entry, registry).is_ok());
        match found {
            Some((at, registry)) => {
                *since = at;
                registry
            }
            None => self.last,
        }
    }
}
