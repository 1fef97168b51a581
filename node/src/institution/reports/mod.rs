//! The institution's reports: sums over its book and, to reconcile, over the ledger. Each is computed beside the node's thread, from
//! the store alone, and is true at one height.
//!
//! [`trades`] is as long as the book and is read row by row; the others keep a sum for each account, day or instrument.

pub mod fees;
pub mod holdings;
pub mod reconciliation;
pub mod rewards;
pub mod trades;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use stemma_chain_format::amount::Amount;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_node_api::moment;
use stemma_node_api::reports::{Days, ReportHead};

use crate::store::{BookReader, BookRow, Place, ReadAt, Store, StoreError};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The days that were asked for make no sense.
    #[error("{field}: {reason}")]
    Days {
        /// from or to.
        field: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// The store failed.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// The book names what is not listed.
    #[error("{0} stands in the book and is not listed")]
    Unlisted(InstrumentId),
    /// A sum is beyond what a number holds.
    #[error("the sum of {0} exceeds 2^127 smallest units")]
    TooLarge(InstrumentId),
}

/// A sum of amounts. It may exceed what one amount can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum(i128);

impl Sum {
    /// Adds an amount of an instrument.
    pub(super) fn add(&mut self, instrument: &InstrumentId, amount: Amount) -> Result<(), ReportError> {
        self.0 = self.0.checked_add(amount.units()).ok_or_else(|| ReportError::TooLarge(instrument.clone()))?;
        Ok(())
    }

    /// This less another.
    fn less(self, other: Self, instrument: &InstrumentId) -> Result<Self, ReportError> {
        self.0.checked_sub(other.0).map(Self).ok_or_else(|| ReportError::TooLarge(instrument.clone()))
    }

    fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Decimal places by instrument. They never change, so they are those of any height.
#[derive(Debug, Clone, Default)]
pub struct Decimals(BTreeMap<InstrumentId, u8>);

impl Decimals {
    fn of_store(store: &Store) -> Result<Self, ReportError> {
        let listed = store.listings()?;
        Ok(Self(listed.into_iter().map(|one| (one.listing.instrument, one.listing.decimals)).collect()))
    }

    fn of(&self, instrument: &InstrumentId) -> Result<u8, ReportError> {
        self.0.get(instrument).copied().ok_or_else(|| ReportError::Unlisted(instrument.clone()))
    }
}

/// The days that a report covers, as block times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    days: Days,
    from_ms: u64,
    /// The first moment that no longer counts.
    end_ms: u64,
}

impl Period {
    /// Reads days.
    ///
    /// # Errors
    /// [`ReportError::Days`]: one is no day, or the last is before the first.
    pub fn read(days: &Days) -> Result<Self, ReportError> {
        let begin = |field, day: &Option<String>| {
            let read = day.as_deref().map(moment::parse_day).transpose();
            read.map_err(|e| ReportError::Days { field, reason: e.to_string() })
        };
        let from_ms = begin("from", &days.from)?.unwrap_or(0);
        let end_ms = begin("to", &days.to)?.map_or(u64::MAX, |begins| begins.saturating_add(moment::DAY_MS));
        if from_ms >= end_ms {
            let reason = format!("a day not before {}", moment::show_day(from_ms));
            return Err(ReportError::Days { field: "to", reason });
        }
        Ok(Self { days: days.clone(), from_ms, end_ms })
    }

    /// Refuses days that a report has no use for, because it begins with the first trade, or says how things stand.
    ///
    /// # Errors
    /// [`ReportError::Days`] where such a day was given.
    fn without(&self, fields: &[&'static str]) -> Result<(), ReportError> {
        for &field in fields {
            let given = if field == "from" { &self.days.from } else { &self.days.to };
            if given.is_some() {
                let reason = "this report says how things stand, and takes no such day".to_owned();
                return Err(ReportError::Days { field, reason });
            }
        }
        Ok(())
    }

    /// The book's rows of these days, as a height leaves it.
    fn rows(
        &self,
        store: &Store,
        at: ReadAt,
    ) -> Result<impl Iterator<Item = Result<(Place, BookRow), StoreError>> + use<>, StoreError> {
        let end_ms = self.end_ms;
        let reader: BookReader = store.book_since(self.from_ms, at.height)?;
        // Times rise with the height, so the first row after the period ends it.
        Ok(reader.take_while(move |row| row.as_ref().map_or(true, |(_, row)| row.time_ms < end_ms)))
    }

    fn head(&self, report: &str, institution: &MemberId, at: ReadAt) -> ReportHead {
        ReportHead {
            report: report.to_owned(),
            institution: institution.to_string(),
            height: at.height,
            time: moment::show(at.time_ms),
            from: self.days.from.clone(),
            to: self.days.to.clone(),
        }
    }
}

/// Reads where the store stands, without holding it.
fn read_at(store: &Store) -> Result<ReadAt, StoreError> {
    store.snapshot()?.read_at()
}
