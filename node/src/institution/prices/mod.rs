//! Prices and net asset values: what is quoted now, since when, and whether that is too old to trade at.
//!
//! Where they come from is configured: [`replay`] and [`push`] are told by the operator, [`csv`] and [`http`] look for
//! themselves, beside the node's thread, and send an [`Update`]. All but a replay share one [`board`], on which the price of
//! an instrument never goes back in time.

mod board;
mod csv;
mod http;
mod push;
mod quote;
mod replay;

use std::collections::BTreeMap;
use std::time::Duration;

use stemma_node_api::config::{PriceSource, PricesConfig};
use stemma_node_api::moment;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub use board::PriceRefused;
pub use push::PushError;
pub use quote::{Quote, Quoted, QuotedError, read_all};
pub use replay::ReplayError;

use crate::error::chain;
use crate::store::PriceRow;
use board::Board;
use replay::Replay;

/// Updates that wait for the node's thread; a source that is faster waits.
const UPDATES_MAX: usize = 4;

/// What a source found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Everything there is: what is missing is not quoted any more.
    Whole(Vec<Quoted>),
    /// Some prices; the others stand.
    Part(Vec<Quoted>),
}

/// An institution's prices.
#[derive(Debug)]
pub struct Prices {
    source: PriceSource,
    stale_after_ms: Option<u64>,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Replay(Replay),
    Board(Board),
}

impl Prices {
    /// Prices as configured; `stored` are those that were made durable before.
    ///
    /// # Errors
    /// [`ReplayError`]. A file that others write is no reason not to start: what is wrong with it is logged.
    pub fn open(config: &PricesConfig, stored: Vec<PriceRow>, now_ms: u64) -> Result<Self, ReplayError> {
        let held = match (config.source, &config.file) {
            (PriceSource::Replay, Some(file)) => Held::Replay(Replay::read(file)?),
            (PriceSource::Replay, None) => Held::Replay(Replay::default()),
            (PriceSource::Csv, Some(file)) => Held::Board(Board::new(csv::first(file, now_ms))),
            (PriceSource::Csv, None) => Held::Board(Board::default()),
            (PriceSource::Http | PriceSource::Push, _) => Held::Board(Board::new(stored.into_iter().map(quoted))),
        };
        Ok(Self { source: config.source, stale_after_ms: config.stale_after_ms(), held })
    }

    /// Where they come from.
    pub fn source(&self) -> PriceSource {
        self.source
    }

    /// An instrument's price.
    pub fn quote(&self, code: &str) -> Option<Quote> {
        match &self.held {
            Held::Replay(replay) => replay.quote(code),
            Held::Board(board) => board.quote(code).cloned(),
        }
    }

    /// All prices by their instruments' codes.
    pub fn quotes(&self) -> BTreeMap<String, Quote> {
        match &self.held {
            Held::Replay(replay) => replay.quotes(),
            Held::Board(board) => board.quotes().clone(),
        }
    }

    /// How old a price may be to trade at it; nothing where any age will do.
    pub fn stale_after_ms(&self) -> Option<u64> {
        self.stale_after_ms
    }

    /// Whether a price is too old to trade at.
    pub fn is_stale(&self, quote: &Quote, now_ms: u64) -> bool {
        self.stale_after_ms.is_some_and(|limit_ms| now_ms.saturating_sub(quote.time_ms) > limit_ms)
    }

    /// Whether a price settles positions that were last marked at a time: with a replay each day's price does, else the first of a
    /// later day (UTC).
    pub fn settles(&self, quote: &Quote, marked_ms: u64) -> bool {
        match &self.held {
            Held::Replay(_) => quote.time_ms > marked_ms,
            Held::Board(_) => quote.time_ms / moment::DAY_MS > marked_ms / moment::DAY_MS,
        }
    }

    /// What is missing where there is no price.
    pub fn missing(&self, code: &str) -> String {
        match &self.held {
            Held::Replay(replay) => {
                format!("a price for {code} on the trading day {}", replay.day().unwrap_or("none yet"))
            }
            Held::Board(_) => format!("a price for {code}"),
        }
    }

    /// The day that a replay stands at.
    pub fn day(&self) -> Option<&str> {
        match &self.held {
            Held::Replay(replay) => replay.day(),
            Held::Board(_) => None,
        }
    }

    /// Moves a replay to a day of its file; its prices are of now.
    ///
    /// # Errors
    /// [`ReplayError::NoSuchDay`]; [`ReplayError::NoReplay`] where prices come from elsewhere.
    pub fn set_day(&mut self, day: &str, now_ms: u64) -> Result<(), ReplayError> {
        match &mut self.held {
            Held::Replay(replay) => replay.set_day(day, now_ms),
            Held::Board(_) => Err(ReplayError::NoReplay { source_name: self.source.to_string() }),
        }
    }

    /// Judges what an operator pushes: all of it may be taken, or none.
    ///
    /// # Errors
    /// [`PushError`].
    pub fn judge(&self, pushed: &[Quoted], now_ms: u64) -> Result<(), PushError> {
        match &self.held {
            Held::Board(board) if self.source == PriceSource::Push => push::judge(board, pushed, now_ms),
            _ => Err(PushError::OtherSource { source_name: self.source.to_string() }),
        }
    }

    /// What of an update is new and may be taken. What is not quoted any more is gone at once.
    pub fn news(&mut self, update: Update, now_ms: u64) -> Vec<Quoted> {
        match (&mut self.held, update) {
            (Held::Replay(_), _) => Vec::new(),
            (Held::Board(board), Update::Part(prices)) => board.news(prices, now_ms),
            (Held::Board(board), Update::Whole(prices)) => {
                board.keep_only(&prices);
                board.news(prices, now_ms)
            }
        }
    }

    /// Whether prices are made durable before they are taken. A file is there after a restart, too.
    pub fn are_stored(&self) -> bool {
        matches!(self.source, PriceSource::Http | PriceSource::Push)
    }

    /// Takes prices that were judged.
    pub fn take(&mut self, news: Vec<Quoted>) {
        if let Held::Board(board) = &mut self.held {
            board.put(news);
        }
    }
}

impl From<&Quoted> for PriceRow {
    /// The same, as it is stored.
    fn from(quoted: &Quoted) -> Self {
        Self { code: quoted.code.clone(), text: quoted.quote.text.clone(), time_ms: quoted.quote.time_ms }
    }
}

fn quoted(row: PriceRow) -> Quoted {
    Quoted { code: row.code, quote: Quote { text: row.text, time_ms: row.time_ms } }
}

/// Starts to look at a source that has to be looked at; what it finds comes through the channel.
pub fn follow(config: &PricesConfig, runtime: &Handle) -> Option<mpsc::Receiver<Update>> {
    let poll = Duration::from_secs(config.poll_s);
    let (updates, found) = mpsc::channel(UPDATES_MAX);
    match (config.source, &config.file, &config.url) {
        (PriceSource::Csv, Some(file), _) => {
            runtime.spawn(csv::follow(file.clone(), poll, updates));
        }
        (PriceSource::Http, _, Some(url)) => match http::Feed::new(url) {
            Ok(feed) => {
                runtime.spawn(feed.follow(poll, updates));
            }
            Err(e) => tracing::error!(error = %chain(&e), "institution.prices.url cannot be fetched"),
        },
        _ => return None,
    }
    Some(found)
}

#[cfg(test)]
mod tests;
