//! Certificates and bundles from a world's history.

use std::collections::BTreeSet;

use minicbor::bytes::ByteVec;
use stemma_chain_format::bundle::{AccountBundle, BUNDLE_VERSION, HeldPosition, NeededListing, listings_needed};
use stemma_chain_format::certificate::{Certificate, CertifiedHeader, Precommit};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::header::{Block, Header};
use stemma_chain_format::trust::TrustStep;

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
            Entry::Issuance(_) | Entry::Listing(_) | Entry::Settlement(_) | Entry::Governance(_) => false,
        };
        self.history().filter(own).collect()
    }

    /// The bundle that proves a customer's account at the last block.
    pub fn bundle(&self, account: AccountId) -> AccountBundle {
        let lineage = self.lineage(account);
        let credits = self.credits.get(&account).cloned().unwrap_or_default();
        let settlements: Vec<&Entry> = self.settlements(account).collect();
        let own: BTreeSet<Link> = settlements.iter().map(|entry| entry.id()).collect();
        let sources = credits.iter().map(|credit| credit.source).filter(|source| !own.contains(source));
        let in_order = settled_in_order(&lineage, &settlements);
        let needed = in_order.iter().flat_map(|entry| listings_needed(entry)).map(|needed| match needed {
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
            lineage: lineage.iter().map(|entry| self.body(entry.id())).collect(),
            settlements: settlements.iter().map(|entry| self.body(entry.id())).collect(),
            positions: self.held_positions(account),
            credits,
            trust: self.trust_steps(),
        }
    }

    /// The settlements of an account's positions, in order.
    pub fn settlements(&self, account: AccountId) -> impl Iterator<Item = &Entry> {
        self.history().filter(move |entry| match entry {
            Entry::Settlement(settlement) => settlement.record().account == account,
            _ => false,
        })
    }

    fn held_positions(&self, account: AccountId) -> Vec<HeldPosition> {
        let held = self.ledger.positions_of(&account);
        held.map(|(key, position)| HeldPosition {
            key: *key,
            position: position.clone(),
            proof: self.ledger.prove(key),
        })
        .collect()
    }

    /// An entry's bytes.
    pub fn body(&self, id: Link) -> ByteVec {
        self.history().find(|entry| entry.id() == id).unwrap().encode().into()
    }

    /// The steps by which trust follows the registry: a block with governance records each.
    pub fn trust_steps(&self) -> Vec<TrustStep> {
        let step = |(block, entries): &(Block, Vec<Entry>)| {
            let governs = |entry: &&Entry| matches!(entry, Entry::Governance(_));
            let records: Vec<ByteVec> = entries.iter().filter(governs).map(|entry| entry.encode().into()).collect();
            (!records.is_empty()).then(|| TrustStep { records, header: certify(&block.header, &VALIDATORS) })
        };
        self.blocks.iter().filter_map(step).collect()
    }
}

/// The lineage with each settlement right after the entry that it stands on, or after the settlement that does.
fn settled_in_order<'e>(lineage: &[&'e Entry], settlements: &[&'e Entry]) -> Vec<&'e Entry> {
    let mut entries = Vec::new();
    for entry in lineage {
        entries.push(*entry);
        let mut head = entry.id();
        let stands_on = |head: Link| {
            settlements.iter().find(|entry| matches!(entry, Entry::Settlement(s) if s.record().parent == head))
        };
        while let Some(next) = stands_on(head) {
            entries.push(next);
            head = next.id();
        }
    }
    entries
}

fn first_uses<T: Ord + Clone>(used: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    used.filter(|one| seen.insert(one.clone())).collect()
}
