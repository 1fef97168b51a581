//! The validator that equivocates: an honest engine whose signed messages get a contradicting twin.

use ed25519_dalek::SigningKey;
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_consensus::codec::{ConsensusMessage, SignedProposal, SignedVote};

use super::rng::Rng;

/// The twin of a message, signed by the same key; `None` where the message is not the liar's own.
pub fn twin(
    bytes: &[u8],
    network: &NetworkId,
    me: &stemma_chain_format::member::MemberId,
    key: &SigningKey,
    rng: &mut Rng,
) -> Option<Vec<u8>> {
    match ConsensusMessage::decode(bytes, network).ok()? {
        ConsensusMessage::Vote(SignedVote { mut vote, .. }) if vote.validator == *me => {
            vote.block = match vote.block {
                Some(_) if rng.chance(50) => None,
                _ => Some(BlockId([u8::try_from(rng.range(0, 4)).ok()?; 32])),
            };
            let signature = vote.sign(key);
            Some(ConsensusMessage::Vote(SignedVote { vote, signature }).encode())
        }
        ConsensusMessage::Proposal(SignedProposal { mut proposal, .. }, mut block) if proposal.proposer == *me => {
            block.header.time_ms += 1 + rng.range(0, 3);
            // Some break the ledger's rules as well: whoever votes for these did not judge them.
            block.header.accounts_root.0[0] ^= u8::from(rng.chance(50));
            proposal.block = block.id();
            let signature = proposal.sign(key);
            let signed = SignedProposal { proposal, signature };
            Some(ConsensusMessage::Proposal(signed, block).encode())
        }
        _ => None,
    }
}
