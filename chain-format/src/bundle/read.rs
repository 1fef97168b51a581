//! The elements of a bundle on their way: each is read, and judged by itself under the registry under which it was committed. Its
//! signatures are due then.

use std::fmt;

use minicbor::bytes::ByteSlice;

use super::form::Element;
use crate::account::AccountState;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::Violation;
use crate::hash::AccountId;
use crate::header::Header;
use crate::position::Position;
use crate::registry::Registry;
use crate::validate::{self, EntrySignatures, VerifiedEntry};

/// What an entry is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Listing,
    Source,
    Entry,
    Settlement,
    InBlock,
}

/// Where an element stands, as a verdict names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The block's index, where it stands in one of many.
    pub block: Option<u64>,
    pub part: Part,
    /// Its index among those of its part.
    pub index: u64,
}

/// One element, an entry judged by itself.
#[derive(Debug)]
pub(super) enum Step {
    Entry(Part, Result<VerifiedEntry, Violation>),
    Waiting(Credit),
    Block(Header, u32),
    Account(AccountState),
    Position(AccountId, Position),
}

/// An element, for whoever shows it.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'s> {
    /// An entry, with the name of its kind of element in places.
    Entry(&'static str, &'s VerifiedEntry),
    /// A credit that waits.
    Waiting(&'s Credit),
    /// A block, and how many entries follow.
    Block(&'s Header, u32),
    /// An account as it is stated.
    Account(&'s AccountState),
    /// A position as it is stated, with its key.
    Position(&'s AccountId, &'s Position),
}

/// The signatures of elements that were followed as if they all verified. Until they are checked, nothing is concluded.
#[derive(Debug, Default)]
pub struct DueSignatures {
    places: Vec<Place>,
    signatures: EntrySignatures,
}

/// Says that signatures which were due verify.
#[derive(Debug, Default)]
pub struct CheckedSignatures {
    /// Of how many elements.
    pub(super) elements: usize,
    pub(super) signatures: u64,
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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, part, index } = self;
        block.map_or(Ok(()), |block| write!(f, "blocks[{block}]."))?;
        write!(f, "{}[{index}]", part.as_str())
    }
}

impl Step {
    /// An element as it was read; what judges an entry is given.
    pub(super) fn of(
        element: Element<&ByteSlice>,
        judge: impl FnOnce(Part, Entry) -> Result<VerifiedEntry, Violation>,
    ) -> Self {
        let entry =
            |part, bytes: &ByteSlice| Self::Entry(part, Entry::decode(bytes).and_then(|entry| judge(part, entry)));
        match element {
            Element::Listing(bytes) => entry(Part::Listing, bytes),
            Element::Source(bytes) => entry(Part::Source, bytes),
            Element::Entry(bytes) => entry(Part::Entry, bytes),
            Element::Settlement(bytes) => entry(Part::Settlement, bytes),
            Element::InBlock(bytes) => entry(Part::InBlock, bytes),
            Element::Waiting(credit) => Self::Waiting(credit),
            Element::Block(header, count) => Self::Block(header, count),
            Element::Account(state) => Self::Account(state),
            Element::Position(key, position) => Self::Position(key, position),
        }
    }

    /// The element to be shown; none where it is an entry that breaks a rule.
    pub(super) fn shown(&self) -> Option<Shown<'_>> {
        Some(match self {
            Self::Entry(part, judged) => Shown::Entry(part.as_str(), judged.as_ref().ok()?),
            Self::Waiting(credit) => Shown::Waiting(credit),
            Self::Block(header, count) => Shown::Block(header, *count),
            Self::Account(state) => Shown::Account(state),
            Self::Position(key, position) => Shown::Position(key, position),
        })
    }
}

impl DueSignatures {
    /// Before the first of about so many elements.
    pub(super) fn of(elements: usize) -> Self {
        Self { places: Vec::with_capacity(elements), signatures: EntrySignatures::of(elements) }
    }

    /// Those of an entry at a place, where it was judged to keep all other rules.
    ///
    /// # Errors
    /// What it breaks, with the place.
    pub(super) fn add(
        &mut self,
        place: Place,
        judged: Result<VerifiedEntry, Violation>,
    ) -> Result<VerifiedEntry, Violation> {
        let entry = judged.map_err(|violation| violation.within(place))?;
        self.signatures.add(&entry);
        self.places.push(place);
        Ok(entry)
    }

    /// Of how many elements.
    pub fn elements(&self) -> usize {
        self.places.len()
    }

    /// Checks all of them in one batch. It needs nothing else, so it can be done elsewhere while more elements are followed.
    ///
    /// # Errors
    /// The first that does not verify, with its place.
    pub fn check(self) -> Result<CheckedSignatures, Violation> {
        let Self { places, signatures } = self;
        match signatures.check() {
            Ok(signatures) => Ok(CheckedSignatures { elements: places.len(), signatures }),
            Err((at, violation)) => Err(match places.get(at) {
                Some(place) => violation.within(place),
                None => violation,
            }),
        }
    }
}

impl CheckedSignatures {
    /// These and others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            elements: self.elements.saturating_add(other.elements),
            signatures: self.signatures.saturating_add(other.signatures),
        }
    }
}

/// Judges the entries of a lineage.
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
}

impl Reader {
    /// Before the first element of a lineage that begins under one of the registries.
    pub(super) fn new(registries: Vec<Registry>, base: usize) -> Self {
        Self { registries, base, since: base, since_run: base, first_run: None, began: false }
    }

    /// Judges the next entry.
    pub(super) fn judge(&mut self, part: Part, entry: Entry) -> Result<VerifiedEntry, Violation> {
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
        let (judged, at) = validate::presume_by_first(entry, &self.registries, since);
        match part {
            Part::Listing | Part::Source | Part::InBlock => {}
            Part::Entry => (self.since, self.since_run, self.began) = (at, at, true),
            Part::Settlement => self.since_run = at,
        }
        judged
    }
}
