//! The rewards paid: to promoters for others' trades, to customers for their own.

use std::collections::BTreeMap;
use std::fmt;

use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_node_api::reports::{Report as _, RewardRow, RewardsReport};

use super::{Decimals, Period, ReportError, Sum, read_at};
use crate::store::{BookRow, Store};

/// The rewards of a period.
///
/// # Errors
/// [`ReportError`].
pub fn report(store: &Store, institution: &MemberId, period: &Period) -> Result<RewardsReport, ReportError> {
    let at = read_at(store)?;
    let mut sums = Rewards::default();
    for row in period.rows(store, at)? {
        sums.add(&row?.1)?;
    }
    let rewards = sums.rows(&Decimals::of_store(store)?)?;
    Ok(RewardsReport { head: period.head(RewardsReport::NAME, institution, at), rewards })
}

/// Whom a reward went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Promoter,
    Customer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promoter => "promoter",
            Self::Customer => "customer",
        })
    }
}

/// The sums in the making.
#[derive(Debug, Default)]
pub(super) struct Rewards(BTreeMap<(Part, AccountId, InstrumentId), (u64, Sum)>);

impl Rewards {
    pub(super) fn add(&mut self, row: &BookRow) -> Result<(), ReportError> {
        for reward in &row.rewards {
            let part = if reward.account == row.account { Part::Customer } else { Part::Promoter };
            let (rewards, amount) = self.0.entry((part, reward.account, reward.instrument.clone())).or_default();
            *rewards = rewards.saturating_add(1);
            amount.add(&reward.instrument, reward.amount)?;
        }
        Ok(())
    }

    pub(super) fn rows(self, decimals: &Decimals) -> Result<Vec<RewardRow>, ReportError> {
        let rows = self.0.into_iter().map(|((part, account, cash), (rewards, amount))| {
            Ok(RewardRow {
                part: part.to_string(),
                account: account.to_string(),
                decimals: decimals.of(&cash)?,
                cash: cash.to_string(),
                rewards,
                amount: amount.to_string(),
            })
        });
        rows.collect()
    }
}
