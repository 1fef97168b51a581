//! The credits of an account on their way through a bundle: each is what its source gave, and together they give the leaf's digest.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::account::AccountState;
use crate::amount::Amount;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, same};
use crate::execution::Posting;
use crate::hash::{AccountId, Digest, Link};
use crate::instrument::InstrumentId;
use crate::settlement::Settlement;
use crate::validate::VerifiedEntry;

/// Receives credits one after the other.
#[derive(Debug)]
pub(super) struct Credits {
    account: AccountId,
    /// How many were received, and their running digest.
    count: u64,
    digest: Digest,
    /// How many an anchor's leaf vouches for, and its digest.
    vouched: Option<(u64, Digest)>,
    /// What the settlements so far gave and was not received yet.
    settled: BTreeMap<Link, Vec<(u32, InstrumentId, Amount)>>,
    /// The source of the credit right before, where it came as one.
    source: Option<VerifiedEntry>,
    /// Sources that are not used yet, with their places among all.
    fresh: VecDeque<(u64, VerifiedEntry)>,
}

impl Credits {
    /// Before the first credit of an account.
    pub(super) fn from_none(account: AccountId) -> Self {
        Self {
            account,
            count: 0,
            digest: Digest([0; 32]),
            vouched: None,
            settled: BTreeMap::new(),
            source: None,
            fresh: VecDeque::new(),
        }
    }

    /// After those that the leaf of an anchor absorbed; those that wait there are vouched for.
    ///
    /// # Errors
    /// [`Rule::Credit`] where nothing waits, and the digest before is not the leaf's.
    pub(super) fn from_anchor(leaf: &AccountState, before_waiting: Digest) -> Result<Self, Violation> {
        let vouched = Some((leaf.credits_received, leaf.credits_digest));
        let from =
            Self { count: leaf.credits_absorbed, digest: before_waiting, vouched, ..Self::from_none(leaf.account) };
        from.is_vouched(format_args!("before_waiting"))?;
        Ok(from)
    }

    /// A source comes, the n-th.
    pub(super) fn offer(&mut self, index: u64, source: VerifiedEntry) {
        self.fresh.push_back((index, source));
    }

    /// What a settlement of one of the account's positions gives.
    pub(super) fn settle(&mut self, id: Link, settlement: &Settlement) {
        let given = settlement.postings.iter().zip(0_u32..).filter(|(posting, _)| posting.credits(&self.account));
        let given: Vec<_> = given.map(|(posting, index)| (index, posting.instrument.clone(), posting.amount)).collect();
        if !given.is_empty() {
            self.settled.insert(id, given);
        }
    }

    /// The next credit, named at a place.
    ///
    /// # Errors
    /// [`Rule::Credit`] where its source is not there, or gave something else.
    pub(super) fn receive(&mut self, credit: &Credit, place: fmt::Arguments<'_>) -> Result<(), Violation> {
        if self.vouched.is_some_and(|(count, _)| self.count < count) {
            self.source = None;
        } else {
            let given = self.given(credit, place)?;
            let holds = given.as_ref().is_some_and(|(i, a)| *i == credit.instrument && *a == credit.amount);
            if !holds {
                let expected = given.map_or("no such posting".to_owned(), |(i, a)| format!("{a} {i}"));
                let found = format_args!("{} {}", credit.amount, credit.instrument);
                return Err(Violation::new(Rule::Credit, place, expected, found));
            }
        }
        self.count = self.count.saturating_add(1);
        self.digest = credit.chained(&self.digest);
        self.is_vouched(place)
    }

    /// Once all that an anchor vouches for are here, they give its digest.
    fn is_vouched(&self, place: fmt::Arguments<'_>) -> Result<(), Violation> {
        match &self.vouched {
            Some((count, digest)) if *count == self.count => same(Rule::Credit, place, digest, &self.digest),
            _ => Ok(()),
        }
    }

    /// What the source of a credit gives at its index.
    fn given(
        &mut self,
        credit: &Credit,
        place: fmt::Arguments<'_>,
    ) -> Result<Option<(InstrumentId, Amount)>, Violation> {
        if let Some(given) = self.settled.get_mut(&credit.source) {
            self.source = None;
            let at = given.iter().position(|(index, ..)| *index == credit.index);
            let found = at.map(|at| given.remove(at)).map(|(_, instrument, amount)| (instrument, amount));
            if given.is_empty() {
                self.settled.remove(&credit.source);
            }
            return Ok(found);
        }
        if self.source.as_ref().map(VerifiedEntry::id) != Some(credit.source) {
            let next = self.fresh.pop_front().filter(|(_, source)| source.id() == credit.source);
            let missing = || Violation::new(Rule::Credit, place, "its source before it", credit.source);
            self.source = Some(next.ok_or_else(missing)?.1);
        }
        let source = self.source.as_ref();
        Ok(source.and_then(|source| given_by(source.entry(), credit.index, &self.account)))
    }

    /// Every source that came is used.
    ///
    /// # Errors
    /// [`Rule::Credit`] naming the first that is not.
    pub(super) fn sources_are_used(&self) -> Result<(), Violation> {
        let Some((index, source)) = self.fresh.front() else { return Ok(()) };
        let expected = "the source of a credit that comes right after it";
        Err(Violation::new(Rule::Credit, format!("sources[{index}]"), expected, source.id()))
    }

    /// All came that a leaf counts, and they give its digest.
    ///
    /// # Errors
    /// [`Rule::Credit`].
    pub(super) fn are_those_of(&self, leaf: &AccountState) -> Result<(), Violation> {
        self.sources_are_used()?;
        same(Rule::Credit, "account.credits_received", &leaf.credits_received, &self.count)?;
        same(Rule::Credit, "account.credits_digest", &leaf.credits_digest, &self.digest)
    }
}

/// What an entry gives an account at an index.
fn given_by(entry: &Entry, index: u32, account: &AccountId) -> Option<(InstrumentId, Amount)> {
    let index = usize::try_from(index).ok()?;
    match entry {
        Entry::Chain(chain) => posted(&chain.execution.record().postings, index, account),
        Entry::Settlement(settlement) => posted(&settlement.record().postings, index, account),
        Entry::Issuance(issuance) => {
            let credit = issuance.record().credits.get(index)?;
            let own = credit.account == *account;
            own.then(|| (issuance.record().instrument.clone(), credit.amount))
        }
        Entry::Opening(_) | Entry::Listing(_) | Entry::Servicing(_) | Entry::Governance(_) => None,
    }
}

fn posted(postings: &[Posting], index: usize, account: &AccountId) -> Option<(InstrumentId, Amount)> {
    let posting = postings.get(index).filter(|posting| posting.credits(account))?;
    Some((posting.instrument.clone(), posting.amount))
}
