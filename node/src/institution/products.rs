//! Prices by trading day, from a CSV file with the columns `date,symbol,close`.

use std::collections::BTreeMap;
use std::path::Path;

/// All prices of a file, and the day that trading stands at.
#[derive(Debug, Default)]
pub struct Prices {
    days: BTreeMap<String, BTreeMap<String, String>>,
    day: Option<String>,
}

/// Why a price file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
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
}

#[derive(serde::Deserialize)]
struct Row {
    date: String,
    symbol: String,
    close: String,
}

impl Prices {
    /// Reads a price file.
    ///
    /// # Errors
    /// [`PricesError`] with the line.
    pub fn read(path: &Path) -> Result<Self, PricesError> {
        let shown = path.display().to_string();
        let failed = |source| PricesError::Csv { path: shown.clone(), source };
        let mut reader = csv::Reader::from_path(path).map_err(failed)?;
        let mut days: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut row = csv::StringRecord::new();
        let header = reader.headers().map_err(failed)?.clone();
        while reader.read_record(&mut row).map_err(failed)? {
            let line = row.position().map_or(0, csv::Position::line);
            let refused = |reason| PricesError::Row { path: shown.clone(), line, reason };
            let Row { date, symbol, close } = row.deserialize(Some(&header)).map_err(failed)?;
            stemma_chain_format::amount::Price::parse(&close, 0)
                .map_err(|e| refused(format!("close {close:?}: {e}")))?;
            let before = days.entry(date.clone()).or_default().insert(symbol.clone(), close);
            if before.is_some() {
                return Err(refused(format!("a second price for {symbol} on {date}")));
            }
        }
        Ok(Self { days, day: None })
    }

    /// The day that trading stands at.
    pub fn day(&self) -> Option<&str> {
        self.day.as_deref()
    }

    /// Moves trading to a day of the file.
    ///
    /// # Errors
    /// [`PricesError::NoSuchDay`].
    pub fn set_day(&mut self, day: &str) -> Result<(), PricesError> {
        if self.days.contains_key(day) {
            self.day = Some(day.to_owned());
            return Ok(());
        }
        let edge = |key: Option<&String>| key.cloned().unwrap_or_else(|| "none".to_owned());
        Err(PricesError::NoSuchDay {
            day: day.to_owned(),
            first: edge(self.days.keys().next()),
            last: edge(self.days.keys().next_back()),
        })
    }

    /// An instrument's price on the trading day, as quoted.
    pub fn quote(&self, code: &str) -> Option<&str> {
        self.today()?.get(code).map(String::as_str)
    }

    /// All prices of the trading day.
    pub fn today(&self) -> Option<&BTreeMap<String, String>> {
        self.days.get(self.day.as_ref()?)
    }
}
