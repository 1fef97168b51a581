//! An institution's answers: stored before they are sent, so that the same question always gets the same one.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, Digest, Link};

use super::book::Rewarded;
use super::verifiers::{self, IdentityWrites};
use super::{
    ErrandRow, OrderRow, Place, ReferralRow, Store, StoreError, book, errands, orders, referrals, short, tables,
};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct AnswerRow {
    /// Its number, in the order of answering.
    #[n(0)]
    pub number: u64,
    /// The endorsement's link.
    #[n(1)]
    pub endorsement: Link,
    /// The answer as it is sent.
    #[n(2)]
    pub answer: ByteVec,
    /// The third chain's id, where it was executed.
    #[n(3)]
    pub chain: Option<Link>,
    /// The last height at which that chain may commit.
    #[n(4)]
    pub expires: u64,
    /// What of the institution's own cash the execution pays out: reserved until the chain commits or expires.
    #[n(5)]
    pub reserved: Option<Reserved>,
    /// Whether the reservation still stands.
    #[n(6)]
    pub is_open: bool,
    /// The rewards that the execution pays.
    #[n(7)]
    pub rewards: Vec<Rewarded>,
    /// The referral that it uses, see [`super::use_of`].
    #[n(8)]
    pub referral: Option<Digest>,
    /// The position that the execution touches.
    #[n(9)]
    pub position: Option<AccountId>,
}

/// An amount that is set aside.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Reserved {
    /// Of which instrument.
    #[n(0)]
    pub instrument: stemma_chain_format::instrument::InstrumentId,
    /// How much, above zero.
    #[n(1)]
    pub amount: stemma_chain_format::amount::Amount,
}

/// Largest encoding of an answer row, in bytes.
const ROW_BYTES_MAX: usize = 128 * 1024;

/// Everything that the roles want durable before their other effects are performed.
#[derive(Debug, Default)]
pub struct RoleWrites<'w> {
    /// Orders, new or changed.
    pub orders: Vec<&'w OrderRow>,
    /// Orders turned away.
    pub turned_away: Vec<&'w OrderRow>,
    /// Counters accepted.
    pub counters: Vec<(AccountId, u64)>,
    /// Answers, new or changed.
    pub answers: Vec<&'w AnswerRow>,
    /// Errands at the back office, by number; nothing in place of one that is done.
    pub errands: BTreeMap<u64, Option<&'w ErrandRow>>,
    /// Settled trades of which the back office was told.
    pub told: Vec<Place>,
    /// Referrals.
    pub referrals: Vec<&'w ReferralRow>,
    /// Verifiers and attempts.
    pub identities: IdentityWrites<'w>,
}

impl RoleWrites<'_> {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
            && self.turned_away.is_empty()
            && self.counters.is_empty()
            && self.answers.is_empty()
            && self.errands.is_empty()
            && self.told.is_empty()
            && self.referrals.is_empty()
            && self.identities.is_empty()
    }
}

fn decode(bytes: &[u8]) -> Result<AnswerRow, StoreError> {
    cbor::decode(bytes, "answer row", ROW_BYTES_MAX).map_err(StoreError::damaged)
}

fn write_answers(txn: &WriteTransaction, rows: &[&AnswerRow]) -> Result<(), StoreError> {
    let mut answers = txn.open_table(tables::ANSWERS)?;
    let mut numbers = txn.open_table(tables::ANSWER_NUMBERS)?;
    let mut open = txn.open_table(tables::OPEN_ANSWERS)?;
    for row in rows {
        answers.insert(row.number, cbor::encode(*row).as_slice())?;
        numbers.insert(short(&row.endorsement.0), row.number)?;
        if row.is_open {
            open.insert(row.number, ())?;
        } else {
            open.remove(row.number)?;
        }
    }
    Ok(())
}

impl Store {
    /// Writes what roles want durable, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing of it is there.
    pub fn write_roles(&self, writes: &RoleWrites<'_>) -> Result<(), StoreError> {
        let txn = self.begin()?;
        orders::write(&txn, &writes.orders)?;
        orders::write_turned_away(&txn, &writes.turned_away)?;
        orders::write_counters(&txn, &writes.counters)?;
        write_answers(&txn, &writes.answers)?;
        errands::write(&txn, &writes.errands)?;
        book::forget_untold(&txn, &writes.told)?;
        referrals::write(&txn, &writes.referrals)?;
        verifiers::write(&txn, &writes.identities)?;
        Ok(txn.commit()?)
    }

    /// The answer to an endorsement.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn answer(&self, endorsement: &Link) -> Result<Option<AnswerRow>, StoreError> {
        let txn = self.read()?;
        let numbers = txn.open_table(tables::ANSWER_NUMBERS)?;
        let Some(number) = numbers.get(short(&endorsement.0))?.map(|value| value.value()) else {
            return Ok(None);
        };
        let answers = txn.open_table(tables::ANSWERS)?;
        let row = answers.get(number)?.map(|value| decode(value.value())).transpose()?;
        Ok(row.filter(|row| row.endorsement == *endorsement))
    }

    /// The answers whose reservations stand, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_answers(&self) -> Result<Vec<AnswerRow>, StoreError> {
        let txn = self.read()?;
        let answers = txn.open_table(tables::ANSWERS)?;
        let mut rows = Vec::new();
        for row in txn.open_table(tables::OPEN_ANSWERS)?.iter()? {
            let number = row?.0.value();
            let value = answers.get(number)?;
            let value = value.ok_or_else(|| StoreError::Damaged(format!("answer {number} has no row")))?;
            rows.push(decode(value.value())?);
        }
        Ok(rows)
    }

    /// The number of the next answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_answer_number(&self) -> Result<u64, StoreError> {
        let answers = self.read()?.open_table(tables::ANSWERS)?;
        Ok(answers.last()?.map_or(1, |(number, _)| number.value().saturating_add(1)))
    }
}
