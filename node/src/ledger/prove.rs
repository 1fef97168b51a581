//! Proofs from the store: bundles of an account's lineage, of what it holds, of an entry, and of a block.

use std::collections::BTreeMap;

use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{
    Anchor, Arrangement, BUNDLE_VERSION, Bundle, Claim, Element, Head, Holding, NeededListing, Records,
};
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::merkle::{SparseProof, leaf_hash, sided_path};
use stemma_consensus::sync::SyncedBlock;

use crate::store::{Store, StoreError};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What is stored cannot be read.
    #[error("what is stored cannot be read")]
    Damaged(#[from] Violation),
    /// There is no block yet that certifies anything.
    #[error("there is no certified block yet")]
    NoBlock,
    /// The store's history begins later than the account's, and it has no anchor of it.
    #[error("this node has blocks from height {0} on, and nothing that proves what the account held there")]
    NoHistory(u64),
    /// The store's history does not begin with the first block.
    #[error("this node has blocks from height {0} on, and cannot replay what was before")]
    NoBlocks(u64),
    /// There is no block of that height.
    #[error("there is no block {0} here")]
    NotYet(u64),
    /// There was no such account.
    #[error("there was no account {0} at height {1}")]
    NotThere(AccountId, u64),
    /// The bundle cannot be written.
    #[error("the bundle cannot be written")]
    Written(#[source] std::io::Error),
}

/// What the ledger's state tree says of an id at its head.
#[derive(Debug, Clone)]
pub enum Looked {
    /// It is an account.
    Held(Box<Proved>),
    /// It is none.
    Absent {
        /// The id.
        account: AccountId,
        /// The proof that nothing has it.
        proof: SparseProof,
        /// The height that this is true at.
        height: u64,
    },
}

/// An account at the ledger's head.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The account with its positions, and their paths to the root.
    pub holding: Holding,
    /// The credits that wait.
    pub waiting: Vec<Credit>,
    /// The height that all this is true at.
    pub height: u64,
}

/// Looks an id up in the state tree; of an account, with its positions.
pub fn look(ledger: &Ledger, account: &AccountId) -> Looked {
    let height = ledger.head().height;
    match (Holding::of(ledger, account), ledger.account(account)) {
        (Some(holding), Some(found)) => {
            let waiting = found.inbox.iter().cloned().collect();
            Looked::Held(Box::new(Proved { holding, waiting, height }))
        }
        _ => Looked::Absent { account: *account, proof: ledger.prove(account), height },
    }
}

/// What proves what an account holds, without why; or that there is none.
///
/// # Errors
/// [`ProveError`].
pub fn holdings_bundle(store: &Store, looked: Looked) -> Result<Bundle, ProveError> {
    let (claim, height) = match looked {
        Looked::Held(proved) => (Claim::Holdings(Box::new(proved.holding)), proved.height),
        Looked::Absent { account, proof, height } => (Claim::Absence(account, proof), height),
    };
    Ok(Bundle { head: head(store, checkpoint(store, height)?, claim)?, elements: Vec::new() })
}

/// What proves that an entry stands in its block; nothing where it is not here.
///
/// # Errors
/// [`ProveError`].
pub fn entry_bundle(store: &Store, id: &Link) -> Result<Option<Bundle>, ProveError> {
    let Some(place) = store.place_of(id)? else { return Ok(None) };
    let Some(SyncedBlock { block, certificate, entries }) = store.block(place.height)? else { return Ok(None) };
    let index = usize::try_from(place.index).unwrap_or(usize::MAX);
    if block.entries.get(index) != Some(id) {
        return Ok(None);
    }
    let leaves: Vec<Digest> = block.entries.iter().map(|id| leaf_hash(&id.0)).collect();
    let missing = || StoreError::Damaged(format!("no entry {index} in block {}", place.height));
    let path = sided_path(&leaves, index).ok_or_else(missing)?;
    let bytes = entries.into_iter().nth(index).ok_or_else(missing)?;
    let claim = Claim::Entry(bytes.0.into(), path);
    let checkpoint = CertifiedHeader { header: block.header, certificate };
    Ok(Some(Bundle { head: head(store, checkpoint, claim)?, elements: Vec::new() }))
}

/// What proves a block with its entries; nothing where it is not here.
///
/// # Errors
/// [`ProveError`].
pub fn block_bundle(store: &Store, height: u64) -> Result<Option<Bundle>, ProveError> {
    let Some(SyncedBlock { block, certificate, entries }) = store.block(height)? else { return Ok(None) };
    let elements = entries.into_iter().map(|entry| Element::InBlock(entry.0.into())).collect();
    let checkpoint = CertifiedHeader { header: block.header, certificate };
    Ok(Some(Bundle { head: head(store, checkpoint, Claim::Block)?, elements }))
}

/// The block of a height.
fn checkpoint(store: &Store, height: u64) -> Result<CertifiedHeader, ProveError> {
    store.certified_header(height)?.ok_or(ProveError::NoBlock)
}

