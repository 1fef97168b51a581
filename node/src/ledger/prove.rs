//! Proofs from the store: the audit bundle of an account.

use std::collections::BTreeSet;

use minicbor::bytes::ByteVec;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{AccountBundle, BUNDLE_VERSION, NeededListing, listings_needed};
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::Entry;
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
}

/// Puts together what proves an account: its state and proof at the height that `checkpoint` certifies.
///
/// # Errors
/// [`ProveError`].
pub fn account_bundle(
    store: &Store,
    account: AccountState,
    proof: SparseProof,
    height: u64,
) -> Result<AccountBundle, ProveError> {
    let stored = store.block(height).map_err(ProveError::Store)?.ok_or(ProveError::NoBlock)?;
    let network = stored.block.header.network;
    let checkpoint = CertifiedHeader { header: stored.block.header, certificate: stored.certificate };
    let mut lineage: Vec<ByteVec> = Vec::new();
    let mut listings: Vec<ByteVec> = Vec::new();
    let mut listed = BTreeSet::new();
    for place in store.lineage(&account.account, account.sequence).map_err(ProveError::Store)? {
        let bytes = store.entry_at(place).map_err(ProveError::Store)?;
        let entry = Entry::decode(&bytes).map_err(|e| ProveError::Store(StoreError::damaged(e)))?;
        for needed in listings_needed(&entry) {
            let link = match needed {
                NeededListing::Named(link) => Some(link),
                NeededListing::Of(instrument) => store.listing_link(instrument).map_err(ProveError::Store)?,
            };
            if let Some(link) = link.filter(|link| listed.insert(*link)) {
                let listing = store.entry(&link).map_err(ProveError::Store)?;
                listings.extend(listing.map(|(_, bytes)| ByteVec::from(bytes)));
            }
        }
        lineage.push(bytes.into());
    }
    let credits = store.credits(&account.account, account.credits_received).map_err(ProveError::Store)?;
    let mut sources: Vec<ByteVec> = Vec::new();
    let mut sourced = BTreeSet::new();
    for credit in &credits {
        if sourced.insert(credit.source) {
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
        listings,
    })
}
