//! The elements of a bundle on their way: read, with all their signatures checked in one batch, then each entry judged by the registry
//! under which it was committed.

use minicbor::bytes::ByteSlice;

use super::form::{Element, Elements};
use crate::account::AccountState;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::{Rule, Violation};
use crate::hash::AccountId;
use crate::header::Header;
use crate::position::Position;
use crate::registry::Registry;
use crate::validate::{SignatureChecks, Unjudged, VerifiedEntry};

/// What an entry is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Listing,
    Source,
    Entry,
    Settlement,
    InBlock,
}

/// Judges entries, and counts signatures.
#[derive(Debug)]
pub(super) struct Reader {
    /// The registries that were in force up to the checkpoint, the genesis' first. There is at least one.
    registries: Vec<Registry>,
    /// The first of them that may be in force where the lineage begins.
    base: usize,
    /// That of the last lineage entry; of the last element that a settlement may stand on.
    since: usize,
    since_run: usize,
    /// The position whose settlements come, where none of the lineage's entries came yet.
    first_run: Option<AccountId>,
    began: bool,
    /// Signatures so far.
    pub signatures: u64,
}

/// Elements as they stand in the file.
#[derive(Debug)]
pub struct Batch {
    kinds: Elements,
    items: Vec<Vec<u8>>,
}

/// Elements that are read and whose signatures are checked, but no other rule yet.
#[derive(Debug)]
pub struct ReadBatch {
    pub(super) steps: Vec<Step<Result<Unjudged, Violation>>>,
    /// Why there is none more: the next can't be read.
    pub(super) unreadable: Option<Violation>,
}

/// Elements of which all is judged that can be by themselves.
#[derive(Debug)]
pub struct Checked {
    pub(super) steps: Vec<Step<Result<VerifiedEntry, Violation>>>,
}

/// A checked element, for whoever shows it.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'c> {
    /// An entry, with the name of its kind of element in places, and the verdict on it by itself.
    Entry(&'static str, Result<&'c VerifiedEntry, &'c Violation>),
    /// A credit that waits.
    Waiting(&'c Credit),
    /// A block, and how many entries follow.
    Block(&'c Header, u32),
    /// An account as it is stated.
    Account(&'c AccountState),
    /// A position as it is stated, with its key.
    Position(&'c AccountId, &'c Position),
}

impl Part {
    /// The name of such elements in places.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "listings",
            Self::Source => "sources",
            Self::Entry => "lineage",
            Self::Settlement => "settlements",
            Self::InBlock => "entries",
        }
    }
}

impl Checked {
    /// The elements in their order.
    pub fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.steps.iter().map(|step| match step {
            Step::Entry(part, verdict) => Shown::Entry(part.as_str(), verdict.as_ref()),
            Step::Waiting(credit) => Shown::Waiting(credit),
            Step::Block(header, count) => Shown::Block(header, *count),
            Step::Account(state) => Shown::Account(state),
            Step::Position(key, position) => Shown::Position(key, position),
        })
    }
}

/// One element on its way.
#[derive(Debug)]
pub(super) enum Step<T> {
    Entry(Part, T),
    Waiting(Credit),
    Block(Header, u32),
    Account(AccountState),
    Position(AccountId, Position),
}

impl<T> Step<T> {
    /// The same element with something else of its entry.
    pub(super) fn map<U>(self, entry: impl FnOnce(Part, T) -> U) -> Step<U> {
        match self {
            Self::Entry(part, one) => Step::Entry(part, entry(part, one)),
            Self::Waiting(credit) => Step::Waiting(credit),
            Self::Block(header, count) => Step::Block(header, count),
            Self::Account(state) => Step::Account(state),
            Self::Position(key, position) => Step::Position(key, position),
        }
    }
}

impl Batch {
    /// Items that stand one after the other, each of which must be one of a claim's elements.
    pub fn new(kinds: Elements, items: Vec<Vec<u8>>) -> Self {
        Self { kinds, items }
    }

    /// Reads the elements, and checks all signatures in one batch. It needs nothing else, so several batches can be read side by side.
    #[must_use]
    pub fn read(self) -> ReadBatch {
        let count = self.items.len();
        let (mut steps, mut checks, mut unreadable) = (Vec::with_capacity(count), SignatureChecks::of(count), None);
        for item in self.items {
            let element: Element<&ByteSlice> = match self.kinds.decode(&item) {
                Ok(element) => element,
                Err(violation) => {
                    unreadable = Some(violation);
                    break;
                }
            };
            let (step, bytes) = match element {
                Element::Listing(bytes) => (Step::Entry(Part::Listing, ()), Some(bytes)),
                Element::Source(bytes) => (Step::Entry(Part::Source, ()), Some(bytes)),
                Element::Entry(bytes) => (Step::Entry(Part::Entry, ()), Some(bytes)),
                Element::Settlement(bytes) => (Step::Entry(Part::Settlement, ()), Some(bytes)),
                Element::InBlock(bytes) => (Step::Entry(Part::InBlock, ()), Some(bytes)),
                Element::Waiting(credit) => (Step::Waiting(credit), None),
                Element::Block(header, count) => (Step::Block(header, count), None),
                Element::Account(state) => (Step::Account(state), None),
                Element::Position(key, position) => (Step::Position(key, position), None),
            };
            steps.push(step);
            if let Some(bytes) = bytes {
                checks.add(Entry::decode(bytes));
            }
        }
        let mut entries = checks.finish();
        let steps = steps.into_iter().map(|step| step.map(|_, ()| entries.next().unwrap_or_else(|| Err(unread()))));
        ReadBatch { steps: steps.collect(), unreadable }
    }
}

/// Every entry comes back from its checks, so this is met nowhere.
fn unread() -> Violation {
    Violation::new(Rule::Signature, "entry", "one that was checked", "none")
}

impl Reader {
    /// Before the first element of a lineage that begins under one of the registries.
    pub(super) fn new(registries: Vec<Registry>, base: usize) -> Self {
        Self { registries, base, since: base, since_run: base, first_run: None, began: false, signatures: 0 }
    }

    /// Judges the next element.
    pub(super) fn judge(&mut self, step: Step<Result<Unjudged, Violation>>) -> Step<Result<VerifiedEntry, Violation>> {
        step.map(|part, entry| self.entry(part, entry?))
    }

    fn entry(&mut self, part: Part, entry: Unjudged) -> Result<VerifiedEntry, Violation> {
        let since = match (part, entry.entry()) {
            (Part::Listing | Part::Source | Part::InBlock, _) => 0,
            (Part::Entry, _) => self.since,
            (Part::Settlement, Entry::Settlement(settlement)) if !self.began => {
                let position = settlement.record().position;
                let goes_on = self.first_run.replace(position) == Some(position);
                if goes_on { self.since_run } else { self.base }
            }
            (Part::Settlement, _) => self.since_run,
        };
        let (judged, at) = entry.judge_by_first(&self.registries, since);
        match part {
            Part::Listing | Part::Source | Part::InBlock => {}
            Part::Entry => (self.since, self.since_run, self.began) = (at, at, true),
            Part::Settlement => self.since_run = at,
        }
        let (verified, signatures) = judged?;
        self.signatures = self.signatures.saturating_add(signatures);
        Ok(verified)
    }
}
