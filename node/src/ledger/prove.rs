//! Proofs from the store: the audit bundle of an account.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::bytes::ByteVec;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{AccountBundle, BUNDLE_VERSION, HeldPosition, NeededListing, listings_needed};
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::merkle::SparseProof;

use crate::store::{Store, StoreError};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
    /// There is no block yet that certifies anything.
    #[error("there is no certified block yet")]
    NoBlock,
    /// The store began with a snapshot, and the account's lineage is longer than what it has.
    #[error("this node began with a snapshot: it has blocks from height {0} on, and the account's lineage is longer")]
    NoHistory(u64),
}

/// What the ledger's state tree says of an account at its head.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The account's state.
    pub account: AccountState,
    /// Its path to the root.
    pub proof: SparseProof,
    /// Its positions with their paths.
    pub positions: Vec<HeldPosition>,
    /// The height that all this is true at.
    pub height: u64,
}

/// Looks an account up in the state tree, with its positions.
pub fn proved(ledger: &Ledger, account: &AccountId) -> Option<Proved> {
    let found = ledger.account(account)?;
    let held = ledger.positions_of(account);
    let held =
        held.map(|(key, position)| HeldPosition { key: *key, position: position.clone(), proof: ledger.prove(key) });
    Some(Proved {
        account: found.state.clone(),
        proof: ledger.prove(account),
        positions: held.collect(),
        height: ledger.head().height,
    })
}

/// Puts together what proves an account at the height that the block there certifies.
///
/// # Errors
/// [`ProveError`].
pub fn account_bundle(store: &Store, proved: Proved) -> Result<AccountBundle, ProveError> {
    let Proved { account, proof, positions, height } = proved;
    let stored = store.block(height).map_err(ProveError::Store)?.ok_or(ProveError::NoBlock)?;
    let network = stored.block.header.network;
    let checkpoint = CertifiedHeader { header: stored.block.header, certificate: stored.certificate };
    let read = |place| -> Result<(Entry, ByteVec), ProveError> {
        let bytes = store.entry_at(place).map_err(ProveError::Store)?;
        let entry = Entry::decode(&bytes).map_err(|e| ProveError::Store(StoreError::damaged(e)))?;
        Ok((entry, bytes.into()))
    };
    let places = store.settlements(&account.account).map_err(ProveError::Store)?;
    let places = places.into_iter().filter(|place| place.height <= height);
    let settlements = places.map(read).collect::<Result<Vec<_>, _>>()?;
    let mut stands_on: BTreeMap<Link, &Entry> = BTreeMap::new();
    for (entry, _) in &settlements {
        if let Entry::Settlement(settlement) = entry {
            stands_on.insert(settlement.record().parent, entry);
        }
    }
    let from = store.history_from().map_err(ProveError::Store)?;
    let known = store.lineage_at(&account.account, 0).map_err(ProveError::Store)?;
    if from > 1 && known.is_none() {
        return Err(ProveError::NoHistory(from));
    }
    let mut lineage: Vec<ByteVec> = Vec::new();
    let mut listings = Listings { store, listed: BTreeSet::new(), bytes: Vec::new() };
    for place in store.lineage(&account.account, account.sequence).map_err(ProveError::Store)? {
        let (entry, bytes) = read(place)?;
        listings.needed_by(&entry)?;
        let mut head = entry.id();
        while let Some(settlement) = stands_on.get(&head) {
            listings.needed_by(settlement)?;
            head = settlement.id();
        }
        lineage.push(bytes);
    }
    let settled: BTreeSet<Link> = settlements.iter().map(|(entry, _)| entry.id()).collect();
    let credits = store.credits(&account.account, account.credits_received).map_err(ProveError::Store)?;
    let mut sources: Vec<ByteVec> = Vec::new();
    let mut sourced = BTreeSet::new();
    for credit in &credits {
        if !settled.contains(&credit.source) && sourced.insert(credit.source) {
            let source = store.entry(&credit.source).map_err(ProveError::Store)?;
            sources.extend(source.map(|(_, bytes)| ByteVec::from(bytes)));
        }
    }
    Ok(AccountBundle {
        version: BUNDLE_VERSION,
        network,
        checkpoint,
        account,
        proof,
        lineage,
        credits,
        sources,
        listings: listings.bytes,
        settlements: settlements.into_iter().map(|(_, bytes)| bytes).collect(),
        positions,
        trust: store.trust_steps(height).map_err(ProveError::Store)?,
    })
}

/// The listings of a bundle, each once, in the order of first use.
struct Listings<'s> {
    store: &'s Store,
    listed: BTreeSet<Link>,
    bytes: Vec<ByteVec>,
}

impl Listings<'_> {
    fn needed_by(&mut self, entry: &Entry) -> Result<(), ProveError> {
        for needed in listings_needed(entry) {
            let link = match needed {
                NeededListing::Named(link) => Some(link),
                NeededListing::Of(instrument) => self.store.listing_link(instrument).map_err(ProveError::Store)?,
            };
            if let Some(link) = link.filter(|link| self.listed.insert(*link)) {
                let listing = self.store.entry(&link).map_err(ProveError::Store)?;
                self.bytes.extend(listing.map(|(_, bytes)| ByteVec::from(bytes)));
            }
        }
        Ok(())
    }
}
