//! A bank's orders: each in exactly one state, durable before it is acknowledged.

use minicbor::bytes::ByteVec;
use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, Link};

use super::{Store, StoreError, short, tables};

/// What a customer or an operator asked of the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum OrderKind {
    /// A customer's request to trade.
    #[n(0)]
    Trade,
    /// A customer's instruction to service the account.
    #[n(1)]
    Instruction,
    /// An operator's act of servicing.
    #[n(2)]
    Act,
    /// A customer's promotion.
    #[n(3)]
    Promotion,
}

/// Where an order stands at its bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum OrderState {
    /// Stored; waits for what the account has before it.
    #[n(0)]
    Received,
    /// The second chain is signed and stored; it waits for its turn to be sent.
    #[n(1)]
    Endorsed,
    /// The second chain is on its way to the institution.
    #[n(2)]
    Sent,
    /// What ends the order is signed and given to the network: the third chain, or the servicing record.
    #[n(3)]
    Executed,
    /// Final: in a block.
    #[n(4)]
    Committed,
    /// Final: refused.
    #[n(5)]
    Refused,
    /// Final: not committed before its expiry.
    #[n(6)]
    Expired,
    /// Final: the referral that it asks for is signed.
    #[n(7)]
    Referred,
}

impl OrderState {
    /// Whether nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Committed | Self::Refused | Self::Expired | Self::Referred)
    }

    /// Whether the institution is to be asked, or was.
    pub const fn is_endorsed(self) -> bool {
        matches!(self, Self::Endorsed | Self::Sent)
    }
}

/// When an order came to a state, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Step {
    /// The state.
    #[n(0)]
    pub state: OrderState,
    /// When.
    #[n(1)]
    pub at_ms: u64,
}

/// One order with everything that became of it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct OrderRow {
    /// Its number, in the order of arrival at this bank.
    #[n(0)]
    pub number: u64,
    /// What it is.
    #[n(1)]
    pub kind: OrderKind,
    /// The link of what was asked.
    #[n(2)]
    pub link: Link,
    /// The account.
    #[n(3)]
    pub account: AccountId,
    /// Where it stands.
    #[n(4)]
    pub state: OrderState,
    /// Every state that it came to, in order, the first being when it was received.
    #[n(5)]
    pub steps: Vec<Step>,
    /// What was asked: the first chain's or the instruction's bytes; of an operator's act, its encoding.
    #[n(6)]
    pub request: ByteVec,
    /// The digest of the verifiers that the identity was compared with.
    #[n(7)]
    pub verifier: stemma_chain_format::hash::Digest,
    /// The second chain's bytes.
    #[n(8)]
    pub endorsement: Option<ByteVec>,
    /// The bytes of the third chain or of the servicing record.
    #[n(9)]
    pub execution: Option<ByteVec>,
    /// The signed refusal's bytes.
    #[n(10)]
    pub refusal: Option<ByteVec>,
    /// The height at which it was committed.
    #[n(11)]
    pub height: Option<u64>,
    /// The institution that a trade is for.
    #[n(12)]
    pub institution: Option<stemma_chain_format::member::MemberId>,
    /// The client's own name for it, if it gave one.
    #[n(13)]
    pub idempotency_key: Option<String>,
}

impl OrderRow {
    /// An order that was just received.
    pub fn received(number: u64, kind: OrderKind, link: Link, account: AccountId, asked: Vec<u8>, at_ms: u64) -> Self {
        let state = OrderState::Received;
        Self {
            number,
            kind,
            link,
            account,
            state,
            steps: vec![Step { state, at_ms }],
            request: asked.into(),
            verifier: stemma_chain_format::hash::Digest([0; 32]),
            endorsement: None,
            execution: None,
            refusal: None,
            height: None,
            institution: None,
            idempotency_key: None,
        }
    }

    /// Brings it to another state.
    pub fn move_to(&mut self, state: OrderState, at_ms: u64) {
        self.state = state;
        self.steps.push(Step { state, at_ms });
    }

    /// When it came, in Unix milliseconds.
    pub fn received_ms(&self) -> u64 {
        self.steps.first().map_or(0, |step| step.at_ms)
    }
}

/// How far back refusals are looked for, in orders.
const LOOKED_AT_MAX: usize = 10_000;
/// Largest encoding of a row, in bytes.
const ROW_BYTES_MAX: usize = 256 * 1024;

fn decode(bytes: &[u8]) -> Result<OrderRow, StoreError> {
    cbor::decode(bytes, "order row", ROW_BYTES_MAX).map_err(StoreError::damaged)
}

