//! The listings of a bundle on their way: each comes right before what first needs it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::chain::{Chain, Entry};
use crate::error::{Rule, Violation};
use crate::hash::Link;
use crate::instrument::InstrumentId;
use crate::lineage::Listed;
use crate::servicing::Act;
use crate::validate::VerifiedEntry;

/// A listing that an entry of a lineage needs to be read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeededListing<'e> {
    /// The listing that an execution or a settlement names.
    Named(Link),
    /// A listing of this cash, which has but one.
    Of(&'e InstrumentId),
}

/// The listings that an entry of a lineage needs, the traded instrument's first; the cash's so that a reader knows what a unit of it
/// is.
pub fn listings_needed(entry: &Entry) -> Vec<NeededListing<'_>> {
    match entry {
        Entry::Chain(chain) => {
            let Chain { request, execution, .. } = chain.as_ref();
            let (named, cash) = (execution.record().listing, request.record().order.cash());
            vec![NeededListing::Named(named), NeededListing::Of(cash)]
        }
        Entry::Settlement(settlement) => vec![NeededListing::Named(settlement.record().listing)],
        Entry::Servicing(service) => match &service.servicing.record().act {
            Act::Withdraw(instrument, _) => vec![NeededListing::Of(instrument)],
            _ => Vec::new(),
        },
        Entry::Opening(_) | Entry::Issuance(_) | Entry::Listing(_) | Entry::Governance(_) => Vec::new(),
    }
}

impl fmt::Display for NeededListing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(link) => link.fmt(f),
            Self::Of(instrument) => instrument.fmt(f),
        }
    }
}

/// The listings so far.
#[derive(Debug, Default)]
pub(super) struct Listings {
    known: Vec<Arc<Listed>>,
    by_link: BTreeMap<Link, usize>,
    by_instrument: BTreeMap<InstrumentId, usize>,
    /// Those that nothing needed yet, with their places among all.
    fresh: VecDeque<(u64, Listed)>,
}

impl Listings {
    /// A listing comes, the n-th.
    ///
    /// # Errors
    /// [`Rule::Listing`] where it is none.
    pub(super) fn offer(&mut self, index: u64, entry: &VerifiedEntry) -> Result<(), Violation> {
        let Entry::Listing(listing) = entry.entry() else {
            let found = entry.entry().kind().as_str();
            return Err(Violation::new(Rule::Listing, format!("listings[{index}]"), "a listing", found));
        };
        self.fresh.push_back((index, Listed::of(listing)));
        Ok(())
    }

    /// The listings that an entry at a place needs, in the same order: known, or the next that came. Then all that came are used.
    ///
    /// # Errors
    /// [`Rule::Listing`].
    pub(super) fn needed(&mut self, place: fmt::Arguments<'_>, entry: &Entry) -> Result<Vec<Arc<Listed>>, Violation> {
        let mut listed = Vec::new();
        for needed in listings_needed(entry) {
            let known = match needed {
                NeededListing::Named(link) => self.by_link.get(&link),
                NeededListing::Of(instrument) => self.by_instrument.get(instrument),
            };
            let found = match known.and_then(|at| self.known.get(*at)) {
                Some(known) => Some(Arc::clone(known)),
                None => self.take_fresh(needed),
            };
            let missing = || Violation::new(Rule::Listing, place, "its listing in the bundle, before it", needed);
            listed.push(found.ok_or_else(missing)?);
        }
        self.all_are_used()?;
        Ok(listed)
    }

    fn take_fresh(&mut self, needed: NeededListing<'_>) -> Option<Arc<Listed>> {
        let fits = |listed: &Listed| match needed {
            NeededListing::Named(link) => listed.link == link,
            NeededListing::Of(instrument) => listed.listing.instrument == *instrument,
        };
        let (_, listed) = self.fresh.pop_front().filter(|(_, listed)| fits(listed))?;
        let (at, listed) = (self.known.len(), Arc::new(listed));
        self.by_link.insert(listed.link, at);
        self.by_instrument.insert(listed.listing.instrument.clone(), at);
        self.known.push(Arc::clone(&listed));
        Some(listed)
    }

    /// Every listing that came is used.
    ///
    /// # Errors
    /// [`Rule::Listing`] naming the first that is not.
    pub(super) fn all_are_used(&self) -> Result<(), Violation> {
        let Some((index, listed)) = self.fresh.front() else { return Ok(()) };
        let expected = "a listing that what comes right after it needs, for the first time";
        Err(Violation::new(Rule::Listing, format!("listings[{index}]"), expected, listed.link))
    }

    /// All of them, in the order of first use.
    pub(super) fn into_known(self) -> Vec<Listed> {
        self.known.into_iter().map(Arc::unwrap_or_clone).collect()
    }
}
