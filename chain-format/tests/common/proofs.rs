//! Certificates and bundles from a world's history.

use minicbor::bytes::ByteVec;
use stemma_chain_format::bundle::{
    self, Anchor, Arrangement, BUNDLE_VERSION, Bundle, Claim, Derived, Element, Head, Holding, NeededListing,
    ProvedClaim, Records, Verdict,
};
use stemma_chain_format::certificate::{Certificate, CertifiedHeader, Precommit};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::header::{Block, Header};
use stemma_chain_format::merkle::{leaf_hash, sided_path};
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

    /// The bundle that proves a customer's account at the last block, and why.
    pub fn bundle(&self, account: AccountId) -> Bundle {
        let mut elements = Vec::new();
        let mut to = Arrangement::from_opening(account, self, |element| {
            elements.push(element);
            Ok(())
        });
        self.arrange(&mut to, account, 0);
        let holding = Box::new(self.holding(account));
        Bundle { head: self.head_of(Claim::Lineage(holding)), elements }
    }

    /// What a bundle of a lineage proves.
    pub fn derived(&self, bundle: &Bundle) -> Derived {
        match bundle::verify(&bundle.encode(), &self.file) {
            Verdict::Verified(proved) => match proved.claim {
                ProvedClaim::Lineage(derived, _) => *derived,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// The same from an earlier state of this world on.
    pub fn bundle_from(&self, account: AccountId, earlier: &Self) -> Bundle {
        let anchor = earlier.anchor(account);
        let mut elements = Vec::new();
        let to = Arrangement::from_anchor(&anchor.holding, self, |element| {
            elements.push(element);
            Ok(())
        });
        let sequence = anchor.holding.account.sequence;
        self.arrange(&mut to.unwrap(), account, usize::try_from(sequence).unwrap() + 1);
        let claim = Claim::LineageFrom(Box::new(self.holding(account)), Box::new(anchor));
        Bundle { head: self.head_of(claim), elements }
    }

    fn arrange<T>(&self, to: &mut Arrangement<&Self, T>, account: AccountId, from: usize)
    where
        T: FnMut(Element) -> Result<(), Violation>,
    {
        for entry in self.lineage(account).into_iter().skip(from) {
            to.entry(entry.encode()).unwrap();
        }
        for credit in &self.ledger.account(&account).unwrap().inbox {
            to.waiting(credit.clone()).unwrap();
        }
    }

    /// A bundle's head at the last block.
    pub fn head_of(&self, claim: Claim) -> Head {
        let (network, trust, checkpoint) = (self.network(), self.trust_steps(), self.checkpoint());
        Head { version: BUNDLE_VERSION, network, trust, checkpoint, claim }
    }

    /// What an account holds at the last block.
    pub fn holding(&self, account: AccountId) -> Holding {
        Holding::of(&self.ledger, &account).unwrap()
    }

    /// Where a later lineage may begin.
    pub fn anchor(&self, account: AccountId) -> Anchor {
        let holding = self.holding(account);
        let absorbed = usize::try_from(holding.account.credits_absorbed).unwrap();
        let credits = self.credits.get(&account).into_iter().flatten().take(absorbed);
        let before_waiting = credits.fold(Digest([0; 32]), |digest, credit| credit.chained(&digest));
        Anchor { header: self.checkpoint(), holding, before_waiting }
    }

    /// The bundle that proves that an entry stands in the last block that holds several.
    pub fn entry_bundle(&self, index: usize) -> Bundle {
        let (block, entries) = self.last_full_block();
        let leaves: Vec<Digest> = block.entries.iter().map(|id| leaf_hash(&id.0)).collect();
        let claim = Claim::Entry(entries[index].encode().into(), sided_path(&leaves, index).unwrap());
        let mut head = self.head_of(claim);
        head.checkpoint = certify(&block.header, &VALIDATORS);
        head.trust.retain(|step| step.header.header.height <= block.header.height);
        Bundle { head, elements: Vec::new() }
    }

    /// The bundle that proves a block with its entries.
    pub fn block_bundle(&self, height: usize) -> Bundle {
        let (block, entries) = &self.blocks[height - 1];
        let mut head = self.head_of(Claim::Block);
        head.checkpoint = certify(&block.header, &VALIDATORS);
        head.trust.retain(|step| step.header.header.height <= block.header.height);
        Bundle { head, elements: in_block(entries).collect() }
    }

    /// The bundle that proves the whole ledger.
    pub fn ledger_bundle(&self) -> Bundle {
        let block = |(block, entries): &(Block, Vec<Entry>)| {
            let count = u32::try_from(entries.len()).unwrap();
            let begin = Element::Block(block.header.clone(), count);
            [begin].into_iter().chain(in_block(entries)).collect::<Vec<_>>()
        };
        let mut elements: Vec<Element> = self.blocks.iter().flat_map(block).collect();
        elements.extend(self.ledger.accounts().map(|account| Element::Account(account.state.clone())));
        elements.extend(self.ledger.positions().map(|(key, position)| Element::Position(*key, position.clone())));
        Bundle { head: self.head_of(Claim::Ledger), elements }
    }

    /// The bundle that proves that another block is final as well.
    pub fn conflict_bundle(&self, other: CertifiedHeader) -> Bundle {
        Bundle { head: self.head_of(Claim::Conflict(Box::new(other))), elements: Vec::new() }
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

fn in_block(entries: &[Entry]) -> impl Iterator<Item = Element> {
    entries.iter().map(|entry| Element::InBlock(entry.encode().into()))
}

/// The kinds of a bundle's elements.
pub const LISTING: u8 = 0;
pub const SOURCE: u8 = 1;
pub const ENTRY: u8 = 2;
pub const SETTLEMENT: u8 = 3;
pub const WAITING: u8 = 4;
pub const BLOCK: u8 = 5;
pub const IN_BLOCK: u8 = 6;
pub const ACCOUNT: u8 = 7;
pub const POSITION: u8 = 8;

/// The kind of an element.
pub fn kind(element: &Element) -> u8 {
    match element {
        Element::Listing(_) => LISTING,
        Element::Source(_) => SOURCE,
        Element::Entry(_) => ENTRY,
        Element::Settlement(_) => SETTLEMENT,
        Element::Waiting(_) => WAITING,
        Element::Block(..) => BLOCK,
        Element::InBlock(_) => IN_BLOCK,
        Element::Account(_) => ACCOUNT,
        Element::Position(..) => POSITION,
    }
}

/// Where the n-th element of a kind stands.
pub fn place(elements: &[Element], of: u8, n: usize) -> usize {
    let places = elements.iter().enumerate().filter(|(_, element)| kind(element) == of);
    places.map(|(at, _)| at).nth(n).unwrap()
}

/// The bytes of an element's entry.
pub fn entry_of(element: &mut Element) -> &mut ByteVec {
    match element {
        Element::Listing(bytes)
        | Element::Source(bytes)
        | Element::Entry(bytes)
        | Element::Settlement(bytes)
        | Element::InBlock(bytes) => bytes,
        Element::Waiting(_) | Element::Block(..) | Element::Account(_) | Element::Position(..) => panic!("no entry"),
    }
}

/// What a bundle of a lineage says of its account.
pub fn claimed(bundle: &mut Bundle) -> &mut Holding {
    match &mut bundle.head.claim {
        Claim::Lineage(holding) | Claim::LineageFrom(holding, _) | Claim::Holdings(holding) => holding,
        _ => panic!("no holding is claimed"),
    }
}

impl Records for &World {
    type Error = Violation;

    fn source(&self, id: &Link) -> Result<Vec<u8>, Violation> {
        Ok(self.body(*id).into())
    }

    fn listing(&self, needed: NeededListing<'_>) -> Result<Vec<u8>, Violation> {
        let link = match needed {
            NeededListing::Named(link) => link,
            NeededListing::Of(instrument) => self.ledger.listing(instrument).unwrap().link,
        };
        Ok(self.body(link).into())
    }

    fn settlement_on(&self, head: &Link) -> Result<Option<Vec<u8>>, Violation> {
        let stands_on = |entry: &&Entry| matches!(entry, Entry::Settlement(s) if s.record().parent == *head);
        Ok(self.history().find(stands_on).map(Entry::encode))
    }
}
