//! The holdings book: what each account bought less what it sold.

use std::collections::BTreeMap;

use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::request::Side;
use stemma_node_api::reports::{HoldingRow, HoldingTotal, HoldingsReport, Report as _};

use super::{Decimals, Period, ReportError, Sum, read_at};
use crate::store::{BookRow, Store};

/// The holdings at the end of a period's last day.
///
/// # Errors
/// [`ReportError`].
pub fn report(store: &Store, institution: &MemberId, period: &Period) -> Result<HoldingsReport, ReportError> {
    period.without(&["from"])?;
    let at = read_at(store)?;
    let mut sums = Holdings::default();
    for row in period.rows(store, at)? {
        sums.add(&row?.1)?;
    }
    let (accounts, totals) = sums.rows(&Decimals::of_store(store)?)?;
    Ok(HoldingsReport { head: period.head(HoldingsReport::NAME, institution, at), accounts, totals })
}

/// What was bought and sold.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    bought: Sum,
    sold: Sum,
}

impl Moved {
    fn add(&mut self, row: &BookRow) -> Result<(), ReportError> {
        let sum = match row.side {
            Side::Buy => &mut self.bought,
            Side::Sell => &mut self.sold,
        };
        sum.add(&row.instrument, row.quantity)
    }
}

/// The sums in the making.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    accounts: BTreeMap<(InstrumentId, AccountId), (MemberId, Moved)>,
    totals: BTreeMap<InstrumentId, Moved>,
}

impl Holdings {
    pub(super) fn add(&mut self, row: &BookRow) -> Result<(), ReportError> {
        let key = (row.instrument.clone(), row.account);
        let (_, moved) = self.accounts.entry(key).or_insert_with(|| (row.bank.clone(), Moved::default()));
        moved.add(row)?;
        self.totals.entry(row.instrument.clone()).or_default().add(row)
    }

    pub(super) fn rows(self, decimals: &Decimals) -> Result<(Vec<HoldingRow>, Vec<HoldingTotal>), ReportError> {
        let mut accounts = Vec::new();
        let mut holders: BTreeMap<InstrumentId, u64> = BTreeMap::new();
        for ((instrument, account), (bank, Moved { bought, sold })) in self.accounts {
            let held = bought.less(sold, &instrument)?;
            if held.is_zero() {
                continue;
            }
            accounts.push(HoldingRow {
                instrument: instrument.to_string(),
                account: account.to_string(),
                bank: bank.to_string(),
                bought: bought.to_string(),
                sold: sold.to_string(),
                held: held.to_string(),
                decimals: decimals.of(&instrument)?,
            });
            let count = holders.entry(instrument).or_default();
            *count = count.saturating_add(1);
        }
        let mut totals = Vec::new();
        for (instrument, Moved { bought, sold }) in self.totals {
            totals.push(HoldingTotal {
                accounts: holders.get(&instrument).copied().unwrap_or_default(),
                bought: bought.to_string(),
                sold: sold.to_string(),
                held: bought.less(sold, &instrument)?.to_string(),
                decimals: decimals.of(&instrument)?,
                instrument: instrument.to_string(),
            });
        }
        Ok((accounts, totals))
    }
}
