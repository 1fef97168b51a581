//! The fees taken, by day, cash and instrument.

use std::collections::BTreeMap;

use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_node_api::moment;
use stemma_node_api::reports::{FeeRow, FeesReport, Report as _};

use super::{Decimals, Period, ReportError, Sum, read_at};
use crate::store::{BookRow, Store};

/// The fees of a period.
///
/// # Errors
/// [`ReportError`].
pub fn report(store: &Store, institution: &MemberId, period: &Period) -> Result<FeesReport, ReportError> {
    let at = read_at(store)?;
    let mut sums = Fees::default();
    for row in period.rows(store, at)? {
        sums.add(&row?.1)?;
    }
    let fees = sums.rows(&Decimals::of_store(store)?)?;
    Ok(FeesReport { head: period.head(FeesReport::NAME, institution, at), fees })
}

/// The sums in the making, by day (its number since 1970), cash and instrument.
#[derive(Debug, Default)]
pub(super) struct Fees(BTreeMap<(u64, InstrumentId, InstrumentId), (u64, Sum)>);

impl Fees {
    pub(super) fn add(&mut self, row: &BookRow) -> Result<(), ReportError> {
        let key = (row.time_ms / moment::DAY_MS, row.cash.clone(), row.instrument.clone());
        let (trades, fee) = self.0.entry(key).or_default();
        *trades = trades.saturating_add(1);
        fee.add(&row.cash, row.fee)
    }

    pub(super) fn rows(self, decimals: &Decimals) -> Result<Vec<FeeRow>, ReportError> {
        let rows = self.0.into_iter().map(|((day, cash, instrument), (trades, fee))| {
            Ok(FeeRow {
                day: moment::show_day(day.saturating_mul(moment::DAY_MS)),
                decimals: decimals.of(&cash)?,
                cash: cash.to_string(),
                instrument: instrument.to_string(),
                trades,
                fee: fee.to_string(),
            })
        });
        rows.collect()
    }
}