/// The head of a bundle whose claim is true at a block.
pub(super) fn head(store: &Store, checkpoint: CertifiedHeader, claim: Claim) -> Result<Head, ProveError> {
    let (network, trust) = (checkpoint.header.network, store.trust_steps(checkpoint.header.height)?);
    Ok(Head { version: BUNDLE_VERSION, network, trust, checkpoint, claim })
}

/// Puts together what proves an account at the height that the block there certifies: its whole lineage, or, where older blocks are not
/// kept, that from the anchor on.
///
/// # Errors
/// [`ProveError`].
pub fn account_bundle(store: &Store, proved: &Proved) -> Result<Bundle, ProveError> {
    let from = store.history_from()?;
    let made =
        anchor_where_history_begins(store, proved, from).and_then(|anchor| lineage_bundle(store, proved, anchor));
    // Meanwhile the store may have forgotten what was about to be read.
    if made.is_err() && store.history_from()? > from {
        let anchor = anchor_where_history_begins(store, proved, store.history_from()?)?;
        return lineage_bundle(store, proved, anchor);
    }
    made
}

/// The account's anchor, unless its whole lineage is here.
fn anchor_where_history_begins(store: &Store, proved: &Proved, from: u64) -> Result<Option<Anchor>, ProveError> {
    let account = &proved.holding.account.account;
    let opening = store.lineage_at(account, 0)?;
    let is_whole = from <= 1 || opening.is_some_and(|place| place.height > from);
    if is_whole { Ok(None) } else { Ok(Some(store.anchor_of(account)?.ok_or(ProveError::NoHistory(from))?)) }
}

/// Puts together what proves an account's lineage, from an anchor or from its opening on.
///
/// # Errors
/// [`ProveError`].
pub fn lineage_bundle(store: &Store, proved: &Proved, anchor: Option<Anchor>) -> Result<Bundle, ProveError> {
    let Proved { holding, waiting, height } = proved;
    let AccountState { account, sequence, .. } = holding.account;
    let after = anchor.as_ref().map_or(0, |anchor| anchor.header.header.height);
    let records = Stored { store, settlements: settlements(store, &account, after.saturating_add(1)..=*height)? };
    let mut elements = Vec::new();
    let take = |element: Element| {
        elements.push(element);
        Ok(())
    };
    let (mut arrangement, first) = match &anchor {
        None => (Arrangement::from_opening(account, records, take), 0),
        Some(anchor) => {
            let next = anchor.holding.account.sequence.saturating_add(1);
            (Arrangement::from_anchor(&anchor.holding, records, take)?, next)
        }
    };
    for place in store.lineage(&account, first..=sequence)? {
        arrangement.entry(store.entry_at(place)?)?;
    }
    for credit in waiting {
        arrangement.waiting(credit.clone())?;
    }
    drop(arrangement);
    let holding = Box::new(holding.clone());
    let claim = match anchor {
        None => Claim::Lineage(holding),
        Some(anchor) => Claim::LineageFrom(holding, Box::new(anchor)),
    };
    Ok(Bundle { head: head(store, checkpoint(store, *height)?, claim)?, elements })
}

/// The settlements of an account's positions in blocks of some heights, by what they stand on.
fn settlements(
    store: &Store,
    account: &AccountId,
    heights: std::ops::RangeInclusive<u64>,
) -> Result<BTreeMap<Link, Vec<u8>>, ProveError> {
    let mut by_parent = BTreeMap::new();
    for place in store.settlements(account)? {
        if heights.contains(&place.height) {
            let bytes = store.entry_at(place)?;
            if let Entry::Settlement(settlement) = Entry::decode(&bytes)? {
                by_parent.insert(settlement.record().parent, bytes);
            }
        }
    }
    Ok(by_parent)
}

/// What a lineage needs beside its own entries, from the store.
struct Stored<'s> {
    store: &'s Store,
    settlements: BTreeMap<Link, Vec<u8>>,
}

impl Records for Stored<'_> {
    type Error = ProveError;

    fn source(&self, id: &Link) -> Result<Vec<u8>, ProveError> {
        let found = self.store.entry(id)?.map(|(_, bytes)| bytes);
        found.ok_or_else(|| StoreError::Damaged(format!("no entry {id}, which gave a credit")).into())
    }

    fn listing(&self, needed: NeededListing<'_>) -> Result<Vec<u8>, ProveError> {
        let (found, what) = match needed {
            NeededListing::Named(link) => (self.store.listing(&link)?, link.to_string()),
            NeededListing::Of(instrument) => (self.store.listing_of(instrument)?, instrument.to_string()),
        };
        found.ok_or_else(|| StoreError::Damaged(format!("no listing {what}")).into())
    }

    fn settlement_on(&self, head: &Link) -> Result<Option<Vec<u8>>, ProveError> {
        Ok(self.settlements.get(head).cloned())
    }
}
