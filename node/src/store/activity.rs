//! How active an account is: its committed trades, each counting half as much with every hour that passed since.
//!
//! The activity is `Σ 2^(-age / 1 h)` over the account's committed chains, in millionths of a trade, where a chain's age
//! is counted from its block's agreed time. Between whole hours the half is approached in a straight line, so that
//! integers suffice. It follows from the ledger alone: the same blocks give the same number, on every start.

use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::hash::AccountId;

use super::accounts::number_of;
use super::{Store, StoreError, tables};

/// After so many milliseconds a trade counts half.
pub const HALF_LIFE_MS: u64 = 3_600_000;
/// What a trade counts when it is committed, in millionths.
pub const TRADE: u64 = 1_000_000;

/// An activity after some time in which nothing was committed.
pub fn decayed(activity: u64, elapsed_ms: u64) -> u64 {
    let halvings = u32::try_from(elapsed_ms / HALF_LIFE_MS).unwrap_or(u32::MAX);
    let halved = activity.checked_shr(halvings).unwrap_or(0);
    let rest_ms = elapsed_ms % HALF_LIFE_MS;
    let two_halves_ms = u128::from(HALF_LIFE_MS.saturating_mul(2));
    let lost = u128::from(halved).saturating_mul(rest_ms.into()).checked_div(two_halves_ms);
    halved.saturating_sub(lost.and_then(|lost| u64::try_from(lost).ok()).unwrap_or(u64::MAX))
}

/// Counts a committed trade of an account.
pub(super) fn count_trade(txn: &WriteTransaction, number: u64, time_ms: u64) -> Result<(), StoreError> {
    let mut table = txn.open_table(tables::ACTIVITY)?;
    let (before, at_ms) = table.get(number)?.map_or((0, time_ms), |value| value.value());
    let now = decayed(before, time_ms.saturating_sub(at_ms)).saturating_add(TRADE);
    table.insert(number, (now, time_ms))?;
    Ok(())
}

impl Store {
    /// An account's activity at a time, in millionths of a trade.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn activity(&self, account: &AccountId, time_ms: u64) -> Result<u64, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, account)? else { return Ok(0) };
        let table = txn.open_table(tables::ACTIVITY)?;
        let counted = table.get(number)?.map(|value| value.value());
        Ok(counted.map_or(0, |(activity, at_ms)| decayed(activity, time_ms.saturating_sub(at_ms))))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_trade_counts_half_each_hour() {
        assert_eq!(decayed(8 * TRADE, 0), 8 * TRADE);
        assert_eq!(decayed(8 * TRADE, HALF_LIFE_MS), 4 * TRADE);
        assert_eq!(decayed(8 * TRADE, 3 * HALF_LIFE_MS), TRADE);
        assert_eq!(decayed(8 * TRADE, HALF_LIFE_MS / 2), 6 * TRADE);
        assert_eq!(decayed(u64::MAX, u64::MAX), 0);
    }

    #[test]
    fn it_never_grows_by_waiting() {
        let ages = (0..200).map(|n| n * 97_001);
        let values: Vec<u64> = ages.map(|age| decayed(1_234_567_890, age)).collect();
        assert!(values.iter().zip(values.iter().skip(1)).all(|(earlier, later)| later <= earlier));
    }
}
