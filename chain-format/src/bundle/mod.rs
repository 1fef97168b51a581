//! Bundles: one file that proves something offline, against the genesis file alone.
//!
//! What a bundle claims is true at a certified block: what an account held there, that there was none, that an entry stands in it; or a
//! whole lineage, which tells why, from its opening record or from an earlier certified block on. The steps of verification are those of
//! `spec/bundle.md`. A lineage is read element by element, so that what is kept does not grow with it:
//!
//! ```text
//! Items (bytes → items) → Audit::begin (the head) → Batch::read → Audit::judge → Audit::follow → … → Audit::finish
//! ```

mod credits;
mod evidence;
mod form;
mod lineage;
mod listings;
mod read;
mod replay;
mod write;

use crate::account::AccountState;
use crate::certificate::CertifiedHeader;
use crate::chain::Entry;
use crate::error::{Rule, Violation, ensure, same};
use crate::genesis::GenesisFile;
use crate::hash::{AccountId, BlockId};
use crate::member::MemberId;
use crate::merkle;
use crate::position::Position;
use crate::registry::Registry;
use crate::trust::{Trust, TrustStep};
use crate::validate::{self, VerifiedEntry};
pub use evidence::{Conflict, TwoAnswers};
pub use form::{Anchor, BUNDLE_VERSION, Bundle, Claim, Element, Elements, Head, HeldPosition, Holding, Items};
use lineage::Derivation;
pub use lineage::Derived;
pub use listings::{NeededListing, listings_needed};
use read::Reader;
pub use read::{Batch, Checked, ReadBatch, Shown};
pub use replay::Replayed;
use replay::{BlockReader, Replay, WholeBlock};
pub use write::{Arrangement, Records};

/// Elements whose signatures are checked in one batch: from some hundreds of signatures on, more save little.
pub const BATCH_ELEMENTS: usize = 256;

/// What is taken from a bundle's file at once, in bytes: some batches.
pub const PIECE_BYTES: usize = 1024 * 1024;

/// What a verified bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// What is claimed, and is so.
    pub claim: ProvedClaim,
    /// The block at which it is.
    pub checkpoint: ProvedBlock,
    /// Signatures that were checked.
    pub signatures: u64,
    /// Blocks with governance records through which trust was followed.
    pub trust_steps: u64,
}

/// A claim that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvedClaim {
    /// What an account held and why; from the block given, or from its opening on.
    Lineage(Box<Derived>, Option<ProvedBlock>),
    /// What an account held, and its positions in the order of their keys.
    Holdings(Box<AccountState>, Vec<Position>),
    /// There was no such account.
    Absence(AccountId),
    /// The entry stands in the block.
    Entry(Box<VerifiedEntry>),
    /// The block is final, with so many entries.
    Block(u64),
    /// The whole ledger follows from the genesis.
    Ledger(Box<Replayed>),
    /// Two blocks are final that can't both be.
    Conflict(Box<Conflict>),
    /// A bank signed two endorsements for one head of an account.
    Endorsements(Box<TwoAnswers>),
    /// An institution signed two executions of one endorsement.
    Executions(Box<TwoAnswers>),
}

/// A block that is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedBlock {
    /// Its height.
    pub height: u64,
    /// Its time in Unix milliseconds.
    pub time_ms: u64,
    /// Its id.
    pub block: BlockId,
    /// The voting power that signed it, and the total.
    pub power: (u64, u64),
    /// Who signed it, in the order of their ids.
    pub signers: Vec<MemberId>,
}

impl ProvedBlock {
    /// A block whose certificate was verified, and the voting power that signed it, with the total.
    fn of(certified: &CertifiedHeader, power: (u64, u64)) -> Self {
        let CertifiedHeader { header, certificate } = certified;
        let signers = certificate.signatures.iter().map(|signature| signature.validator.clone()).collect();
        Self { height: header.height, time_ms: header.time_ms, block: header.id(), power, signers }
    }
}

