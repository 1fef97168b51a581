//! A ledger over opaque entries: what is committed survives a crash, what waits does not.

use std::collections::{BTreeMap, BTreeSet};

use stemma_chain_format::certificate::Certificate;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::{BlockId, Digest, Link};
use stemma_chain_format::header::{Block, Header, entries_root, genesis_parent};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Registry;
use stemma_consensus::ports::{Application, Judgement};
use stemma_consensus::sync::{EntryBytes, SyncedBlock};

#[derive(Clone)]
pub struct TinyLedger {
    registry: Registry,
    blocks: Vec<(Block, Certificate)>,
    committed: BTreeMap<Link, Vec<u8>>,
    waiting: BTreeMap<Link, Vec<u8>>,
}

const DRIFT_MS: u64 = 10_000;
const ENTRIES_MAX: usize = 50;

impl TinyLedger {
    pub fn new(registry: Registry) -> Self {
        let (blocks, committed, waiting) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { registry, blocks, committed, waiting }
    }

    pub fn add(&mut self, entry: Vec<u8>) {
        let id = Link::of(&entry);
        if !self.committed.contains_key(&id) {
            self.waiting.insert(id, entry);
        }
    }

    pub fn entry(&self, id: &Link) -> Option<Vec<u8>> {
        self.waiting.get(id).or_else(|| self.committed.get(id)).cloned()
    }

    pub fn block(&self, height: u64) -> Option<&(Block, Certificate)> {
        self.blocks.get(usize::try_from(height).unwrap().checked_sub(1)?)
    }

    pub fn synced(&self, from: u64, count: u64) -> Vec<SyncedBlock> {
        let blocks = (from..).map_while(|h| self.block(h)).take(usize::try_from(count).unwrap());
        blocks
            .map(|(block, certificate)| SyncedBlock {
                block: block.clone(),
                certificate: certificate.clone(),
                entries: block.entries.iter().map(|e| EntryBytes(self.committed[e].clone())).collect(),
            })
            .collect()
    }

    pub fn crash(&mut self) {
        self.waiting.clear();
    }

    /// An older copy of the ledger, as a restored disk has it.
    pub fn truncate(&mut self, height: u64) {
        self.blocks.truncate(usize::try_from(height).unwrap());
        let kept: BTreeSet<Link> = self.blocks.iter().flat_map(|(b, _)| b.entries.iter().copied()).collect();
        self.committed.retain(|id, _| kept.contains(id));
    }

    pub fn entries_committed(&self) -> usize {
        self.committed.len()
    }

    fn parent_time(&self) -> u64 {
        self.blocks.last().map_or(0, |(b, _)| b.header.time_ms)
    }

    fn root(&self, entries: &[Link]) -> Digest {
        let last = self.blocks.last().map_or(Digest([0; 32]), |(b, _)| b.header.accounts_root);
        let mut bytes = last.0.to_vec();
        entries.iter().for_each(|e| bytes.extend(e.0));
        Digest::of(&bytes)
    }

    fn check(&self, block: &Block) -> Result<(), Violation> {
        let fail = |field: &str| Err(Violation::new(Rule::Block, field, "the rule kept", "broken"));
        let header = &block.header;
        if header.height != self.height() + 1 || header.parent != self.head() {
            return fail("parent");
        }
        if header.time_ms <= self.parent_time() {
            return fail("time");
        }
        let distinct: BTreeSet<_> = block.entries.iter().collect();
        let fresh = block.entries.iter().all(|e| !self.committed.contains_key(e));
        if distinct.len() != block.entries.len() || !fresh {
            return fail("entries");
        }
        if header.accounts_root != self.root(&block.entries) {
            return fail("accounts_root");
        }
        Ok(())
    }
}

impl Application for TinyLedger {
    fn height(&self) -> u64 {
        self.blocks.len() as u64
    }

    fn head(&self) -> BlockId {
        let genesis = || genesis_parent(&self.registry.network());
        self.blocks.last().map_or_else(genesis, |(b, _)| b.id())
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn propose(&mut self, proposer: &MemberId, now_ms: u64) -> Block {
        let entries: Vec<Link> = self.waiting.keys().take(ENTRIES_MAX).copied().collect();
        let header = Header {
            network: self.registry.network(),
            height: self.height() + 1,
            parent: self.head(),
            time_ms: now_ms.max(self.parent_time() + 1),
            proposer: proposer.clone(),
            entries_root: entries_root(&entries),
            accounts_root: self.root(&entries),
            registry_root: self.registry.root(),
        };
        Block { header, entries }
    }

    fn judge(&mut self, block: &Block, now_ms: u64) -> Judgement {
        if let Err(violation) = self.check(block) {
            return Judgement::Invalid(violation);
        }
        if block.header.time_ms > now_ms + DRIFT_MS {
            return Judgement::Invalid(Violation::new(Rule::Block, "time", "not ahead", "ahead"));
        }
        let missing = block.entries.iter().filter(|e| !self.waiting.contains_key(e));
        let missing: Vec<Link> = missing.copied().collect();
        if missing.is_empty() { Judgement::Valid } else { Judgement::Missing(missing) }
    }

    fn commit(&mut self, block: &Block, certificate: &Certificate) -> Result<(), Violation> {
        self.check(block)?;
        for id in &block.entries {
            let body = self
                .waiting
                .remove(id)
                .ok_or_else(|| Violation::new(Rule::Block, "entries", "an entry that is here", id))?;
            self.committed.insert(*id, body);
        }
        self.blocks.push((block.clone(), certificate.clone()));
        Ok(())
    }

    fn commit_synced(
        &mut self,
        block: &Block,
        certificate: &Certificate,
        entries: Vec<Vec<u8>>,
    ) -> Result<(), Violation> {
        self.check(block)?;
        for (id, body) in block.entries.iter().zip(&entries) {
            if Link::of(body) != *id {
                return Err(Violation::new(Rule::Block, "entries", id, "other bytes"));
            }
        }
        entries.into_iter().for_each(|e| self.add(e));
        self.commit(block, certificate)
    }
}
