//! The ledger as consensus sees it: the committed state, the pool, and the sink that makes blocks durable.

use std::sync::Arc;

use stemma_chain_format::certificate::Certificate;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::{BlockId, Link};
use stemma_chain_format::header::Block;
use stemma_chain_format::ledger::{Changes, Ledger};
use stemma_chain_format::limits::{EFFECTIVE_BLOCKS_MAX, SETTLEMENT_AGE_MS_MAX};
use stemma_chain_format::member::{MemberId, OwnAccount};
use stemma_chain_format::registry::{Registry, own_account};
use stemma_chain_format::validate::{VerifiedEntry, verify_entries};

use crate::block::{self, Built};
use crate::pool::Pool;
use crate::ports::{Application, Judgement};

/// A block that became final, with everything a store needs to write it in one transaction.
#[derive(Debug)]
pub struct CommittedBlock<'c> {
    /// The block.
    pub block: &'c Block,
    /// The proof that it is final.
    pub certificate: &'c Certificate,
    /// Its entries in order.
    pub entries: &'c [Arc<VerifiedEntry>],
    /// What it changes.
    pub changes: &'c Changes,
    /// The ledger that it changes, as it was before.
    pub before: &'c Ledger,
}

/// Makes committed blocks durable. When `write` returns, the block survives a crash.
pub trait BlockSink {
    /// Writes a block wholly or not at all.
    ///
    /// # Errors
    /// The cause, in words; the node then stops, since it cannot go on without losing something.
    fn write(&mut self, committed: &CommittedBlock<'_>) -> Result<(), String>;
}

/// Committed state, pool and sink: the [`Application`] that the engine drives.
#[derive(Debug)]
pub struct LedgerState<S> {
    ledger: Ledger,
    pool: Pool,
    sink: S,
    /// Blocks judged or built on the present head, so that none is applied twice.
    tried: Vec<(BlockId, Changes)>,
}

/// Most blocks remembered on one head; rounds beyond are judged anew.
const TRIED_MAX: usize = 8;
/// How far a governance record that waits may be ahead of the next one.
const GOVERNANCE_AHEAD_MAX: u64 = 64;
/// Most governance records that wait at once.
const GOVERNANCE_POOLED_MAX: usize = 128;
/// Every so many blocks the pool is searched for entries that were overtaken.
const PRUNE_BLOCKS: u64 = 64;

impl<S: BlockSink> LedgerState<S> {
    /// A state at some head.
    pub fn new(ledger: Ledger, sink: S) -> Self {
        Self { ledger, pool: Pool::default(), sink, tried: Vec::new() }
    }

    /// The committed ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The entries that wait.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The sink.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Adds a verified entry to the pool; `false` where it is here already, cannot apply any more, or does not fit.
    pub fn add(&mut self, entry: Arc<VerifiedEntry>) -> bool {
        !self.is_spent(&entry) && self.may_be_governance(&entry) && self.pool.insert(entry)
    }

    /// A governance record waits only where a member signed it and it may soon commit, and few do at once: else whoever can gossip could fill
    /// the pool with records that never leave it.
    fn may_be_governance(&self, entry: &VerifiedEntry) -> bool {
        let Entry::Governance(governance) = entry.entry() else { return true };
        let (record, registry) = (governance.record(), self.ledger.registry());
        let last = self.ledger.head().height.saturating_add(EFFECTIVE_BLOCKS_MAX);
        let near = record.number <= registry.number().saturating_add(GOVERNANCE_AHEAD_MAX) && record.effective <= last;
        let signed = governance.signers().any(|key| registry.members().any(|member| member.member_key == *key));
        let waiting = || self.pool.iter().filter(|waits| matches!(waits.entry(), Entry::Governance(_))).count();
        near && signed && waiting() < GOVERNANCE_POOLED_MAX
    }

    /// Whether an entry was committed already or was overtaken, as far as the state alone can tell.
    fn is_spent(&self, entry: &VerifiedEntry) -> bool {
        match entry.entry() {
            Entry::Chain(chain) => {
                let endorsement = chain.endorsement.record();
                let state = self.ledger.account(&endorsement.account).map(|account| &account.state);
                let expired = endorsement.expires <= self.ledger.head().height;
                expired || state.is_some_and(|state| endorsement.sequence <= state.sequence)
            }
            Entry::Servicing(service) => {
                let record = service.servicing.record();
                let state = self.ledger.account(&record.account).map(|account| &account.state);
                state.is_some_and(|state| record.sequence <= state.sequence)
            }
            Entry::Settlement(settlement) => {
                let last_ms = settlement.record().settled_ms.saturating_add(SETTLEMENT_AGE_MS_MAX);
                last_ms <= self.ledger.head().time_ms
            }
            Entry::Governance(governance) => {
                let record = governance.record();
                let height = self.ledger.head().height;
                record.number <= self.ledger.registry().number() || record.effective <= height.saturating_add(1)
            }
            Entry::Opening(_) => self.ledger.account(&entry.id().into()).is_some(),
            Entry::Listing(listing) => {
                let record = listing.record();
                let in_force = self.ledger.listing(&record.instrument);
                // It is in force itself, or another has taken the same place; a change may come before what it changes.
                in_force.is_some_and(|listed| listed.link == entry.id() || listed.listing.replaces == record.replaces)
            }
            Entry::Issuance(issuance) => {
                let record = issuance.record();
                let network = self.ledger.registry().network();
                let id = own_account(&network, &record.issuer, OwnAccount::Settlement);
                let state = self.ledger.account(&id).map(|account| &account.state);
                state.is_some_and(|state| record.sequence <= state.sequence)
            }
        }
    }