/// The verdict on a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that it claims is proved.
    Verified(Box<Proved>),
    /// It can be read, but a step fails.
    Refuted(Violation),
    /// It is not a bundle, or not in its one encoding.
    Unreadable(Violation),
}

/// Reads and verifies a bundle against a genesis file.
pub fn verify(bytes: &[u8], genesis: &GenesisFile) -> Verdict {
    let (mut items, mut pieces) = (Items::new(), bytes.chunks(PIECE_BYTES));
    let mut next = || loop {
        match items.take()? {
            Some(item) => return Ok(Some(item)),
            None => match pieces.next() {
                Some(piece) => items.push(piece),
                None => return items.take_or_end(),
            },
        }
    };
    let head = match next().and_then(Head::first) {
        Ok(head) => head,
        Err(violation) => return Verdict::Unreadable(violation),
    };
    let mut audit = match Audit::begin(head, genesis) {
        Ok(audit) => audit,
        Err(violation) => return Verdict::Refuted(violation),
    };
    let kinds = audit.elements();
    loop {
        // What cannot be read comes after what was read before it.
        let (mut items, mut unfit) = (Vec::with_capacity(BATCH_ELEMENTS), None);
        while items.len() < BATCH_ELEMENTS && unfit.is_none() {
            match next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(violation) => unfit = Some(violation),
            }
        }
        let is_last = items.len() < BATCH_ELEMENTS;
        let (checked, unreadable) = audit.judge(Batch::new(kinds, items).read());
        match (audit.follow(checked), unreadable.or(unfit)) {
            (Err(violation), _) => return Verdict::Refuted(violation),
            (Ok(()), Some(violation)) => return Verdict::Unreadable(violation),
            (Ok(()), None) if is_last => break,
            (Ok(()), None) => {}
        }
    }
    match audit.finish() {
        Ok(proved) => Verdict::Verified(Box::new(proved)),
        Err(violation) => Verdict::Refuted(violation),
    }
}

/// A bundle that is being verified.
#[derive(Debug)]
pub struct Audit {
    checkpoint: ProvedBlock,
    trust_steps: u64,
    signatures: u64,
    claim: Claimed,
}

#[derive(Debug)]
enum Claimed {
    Lineage(Box<(Reader, Derivation)>, Option<ProvedBlock>),
    Block(Box<(BlockReader, WholeBlock)>),
    Ledger(Box<(BlockReader, Replay)>),
    /// What has no elements is proved by its head.
    Other(ProvedClaim),
}

impl Audit {
    /// Verifies a head: network, trust, checkpoint, and what of its claim stands under the checkpoint's roots.
    ///
    /// # Errors
    /// The first step that fails, with the place.
    pub fn begin(head: Head, genesis: &GenesisFile) -> Result<Self, Violation> {
        same(Rule::Network, "bundle.network", &genesis.network(), &head.network)?;
        let checkpoint = &head.checkpoint;
        same(Rule::Network, "checkpoint.network", &genesis.network(), &checkpoint.header.network)?;
        let trust = trusted(&head, genesis)?;
        let block = certified(&trust, checkpoint).map_err(|v| v.within("checkpoint"))?;
        let signatures = certificate_signatures(&head);
        let Head { checkpoint, trust: steps, claim, .. } = head;
        let (claim, more) = claimed(claim, trust, &block, &checkpoint, genesis)?;
        let signatures = signatures.saturating_add(more);
        Ok(Self { checkpoint: block, trust_steps: steps.len() as u64, signatures, claim })
    }

    /// Which elements come.
    pub fn elements(&self) -> Elements {
        match &self.claim {
            Claimed::Lineage(..) => Elements::Lineage,
            Claimed::Block(_) => Elements::Block,
            Claimed::Ledger(_) => Elements::Ledger,
            Claimed::Other(_) => Elements::None,
        }
    }

