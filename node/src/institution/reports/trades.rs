//! Every trade, and their sums by day. As long as the book, so rows are made one by one.

use std::collections::BTreeMap;

use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::request::Side;
use stemma_node_api::moment;
use stemma_node_api::reports::{Report as _, ReportHead, TradeDay, TradeRow, TradesReport};

use super::{Decimals, Period, ReportError, Sum, read_at};
use crate::store::{BookRow, Place, Store, StoreError};

/// The trades of a period: an iterator of rows, which counts the days as it goes.
pub struct Trades {
    head: ReportHead,
    rows: Box<dyn Iterator<Item = Result<(Place, BookRow), StoreError>> + Send>,
    decimals: Decimals,
    days: Days,
}

impl std::fmt::Debug for Trades {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trades").field("head", &self.head).finish_non_exhaustive()
    }
}

/// The trades of a period.
///
/// # Errors
/// [`ReportError`].
pub fn open(store: &Store, institution: &MemberId, period: &Period) -> Result<Trades, ReportError> {
    let at = read_at(store)?;
    Ok(Trades {
        head: period.head(TradesReport::NAME, institution, at),
        rows: Box::new(period.rows(store, at)?),
        decimals: Decimals::of_store(store)?,
        days: Days::default(),
    })
}

impl Trades {
    /// What the report says first.
    #[must_use]
    pub fn head(&self) -> &ReportHead {
        &self.head
    }

    /// The sums of the rows that were read, by day.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn days(self) -> Result<Vec<TradeDay>, ReportError> {
        self.days.rows(&self.decimals)
    }
}

impl Iterator for Trades {
    type Item = Result<TradeRow, ReportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        let made = row.map_err(ReportError::from).and_then(|(place, row)| {
            self.days.add(&row)?;
            trade(place, &row, &self.decimals)
        });
        Some(made)
    }
}

fn trade(place: Place, row: &BookRow, decimals: &Decimals) -> Result<TradeRow, ReportError> {
    let cash_decimals = decimals.of(&row.cash)?;
    Ok(TradeRow {
        day: moment::show_day(row.time_ms),
        time: moment::show(row.time_ms),
        height: place.height,
        index: place.index,
        chain: row.chain.to_string(),
        account: row.account.to_string(),
        bank: row.bank.to_string(),
        side: row.side.to_string(),
        instrument: row.instrument.to_string(),
        quantity: row.quantity.to_string(),
        decimals: decimals.of(&row.instrument)?,
        price: row.price.display(cash_decimals),
        cash: row.cash.to_string(),
        cost: row.cost.to_string(),
        fee: row.fee.to_string(),
        cash_decimals,
    })
}

/// What is summed of a day's trades.
#[derive(Debug, Clone, Copy, Default)]
struct DaySum {
    trades: u64,
    quantity: Sum,
    cost: Sum,
    fee: Sum,
}

/// The sums by day (its number since 1970), instrument, side and cash.
#[derive(Debug, Default)]
pub(super) struct Days(BTreeMap<(u64, InstrumentId, Side, InstrumentId), DaySum>);

impl Days {
    pub(super) fn add(&mut self, row: &BookRow) -> Result<(), ReportError> {
        let key = (row.time_ms / moment::DAY_MS, row.instrument.clone(), row.side, row.cash.clone());
        let sum = self.0.entry(key).or_default();
        sum.trades = sum.trades.saturating_add(1);
        sum.quantity.add(&row.instrument, row.quantity)?;
        sum.cost.add(&row.cash, row.cost)?;
        sum.fee.add(&row.cash, row.fee)
    }

    pub(super) fn rows(self, decimals: &Decimals) -> Result<Vec<TradeDay>, ReportError> {
        let rows = self.0.into_iter().map(|((day, instrument, side, cash), sum)| {
            Ok(TradeDay {
                day: moment::show_day(day.saturating_mul(moment::DAY_MS)),
                side: side.to_string(),
                trades: sum.trades,
                quantity: sum.quantity.to_string(),
                decimals: decimals.of(&instrument)?,
                cost: sum.cost.to_string(),
                fee: sum.fee.to_string(),
                cash_decimals: decimals.of(&cash)?,
                instrument: instrument.to_string(),
                cash: cash.to_string(),
            })
        });
        rows.collect()
    }
}
