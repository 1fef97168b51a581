//! The elements of a lineage, put in the one order that a bundle has.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::bytes::ByteVec;

use super::form::{Element, Holding};
use super::listings::{NeededListing, listings_needed};
use crate::account::AccountState;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::Violation;
use crate::hash::{AccountId, Link};
use crate::instrument::InstrumentId;

/// Where the entries are that a lineage needs beside its own.
pub trait Records {
    /// Why one cannot be had.
    type Error: From<Violation>;

    /// The bytes of an entry that gave a credit.
    ///
    /// # Errors
    /// It is not there.
    fn source(&self, id: &Link) -> Result<Vec<u8>, Self::Error>;

    /// The bytes of a listing's entry.
    ///
    /// # Errors
    /// It is not there.
    fn listing(&self, needed: NeededListing<'_>) -> Result<Vec<u8>, Self::Error>;

    /// The bytes of the settlement that stands on a position's head, where there is one.
    ///
    /// # Errors
    /// It cannot be told.
    fn settlement_on(&self, head: &Link) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Hands over elements in their order. Entries and credits are given to it one after the other.
#[derive(Debug)]
pub struct Arrangement<R, T> {
    account: AccountId,
    records: R,
    take: T,
    /// How many credits came, and how many an anchor vouches for.
    credits: u64,
    vouched: u64,
    listed: BTreeSet<Link>,
    instruments: BTreeSet<InstrumentId>,
    source: Option<Link>,
    /// How many credits settlements gave that did not come yet.
    settled: BTreeMap<Link, usize>,
}

impl<R: Records, T: FnMut(Element) -> Result<(), R::Error>> Arrangement<R, T> {
    /// Of an account's whole lineage.
    pub fn from_opening(account: AccountId, records: R, take: T) -> Self {
        Self {
            account,
            records,
            take,
            credits: 0,
            vouched: 0,
            listed: BTreeSet::new(),
            instruments: BTreeSet::new(),
            source: None,
            settled: BTreeMap::new(),
        }
    }

    /// Of what came after an anchor.
    ///
    /// # Errors
    /// A record is missing.
    pub fn from_anchor(holding: &Holding, records: R, take: T) -> Result<Self, R::Error> {
        let AccountState { account, credits_absorbed, credits_received, .. } = holding.account;
        let whole = Self::from_opening(account, records, take);
        let mut arrangement = Self { credits: credits_absorbed, vouched: credits_received, ..whole };
        for held in &holding.positions {
            arrangement.settlements_on(held.position.head)?;
        }
        Ok(arrangement)
    }

    /// The next entry of the lineage.
    ///
    /// # Errors
    /// It cannot be read, or a record is missing.
    pub fn entry(&mut self, bytes: Vec<u8>) -> Result<(), R::Error> {
        let entry = Entry::decode(&bytes)?;
        self.listings_of(&entry)?;
        for credit in entry.absorbed().unwrap_or_default() {
            self.source_of(credit)?;
        }
        (self.take)(Element::Entry(bytes.into()))?;
        self.settlements_on(entry.id())
    }

    /// The next credit that waits.
    ///
    /// # Errors
    /// A record is missing.
    pub fn waiting(&mut self, credit: Credit) -> Result<(), R::Error> {
        self.source_of(&credit)?;
        (self.take)(Element::Waiting(credit))
    }

    fn settlements_on(&mut self, mut head: Link) -> Result<(), R::Error> {
        while let Some(bytes) = self.records.settlement_on(&head)? {
            let entry = Entry::decode(&bytes)?;
            self.listings_of(&entry)?;
            head = entry.id();
            if let Entry::Settlement(settlement) = &entry {
                let postings = settlement.record().postings.iter();
                let given = postings.filter(|posting| posting.credits(&self.account)).count();
                if given > 0 {
                    self.settled.insert(head, given);
                }
            }
            (self.take)(Element::Settlement(ByteVec::from(bytes)))?;
        }
        Ok(())
    }

    fn listings_of(&mut self, entry: &Entry) -> Result<(), R::Error> {
        for needed in listings_needed(entry) {
            let is_known = match needed {
                NeededListing::Named(link) => self.listed.contains(&link),
                NeededListing::Of(instrument) => self.instruments.contains(instrument),
            };
            if is_known {
                continue;
            }
            let bytes = self.records.listing(needed)?;
            let entry = Entry::decode(&bytes)?;
            self.listed.insert(entry.id());
            if let Entry::Listing(listing) = &entry {
                self.instruments.insert(listing.record().instrument.clone());
            }
            (self.take)(Element::Listing(bytes.into()))?;
        }
        Ok(())
    }

    fn source_of(&mut self, credit: &Credit) -> Result<(), R::Error> {
        let is_vouched = self.credits < self.vouched;
        self.credits = self.credits.saturating_add(1);
        if is_vouched {
            self.source = None;
            return Ok(());
        }
        if let Some(left) = self.settled.get_mut(&credit.source) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.settled.remove(&credit.source);
            }
            self.source = None;
            return Ok(());
        }
        if self.source != Some(credit.source) {
            let bytes = self.records.source(&credit.source)?;
            self.source = Some(credit.source);
            (self.take)(Element::Source(bytes.into()))?;
        }
        Ok(())
    }
}