    /// Judges the elements that come next. What is wrong with one of them, [`Self::follow`] says, in their order. Beside them comes why
    /// there is none more, where the next can't be read.
    pub fn judge(&mut self, read: ReadBatch) -> (Checked, Option<Violation>) {
        let ReadBatch { steps, unreadable } = read;
        let steps = steps.into_iter();
        let steps = match &mut self.claim {
            Claimed::Lineage(lineage, _) => steps.map(|step| lineage.0.judge(step)).collect(),
            Claimed::Block(block) => steps.map(|step| block.0.judge(step)).collect(),
            Claimed::Ledger(ledger) => steps.map(|step| ledger.0.judge(step)).collect(),
            Claimed::Other(_) => Vec::new(),
        };
        (Checked { steps }, unreadable)
    }

    /// Follows elements that were judged and checked, in the order in which they were judged.
    ///
    /// # Errors
    /// The first step that fails, with the place.
    pub fn follow(&mut self, checked: Checked) -> Result<(), Violation> {
        match &mut self.claim {
            Claimed::Lineage(lineage, _) => lineage.1.follow(checked),
            Claimed::Block(block) => block.1.follow(checked),
            Claimed::Ledger(ledger) => ledger.1.follow(checked),
            Claimed::Other(_) => Ok(()),
        }
    }

    /// The bundle ends here.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn finish(self) -> Result<Proved, Violation> {
        let Self { checkpoint, trust_steps, signatures, claim } = self;
        let (claim, more) = match claim {
            Claimed::Lineage(lineage, from) => {
                let (reader, derivation) = *lineage;
                (ProvedClaim::Lineage(Box::new(derivation.finish()?), from), reader.signatures)
            }
            Claimed::Block(block) => {
                let (reader, whole) = *block;
                (ProvedClaim::Block(whole.finish()?), reader.signatures)
            }
            Claimed::Ledger(ledger) => {
                let (reader, replay) = *ledger;
                (ProvedClaim::Ledger(Box::new(replay.finish()?)), reader.signatures)
            }
            Claimed::Other(claim) => (claim, 0),
        };
        Ok(Proved { claim, checkpoint, signatures: signatures.saturating_add(more), trust_steps })
    }
}

/// What of a claim stands under the checkpoint's roots, and how many signatures that took.
fn claimed(
    claim: Claim,
    trust: Trust,
    block: &ProvedBlock,
    checkpoint: &CertifiedHeader,
    genesis: &GenesisFile,
) -> Result<(Claimed, u64), Violation> {
    let root = &checkpoint.header.accounts_root;
    let reader = |trust: &Trust, base| Reader::new(registries(trust, block.height), base);
    Ok(match claim {
        Claim::Lineage(holding) => {
            holding.stands_under(root)?;
            let derivation = Derivation::from_opening(*holding);
            (Claimed::Lineage(Box::new((reader(&trust, 0), derivation)), None), 0)
        }
        Claim::LineageFrom(holding, anchor) => {
            holding.stands_under(root)?;
            let from = anchored(&trust, block, &holding, &anchor).map_err(|v| v.within("anchor"))?;
            let base = trust.up_to(from.height.saturating_add(1)).len().saturating_sub(1);
            let derivation = Derivation::from_anchor(*holding, &anchor).map_err(|v| v.within("anchor"))?;
            (Claimed::Lineage(Box::new((reader(&trust, base), derivation)), Some(from)), signatures_of(&anchor.header))
        }
        Claim::Holdings(holding) => {
            holding.stands_under(root)?;
            let Holding { account, positions, .. } = *holding;
            let positions = positions.into_iter().map(|held| held.position).collect();
            (Claimed::Other(ProvedClaim::Holdings(Box::new(account), positions)), 0)
        }
        Claim::Absence(account, proof) => {
            proof.verify_absent(root, &account)?;
            (Claimed::Other(ProvedClaim::Absence(account)), 0)
        }
        Claim::Entry(bytes, path) => {
            let entry = Entry::decode(&bytes).map_err(|v| v.within("entry"))?;
            let count = entry.signers().len() as u64;
            let entry = validate::verify_entry(entry, trust.at(block.height)).map_err(|v| v.within("entry"))?;
            merkle::verify_sided(&merkle::leaf_hash(&entry.id().0), &path, &checkpoint.header.entries_root)?;
            (Claimed::Other(ProvedClaim::Entry(Box::new(entry))), count)
        }
        Claim::Block => {
            let whole = WholeBlock::new(&checkpoint.header);
            (Claimed::Block(Box::new((BlockReader::new(trust, block.height), whole))), 0)
        }
        Claim::Ledger => {
            let replay = Replay::new(genesis, block.clone());
            (Claimed::Ledger(Box::new((BlockReader::new(trust, 0), replay))), 0)
        }
        Claim::Conflict(other) => {
            let conflict = evidence::conflict(&trust, block, &other).map_err(|v| v.within("other"))?;
            (Claimed::Other(ProvedClaim::Conflict(Box::new(conflict))), signatures_of(&other))
        }
        Claim::Endorsements(first, second) => {
            let two = evidence::endorsements(&trust, block.height, [&first, &second])?;
            (Claimed::Other(ProvedClaim::Endorsements(Box::new(two))), 2)
        }
        Claim::Executions(first, second) => {
            let two = evidence::executions(&trust, block.height, [&first, &second])?;
            (Claimed::Other(ProvedClaim::Executions(Box::new(two))), 2)
        }
    })
}

