//! The governance record: what the members resolve about their network. Several sign it together.
//!
//! Governance records follow each other like the chains of an account: each names its number and the record before. Each takes
//! effect as a whole at the height that it names, which lies above that of the block that commits it. What it may do, and who must
//! sign, is [`crate::registry`]'s.

use crate::cose::ContentType;
use crate::cosign::CosignedRecord;
use crate::error::{Rule, Violation, ensure};
use crate::genesis::Parameters;
use crate::hash::{Link, NetworkId};
use crate::keys::PublicKey;
use crate::limits::{CHANGES_MAX, GOVERNANCE_BYTES_MAX, GOVERNANCE_SIGNATURES_MAX, TEXT_BYTES_MAX};
use crate::member::{KeyUse, Member, MemberId, Role};

/// The highest version of the protocol that this code knows. Version 2 changes no rule: it is there for consortia to rehearse how all
/// nodes come to another version at one height.
pub const PROTOCOL_VERSION_MAX: u32 = 2;

/// What the members resolved.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Governance {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Counts governance records; the first has 1.
    #[n(1)]
    pub number: u64,
    /// The record before; in the first, the network id's bytes.
    #[n(2)]
    pub parent: Link,
    /// The height from which on the changes hold: that of the first block made under them. Above the height of the block that commits
    /// the record, by at most 10,000,000.
    #[n(3)]
    pub effective: u64,
    /// The changes, 1 to 16, made in this order; the registry must hold when all are made.
    #[n(4)]
    pub changes: Vec<Change>,
    /// Why, for people; at most 256 bytes.
    #[n(5)]
    pub note: String,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum Change {
    /// A new member, active from then on. All its keys sign the record.
    #[n(0)]
    Admit(#[n(0)] Member),
    /// An active member may not act any more.
    #[n(1)]
    Suspend(#[n(0)] MemberId),
    /// A suspended member may act again; its member key must not be revoked.
    #[n(2)]
    Reinstate(#[n(0)] MemberId),
    /// A member leaves for good.
    #[n(3)]
    Remove(#[n(0)] MemberId),
    /// A member has another role, or another voting power. With power 0 its validator key is retired.
    #[n(4)]
    Assign(#[n(0)] MemberId, #[n(1)] Role, #[n(2)] u64),
    /// A member has another key of a use; or a first validator key. The new key signs the record.
    #[n(5)]
    Rotate(#[n(0)] MemberId, #[n(1)] KeyUse, #[n(2)] PublicKey),
    /// A key is known to others: nothing that it signs counts any more. With its member key a member is suspended, with its validator
    /// key it has no vote, with its network key no connection, until the key is rotated.
    #[n(6)]
    Revoke(#[n(0)] MemberId, #[n(1)] KeyUse, #[n(2)] PublicKey),
    /// The network has other parameters.
    #[n(7)]
    Set(#[n(0)] Parameters),
    /// The network has a higher version of the protocol.
    #[n(8)]
    Upgrade(#[n(0)] u32),
    /// A record that waits to take effect never will. Holds at once, when this record is committed.
    #[n(9)]
    Withdraw(#[n(0)] u64),
}

impl Change {
    /// The keys that a change brings into the registry; each signs the record.
    pub fn new_keys(&self) -> Vec<PublicKey> {
        match self {
            Self::Admit(member) => member.keys().copied().collect(),
            Self::Rotate(_, _, key) => vec![*key],
            _ => Vec::new(),
        }
    }
}

impl Governance {
    /// Whose key rotations this record is, where it is nothing else: then that member's own signature will do.
    pub fn rotates_keys_of(&self) -> Option<&MemberId> {
        rotates_keys_of(&self.changes)
    }
}

/// Whose keys some changes rotate, where they do nothing else and rotate nobody else's.
pub(crate) fn rotates_keys_of(changes: &[Change]) -> Option<&MemberId> {
    let mut whose = None;
    for change in changes {
        match change {
            Change::Rotate(id, ..) if whose.is_none_or(|known| known == id) => whose = Some(id),
            _ => return None,
        }
    }
    whose
}

impl CosignedRecord for Governance {
    const CONTENT: ContentType = ContentType::Governance;
    const BYTES_MAX: usize = GOVERNANCE_BYTES_MAX;
    const SIGNATURES_MAX: usize = GOVERNANCE_SIGNATURES_MAX;

    fn check(&self) -> Result<(), Violation> {
        let rule = Rule::Range;
        ensure(self.number > 0, rule, "governance.number", "1 or above", self.number)?;
        let count = self.changes.len();
        ensure((1..=CHANGES_MAX).contains(&count), rule, "governance.changes", "1 to 16", count)?;
        let bytes = self.note.len();
        ensure(bytes <= TEXT_BYTES_MAX, rule, "governance.note", "at most 256 bytes", bytes)
    }
}
