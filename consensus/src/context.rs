//! Malachite's types bound to ours: what the core counts, orders and compares.

use std::fmt;
use std::sync::Arc;

use arc_malachitebft_core_types as malachite;
use malachite::{NilOrVal, Round, SignedMessage, VoteType};
use stemma_chain_format::certificate::{Vote, VoteKind};
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::header::Block;
use stemma_chain_format::keys::{PublicKey, Signature};
use stemma_chain_format::member::MemberId;

use crate::proposal::Proposal;
use crate::validators::{CoreValidator, ValidatorSet};

/// The network that the core works for; every vote and proposal it makes names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StemmaContext {
    /// The network.
    pub network: NetworkId,
}

/// A validator's address is its member id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub MemberId);

/// A block height; the first block has 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

/// A block as the core's value: shared, so that clones are cheap, and compared by id.
#[derive(Clone)]
pub struct BlockValue(Arc<(BlockId, Block)>);

/// A vote as the core sees it; [`Ballot::to_vote`] gives the record that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// The network.
    pub network: NetworkId,
    /// Prevote or precommit.
    pub kind: VoteType,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The block voted for, or nil.
    pub value: NilOrVal<BlockId>,
    /// The voter.
    pub validator: Address,
}

/// A proposal as the core sees it, with its block; [`Offer::to_proposal`] gives the record that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The network.
    pub network: NetworkId,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The block.
    pub value: BlockValue,
    /// The round of the polka that the block already has, if any.
    pub pol_round: Round,
    /// The proposer.
    pub proposer: Address,
}

/// Ed25519 under the rule of [`stemma_chain_format::keys`]. The core never holds a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ed25519;

/// Blocks travel whole, so there are no parts of proposals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoParts {}

impl BlockValue {
    /// Shares a block and keeps its id, so that it is hashed once.
    pub fn new(block: Block) -> Self {
        Self(Arc::new((block.id(), block)))
    }

    /// The block's id.
    pub fn block_id(&self) -> BlockId {
        self.0.0
    }

    /// The block.
    pub fn block(&self) -> &Block {
        &self.0.1
    }
}

impl fmt::Debug for BlockValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} at {})", self.block_id(), self.block().header.height)
    }
}

impl PartialEq for BlockValue {
    fn eq(&self, other: &Self) -> bool {
        self.block_id() == other.block_id()
    }
}

impl Eq for BlockValue {}

impl PartialOrd for BlockValue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BlockValue {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.block_id().cmp(&other.block_id())
    }
}

impl malachite::Value for BlockValue {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.block_id()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl malachite::Address for Address {}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl malachite::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl malachite::ProposalPart<StemmaContext> for NoParts {
    fn is_first(&self) -> bool {
        match *self {}
    }

    fn is_last(&self) -> bool {
        match *self {}
    }
}

impl malachite::SigningScheme for Ed25519 {
    type DecodingError = &'static str;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Signature, &'static str> {
        bytes.try_into().map(Signature).map_err(|_| "a signature has 64 bytes")
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, &'static str> {
        bytes.try_into().map(PublicKey).map_err(|_| "a public key has 32 bytes")
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.0.to_vec()
    }
}

/// The core's kind of vote for ours.
pub fn vote_type(kind: VoteKind) -> VoteType {
    match kind {
        VoteKind::Prevote => VoteType::Prevote,
        VoteKind::Precommit => VoteType::Precommit,
    }
}

/// Our kind of vote for the core's.
pub fn vote_kind(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

/// A round as records write it. The core signs nothing in the nil round, so the fallback is never seen.
pub fn round_number(round: Round) -> u32 {
    round.as_u32().unwrap_or(u32::MAX)
}

/// A vote's value as the core writes it.
pub fn nil_or(block: Option<BlockId>) -> NilOrVal<BlockId> {
    block.map_or(NilOrVal::Nil, NilOrVal::Val)
}

/// A vote's value as records write it.
pub fn option_of(value: &NilOrVal<BlockId>) -> Option<BlockId> {
    match value {
        NilOrVal::Nil => None,
        NilOrVal::Val(id) => Some(*id),
    }
}

impl Ballot {
    /// The record that is signed.
    pub fn to_vote(&self) -> Vote {
        Vote {
            network: self.network,
            kind: vote_kind(self.kind),
            height: self.height.0,
            round: round_number(self.round),
            block: option_of(&self.value),
            validator: self.validator.0.clone(),
        }
    }

    /// The core's view of a vote.
    pub fn of(vote: &Vote) -> Self {
        Self {
            network: vote.network,
            kind: vote_type(vote.kind),
            height: Height(vote.height),
            round: Round::new(vote.round),
            value: nil_or(vote.block),
            validator: Address(vote.validator.clone()),
        }
    }
}

impl Offer {
    /// The record that is signed.
    pub fn to_proposal(&self) -> Proposal {
        Proposal {
            network: self.network,
            height: self.height.0,
            round: round_number(self.round),
            pol_round: self.pol_round.as_u32(),
            block: self.value.block_id(),
            proposer: self.proposer.0.clone(),
        }
    }

    /// The core's view of a proposal and its block.
    pub fn of(proposal: &Proposal, value: BlockValue) -> Self {
        Self {
            network: proposal.network,
            height: Height(proposal.height),
            round: Round::new(proposal.round),
            value,
            pol_round: Round::from(proposal.pol_round),
            proposer: Address(proposal.proposer.clone()),
        }
    }
}

impl malachite::Vote<StemmaContext> for Ballot {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    fn extension(&self) -> Option<&SignedMessage<StemmaContext, ()>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedMessage<StemmaContext, ()>> {
        None
    }

    fn extend(self, _: SignedMessage<StemmaContext, ()>) -> Self {
        self
    }
}

impl malachite::Proposal<StemmaContext> for Offer {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockValue {
        &self.value
    }

    fn take_value(self) -> BlockValue {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

impl malachite::Context for StemmaContext {
    type Address = Address;
    type Height = Height;
    type ProposalPart = NoParts;
    type Proposal = Offer;
    type Validator = CoreValidator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = malachite::LinearTimeouts;
    type Value = BlockValue;
    type Vote = Ballot;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, validators: &'a ValidatorSet, height: Height, round: Round) -> &'a CoreValidator {
        validators.proposer(height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: BlockValue,
        pol_round: Round,
        proposer: Address,
    ) -> Offer {
        Offer { network: self.network, height, round, value, pol_round, proposer }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<BlockId>, validator: Address) -> Ballot {
        let kind = VoteType::Prevote;
        Ballot { network: self.network, kind, height, round, value, validator }
    }

    fn new_precommit(&self, height: Height, round: Round, value: NilOrVal<BlockId>, validator: Address) -> Ballot {
        let kind = VoteType::Precommit;
        Ballot { network: self.network, kind, height, round, value, validator }
    }
}