    /// Entries that were overtaken leave the pool now and then, also on nodes that never propose.
    fn prune(&mut self) {
        let spent: Vec<Link> = self.pool.iter().filter(|entry| self.is_spent(entry)).map(|entry| entry.id()).collect();
        spent.iter().for_each(|id| self.pool.remove(id));
    }

    fn bodies(&self, block: &Block) -> Result<Vec<Arc<VerifiedEntry>>, Vec<Link>> {
        let missing: Vec<Link> = block.entries.iter().filter(|id| self.pool.get(id).is_none()).copied().collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(block.entries.iter().filter_map(|id| self.pool.get(id).cloned()).collect())
    }

    /// A synced block's entries, verified: those that gossip brought before are not checked again.
    fn verified(&self, block: &Block, bodies: &[Vec<u8>]) -> Result<Vec<Arc<VerifiedEntry>>, Violation> {
        let pooled: Vec<Option<Arc<VerifiedEntry>>> =
            block.entries.iter().map(|id| self.pool.get(id).cloned()).collect();
        let missing = pooled.iter().zip(bodies).filter(|(here, _)| here.is_none());
        let decoded = missing.map(|(_, bytes)| Entry::decode(bytes)).collect::<Result<Vec<_>, _>>()?;
        let mut verdicts = verify_entries(decoded, self.ledger.registry()).into_iter();
        let none = || Violation::new(Rule::Block, "block.entries", "a body for each entry", "fewer");
        let take = |here: Option<Arc<VerifiedEntry>>| match here {
            Some(entry) => Ok(entry),
            None => verdicts.next().ok_or_else(none)?.map(Arc::new),
        };
        pooled.into_iter().map(take).collect()
    }

    fn remember(&mut self, id: BlockId, changes: Changes) {
        if self.tried.len() >= TRIED_MAX {
            self.tried.remove(0);
        }
        self.tried.push((id, changes));
    }

    fn conclude(
        &mut self,
        block: &Block,
        certificate: &Certificate,
        entries: &[Arc<VerifiedEntry>],
        changes: Changes,
    ) -> Result<(), Violation> {
        let committed = CommittedBlock { block, certificate, entries, changes: &changes, before: &self.ledger };
        self.sink.write(&committed).map_err(|cause| Violation::new(Rule::Block, "store", "a durable write", cause))?;
        self.ledger.adopt(&block.header, changes);
        self.tried.clear();
        block.entries.iter().for_each(|id| self.pool.remove(id));
        if !block.entries.is_empty() {
            self.pool.reconsider();
        }
        if block.header.height.is_multiple_of(PRUNE_BLOCKS) {
            self.prune();
        }
        Ok(())
    }
}

impl<S: BlockSink> Application for LedgerState<S> {
    fn height(&self) -> u64 {
        self.ledger.head().height
    }

    fn head(&self) -> BlockId {
        self.ledger.head().block
    }

    fn registry(&self) -> &Registry {
        self.ledger.registry()
    }

    fn has_work(&self) -> bool {
        self.pool.has_ready()
    }

    fn propose(&mut self, proposer: &MemberId, now_ms: u64) -> Block {
        let Built { block, changes } = block::build(&self.ledger, &mut self.pool, proposer, now_ms);
        self.remember(block.id(), changes);
        block
    }

    fn judge(&mut self, block: &Block, now_ms: u64) -> Judgement {
        // The id is the header's alone, so the entries must be shown to be its before anything is remembered of it.
        if let Err(violation) = block.check() {
            return Judgement::Invalid(violation);
        }
        let id = block.id();
        let entries = match self.bodies(block) {
            Ok(entries) => entries,
            Err(missing) => return Judgement::Missing(missing),
        };
        let drift = self.ledger.registry().parameters().clock_drift_ms_max;
        let latest = now_ms.saturating_add(drift);
        if block.header.time_ms > latest {
            let expected = format!("at most {latest}");
            let found = block.header.time_ms;
            return Judgement::Invalid(Violation::new(Rule::Block, "header.time_ms", expected, found));
        }
        if self.tried.iter().any(|(tried, _)| *tried == id) {
            return Judgement::Valid;
        }
        match self.ledger.check_block(block, &entries) {
            Ok(changes) => {
                self.remember(id, changes);
                Judgement::Valid
            }
            Err(violation) => Judgement::Invalid(violation),
        }
    }

    fn commit(&mut self, block: &Block, certificate: &Certificate) -> Result<(), Violation> {
        let entries = self.bodies(block).map_err(|missing| {
            Violation::new(Rule::Block, "block.entries", "all bodies here", format!("{} missing", missing.len()))
        })?;
        let id = block.id();
        let changes = match self.tried.iter().position(|(tried, _)| *tried == id) {
            Some(at) => self.tried.swap_remove(at).1,
            None => self.ledger.check_block(block, &entries)?,
        };
        self.conclude(block, certificate, &entries, changes)
    }

    fn commit_synced(
        &mut self,
        block: &Block,
        certificate: &Certificate,
        entries: Vec<Vec<u8>>,
    ) -> Result<(), Violation> {
        let verified = self.verified(block, &entries)?;
        let changes = self.ledger.check_block(block, &verified)?;
        self.conclude(block, certificate, &verified, changes)
    }
}
