//! The elements of a bundle on their way: each entry judged by the registry under which it was committed, then all signatures in one
//! batch.

use minicbor::bytes::ByteVec;

use super::form::Element;
use crate::account::AccountState;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::Violation;
use crate::hash::AccountId;
use crate::header::Header;
use crate::position::Position;
use crate::registry::Registry;
use crate::validate::{Unsigned, VerifiedEntry, verify_signatures};

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

/// Elements whose rules are judged, but not their signatures.
#[derive(Debug, Default)]
pub struct Judged {
    steps: Vec<Step<()>>,
    entries: Vec<Result<Unsigned, Violation>>,
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

impl Judged {
    /// One more element, which is no entry.
    pub(super) fn push(&mut self, step: Step<()>) {
        self.steps.push(step);
    }

    /// One more entry.
    pub(super) fn push_entry(&mut self, part: Part, judged: Result<Unsigned, Violation>) {
        self.steps.push(Step::Entry(part, ()));
        self.entries.push(judged);
    }

    /// Checks all signatures in one batch. It needs nothing else, so several batches can be checked side by side.
    #[must_use]
    pub fn check(self) -> Checked {
        let mut verdicts = verify_signatures(self.entries).into_iter();
        let steps = self.steps.into_iter().filter_map(|step| match step {
            Step::Entry(part, ()) => verdicts.next().map(|verdict| Step::Entry(part, verdict)),
            Step::Waiting(credit) => Some(Step::Waiting(credit)),
            Step::Block(header, count) => Some(Step::Block(header, count)),
            Step::Account(state) => Some(Step::Account(state)),
            Step::Position(key, position) => Some(Step::Position(key, position)),
        });
        Checked { steps: steps.collect() }
    }
}

impl Reader {
    /// Before the first element of a lineage that begins under one of the registries.
    pub(super) fn new(registries: Vec<Registry>, base: usize) -> Self {
        Self { registries, base, since: base, since_run: base, first_run: None, began: false, signatures: 0 }
    }

    /// Judges elements in their order.
    pub(super) fn judge(&mut self, elements: Vec<Element>) -> Judged {
        let mut judged = Judged { steps: Vec::with_capacity(elements.len()), entries: Vec::new() };
        for element in elements {
            let (part, bytes) = match element {
                Element::Listing(bytes) => (Part::Listing, bytes),
                Element::Source(bytes) => (Part::Source, bytes),
                Element::Entry(bytes) => (Part::Entry, bytes),
                Element::Settlement(bytes) => (Part::Settlement, bytes),
                Element::Waiting(credit) => {
                    judged.push(Step::Waiting(credit));
                    continue;
                }
                Element::Block(..) | Element::InBlock(_) | Element::Account(_) | Element::Position(..) => continue,
            };
            judged.push_entry(part, self.entry(part, &bytes));
        }
        judged
    }

    fn entry(&mut self, part: Part, bytes: &ByteVec) -> Result<Unsigned, Violation> {
        let entry = Entry::decode(bytes)?;
        self.signatures = self.signatures.saturating_add(entry.signers().len() as u64);
        let since = match (part, &entry) {
            (Part::Listing | Part::Source | Part::InBlock, _) => 0,
            (Part::Entry, _) => self.since,
            (Part::Settlement, Entry::Settlement(settlement)) if !self.began => {
                let position = settlement.record().position;
                let goes_on = self.first_run.replace(position) == Some(position);
                if goes_on { self.since_run } else { self.base }
            }
            (Part::Settlement, _) => self.since_run,
        };
        let (judged, at) = Unsigned::judge_by_first(entry, &self.registries, since);
        match part {
            Part::Listing | Part::Source | Part::InBlock => {}
            Part::Entry => (self.since, self.since_run, self.began) = (at, at, true),
            Part::Settlement => self.since_run = at,
        }
        judged
    }
}
