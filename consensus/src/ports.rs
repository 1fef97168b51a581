//! What the engine needs from its caller: the ledger, the signer, the log.

use ed25519_dalek::SigningKey;
use stemma_chain_format::certificate::{Certificate, Vote};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{BlockId, Link};
use stemma_chain_format::header::Block;
use stemma_chain_format::keys::{PublicKey, Signature};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Registry;

use crate::guard::SignedMark;
use crate::proposal::Proposal;

/// The ledger: it makes, judges and commits blocks.
pub trait Application {
    /// The last committed height; 0 before the first block.
    fn height(&self) -> u64;

    /// The id of the last committed block; before the first one,
    /// [`genesis_parent`](stemma_chain_format::header::genesis_parent).
    fn head(&self) -> BlockId;

    /// The members whose certificates make the block at `height() + 1` final.
    fn registry(&self) -> &Registry;

    /// Whether entries wait for a block.
    fn has_work(&self) -> bool;

    /// Makes a block for `height() + 1`, whose entries are all here. It may be empty.
    fn propose(&mut self, proposer: &MemberId, now_ms: u64) -> Block;

    /// Judges a block for `height() + 1` that was proposed, its time against `now_ms` too. The engine has checked its
    /// network, height and parent, that its entries are its header's, and that its proposer is a validator.
    fn judge(&mut self, block: &Block, now_ms: u64) -> Judgement;

    /// Commits a decided block whose entries are here. When this returns, the block is durable.
    ///
    /// # Errors
    /// The rule that the block breaks; the engine stops, since a quorum decided otherwise.
    fn commit(&mut self, block: &Block, certificate: &Certificate) -> Result<(), Violation>;

    /// Commits a block that came from a peer, with its entries. The engine has verified network, height, parent and
    /// certificate; the entries are for the ledger to verify. When this returns, the block is durable.
    ///
    /// # Errors
    /// The rule that the block or an entry breaks; the peer is blamed, and another is asked.
    fn commit_synced(
        &mut self,
        block: &Block,
        certificate: &Certificate,
        entries: Vec<Vec<u8>>,
    ) -> Result<(), Violation>;
}

/// What the ledger says of a proposed block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It may be decided.
    Valid,
    /// It may not.
    Invalid(Violation),
    /// These entries are not here yet.
    Missing(Vec<Link>),
}

/// Signs with the validator's key. A node without one follows, and votes on nothing.
pub trait Signer {
    /// The public key; the engine signs only while the registry names it.
    fn public_key(&self) -> PublicKey;

    /// Signs a vote.
    ///
    /// # Errors
    /// The key cannot be used, such as a token that was removed.
    fn sign_vote(&self, vote: &Vote) -> Result<Signature, SignError>;

    /// Signs a proposal.
    ///
    /// # Errors
    /// As for votes.
    fn sign_proposal(&self, proposal: &Proposal) -> Result<Signature, SignError>;
}

/// Why a signer failed; its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignError(pub String);

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        PublicKey::of(self)
    }

    fn sign_vote(&self, vote: &Vote) -> Result<Signature, SignError> {
        Ok(vote.sign(self))
    }

    fn sign_proposal(&self, proposal: &Proposal) -> Result<Signature, SignError> {
        Ok(proposal.sign(self))
    }
}

/// The consensus log: what one height's votes rest on. The engine flushes once in a call, before its effects are seen.
///
/// Entries must come back whole, in order and unchanged, or not at all: an implementation checks each with a checksum,
/// may drop a torn tail that was never flushed, and reports anything else as [`LogError`].
pub trait Log {
    /// Adds an entry for a height.
    ///
    /// # Errors
    /// [`LogError`].
    fn append(&mut self, height: u64, entry: &[u8]) -> Result<(), LogError>;

    /// Makes all entries durable.
    ///
    /// # Errors
    /// [`LogError`].
    fn flush(&mut self) -> Result<(), LogError>;

    /// Forgets the entries of all heights below this one, at the latest with the next flush.
    ///
    /// # Errors
    /// [`LogError`].
    fn reset(&mut self, height: u64) -> Result<(), LogError>;

    /// Silences a validator's key for ever: others hold this signature by it, which is not in this log. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`LogError`].
    fn silence(&mut self, key: &PublicKey, mark: &SignedMark) -> Result<(), LogError>;

    /// Whether a validator's key was silenced.
    ///
    /// # Errors
    /// [`LogError`].
    fn is_silenced(&self, key: &PublicKey) -> Result<bool, LogError>;

    /// All entries that are there, with their heights, in the order they were added.
    ///
    /// # Errors
    /// [`LogError`].
    fn replay(&self) -> Result<Vec<(u64, Vec<u8>)>, LogError>;
}

/// Why a log failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Reading or writing failed; the operating system's words.
    #[error("reading or writing failed: {0}")]
    Io(String),
    /// What is there is not what was written.
    #[error("what is there is not what was written: {0}")]
    Corrupt(String),
}
