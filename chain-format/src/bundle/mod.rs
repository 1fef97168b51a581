//! Bundles: one file that proves something offline, against the genesis file alone.
//!
//! What a bundle claims is true at a certified block: what an account held there, that there was none, that an entry stands in it; or a
//! whole lineage, which tells why, from its opening record or from an earlier certified block on. The steps of verification are those of
//! `spec/bundle.md`. A lineage is read element by element, so that what is kept does not grow with it:
//!
//! ```text
//! Items (bytes → items) → Audit::begin (the head) → Audit::take (an element) → … → Audit::conclude
//!                                                     ↳ DueSignatures::check, in batches, here or on other cores
//! ```

mod credits;
mod evidence;
mod form;
mod lineage;
mod listings;
mod read;
mod replay;
mod write;

use minicbor::bytes::ByteSlice;

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
pub use read::{CheckedSignatures, DueSignatures, Shown};
use read::{Reader, Step};
pub use replay::Replayed;
use replay::{BlockReader, Replay, WholeBlock};
pub use write::{Arrangement, Records};

/// Elements whose signatures are checked in one batch. In larger ones a signature costs less, a tenth less in 3,000 than in 800; but more is
/// kept, and several cores end less evenly.
pub const BATCH_ELEMENTS: usize = 512;

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
    let mut items = Items::of(bytes);
    let head = match items.take_or_end().and_then(Head::first) {
        Ok(head) => head,
        Err(violation) => return Verdict::Unreadable(violation),
    };
    let mut audit = match Audit::begin(head, genesis) {
        Ok(audit) => audit,
        Err(violation) => return Verdict::Refuted(violation),
    };
    loop {
        let taken = match items.take_or_end() {
            Ok(Some(item)) => audit.take(item, |_| {}),
            Ok(None) => return audit.conclude(None),
            Err(violation) => Err(Verdict::Unreadable(violation)),
        };
        if let Err(why) = taken {
            return audit.conclude(Some(why));
        }
        if audit.due() >= BATCH_ELEMENTS
            && let Err(violation) = audit.check_due()
        {
            return Verdict::Refuted(violation);
        }
    }
}

/// A bundle that is being verified.
#[derive(Debug)]
pub struct Audit {
    checkpoint: ProvedBlock,
    trust_steps: u64,
    /// Signatures that were checked.
    signatures: u64,
    claim: Claimed,
    /// Those of the elements that came last, and of how many elements others were handed out that are not back.
    due: DueSignatures,
    handed_out: usize,
    /// The item that is taken.
    item: Vec<u8>,
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
        Ok(Self {
            checkpoint: block,
            trust_steps: steps.len() as u64,
            signatures,
            claim,
            due: DueSignatures::default(),
            handed_out: 0,
            item: Vec::new(),
        })
    }

    /// Which elements come.
    const fn elements(&self) -> Elements {
        match &self.claim {
            Claimed::Lineage(..) => Elements::Lineage,
            Claimed::Block(_) => Elements::Block,
            Claimed::Ledger(_) => Elements::Ledger,
            Claimed::Other(_) => Elements::None,
        }
    }

    /// Takes the next item of the file: an element is read, judged by itself, shown, and followed. Its signatures are due.
    ///
    /// # Errors
    /// [`Verdict::Unreadable`] or [`Verdict::Refuted`], with the place: the bundle's verdict, unless a signature that is due does not
    /// verify.
    pub fn take(&mut self, item: &[u8], show: impl FnOnce(Shown<'_>)) -> Result<(), Verdict> {
        let kinds = self.elements();
        // Fetched from memory in one go: what is read here and there in it then is near.
        self.item.clear();
        self.item.extend_from_slice(item);
        let element: Element<&ByteSlice> = kinds.decode(&self.item).map_err(Verdict::Unreadable)?;
        let step = match &mut self.claim {
            Claimed::Lineage(lineage, _) => Step::of(element, |part, entry| lineage.0.judge(part, entry)),
            Claimed::Block(block) => Step::of(element, |_, entry| block.0.judge(entry)),
            Claimed::Ledger(ledger) => {
                if let Element::Block(header, _) = &element {
                    ledger.0.enter(header.height);
                }
                Step::of(element, |_, entry| ledger.0.judge(entry))
            }
            Claimed::Other(_) => return Ok(()),
        };
        if let Some(shown) = step.shown() {
            show(shown);
        }
        let followed = match &mut self.claim {
            Claimed::Lineage(lineage, _) => lineage.1.follow(step, &mut self.due),
            Claimed::Block(block) => block.1.follow(step, &mut self.due),
            Claimed::Ledger(ledger) => ledger.1.follow(step, &mut self.due),
            Claimed::Other(_) => Ok(()),
        };
        followed.map_err(Verdict::Refuted)
    }

    /// Of how many elements signatures are due.
    pub fn due(&self) -> usize {
        self.due.elements()
    }

    /// Hands out the signatures that are due, for whoever checks them while more elements are taken. They come back by [`Self::checked`].
    pub fn hand_out(&mut self) -> DueSignatures {
        let elements = self.due.elements();
        self.handed_out = self.handed_out.saturating_add(elements);
        // The next are most likely as many.
        std::mem::replace(&mut self.due, DueSignatures::of(elements))
    }

    /// Signatures that were handed out are checked.
    pub fn checked(&mut self, CheckedSignatures { elements, signatures }: CheckedSignatures) {
        self.handed_out = self.handed_out.saturating_sub(elements);
        self.signatures = self.signatures.saturating_add(signatures);
    }

    /// Checks the signatures that are due.
    ///
    /// # Errors
    /// The first that does not verify, with its place.
    pub fn check_due(&mut self) -> Result<(), Violation> {
        let checked = self.hand_out().check()?;
        self.checked(checked);
        Ok(())
    }

    /// The verdict, where the file ends, or why nothing more is taken. Signatures that are due are checked; those that were handed out must
    /// be back.
    pub fn conclude(mut self, why: Option<Verdict>) -> Verdict {
        if let Err(violation) = self.check_due() {
            return Verdict::Refuted(violation);
        }
        why.unwrap_or_else(|| match self.finish() {
            Ok(proved) => Verdict::Verified(Box::new(proved)),
            Err(violation) => Verdict::Refuted(violation),
        })
    }

    fn finish(self) -> Result<Proved, Violation> {
        let Self { checkpoint, trust_steps, signatures, claim, handed_out, .. } = self;
        let unchecked = format_args!("those of {handed_out} elements unchecked");
        ensure(handed_out == 0, Rule::Signature, "bundle", "all signatures checked", unchecked)?;
        let claim = match claim {
            Claimed::Lineage(lineage, from) => ProvedClaim::Lineage(Box::new(lineage.1.finish()?), from),
            Claimed::Block(block) => ProvedClaim::Block(block.1.finish()?),
            Claimed::Ledger(ledger) => ProvedClaim::Ledger(Box::new(ledger.1.finish()?)),
            Claimed::Other(claim) => claim,
        };
        Ok(Proved { claim, checkpoint, signatures, trust_steps })
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
