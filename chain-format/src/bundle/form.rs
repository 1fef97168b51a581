//! The form of a bundle: a head, and the elements of its claim, each an item of a CBOR sequence (RFC 8742).

use std::borrow::Cow;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::account::AccountState;
use crate::canonical::Canonical;
use crate::cbor::{self, DecodeError, DecodeReason};
use crate::certificate::CertifiedHeader;
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::{AccountId, Digest, NetworkId};
use crate::header::Header;
use crate::ledger::Ledger;
use crate::limits::{BUNDLE_BYTES_MAX, BUNDLE_ELEMENT_BYTES_MAX, BUNDLE_HEAD_BYTES_MAX};
use crate::merkle::{SidedStep, SparseProof};
use crate::position::Position;
use crate::trust::TrustStep;

/// The version of the form.
pub const BUNDLE_VERSION: u32 = 3;

/// What a bundle claims, and what is true of all that it shows.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Head {
    /// Version of this form; 3.
    #[n(0)]
    pub version: u32,
    /// The network.
    #[n(1)]
    pub network: NetworkId,
    /// How the registry came from the genesis' to that of the checkpoint: one step for each block up to it that holds governance
    /// records.
    #[n(2)]
    pub trust: Vec<TrustStep>,
    /// The certified block at which the claim is true.
    #[n(3)]
    pub checkpoint: CertifiedHeader,
    /// What is claimed.
    #[n(4)]
    pub claim: Claim,
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum Claim {
    /// What an account held, and why, from its opening record on.
    #[n(0)]
    Lineage(#[n(0)] Box<Holding>),
    /// The same from an earlier certified block on.
    #[n(1)]
    LineageFrom(#[n(0)] Box<Holding>, #[n(1)] Box<Anchor>),
    /// What an account held.
    #[n(2)]
    Holdings(#[n(0)] Box<Holding>),
    /// There was no such account.
    #[n(3)]
    Absence(#[n(0)] AccountId, #[n(1)] SparseProof),
    /// An entry stands in the block, with the path from its id to the root of the block's.
    #[n(4)]
    Entry(#[n(0)] ByteVec, #[n(1)] Vec<SidedStep>),
    /// The block is final, and these are its entries.
    #[n(5)]
    Block,
    /// The whole ledger up to the block: every entry, and what every account and position came to.
    #[n(6)]
    Ledger,
    /// Another block is final as well, and can't be.
    #[n(7)]
    Conflict(#[n(0)] Box<CertifiedHeader>),
    /// A bank signed two endorsements for one head of one account, the one with the lower link first.
    #[n(8)]
    Endorsements(#[n(0)] ByteVec, #[n(1)] ByteVec),
    /// An institution signed two executions of one endorsement, the one with the lower link first.
    #[n(9)]
    Executions(#[n(0)] ByteVec, #[n(1)] ByteVec),
}

/// What comes after a bundle's head: which elements its claim has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elements {
    /// None.
    None,
    /// Those of a lineage.
    Lineage,
    /// A block's entries.
    Block,
    /// Those of the whole ledger.
    Ledger,
}

/// An account and its positions under a block's root.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Holding {
    /// The account's leaf.
    #[n(0)]
    pub account: AccountState,
    /// The leaf's path to the root.
    #[n(1)]
    pub proof: SparseProof,
    /// The positions that the account has, in the order of their keys.
    #[n(2)]
    pub positions: Vec<HeldPosition>,
}

/// A position under a block's root.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct HeldPosition {
    /// Its key.
    #[n(0)]
    pub key: AccountId,
    /// Its leaf.
    #[n(1)]
    pub position: Position,
    /// The leaf's path to the root.
    #[n(2)]
    pub proof: SparseProof,
}

/// Where a lineage begins that does not begin with its opening: what the account held at an earlier block.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Anchor {
    /// The block.
    #[n(0)]
    pub header: CertifiedHeader,
    /// What the account held there.
    #[n(1)]
    pub holding: Holding,
    /// The running digest of the account's credits before the first that waited there.
    #[n(2)]
    pub before_waiting: Digest,
}

/// What comes after the head: one element of a lineage, of a block or of the whole ledger. It has its entry's bytes, or borrows them.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum Element<B = ByteVec> {
    /// A listing that what follows needs.
    #[n(0)]
    Listing(#[n(0)] B),
    /// An entry that gave credits which follow.
    #[n(1)]
    Source(#[n(0)] B),
    /// The opening, a chain, or a servicing record.
    #[n(2)]
    Entry(#[n(0)] B),
    /// A settlement of the position that the element before left.
    #[n(3)]
    Settlement(#[n(0)] B),
    /// A credit that waits in the inbox.
    #[n(4)]
    Waiting(#[n(0)] Credit),
    /// The next block, and how many entries it has; they come next.
    #[n(5)]
    Block(#[n(0)] Header, #[n(1)] u32),
    /// An entry of the block.
    #[n(6)]
    InBlock(#[n(0)] B),
    /// What an account holds in the end.
    #[n(7)]
    Account(#[n(0)] AccountState),
    /// What a position is in the end, with its key.
    #[n(8)]
    Position(#[n(0)] AccountId, #[n(1)] Position),
}

impl Head {
    /// Reads the first item of a bundle's file, where there is one.
    ///
    /// # Errors
    /// There is none, or it is no head.
    pub fn first(item: Option<&[u8]>) -> Result<Self, Violation> {
        let item = item.ok_or_else(|| Violation::new(Rule::Encoding, "bundle", "a head", "an empty file"))?;
        Self::decode(item)
    }

    /// Reads a head.
    ///
    /// # Errors
    /// Not the one encoding, too large, or another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let head: Self = cbor::decode(bytes, "bundle", BUNDLE_HEAD_BYTES_MAX)?;
        same(Rule::Encoding, "bundle.version", &BUNDLE_VERSION, &head.version)?;
        Ok(head)
    }
}

impl Claim {
    /// Its stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Lineage(_) => "lineage",
            Self::LineageFrom(..) => "lineage-from",
            Self::Holdings(_) => "holdings",
            Self::Absence(..) => "absence",
            Self::Entry(..) => "entry",
            Self::Block => "block",
            Self::Ledger => "ledger",
            Self::Conflict(_) => "conflict",
            Self::Endorsements(..) => "endorsements",
            Self::Executions(..) => "executions",
        }
    }

    /// Which elements it has.
    pub const fn elements(&self) -> Elements {
        match self {
            Self::Lineage(_) | Self::LineageFrom(..) => Elements::Lineage,
            Self::Block => Elements::Block,
            Self::Ledger => Elements::Ledger,
            Self::Holdings(_)
            | Self::Absence(..)
            | Self::Entry(..)
            | Self::Conflict(_)
            | Self::Endorsements(..)
            | Self::Executions(..) => Elements::None,
        }
    }
}

impl Elements {
    /// Reads an element.
    ///
    /// # Errors
    /// Not the one encoding, too large, or not one that the claim has.
    pub fn decode<'b, B>(self, bytes: &'b [u8]) -> Result<Element<B>, Violation>
    where
        B: Encode<()> + Decode<'b, ()> + Canonical<'b>,
    {
        let element = read_element(bytes)?;
        let (belongs, expected) = match (self, &element) {
            (Self::None, _) => (false, "nothing after the head of such a claim"),
            (
                Self::Lineage,
                Element::Listing(_)
                | Element::Source(_)
                | Element::Entry(_)
                | Element::Settlement(_)
                | Element::Waiting(_),
            ) => (true, ""),
            (Self::Lineage, _) => (false, "an element of a lineage"),
            (Self::Block, element) => (matches!(element, Element::InBlock(_)), "an entry of the block"),
            (Self::Ledger, Element::Block(..) | Element::InBlock(_) | Element::Account(_) | Element::Position(..)) => {
                (true, "")
            }
            (Self::Ledger, _) => (false, "an element of the whole ledger"),
        };
        ensure(belongs, Rule::Encoding, "elements", expected, "another element")?;
        Ok(element)
    }
}

impl Element {
    /// Reads an element of any claim.
    ///
    /// # Errors
    /// Not the one encoding, or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        read_element(bytes)
    }
}

fn read_element<'b, B: Encode<()> + Decode<'b, ()> + Canonical<'b>>(bytes: &'b [u8]) -> Result<Element<B>, Violation> {
    Ok(cbor::decode_record(bytes, "bundle element", BUNDLE_ELEMENT_BYTES_MAX)?)
}

impl Holding {
    /// What an account holds at a ledger's head; none where there is no such account.
    pub fn of(ledger: &Ledger, account: &AccountId) -> Option<Self> {
        let state = ledger.account(account)?.state.clone();
        let held = ledger.positions_of(account);
        let held = held.map(|(key, position)| HeldPosition {
            key: *key,
            position: position.clone(),
            proof: ledger.prove(key),
        });
        let positions = held.collect();
        Some(Self { account: state, proof: ledger.prove(account), positions })
    }

    /// Requires that leaf and positions stand under a root, and that these are all the positions there are.
    ///
    /// # Errors
    /// [`Rule::Proof`], [`Rule::Holdings`], [`Rule::Account`] with the place.
    pub(super) fn stands_under(&self, root: &Digest) -> Result<(), Violation> {
        let Self { account, proof, positions } = self;
        proof.verify_present(root, &account.account, &cbor::encode(account))?;
        let count = positions.len() as u64;
        same(Rule::Holdings, "positions", &account.positions, &count)?;
        let mut before: Option<&AccountId> = None;
        for (index, held) in positions.iter().enumerate() {
            let place = format!("positions[{index}]");
            let ascends = before.is_none_or(|before| *before < held.key);
            ensure(ascends, Rule::Holdings, format_args!("{place}.key"), "a key above the one before", held.key)?;
            before = Some(&held.key);
            same(Rule::Account, format_args!("{place}.account"), &account.account, &held.position.account)?;
            let leaf = cbor::encode(&held.position);
            held.proof.verify_present(root, &held.key, &leaf).map_err(|v| v.within(&place))?;
        }
        Ok(())
    }
}

/// A whole bundle in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its head.
    pub head: Head,
    /// Its elements, in order.
    pub elements: Vec<Element>,
}

impl Bundle {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = cbor::encode(&self.head);
        self.elements.iter().for_each(|element| bytes.extend(cbor::encode(element)));
        bytes
    }

    /// Reads a bundle by its form.
    ///
    /// # Errors
    /// The first item that is not what it must be.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let mut items = Items::of(bytes);
        let head = Head::first(items.take_or_end()?)?;
        let mut elements = Vec::new();
        while let Some(item) = items.take_or_end()? {
            elements.push(Element::decode(item)?);
        }
        Ok(Self { head, elements })
    }
}

/// The items of a bundle's file, which comes piece by piece or is in memory.
#[derive(Debug, Default)]
pub struct Items<'b> {
    /// What is not yet taken, and the last that was.
    buffer: Cow<'b, [u8]>,
    /// How much of it is.
    at: usize,
    taken_items: u64,
    pushed_bytes: u64,
}

impl<'b> Items<'b> {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a whole file.
    pub fn of(bytes: &'b [u8]) -> Self {
        Self { buffer: Cow::Borrowed(bytes), at: 0, taken_items: 0, pushed_bytes: bytes.len() as u64 }
    }

    /// The file goes on.
    pub fn push(&mut self, bytes: &[u8]) {
        let buffer = self.buffer.to_mut();
        buffer.drain(..self.at);
        self.at = 0;
        self.pushed_bytes = self.pushed_bytes.saturating_add(bytes.len() as u64);
        buffer.extend_from_slice(bytes);
    }

    /// The next item; none where more bytes are needed.
    ///
    /// # Errors
    /// What stands there is no item, or one that is too large.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Violation> {
        self.item(false)
    }

    /// The next item; none where the file ends, all of which was pushed.
    ///
    /// # Errors
    /// As with [`Self::take`], or the file ends in the middle of an item.
    pub fn take_or_end(&mut self) -> Result<Option<&[u8]>, Violation> {
        self.item(true)
    }

    fn item(&mut self, is_at_end: bool) -> Result<Option<&[u8]>, Violation> {
        let (name, bytes_max) = match self.taken_items {
            0 => ("bundle", BUNDLE_HEAD_BYTES_MAX),
            _ => ("bundle element", BUNDLE_ELEMENT_BYTES_MAX),
        };
        let failed = |offset, reason| Violation::from(DecodeError { record: name, offset, reason });
        let too_large = |found, max| failed(0, DecodeReason::TooLarge { found, max });
        if self.pushed_bytes > BUNDLE_BYTES_MAX {
            return Err(too_large(usize::try_from(self.pushed_bytes).unwrap_or(usize::MAX), bytes_max));
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        match cbor::first_item(rest) {
            Ok(item) if item.len() > bytes_max => Err(too_large(item.len(), bytes_max)),
            Ok(item) => {
                let (start, end) = (self.at, self.at.saturating_add(item.len()));
                self.at = end;
                self.taken_items = self.taken_items.saturating_add(1);
                Ok(self.buffer.get(start..end))
            }
            Err((_, DecodeReason::Truncated)) if rest.len() > bytes_max => Err(too_large(rest.len(), bytes_max)),
            Err((_, DecodeReason::Truncated)) if !is_at_end => Ok(None),
            Err((offset, reason)) => Err(failed(offset, reason)),
        }
    }
}
