//! One price with its time, and how it is read.

use std::collections::BTreeSet;

use stemma_chain_format::amount::{AmountError, Price};
use stemma_chain_format::instrument::InstrumentId;
use stemma_node_api::moment::{self, MomentError};
use stemma_node_api::prices::PushedPrice;

/// Most prices in one list, and instruments with a price beyond which no list brings others.
pub(super) const QUOTES_MAX: usize = 10_000;
/// Longest text of a price, in bytes.
const PRICE_BYTES_MAX: usize = 32;

/// A price as quoted, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// A decimal number of whole units of cash.
    pub text: String,
    /// In Unix milliseconds.
    pub time_ms: u64,
}

/// An instrument's price on its way from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// The instrument's code.
    pub code: String,
    /// Its price.
    pub quote: Quote,
}

/// Why something is no price. The source is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotedError {
    /// A symbol that no instrument can have.
    #[error("the symbol {found:?} is no instrument's code: capitals, digits, dots and hyphens")]
    Symbol {
        /// The symbol, its beginning where it is long.
        found: String,
    },
    /// A price in another form.
    #[error("{symbol}: the price {found:?} is no decimal above 0, such as 189.10")]
    Price {
        /// The symbol.
        symbol: String,
        /// The price, its beginning where it is long.
        found: String,
        /// What is wrong, where the number cannot be read.
        #[source]
        source: Option<AmountError>,
    },
    /// A time in another form.
    #[error("{symbol}: the time cannot be read")]
    Time {
        /// The symbol.
        symbol: String,
        /// What is wrong.
        #[source]
        source: MomentError,
    },
    /// Two prices for one symbol.
    #[error("{symbol}: there are two prices")]
    Twice {
        /// The symbol.
        symbol: String,
    },
    /// More prices than are kept.
    #[error("there are more than {QUOTES_MAX} prices")]
    TooMany,
}

impl Quoted {
    /// Reads one price.
    ///
    /// # Errors
    /// [`QuotedError`].
    pub fn read(symbol: &str, price: &str, time: &str) -> Result<Self, QuotedError> {
        // A code has the form that it has in an instrument of any issuer.
        if format!("a/{symbol}").parse::<InstrumentId>().is_err() {
            return Err(QuotedError::Symbol { found: beginning(symbol) });
        }
        let wrong = |source| QuotedError::Price { symbol: symbol.to_owned(), found: beginning(price), source };
        if price.len() > PRICE_BYTES_MAX {
            return Err(wrong(None));
        }
        let parsed = Price::parse(price, 0).map_err(|e| wrong(Some(e)))?;
        if !parsed.is_well_formed() {
            return Err(wrong(None));
        }
        let unread = |source| QuotedError::Time { symbol: symbol.to_owned(), source };
        let time_ms = moment::parse(time).map_err(unread)?;
        Ok(Self { code: symbol.to_owned(), quote: Quote { text: price.to_owned(), time_ms } })
    }
}

/// Reads a list of prices, each symbol once.
///
/// # Errors
/// [`QuotedError`] of the first that is none.
pub fn read_all(list: &[PushedPrice]) -> Result<Vec<Quoted>, QuotedError> {
    if list.len() > QUOTES_MAX {
        return Err(QuotedError::TooMany);
    }
    let mut known = BTreeSet::new();
    let mut prices = Vec::with_capacity(list.len());
    for PushedPrice { symbol, price, time } in list {
        prices.push(Quoted::read(symbol, price, time)?);
        if !known.insert(symbol) {
            return Err(QuotedError::Twice { symbol: symbol.clone() });
        }
    }
    Ok(prices)
}

/// As much of a wrong text as an error repeats.
fn beginning(text: &str) -> String {
    text.chars().take(40).collect()
}
