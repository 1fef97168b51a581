//! What must hold after every step, judged from outside the engines.

use std::collections::BTreeMap;

use stemma_chain_format::certificate::{Certificate, CertifiedHeader};
use stemma_chain_format::hash::{BlockId, Digest};
use stemma_chain_format::header::Block;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Registry;
use stemma_consensus::codec::ConsensusMessage;
use stemma_consensus::evidence::Evidence;
use stemma_consensus::guard::{SignedKind, SignedMark};

#[derive(Default)]
pub struct Checks {
    final_blocks: BTreeMap<u64, BlockId>,
    signed: BTreeMap<(MemberId, u64, u32, SignedKind), Digest>,
    pub accused: BTreeMap<MemberId, u64>,
    pub certificates: u64,
}

impl Checks {
    /// Agreement, and a certificate that anyone accepts.
    pub fn committed(&mut self, registry: &Registry, block: &Block, certificate: &Certificate) {
        let (height, id) = (block.header.height, block.id());
        let agreed = *self.final_blocks.entry(height).or_insert(id);
        assert_eq!(agreed, id, "two blocks are final at height {height}");
        let certified = CertifiedHeader { header: block.header.clone(), certificate: certificate.clone() };
        certified.verify(&registry.validators()).expect("a certificate that verifies");
        self.certificates += 1;
    }

    /// No honest validator lets two different signatures out for one height, round and kind, in all its lives.
    pub fn sent(&mut self, by: &MemberId, bytes: &[u8], registry: &Registry) {
        let message = ConsensusMessage::decode(bytes, &registry.network()).expect("our own message");
        let mark = match &message {
            ConsensusMessage::Vote(m) if m.vote.validator == *by => SignedMark::of_vote(&m.vote),
            ConsensusMessage::Proposal(m, _) if m.proposal.proposer == *by => SignedMark::of_proposal(&m.proposal),
            _ => return,
        };
        let key = (by.clone(), mark.height, mark.round, mark.kind);
        let earlier = *self.signed.entry(key).or_insert(mark.digest);
        assert_eq!(earlier, mark.digest, "{by} contradicts itself: {message:?}");
    }

    /// Evidence proves itself, and never accuses an honest validator.
    pub fn misbehaviour(&mut self, evidence: &Evidence, registry: &Registry, liar: Option<&MemberId>) {
        let read = Evidence::decode(&evidence.encode()).expect("evidence that can be read");
        read.verify(&registry.network(), &registry.validators()).expect("evidence that proves");
        assert_eq!(Some(read.accused()), liar, "an honest validator is accused: {read:?}");
        *self.accused.entry(read.accused().clone()).or_default() += 1;
    }
}