/// Writes rows within a transaction.
pub(super) fn write(txn: &WriteTransaction, rows: &[&OrderRow]) -> Result<(), StoreError> {
    let mut orders = txn.open_table(tables::ORDERS)?;
    let mut numbers = txn.open_table(tables::ORDER_NUMBERS)?;
    let mut by_account = txn.open_table(tables::ACCOUNT_ORDERS)?;
    let mut by_key = txn.open_table(tables::ORDER_KEYS)?;
    let mut open = txn.open_table(tables::OPEN_ORDERS)?;
    for row in rows {
        let is_new = orders.insert(row.number, cbor::encode(*row).as_slice())?.is_none();
        if is_new {
            numbers.insert(short(&row.link.0), row.number)?;
            by_account.insert((short(&row.account.0), row.number), ())?;
            if let Some(key) = &row.idempotency_key {
                by_key.insert((short(&row.account.0), key.as_str()), row.number)?;
            }
        }
        if row.state.is_final() {
            open.remove(row.number)?;
        } else if is_new {
            open.insert(row.number, ())?;
        }
    }
    Ok(())
}

/// Orders turned away that are kept; the oldest make room. Strangers bring them, so they may not fill the disk.
const TURNED_AWAY_MAX: u64 = 1_000;

/// Writes orders that were turned away within a transaction.
pub(super) fn write_turned_away(txn: &WriteTransaction, rows: &[&OrderRow]) -> Result<(), StoreError> {
    let mut ring = txn.open_table(tables::TURNED_AWAY)?;
    for row in rows {
        ring.insert(row.number % TURNED_AWAY_MAX, cbor::encode(*row).as_slice())?;
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

/// The order of a number.
fn row(txn: &ReadTransaction, number: u64) -> Result<Option<OrderRow>, StoreError> {
    let orders = txn.open_table(tables::ORDERS)?;
    orders.get(number)?.map(|value| decode(value.value())).transpose()
}

impl Store {
    /// The order that a client gave a name to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn order_by_key(&self, account: &AccountId, key: &str) -> Result<Option<OrderRow>, StoreError> {
        let txn = self.read()?;
        let keys = txn.open_table(tables::ORDER_KEYS)?;
        let Some(number) = keys.get((short(&account.0), key))?.map(|value| value.value()) else { return Ok(None) };
        Ok(row(&txn, number)?.filter(|row| row.account == *account))
    }

    /// The last refused orders of all accounts, at most `count`, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn refused_orders(&self, count: usize) -> Result<Vec<OrderRow>, StoreError> {
        let orders = self.read()?.open_table(tables::ORDERS)?;
        let mut rows = Vec::new();
        for row in orders.iter()?.rev().take(LOOKED_AT_MAX) {
            let row = decode(row?.1.value())?;
            if row.state == OrderState::Refused {
                rows.push(row);
            }
            if rows.len() >= count {
                break;
            }
        }
        Ok(rows)
    }

    /// The last orders turned away, in no order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn turned_away(&self) -> Result<Vec<OrderRow>, StoreError> {
        let ring = self.read()?.open_table(tables::TURNED_AWAY)?;
        ring.iter()?.map(|row| decode(row?.1.value())).collect()
    }

    /// An order by its link.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn order(&self, link: &Link) -> Result<Option<OrderRow>, StoreError> {
        let txn = self.read()?;
        let numbers = txn.open_table(tables::ORDER_NUMBERS)?;
        let Some(number) = numbers.get(short(&link.0))?.map(|value| value.value()) else { return Ok(None) };
        Ok(row(&txn, number)?.filter(|row| row.link == *link))
    }

    /// The orders that are not final, in the order of arrival.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_orders(&self) -> Result<Vec<OrderRow>, StoreError> {
        let txn = self.read()?;
        let orders = txn.open_table(tables::ORDERS)?;
        let mut rows = Vec::new();
        for row in txn.open_table(tables::OPEN_ORDERS)?.iter()? {
            let number = row?.0.value();
            let value = orders.get(number)?;
            let value = value.ok_or_else(|| StoreError::Damaged(format!("order {number} has no row")))?;
            rows.push(decode(value.value())?);
        }
        Ok(rows)
    }

    /// The last `count` orders of an account, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn account_orders(&self, account: &AccountId, count: usize) -> Result<Vec<OrderRow>, StoreError> {
        let txn = self.read()?;
        let by_account = txn.open_table(tables::ACCOUNT_ORDERS)?;
        let orders = txn.open_table(tables::ORDERS)?;
        let half = short(&account.0);
        let mut rows = Vec::new();
        for row in by_account.range((half, 0)..=(half, u64::MAX))?.rev().take(count) {
            let (_, number) = row?.0.value();
            if let Some(value) = orders.get(number)? {
                rows.push(decode(value.value())?);
            }
        }
        Ok(rows)
    }

    /// The number of the next order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_order_number(&self) -> Result<u64, StoreError> {
        let orders = self.read()?.open_table(tables::ORDERS)?;
        Ok(orders.last()?.map_or(1, |(number, _)| number.value().saturating_add(1)))
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
