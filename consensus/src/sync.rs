//! Catching up: which peer is ahead, and which one was asked for blocks.
//!
//! What peers claim is not trusted. A claimed height is only compared, never counted up to or allocated for; a peer that
//! does not deliver what it claimed is not asked again before it claims anew; every block proves itself.

use std::collections::BTreeMap;
use std::ops::Bound;

use stemma_chain_format::cbor;
use stemma_chain_format::certificate::Certificate;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::header::Block;
use stemma_chain_format::limits::{ENTRY_BYTES_MAX, MEMBERS_MAX};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Registry;

/// A committed block as one peer sends it to another.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SyncedBlock {
    /// The block.
    #[n(0)]
    pub block: Block,
    /// Its certificate.
    #[n(1)]
    pub certificate: Certificate,
    /// Its entries' bytes, in order.
    #[n(2)]
    pub entries: Vec<EntryBytes>,
}

/// One entry's exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct EntryBytes(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

/// Largest encoding of a synced block, in bytes. Whoever makes blocks keeps the sum of their entries below it, or no peer
/// can catch up over them.
pub const SYNCED_BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;

impl SyncedBlock {
    /// The block's bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a block from a peer; [`verify`](Self::verify) judges it.
    ///
    /// # Errors
    /// Not the one encoding, or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let synced: Self = cbor::decode(bytes, "synced block", SYNCED_BLOCK_BYTES_MAX)?;
        let fits = synced.entries.iter().all(|e| e.0.len() <= ENTRY_BYTES_MAX)
            && synced.certificate.signatures.len() <= MEMBERS_MAX;
        if fits { Ok(synced) } else { Err(refused("entries and signatures within their limits", "more")) }
    }

    /// Requires that this is the block after `parent`, final by a certificate of the registry's validators, and that
    /// it comes with as many entries as it names. The entries themselves are the ledger's to verify.
    ///
    /// # Errors
    /// [`Rule::Network`], [`Rule::Block`], [`Rule::Certificate`].
    pub fn verify(
        &self,
        network: &NetworkId,
        height: u64,
        parent: &BlockId,
        registry: &Registry,
    ) -> Result<(), Violation> {
        follows(&self.block, network, height, parent)?;
        self.block.check()?;
        let (id, certificate) = (self.block.id(), &self.certificate);
        if certificate.height != height || certificate.block != id {
            let expected = format!("a certificate of block {id} at height {height}");
            let found = format!("{} at {}", certificate.block, certificate.height);
            return Err(Violation::new(Rule::Certificate, "synced.certificate", expected, found));
        }
        certificate.verify(*network, &registry.validators())?;
        let (named, sent) = (self.block.entries.len(), self.entries.len());
        if named == sent { Ok(()) } else { Err(refused(&format!("{named} entries"), &sent.to_string())) }
    }
}

/// Requires that a block is of a network and follows a parent.
///
/// # Errors
/// [`Rule::Network`] or [`Rule::Block`].
pub fn follows(block: &Block, network: &NetworkId, height: u64, parent: &BlockId) -> Result<(), Violation> {
    let header = &block.header;
    if header.network != *network {
        return Err(Violation::new(Rule::Network, "header.network", network, header.network));
    }
    if header.height != height {
        return Err(Violation::new(Rule::Block, "header.height", height, header.height));
    }
    if header.parent != *parent {
        return Err(Violation::new(Rule::Block, "header.parent", parent, header.parent));
    }
    Ok(())
}

fn refused(expected: &str, found: &str) -> Violation {
    Violation::new(Rule::Block, "synced.entries", expected, found)
}

/// A request for blocks that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Counts requests, so that a late timer is told from this one's.
    pub number: u64,
    /// Whom it went to.
    pub peer: MemberId,
    /// The first height asked for.
    pub from_height: u64,
    /// How many blocks.
    pub count: u64,
}

/// Who claims to be ahead, and the one request that is out.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    heads: BTreeMap<MemberId, u64>,
    last: Option<MemberId>,
    outstanding: Option<Request>,
    sent: u64,
    grace_begun: Option<u64>,
    grace_over: Option<u64>,
}

/// What to do about lagging.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nobody is ahead, or a request is out.
    Nothing,
    /// One block behind: it may come by itself, so wait a while first. Said once for a height.
    Wait,
    /// Ask.
    Ask(Request),
}

impl Sync {
    /// Notes what a member claims. The caller lets only members in, so the map stays small.
    pub fn claim(&mut self, peer: MemberId, height: u64) {
        self.heads.insert(peer, height);
    }

    /// Notes the least height that a member must have to have said what it said.
    pub fn hint(&mut self, peer: &MemberId, height: u64) {
        let head = self.heads.entry(peer.clone()).or_default();
        *head = height.max(*head);
    }

    /// The grace for one height is over.
    pub fn end_grace(&mut self, height: u64) {
        self.grace_over = Some(height);
    }

    /// The request that is out.
    pub fn outstanding(&self) -> Option<&Request> {
        self.outstanding.as_ref()
    }

    /// Takes the request that is out, when it went to this peer.
    pub fn answered(&mut self, peer: &MemberId) -> Option<Request> {
        self.outstanding.take_if(|r| r.peer == *peer)
    }

    /// A peer did not deliver: it is not asked again before it claims anew.
    pub fn failed(&mut self, peer: &MemberId) {
        self.heads.remove(peer);
        self.outstanding.take_if(|r| r.peer == *peer);
    }

    /// Decides what to do, `height` being the last committed one.
    pub fn plan(&mut self, height: u64, patient: bool, blocks_max: u64) -> Plan {
        if self.outstanding.is_some() {
            return Plan::Nothing;
        }
        self.heads.retain(|_, head| *head > height);
        let Some(highest) = self.heads.values().max() else {
            return Plan::Nothing;
        };
        let next = height.saturating_add(1);
        if patient && *highest == next && self.grace_over != Some(next) {
            let begun = self.grace_begun.replace(next) == Some(next);
            return if begun { Plan::Nothing } else { Plan::Wait };
        }
        // Go round the peers, so that one that lies costs one time-out in a turn.
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let in_turn = self.heads.range::<MemberId, _>((after, Bound::Unbounded)).next();
        let Some((peer, head)) = in_turn.or_else(|| self.heads.iter().next()) else {
            return Plan::Nothing;
        };
        self.sent = self.sent.saturating_add(1);
        let request = Request {
            number: self.sent,
            peer: peer.clone(),
            from_height: next,
            count: head.saturating_sub(height).min(blocks_max),
        };
        self.last = Some(request.peer.clone());
        self.outstanding = Some(request.clone());
        Plan::Ask(request)
    }
}
