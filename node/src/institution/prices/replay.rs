//! Prices by trading day, from a CSV file with the columns `date,symbol,close`; the operator says which day it is.

use std::collections::BTreeMap;
use std::path::Path;

use super::Quote;

/// All prices of a file, and the day that trading stands at.
#[derive(Debug, Default)]
pub(super) struct Replay {
    days: BTreeMap<String, BTreeMap<String, String>>,
    day: Option<String>,
    /// When that day was set: the time of its prices.
    since_ms: u64,
}

/// Why a price file or a trading day was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read as CSV.
    #[error("cannot read the price file {path}")]
    Csv {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: csv::Error,
    },
    /// A row is not a price.
    #[error("{path}, line {line}: {reason}")]
    Row {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A day that the file does not have.
    #[error("the price file has no day {day}; its days run from {first} to {last}")]
    NoSuchDay {
        /// The day asked for.
        day: String,
        /// The first day there is.
        first: String,
        /// The last day there is.
        last: String,
    },
    /// There are no days where prices come from elsewhere.
    #[error("there is no trading day to move: the prices of this institution come from the source {source_name}")]
    NoReplay {
        /// Where they come from.
        source_name: String,
    },
}

#[derive(serde::Deserialize)]
struct Row {
    date: String,
    symbol: String,
    close: String,
}

impl Replay {
    /// Reads a price file.
    ///
    /// # Errors
    /// [`ReplayError`] with the line.
    pub(super) fn read(path: &Path) -> Result<Self, ReplayError> {
        let shown = path.display().to_string();
        let failed = |source| ReplayError::Csv { path: shown.clone(), source };
        let mut reader = csv::Reader::from_path(path).map_err(failed)?;
        let mut days: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut row = csv::StringRecord::new();
        let header = reader.headers().map_err(failed)?.clone();
        while reader.read_record(&mut row).map_err(failed)? {
            let line = row.position().map_or(0, csv::Position::line);
            let refused = |reason| ReplayError::Row { path: shown.clone(), line, reason };
            let Row { date, symbol, close } = row.deserialize(Some(&header)).map_err(failed)?;
            stemma_chain_format::amount::Price::parse(&close, 0)
                .map_err(|e| refused(format!("close {close:?}: {e}")))?;
            let before = days.entry(date.clone()).or_default().insert(symbol.clone(), close);
            if before.is_some() {
                return Err(refused(format!("a second price for {symbol} on {date}")));
            }
        }
        Ok(Self { days, day: None, since_ms: 0 })
    }

    /// The day that trading stands at.
    pub(super) fn day(&self) -> Option<&str> {
        self.day.as_deref()
    }

    /// Moves trading to a day of the file.
    ///
    /// # Errors
    /// [`ReplayError::NoSuchDay`].
    pub(super) fn set_day(&mut self, day: &str, now_ms: u64) -> Result<(), ReplayError> {
        if self.days.contains_key(day) {
            self.day = Some(day.to_owned());
            self.since_ms = now_ms;
            return Ok(());
        }
        let edge = |key: Option<&String>| key.cloned().unwrap_or_else(|| "none".to_owned());
        Err(ReplayError::NoSuchDay {
            day: day.to_owned(),
            first: edge(self.days.keys().next()),
            last: edge(self.days.keys().next_back()),
        })
    }

    /// An instrument's price on the trading day.
    pub(super) fn quote(&self, code: &str) -> Option<Quote> {
        self.today()?.get(code).map(|text| self.of_today(text))
    }

    /// All prices of the trading day.
    pub(super) fn quotes(&self) -> BTreeMap<String, Quote> {
        let today = self.today().into_iter().flatten();
        today.map(|(code, text)| (code.clone(), self.of_today(text))).collect()
    }

    fn today(&self) -> Option<&BTreeMap<String, String>> {
        self.days.get(self.day.as_ref()?)
    }

    fn of_today(&self, text: &str) -> Quote {
        Quote { text: text.to_owned(), time_ms: self.since_ms }
    }
}
