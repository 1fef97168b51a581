//! Certificates and bundles from a world's history.

use std::collections::BTreeSet;

use minicbor::bytes::ByteVec;
use stemma_chain_format::bundle::{AccountBundle, BUNDLE_VERSION, NeededListing, listings_needed};
use stemma_chain_format::certificate::{Certificate, CertifiedHeader, Precommit};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::header::Header;

use super::members::{id, validator_key};
use super::world::World;

/// Every founder with a vote, in the order of their ids.
pub const VALIDATORS: [&str; 4] = ["bank-a", "bank-b", "broker", "fund-house"];

/// A header with the precommits of some validators, in the order given.
pub fn certify(header: &Header, signers: &[&str]) -> CertifiedHeader {
    let mut certificate = Certificate { height: header.height, round: 0, block: header.id(), signatures: Vec::new() };
    for signer in signers {
        let vote = certificate.precommit(header.network, &id(signer));
        let signature = vote.sign(&validator_key(signer));
        certificate.signatures.push(Precommit { validator: id(signer), signature });
    }
    CertifiedHeader { header: header.clone(), certificate }
}

impl World {
    /// The last block's header with the precommits of all validators.
    pub fn checkpoint(&self) -> CertifiedHeader {
        certify(&self.blocks.last().unwrap().0.header, &VALIDATORS)
    }

    /// An account's opening, chains and servicing records, in order.
    pub fn lineage(&self, account: AccountId) -> Vec<&Entry> {
        let own = |entry: &&Entry| match entry {
            Entry::Chain(chain) => chain.request.record().account == account,
            Entry::Opening(opening) => opening.link() == account.into(),
            Entry::Servicing(service) => service.servicing.record().account == account,
            Entry::Issuance(_) | Entry::Listing(_) => false,
        };
        self.history().filter(own).collect()
    }

    /// The bundle that proves a customer's account at the last block.
    pub fn bundle(&self, account: AccountId) -> AccountBundle {
        let lineage = self.lineage(account);
        let credits = self.credits.get(&account).cloned().unwrap_or_default();
        let sources = credits.iter().map(|credit| credit.source);
        let needed = lineage.iter().flat_map(|entry| listings_needed(entry)).map(|needed| match needed {
            NeededListing::Named(link) => link,
            NeededListing::Of(instrument) => self.ledger.listing(instrument).unwrap().link,
        });
        AccountBundle {
            version: BUNDLE_VERSION,
            network: self.network(),
            checkpoint: self.checkpoint(),
            account: self.ledger.account(&account).unwrap().state.clone(),
            proof: self.ledger.prove(&account),
            sources: first_uses(sources).into_iter().map(|link| self.body(link)).collect(),
            listings: first_uses(needed).into_iter().map(|link| self.body(link)).collect(),
            lineage: lineage.iter().map(|entry| entry.encode().into()).collect(),
            credits,
        }
    }

    fn body(&self, id: Link) -> ByteVec {
        self.history().find(|entry| entry.id() == id).unwrap().encode().into()
    }
}

fn first_uses<T: Ord + Clone>(used: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    used.filter(|one| seen.insert(one.clone())).collect()
}
