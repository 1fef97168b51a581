//! A bank's requests: each in exactly one state, durable before it is acknowledged.

use minicbor::bytes::ByteVec;
use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, Link};

use super::{Store, StoreError, short, tables};

/// Where a request stands at its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum TradeState {
    /// Stored; waits for the account's chain before.
    #[n(0)]
    Received,
    /// The second chain is signed and stored.
    #[n(1)]
    Endorsed,
    /// The third chain is here and given to the network.
    #[n(2)]
    Executed,
    /// Final: in a block.
    #[n(3)]
    Committed,
    /// Final: refused.
    #[n(4)]
    Refused,
    /// Final: not committed before its expiry.
    #[n(5)]
    Expired,
}

impl TradeState {
    /// Whether nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Committed | Self::Refused | Self::Expired)
    }
}

/// One request with everything that became of it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct TradeRow {
    /// Its number, in the order of arrival at this bank.
    #[n(0)]
    pub number: u64,
    /// The request's link.
    #[n(1)]
    pub link: Link,
    /// The account.
    #[n(2)]
    pub account: AccountId,
    /// Where it stands.
    #[n(3)]
    pub state: TradeState,
    /// When it came, in Unix milliseconds.
    #[n(4)]
    pub received_ms: u64,
    /// When it reached this state, in Unix milliseconds.
    #[n(5)]
    pub changed_ms: u64,
    /// The first chain's bytes.
    #[n(6)]
    pub request: ByteVec,
    /// The digest of the verifier that the identity was compared with.
    #[n(7)]
    pub verifier: stemma_chain_format::hash::Digest,
    /// The second chain's bytes.
    #[n(8)]
    pub endorsement: Option<ByteVec>,
    /// The third chain's bytes.
    #[n(9)]
    pub execution: Option<ByteVec>,
    /// The signed refusal's bytes.
    #[n(10)]
    pub refusal: Option<ByteVec>,
    /// The height at which it was committed.
    #[n(11)]
    pub height: Option<u64>,
}

/// Largest encoding of a row, in bytes.
const ROW_BYTES_MAX: usize = 256 * 1024;

fn decode(bytes: &[u8]) -> Result<TradeRow, StoreError> {
    cbor::decode(bytes, "trade row", ROW_BYTES_MAX).map_err(StoreError::damaged)
}

/// Writes rows within a transaction.
pub(super) fn write(txn: &WriteTransaction, rows: &[&TradeRow]) -> Result<(), StoreError> {
    let mut trades = txn.open_table(tables::TRADES)?;
    let mut numbers = txn.open_table(tables::TRADE_NUMBERS)?;
    let mut by_account = txn.open_table(tables::ACCOUNT_TRADES)?;
    let mut open = txn.open_table(tables::OPEN_TRADES)?;
    for row in rows {
        let is_new = trades.insert(row.number, cbor::encode(*row).as_slice())?.is_none();
        if is_new {
            numbers.insert(short(&row.link.0), row.number)?;
            by_account.insert((short(&row.account.0), row.number), ())?;
        }
        if row.state.is_final() {
            open.remove(row.number)?;
        } else if is_new {
            open.insert(row.number, ())?;
        }
    }
    Ok(())
}

/// Writes accepted counters within a transaction.
pub(super) fn write_counters(txn: &WriteTransaction, counters: &[(AccountId, u64)]) -> Result<(), StoreError> {
    let mut table = txn.open_table(tables::COUNTERS)?;
    for (account, counter) in counters {
        table.insert(&account.0, counter)?;
    }
    Ok(())
}

impl Store {
    /// A request by its link.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn trade(&self, link: &Link) -> Result<Option<TradeRow>, StoreError> {
        let txn = self.read()?;
        let numbers = txn.open_table(tables::TRADE_NUMBERS)?;
        let Some(number) = numbers.get(short(&link.0))?.map(|value| value.value()) else { return Ok(None) };
        let trades = txn.open_table(tables::TRADES)?;
        let row = trades.get(number)?.map(|value| decode(value.value())).transpose()?;
        Ok(row.filter(|row| row.link == *link))
    }

    /// The requests that are not final, in the order of arrival.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_trades(&self) -> Result<Vec<TradeRow>, StoreError> {
        let txn = self.read()?;
        let trades = txn.open_table(tables::TRADES)?;
        let mut rows = Vec::new();
        for row in txn.open_table(tables::OPEN_TRADES)?.iter()? {
            let number = row?.0.value();
            let value = trades.get(number)?;
            let value = value.ok_or_else(|| StoreError::Damaged(format!("request {number} has no row")))?;
            rows.push(decode(value.value())?);
        }
        Ok(rows)
    }

    /// The last `count` requests of an account, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_trades(&self, account: &AccountId, count: usize) -> Result<Vec<TradeRow>, StoreError> {
        let txn = self.read()?;
        let by_account = txn.open_table(tables::ACCOUNT_TRADES)?;
        let trades = txn.open_table(tables::TRADES)?;
        let half = short(&account.0);
        let mut rows = Vec::new();
        for row in by_account.range((half, 0)..=(half, u64::MAX))?.rev().take(count) {
            let (_, number) = row?.0.value();
            if let Some(value) = trades.get(number)? {
                rows.push(decode(value.value())?);
            }
        }
        Ok(rows)
    }

    /// The number of the next request.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_trade_number(&self) -> Result<u64, StoreError> {
        let trades = self.read()?.open_table(tables::TRADES)?;
        Ok(trades.last()?.map_or(1, |(number, _)| number.value().saturating_add(1)))
    }

    /// The highest counter accepted from an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn counter(&self, account: &AccountId) -> Result<u64, StoreError> {
        let counters = self.read()?.open_table(tables::COUNTERS)?;
        Ok(counters.get(&account.0)?.map_or(0, |value| value.value()))
    }
}
