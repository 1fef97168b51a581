//! The price file: columns `date,symbol,close`, one line for each symbol and day.
//!
//! Each date is one trading day of the replay. The symbols, in their order, are dealt alternately to the institutions.

use std::collections::{BTreeMap, BTreeSet};

use stemma_chain_format::amount::Price;
use stemma_chain_format::instrument::InstrumentId;

use super::plan::{CASH_DECIMALS, INSTITUTIONS};
use super::table::{self, required};
use crate::error::CliError;

/// What the replay needs to know of a price file; the institutions read the prices themselves.
#[derive(Clone, Debug)]
pub struct Prices {
    days: BTreeSet<String>,
    /// Who lists each symbol.
    instruments: BTreeMap<String, InstrumentId>,
}

impl Prices {
    /// Reads a price file's text.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub fn parse(source: &str, text: &str) -> Result<Self, CliError> {
        let mut seen = BTreeSet::new();
        for row in table::read(source, text, &[required("date"), required("symbol"), required("close")])? {
            let (day, symbol, close) = (row.day(0)?, row.field(1), row.field(2));
            listed_by(0, symbol).map_err(|error| row.mistake(error.message()))?;
            if !Price::parse(close, CASH_DECIMALS).is_ok_and(|price| price.is_well_formed()) {
                return Err(row.mistake(format!("{close:?} is no price above zero, such as 25.94")));
            }
            if !seen.insert((symbol.to_owned(), day.clone())) {
                return Err(row.mistake(format!("{symbol} has a price for {day} already")));
            }
        }
        let symbols: BTreeSet<&String> = seen.iter().map(|(symbol, _)| symbol).collect();
        let dealt = symbols.into_iter().enumerate().map(|(at, symbol)| Ok((symbol.clone(), listed_by(at, symbol)?)));
        let instruments = dealt.collect::<Result<_, CliError>>()?;
        Ok(Self { instruments, days: seen.into_iter().map(|(_, day)| day).collect() })
    }

    /// The trading days in their order.
    pub fn days(&self) -> &BTreeSet<String> {
        &self.days
    }

    /// All instruments in the order of their symbols.
    pub fn instruments(&self) -> impl Iterator<Item = &InstrumentId> {
        self.instruments.values()
    }

    /// The instrument that an order names: in full, or by its symbol alone. An unknown symbol is taken to the first
    /// institution, which refuses it.
    ///
    /// # Errors
    /// The text is neither.
    pub fn instrument(&self, text: &str) -> Result<InstrumentId, CliError> {
        if let Some(instrument) = self.instruments.get(text) {
            return Ok(instrument.clone());
        }
        if text.contains('/') {
            return text.parse().map_err(|error| CliError::usage(format!("{error}")));
        }
        listed_by(0, text)
    }
}

/// A symbol at the institution whose turn it is.
fn listed_by(turn: usize, symbol: &str) -> Result<InstrumentId, CliError> {
    let at = turn.checked_rem(INSTITUTIONS.len()).unwrap_or(0);
    let institution = INSTITUTIONS.get(at).copied().unwrap_or_default();
    format!("{institution}/{symbol}").parse().map_err(|_| {
        CliError::usage(format!("{symbol:?} is no symbol; write capitals, digits, dots and hyphens, such as AAPL"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_dealt_alternately() {
        let text = "date,symbol,close\n2000-02-01,MSFT,1.5\n2000-01-01,AAPL,25.94\n2000-01-01,IBM,100\n";
        let prices = Prices::parse("prices.csv", text).unwrap();
        let instruments: Vec<String> = prices.instruments().map(ToString::to_string).collect();
        assert_eq!(instruments, ["broker-a/AAPL", "broker-b/IBM", "broker-a/MSFT"]);
        assert_eq!(prices.days().iter().collect::<Vec<_>>(), ["2000-01-01", "2000-02-01"]);
        assert_eq!(prices.instrument("IBM").unwrap().to_string(), "broker-b/IBM");
        assert_eq!(prices.instrument("broker-a/IBM").unwrap().to_string(), "broker-a/IBM");
        assert_eq!(prices.instrument("NOPE").unwrap().to_string(), "broker-a/NOPE");
        assert!(prices.instrument("ap ple").is_err());
    }

    #[test]
    fn bad_lines_are_named() {
        for (line, expected) in [
            ("2000-01-01,AAPL,0", "line 3: \"0\" is no price above zero"),
            ("2000-01-01,AAPL,-1", "line 3: \"-1\" is no price above zero"),
            ("2000-01-01,aapl,1", "line 3: \"aapl\" is no symbol"),
            ("2000-01-01,IBM,2", "line 3: IBM has a price for 2000-01-01 already"),
            ("01/01/2000,AAPL,1", "line 3: \"01/01/2000\" is no date"),
        ] {
            let error = Prices::parse("p", &format!("date,symbol,close\n2000-01-01,IBM,1\n{line}\n")).unwrap_err();
            assert!(error.message().contains(expected), "{}", error.message());
        }
    }
}
