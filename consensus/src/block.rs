//! Builds blocks on top of a ledger, without changing it.

use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::header::{Block, Header, entries_root};
use stemma_chain_format::ledger::{Changes, Ledger};
use stemma_chain_format::limits::BLOCK_STAGE_BYTES_MAX;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::validate::VerifiedEntry;

use crate::pool::Pool;

/// A block with what it changes.
#[derive(Debug, Clone)]
pub struct Built {
    /// The block.
    pub block: Block,
    /// What it changes.
    pub changes: Changes,
}

/// Builds the next block from the pool. Entries that can never apply leave the pool, those that may apply later are deferred.
pub fn build(ledger: &Ledger, pool: &mut Pool, proposer: &MemberId, now_ms: u64) -> Built {
    let entries_max = ledger.registry().parameters().block_entries_max;
    let entries_max = usize::try_from(entries_max).unwrap_or(usize::MAX);
    let head = ledger.head();
    let time_ms = now_ms.max(head.time_ms.saturating_add(1));
    let mut draft = ledger.draft(time_ms);
    let mut taken = Vec::new();
    let mut bytes = 0_usize;
    let (mut dead, mut early) = (Vec::new(), Vec::new());
    for entry in pool.ready() {
        let bytes_with = bytes.saturating_add(entry.entry().stage_bytes());
        if taken.len() >= entries_max || bytes_with > BLOCK_STAGE_BYTES_MAX {
            break;
        }
        match draft.apply(entry) {
            Ok(()) => {
                taken.push(entry.id());
                bytes = bytes_with;
            }
            Err(violation) if may_apply_later(ledger, entry, &violation) => early.push(entry.id()),
            Err(violation) => {
                tracing::debug!(entry = %entry.id(), %violation, "an entry left the pool");
                dead.push(entry.id());
            }
        }
    }
    let changes = draft.finish();
    dead.iter().for_each(|id| pool.remove(id));
    early.iter().for_each(|id| pool.defer(id));
    let header = Header {
        network: ledger.registry().network(),
        height: head.height.saturating_add(1),
        parent: head.block,
        time_ms,
        proposer: proposer.clone(),
        entries_root: entries_root(&taken),
        accounts_root: changes.root(),
        registry_root: changes.registry.root(),
    };
    Built { block: Block { header, entries: taken }, changes }
}

/// Whether an entry that does not apply now may apply on a later block.
fn may_apply_later(ledger: &Ledger, entry: &VerifiedEntry, violation: &Violation) -> bool {
    let sequence_ahead = |account, sequence: u64| {
        let state = ledger.account(account).map(|account| account.state.sequence);
        state.is_none_or(|committed| sequence > committed.saturating_add(1))
    };
    match (entry.entry(), violation.rule) {
        // The institution may come to cash; an opening, a listing or a credit that the bank saw a block earlier may
        // still be on its way; until the expiry.
        (Entry::Chain(_), Rule::Overdraft | Rule::Account | Rule::Listing | Rule::Credit | Rule::Holdings) => true,
        (Entry::Chain(chain), Rule::Sequence) => {
            let endorsement = chain.endorsement.record();
            sequence_ahead(&endorsement.account, endorsement.sequence)
        }
        // The institution may come to cash; a clock may be a little behind; until the settlement is too old.
        (Entry::Settlement(_), Rule::Overdraft) => true,
        (Entry::Settlement(settlement), Rule::Expiry) => settlement.record().settled_ms > ledger.head().time_ms,
        // A clock may be a little behind; until the order that waits is settled.
        (Entry::Servicing(service), Rule::Status) => {
            let record = service.servicing.record();
            let waits = |key| ledger.position(&key).is_some();
            stemma_chain_format::position::touched_by_act(&record.network, &record.act).is_some_and(waits)
        }
        (Entry::Governance(governance), Rule::Sequence) => {
            governance.record().number > ledger.registry().number().saturating_add(1)
        }
        (Entry::Issuance(_), Rule::Account | Rule::Listing) => true,
        (Entry::Issuance(issuance), Rule::Sequence) => {
            let record = issuance.record();
            let network = ledger.registry().network();
            let purpose = stemma_chain_format::member::OwnAccount::Settlement;
            let id = stemma_chain_format::registry::own_account(&network, &record.issuer, purpose);
            sequence_ahead(&id, record.sequence)
        }
        _ => false,
    }
}
