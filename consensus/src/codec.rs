//! Messages between validators, as deterministic CBOR.
//!
//! Decoding judges shape only: sizes, counts, and that a block is the one its proposal names. Signatures are checked
//! where the validators of a height are known.

use arc_malachitebft_core_types as malachite;
use malachite::{NilOrVal, Round, RoundCertificateType, SignedMessage};
use stemma_chain_format::cbor::{self, DecodeError};
use stemma_chain_format::certificate::{Vote, VoteKind};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::header::Block;
use stemma_chain_format::keys::Signature;
use stemma_chain_format::limits::MEMBERS_MAX;
use stemma_chain_format::member::MemberId;

use crate::context::{
    Address, Ballot, BlockValue, Height, Offer, StemmaContext, nil_or, option_of, round_number, vote_kind, vote_type,
};
use crate::proposal::Proposal;
use crate::recall::{RECALLED_MAX, Recall, Recalled};

/// Largest message, in bytes: a proposal with a full block, or a certificate of all members.
pub const MESSAGE_BYTES_MAX: usize = Block::BYTES_MAX + 4096;
/// Highest round that is read at all; time-outs grow, so none comes near it.
pub const ROUND_MAX: u32 = 100_000;

/// What validators tell each other.
#[expect(clippy::large_enum_variant, reason = "a message is moved a few times and never kept in bulk")]
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum ConsensusMessage {
    /// A prevote or precommit.
    #[n(0)]
    Vote(#[n(0)] SignedVote),
    /// A proposal with its whole block.
    #[n(1)]
    Proposal(#[n(0)] SignedProposal, #[n(1)] Block),
    /// A quorum of prevotes for a block.
    #[n(2)]
    PolkaCertificate(#[n(0)] PolkaCertificate),
    /// Votes that justify entering a round.
    #[n(3)]
    RoundCertificate(#[n(0)] RoundCertificate),
    /// Asks for the sender's own signatures.
    #[n(4)]
    Recall(#[n(0)] Recall),
    /// Answers that.
    #[n(5)]
    Recalled(#[n(0)] Recalled),
}

/// A vote and its signature.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SignedVote {
    /// The vote.
    #[n(0)]
    pub vote: Vote,
    /// The voter's signature.
    #[n(1)]
    pub signature: Signature,
}

/// A proposal and its signature, without the block.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SignedProposal {
    /// The proposal.
    #[n(0)]
    pub proposal: Proposal,
    /// The proposer's signature.
    #[n(1)]
    pub signature: Signature,
}

/// Prevotes of a quorum for one block, in one round.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct PolkaCertificate {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The height.
    #[n(1)]
    pub height: u64,
    /// The round.
    #[n(2)]
    pub round: u32,
    /// The block.
    #[n(3)]
    pub block: BlockId,
    /// One prevote signature for each signer.
    #[n(4)]
    pub votes: Vec<PolkaVote>,
}

/// One signature of a [`PolkaCertificate`].
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct PolkaVote {
    /// The signer.
    #[n(0)]
    pub validator: MemberId,
    /// Its signature on the prevote.
    #[n(1)]
    pub signature: Signature,
}

/// Why a round may be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum RoundReason {
    /// Votes of more than a third of the power for this round: somebody honest is there.
    #[n(0)]
    Skip,
    /// Precommits of a quorum, not all for one block: this round failed and the next begins.
    #[n(1)]
    Precommit,
}

/// Votes that justify entering a round.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct RoundCertificate {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The height.
    #[n(1)]
    pub height: u64,
    /// The round of the votes.
    #[n(2)]
    pub round: u32,
    /// What they justify.
    #[n(3)]
    pub reason: RoundReason,
    /// One vote for each signer.
    #[n(4)]
    pub votes: Vec<RoundVote>,
}

/// One vote of a [`RoundCertificate`].
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct RoundVote {
    /// Prevote or precommit.
    #[n(0)]
    pub kind: VoteKind,
    /// The block, or nothing.
    #[n(1)]
    pub block: Option<BlockId>,
    /// The voter.
    #[n(2)]
    pub validator: MemberId,
    /// Its signature.
    #[n(3)]
    pub signature: Signature,
}

/// Why a message was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the one encoding of a message.
    #[error("not a consensus message")]
    Encoding(#[source] DecodeError),
    /// A certificate with more votes than a network may have members.
    #[error("a certificate of {0} votes, but at most {MEMBERS_MAX} are allowed")]
    Votes(usize),
    /// More signatures of the asker than one answer holds.
    #[error("an answer with {0} signatures, but at most {RECALLED_MAX} of a kind are allowed")]
    Recalled(usize),
    /// A round that no honest validator reaches.
    #[error("round {0}, but at most {ROUND_MAX} is read")]
    Round(u32),
    /// The block is not the one that the proposal names.
    #[error("the block is not the one that its proposal names")]
    OtherBlock,
    /// The block does not hold together.
    #[error("the block is not well formed")]
    Block(#[source] Violation),
    /// Made for another network.
    #[error("a message of another network")]
    Network,
}

impl ConsensusMessage {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a message of a network. Hostile bytes give an error; nothing is allocated on what they claim.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(bytes: &[u8], network: &NetworkId) -> Result<Self, MessageError> {
        let message: Self =
            cbor::decode(bytes, "consensus message", MESSAGE_BYTES_MAX).map_err(MessageError::Encoding)?;
        if message.network() != network {
            return Err(MessageError::Network);
        }
        if message.round() > ROUND_MAX {
            return Err(MessageError::Round(message.round()));
        }
        match &message {
            Self::Vote(_) => {}
            Self::Proposal(signed, block) => {
                let proposal = &signed.proposal;
                let named = block.id() == proposal.block
                    && block.header.height == proposal.height
                    && block.header.network == proposal.network;
                if !named {
                    return Err(MessageError::OtherBlock);
                }
                block.check().map_err(MessageError::Block)?;
            }
            Self::PolkaCertificate(c) if c.votes.len() > MEMBERS_MAX => {
                return Err(MessageError::Votes(c.votes.len()));
            }
            Self::RoundCertificate(c) if c.votes.len() > MEMBERS_MAX => {
                return Err(MessageError::Votes(c.votes.len()));
            }
            Self::Recalled(m) if m.votes.len().max(m.proposals.len()) > RECALLED_MAX => {
                return Err(MessageError::Recalled(m.votes.len().max(m.proposals.len())));
            }
            Self::PolkaCertificate(_) | Self::RoundCertificate(_) | Self::Recall(_) | Self::Recalled(_) => {}
        }
        Ok(message)
    }

    /// The height that the message is about.
    pub fn height(&self) -> u64 {
        match self {
            Self::Vote(m) => m.vote.height,
            Self::Proposal(m, _) => m.proposal.height,
            Self::PolkaCertificate(m) => m.height,
            Self::RoundCertificate(m) => m.height,
            Self::Recall(m) => m.height,
            Self::Recalled(m) => m.head,
        }
    }

    /// The round that the message is about.
    pub fn round(&self) -> u32 {
        match self {
            Self::Vote(m) => m.vote.round,
            Self::Proposal(m, _) => m.proposal.round,
            Self::PolkaCertificate(m) => m.round,
            Self::RoundCertificate(m) => m.round,
            Self::Recall(_) | Self::Recalled(_) => 0,
        }
    }

    fn network(&self) -> &NetworkId {
        match self {
            Self::Vote(m) => &m.vote.network,
            Self::Proposal(m, _) => &m.proposal.network,
            Self::PolkaCertificate(m) => &m.network,
            Self::RoundCertificate(m) => &m.network,
            Self::Recall(m) => &m.network,
            Self::Recalled(m) => &m.network,
        }
    }
}

pub(crate) type CoreVote = SignedMessage<StemmaContext, Ballot>;
pub(crate) type CoreProposal = SignedMessage<StemmaContext, Offer>;
pub(crate) type CorePolka = malachite::PolkaCertificate<StemmaContext>;
pub(crate) type CoreRound = malachite::RoundCertificate<StemmaContext>;

impl SignedVote {
    pub(crate) fn of(signed: &CoreVote) -> Self {
        Self { vote: signed.message.to_vote(), signature: signed.signature }
    }

    pub(crate) fn to_core(&self) -> CoreVote {
        SignedMessage::new(Ballot::of(&self.vote), self.signature)
    }
}

impl SignedProposal {
    pub(crate) fn of(signed: &CoreProposal) -> Self {
        Self { proposal: signed.message.to_proposal(), signature: signed.signature }
    }

    pub(crate) fn to_core(&self, value: BlockValue) -> CoreProposal {
        SignedMessage::new(Offer::of(&self.proposal, value), self.signature)
    }
}

impl PolkaCertificate {
    pub(crate) fn of(network: NetworkId, c: &CorePolka) -> Self {
        let vote = |s: &malachite::PolkaSignature<StemmaContext>| PolkaVote {
            validator: s.address.0.clone(),
            signature: s.signature,
        };
        Self {
            network,
            height: c.height.0,
            round: round_number(c.round),
            block: c.value_id,
            votes: c.polka_signatures.iter().map(vote).collect(),
        }
    }

    pub(crate) fn to_core(&self) -> CorePolka {
        let vote = |v: &PolkaVote| malachite::PolkaSignature::new(Address(v.validator.clone()), v.signature);
        CorePolka {
            height: Height(self.height),
            round: Round::new(self.round),
            value_id: self.block,
            polka_signatures: self.votes.iter().map(vote).collect(),
        }
    }
}

impl RoundCertificate {
    pub(crate) fn of(network: NetworkId, c: &CoreRound) -> Self {
        let vote = |s: &malachite::RoundSignature<StemmaContext>| RoundVote {
            kind: vote_kind(s.vote_type),
            block: option_of(&s.value_id),
            validator: s.address.0.clone(),
            signature: s.signature,
        };
        let reason = match c.cert_type {
            RoundCertificateType::Skip => RoundReason::Skip,
            RoundCertificateType::Precommit => RoundReason::Precommit,
        };
        Self {
            network,
            height: c.height.0,
            round: round_number(c.round),
            reason,
            votes: c.round_signatures.iter().map(vote).collect(),
        }
    }

    pub(crate) fn to_core(&self) -> CoreRound {
        let vote = |v: &RoundVote| {
            let value: NilOrVal<BlockId> = nil_or(v.block);
            let address = Address(v.validator.clone());
            malachite::RoundSignature::new(vote_type(v.kind), value, address, v.signature)
        };
        CoreRound {
            height: Height(self.height),
            round: Round::new(self.round),
            cert_type: match self.reason {
                RoundReason::Skip => RoundCertificateType::Skip,
                RoundReason::Precommit => RoundCertificateType::Precommit,
            },
            round_signatures: self.votes.iter().map(vote).collect(),
        }
    }
}
