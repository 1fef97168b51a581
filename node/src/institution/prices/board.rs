//! The last price of each instrument. It never goes back in time, and never runs ahead of the clock.

use std::collections::{BTreeMap, BTreeSet};

use stemma_node_api::moment;

use super::quote::QUOTES_MAX;
use super::{Quote, Quoted};

/// By how much a price's time may be ahead of this node's clock, in milliseconds: clocks differ. One that is further ahead would
/// keep every later price out.
pub(super) const AHEAD_MS_MAX: u64 = 60_000;

/// Why a price was not taken, though it can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceRefused {
    /// There is a newer one.
    #[error("{symbol}: the price of {time} is older than the price known, of {known}")]
    Older {
        /// The symbol.
        symbol: String,
        /// The price's time.
        time: String,
        /// The time of the price that stands.
        known: String,
    },
    /// It is of the future.
    #[error("{symbol}: the price of {time} is more than 60 s ahead of this node's clock, at {now}")]
    Ahead {
        /// The symbol.
        symbol: String,
        /// The price's time.
        time: String,
        /// The time now.
        now: String,
    },
    /// There are as many instruments as there may be.
    #[error("{symbol}: {QUOTES_MAX} other instruments have prices already")]
    Full {
        /// The symbol.
        symbol: String,
    },
}

/// The prices.
#[derive(Debug, Default)]
pub(super) struct Board {
    quotes: BTreeMap<String, Quote>,
    /// Times of prices that were refused, so that a source which repeats one is logged once.
    refused: BTreeMap<String, u64>,
}

impl Board {
    pub(super) fn new(prices: impl IntoIterator<Item = Quoted>) -> Self {
        let quotes = prices.into_iter().map(|Quoted { code, quote }| (code, quote)).collect();
        Self { quotes, refused: BTreeMap::new() }
    }

    pub(super) fn quote(&self, code: &str) -> Option<&Quote> {
        self.quotes.get(code)
    }

    pub(super) fn quotes(&self) -> &BTreeMap<String, Quote> {
        &self.quotes
    }

    /// Whether a price may be taken. Another price of the same time corrects the one known.
    pub(super) fn judge(&self, quoted: &Quoted, now_ms: u64) -> Result<(), PriceRefused> {
        let symbol = || quoted.code.clone();
        let time = || moment::show(quoted.quote.time_ms);
        if quoted.quote.time_ms > now_ms.saturating_add(AHEAD_MS_MAX) {
            return Err(PriceRefused::Ahead { symbol: symbol(), time: time(), now: moment::show(now_ms) });
        }
        match self.quotes.get(&quoted.code) {
            Some(known) if quoted.quote.time_ms < known.time_ms => {
                Err(PriceRefused::Older { symbol: symbol(), time: time(), known: moment::show(known.time_ms) })
            }
            None if self.quotes.len() >= QUOTES_MAX => Err(PriceRefused::Full { symbol: symbol() }),
            _ => Ok(()),
        }
    }

    /// Those of the prices that differ from what is known and may be taken; the others are logged.
    pub(super) fn news(&mut self, prices: Vec<Quoted>, now_ms: u64) -> Vec<Quoted> {
        let mut news = Vec::new();
        for quoted in prices {
            if self.quotes.get(&quoted.code) == Some(&quoted.quote) {
                continue;
            }
            match self.judge(&quoted, now_ms) {
                Ok(()) => news.push(quoted),
                Err(why) => self.log_once(quoted, &why),
            }
        }
        news
    }

    fn log_once(&mut self, quoted: Quoted, why: &PriceRefused) {
        let time_ms = quoted.quote.time_ms;
        let is_repeated = self.refused.get(&quoted.code) == Some(&time_ms);
        if is_repeated || self.refused.len() >= QUOTES_MAX {
            return;
        }
        tracing::warn!("a price was not taken: {why}");
        self.refused.insert(quoted.code, time_ms);
    }

    pub(super) fn put(&mut self, news: Vec<Quoted>) {
        for Quoted { code, quote } in news {
            self.refused.remove(&code);
            self.quotes.insert(code, quote);
        }
    }

    /// Forgets every price whose instrument is not among these.
    pub(super) fn keep_only(&mut self, prices: &[Quoted]) {
        let codes: BTreeSet<&str> = prices.iter().map(|quoted| quoted.code.as_str()).collect();
        self.quotes.retain(|code, _| codes.contains(code.as_str()));
    }
}
