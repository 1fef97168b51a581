//! Blocks: a header that commits to everything, and the ids of the entries it orders.

use crate::canonical::Canonical;
use crate::cbor;
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::{BlockId, Digest, Link, NetworkId};
use crate::limits::BLOCK_ENTRIES_MAX;
use crate::member::MemberId;
use crate::merkle;

/// What a block commits to. The block's id is the BLAKE3 of this encoding.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Header {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Height; the first block has 1.
    #[n(1)]
    pub height: u64,
    /// The block before; for the first block the network id's bytes.
    #[n(2)]
    pub parent: BlockId,
    /// Block time in Unix milliseconds, later than the parent's; validators agreed that it was not ahead of their clocks.
    #[n(3)]
    pub time_ms: u64,
    /// Who proposed it.
    #[n(4)]
    pub proposer: MemberId,
    /// Merkle root of the entries' ids, in order.
    #[n(5)]
    pub entries_root: Digest,
    /// Root of the state tree after this block: every account and every listed instrument.
    #[n(6)]
    pub accounts_root: Digest,
    /// Merkle root of the member registry that certifies the next block.
    #[n(7)]
    pub registry_root: Digest,
}

/// A header and the ids of its entries; the entries' bodies travel by gossip.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Block {
    /// The header.
    #[n(0)]
    pub header: Header,
    /// The ids of the entries, in order.
    #[n(1)]
    pub entries: Vec<Link>,
}

impl Header {
    /// The block's id.
    pub fn id(&self) -> BlockId {
        BlockId(blake3::hash(&cbor::encode(self)).into())
    }
}

/// The parent of the first block.
pub fn genesis_parent(network: &NetworkId) -> BlockId {
    BlockId(network.0)
}

/// The Merkle root over entry ids in order.
pub fn entries_root(entries: &[Link]) -> Digest {
    let leaves: Vec<Digest> = entries.iter().map(|id| merkle::leaf_hash(&id.0)).collect();
    merkle::root(&leaves)
}

impl Block {
    /// The block's id, that of its header.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// Largest encoding of a block, in bytes.
    pub const BYTES_MAX: usize = 34 * BLOCK_ENTRIES_MAX + 4096;

    /// Reads a block.
    ///
    /// # Errors
    /// Not the one encoding, too large, or its entries are not those of its header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let block: Self = cbor::decode(bytes, "block", Self::BYTES_MAX)?;
        block.check()?;
        Ok(block)
    }

    /// Requires that the entries are those that the header commits to.
    ///
    /// # Errors
    /// [`Rule::Block`].
    pub fn check(&self) -> Result<(), Violation> {
        let count = self.entries.len();
        ensure(count <= BLOCK_ENTRIES_MAX, Rule::Block, "block.entries", "at most 10000", count)?;
        let root = entries_root(&self.entries);
        same(Rule::Block, "header.entries_root", &root, &self.header.entries_root)
    }
}
