//! Snapshots: the whole state after a certified block, in parts, for whoever joins late. A peer that sends one is not trusted: the state
//! counts only where it hashes to the roots of a header that trust from the genesis leads to.
//!
//! Accounts, positions and listings are leaves of the state tree, so the header's root fixes them. The credits that wait in an inbox
//! are fixed by the account's running digest: from the digest before the first of them, they must lead to the one in the leaf.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use minicbor::bytes::ByteVec;

use crate::account::AccountState;
use crate::cbor;
use crate::certificate::CertifiedHeader;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, ensure, same};
use crate::genesis::GenesisFile;
use crate::hash::{AccountId, Digest};
use crate::ledger::{Account, Head, Ledger, Parts};
use crate::limits::{SNAPSHOT_BYTES_MAX, SNAPSHOT_MANIFEST_BYTES_MAX, SNAPSHOT_PART_BYTES_MAX};
use crate::lineage::Listed;
use crate::position::Position;
use crate::registry::Registry;
use crate::trust::{Trust, TrustStep};

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Manifest {
    /// The block whose state it is.
    #[n(0)]
    pub head: CertifiedHeader,
    /// How trust comes there from the genesis.
    #[n(1)]
    pub trust: Vec<TrustStep>,
    /// The BLAKE3 of each part, in order: so that a part that was spoilt on its way is known at once.
    #[n(2)]
    pub parts: Vec<Digest>,
    /// The sum of the parts' sizes, in bytes, as the sender says.
    #[n(3)]
    pub bytes: u64,
}

/// One thing of the state. A part is an array of them.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum Item {
    /// An account; the running digest of its credits before those that wait; and these.
    #[n(0)]
    Account(#[n(0)] AccountState, #[n(1)] Digest, #[n(2)] Vec<Credit>),
    /// A position with its key.
    #[n(1)]
    Position(#[n(0)] AccountId, #[n(1)] Position),
    /// A listing in force, as its entry.
    #[n(2)]
    Listing(#[n(0)] ByteVec),
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Not the one encoding, or too large.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        Ok(cbor::decode(bytes, "snapshot", SNAPSHOT_MANIFEST_BYTES_MAX)?)
    }
}

/// A snapshot that holds.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The block whose state it is.
    pub head: CertifiedHeader,
    /// How trust came there.
    pub trust: Vec<TrustStep>,
    /// The ledger after it.
    pub ledger: Ledger,
    /// Of each account with credits that wait: the running digest before them.
    pub digests: BTreeMap<AccountId, Digest>,
    /// The entries of the listings in force.
    pub listings: Vec<Vec<u8>>,
}

/// A snapshot on its way.
#[derive(Debug)]
pub struct Assembly {
    manifest: Manifest,
    registry: Registry,
    next: usize,
    taken_bytes: u64,
    /// The leaves that are here: each comes once.
    leaves: BTreeSet<AccountId>,
    parts: Parts,
    digests: BTreeMap<AccountId, Digest>,
    listings: Vec<Vec<u8>>,
}

impl Assembly {
    /// Begins with a manifest: trust from the genesis must lead to its header.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn begin(manifest: Manifest, genesis: &GenesisFile) -> Result<Self, Violation> {
        let mut trust = Trust::from_genesis(genesis);
        for (index, step) in manifest.trust.iter().enumerate() {
            trust.follow(step).map_err(|violation| violation.within(format!("snapshot.trust[{index}]")))?;
        }
        trust.certify(&manifest.head).map_err(|violation| violation.within("snapshot.head"))?;
        let bytes = manifest.bytes;
        let expected = format!("at most {SNAPSHOT_BYTES_MAX}");
        ensure(bytes <= SNAPSHOT_BYTES_MAX, Rule::Proof, "snapshot.bytes", expected, bytes)?;
        let next_height = manifest.head.header.height.saturating_add(1);
        let registry = trust.at(next_height).clone();
        Ok(Self {
            manifest,
            registry,
            next: 0,
            taken_bytes: 0,
            leaves: BTreeSet::new(),
            parts: Parts::default(),
            digests: BTreeMap::new(),
            listings: Vec::new(),
        })
    }

    /// The number of the part that is needed next; none where all are here.
    pub fn wanted(&self) -> Option<usize> {
        (self.next < self.manifest.parts.len()).then_some(self.next)
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.manifest.parts.len()
    }

    /// Takes the part that is needed next.
    ///
    /// # Errors
    /// It is not the one that the manifest names, not one encoding, or credits do not lead to their account's digest.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let place = format!("snapshot.parts[{}]", self.next);
        let expected = self.manifest.parts.get(self.next);
        let expected = expected.ok_or_else(|| Violation::new(Rule::Proof, &place, "no further part", "one"))?;
        same(Rule::Proof, &place, expected, &Digest::of(bytes))?;
        self.taken_bytes = self.taken_bytes.saturating_add(bytes.len() as u64);
        let all = self.manifest.bytes;
        ensure(
            self.taken_bytes <= all,
            Rule::Proof,
            &place,
            format_args!("at most {all} bytes in all"),
            self.taken_bytes,
        )?;
        let items: Vec<Item> = cbor::decode(bytes, "snapshot part", SNAPSHOT_PART_BYTES_MAX)?;
        for item in items {
            self.item(item).map_err(|violation| violation.within(&place))?;
        }
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<(), Violation> {
        match item {
            Item::Account(state, before, waiting) => {
                self.once(state.account)?;
                let count = state.credits_received.saturating_sub(state.credits_absorbed);
                same(Rule::Credit, "account.credits", &count, &(waiting.len() as u64))?;
                let digest = waiting.iter().fold(before, |digest, credit| credit.chained(&digest));
                same(Rule::Credit, "account.credits_digest", &state.credits_digest, &digest)?;
                if !waiting.is_empty() {
                    self.digests.insert(state.account, before);
                }
                self.parts.accounts.push(Account { state, inbox: VecDeque::from(waiting) });
            }
            Item::Position(key, position) => {
                self.once(key)?;
                self.parts.positions.push((key, position));
            }
            Item::Listing(bytes) => {
                let entry = Entry::decode(&bytes)?;
                let Entry::Listing(listing) = &entry else {
                    return Err(Violation::new(Rule::Listing, "listing", "a listing", entry.kind().as_str()));
                };
                self.once(listing.record().instrument.tree_key(&self.registry.network()))?;
                self.parts.listings.push(Listed::of(listing));
                self.listings.push(bytes.into());
            }
        }
        Ok(())
    }

    fn once(&mut self, leaf: AccountId) -> Result<(), Violation> {
        ensure(self.leaves.insert(leaf), Rule::Proof, "snapshot.item", "each leaf of the state once", leaf)
    }

    /// Ends: the state must hash to the header's roots.
    ///
    /// # Errors
    /// A part is missing, or the state is another.
    pub fn finish(self) -> Result<Restored, Violation> {
        let (count, here) = (self.manifest.parts.len(), self.next);
        ensure(count == here, Rule::Proof, "snapshot.parts", count, here)?;
        let Manifest { head, trust, .. } = self.manifest;
        let header = &head.header;
        // Own accounts that nothing moved yet need not be listed: membership says all of them, and the root covers them.
        let ledger = Ledger::from_parts(self.registry, self.parts, Head::of(header));
        same(Rule::Proof, "snapshot.accounts_root", &header.accounts_root, &ledger.root())?;
        Ok(Restored { head, trust, ledger, digests: self.digests, listings: self.listings })
    }
}