fn signatures_of(header: &CertifiedHeader) -> u64 {
    header.certificate.signatures.len() as u64
}

/// Follows the registry from the genesis to the checkpoint.
fn trusted(head: &Head, genesis: &GenesisFile) -> Result<Trust, Violation> {
    let mut trust = Trust::from_genesis(genesis);
    for (index, step) in head.trust.iter().enumerate() {
        let place = format!("trust[{index}]");
        let (last, found) = (head.checkpoint.header.height, step.header.header.height);
        let expected = format!("at most the checkpoint's, {last}");
        ensure(found <= last, Rule::Certificate, format_args!("{place}.header.height"), expected, found)?;
        trust.follow(step).map_err(|v| v.within(&place))?;
    }
    Ok(trust)
}

fn certified(trust: &Trust, header: &CertifiedHeader) -> Result<ProvedBlock, Violation> {
    Ok(ProvedBlock::of(header, trust.certify(header)?))
}

/// The registries that were in force up to a height, the genesis' first.
fn registries(trust: &Trust, height: u64) -> Vec<Registry> {
    trust.up_to(height).iter().map(|(_, registry)| registry.clone()).collect()
}

/// The anchor is certified, not after the checkpoint, and of the claim's account.
fn anchored(trust: &Trust, last: &ProvedBlock, holding: &Holding, anchor: &Anchor) -> Result<ProvedBlock, Violation> {
    let found = anchor.header.header.height;
    let expected = format!("at most the checkpoint's, {}", last.height);
    ensure(found <= last.height, Rule::Certificate, "header.height", expected, found)?;
    let from = certified(trust, &anchor.header).map_err(|v| v.within("header"))?;
    anchor.holding.stands_under(&anchor.header.header.accounts_root)?;
    same(Rule::Account, "account", &holding.account.account, &anchor.holding.account.account)?;
    Ok(from)
}

/// The signatures of all certificates but an anchor's, and of the governance records that trust follows.
fn certificate_signatures(head: &Head) -> u64 {
    let resolved = |step: &TrustStep| {
        let records = step.records.iter().filter_map(|bytes| Entry::decode(bytes).ok());
        records.fold(signatures_of(&step.header), |sum, entry| sum.saturating_add(entry.signers().len() as u64))
    };
    head.trust.iter().map(resolved).fold(signatures_of(&head.checkpoint), u64::saturating_add)
}
