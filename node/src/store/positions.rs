//! Positions as the last block left them, and where what became of them stands.

use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::position::Position;
use stemma_consensus::state::CommittedBlock;

use super::accounts::number_of;
use super::{Place, Store, StoreError, short, tables};

/// Writes what a block changes of positions.
pub(super) fn write(txn: &WriteTransaction, committed: &CommittedBlock<'_>) -> Result<(), StoreError> {
    let mut positions = txn.open_table(tables::POSITIONS)?;
    for (key, moved) in &committed.changes.positions {
        let place = (moved.account.0, key.0);
        match &moved.after {
            Some(position) => positions.insert(place, cbor::encode(position).as_slice())?,
            None => positions.remove(place)?,
        };
    }
    Ok(())
}

/// Notes where a settlement of a position stands, by the number of its account.
pub(super) fn note_settlement(
    txn: &WriteTransaction,
    number: u64,
    key: &AccountId,
    Place { height, index }: Place,
) -> Result<(), StoreError> {
    txn.open_table(tables::SETTLEMENTS)?.insert((number, short(&key.0), height, index), ())?;
    Ok(())
}

impl Store {
    /// All positions with their keys, in the order of their accounts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn positions(&self) -> Result<Vec<(AccountId, Position)>, StoreError> {
        let positions = self.read()?.open_table(tables::POSITIONS)?;
        let rows = positions.iter()?.map(|row| {
            let (key, value) = row?;
            Ok((AccountId(key.value().1), decode(value.value())?))
        });
        rows.collect()
    }

    /// An account's positions with their keys, in the order of these.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn positions_of(&self, account: &AccountId) -> Result<Vec<(AccountId, Position)>, StoreError> {
        let positions = self.read()?.open_table(tables::POSITIONS)?;
        let rows = positions.range((account.0, [0; 32])..=(account.0, [0xff; 32]))?.map(|row| {
            let (key, value) = row?;
            Ok((AccountId(key.value().1), decode(value.value())?))
        });
        rows.collect()
    }

    /// Where the settlements of an account's positions stand, in the order of the ledger.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settlements(&self, account: &AccountId) -> Result<Vec<Place>, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, account)? else { return Ok(Vec::new()) };
        let settlements = txn.open_table(tables::SETTLEMENTS)?;
        let range = settlements.range((number, 0, 0, 0)..=(number, u128::MAX, u64::MAX, u32::MAX))?;
        let places = range.map(|row| {
            let (_, _, height, index) = row?.0.value();
            Ok((height, index))
        });
        let mut places: Vec<(u64, u32)> = places.collect::<Result<_, StoreError>>()?;
        places.sort_unstable();
        Ok(places.into_iter().map(|(height, index)| Place { height, index }).collect())
    }

    /// Where the last settlement of an account's position stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn last_settlement(&self, account: &AccountId, key: &AccountId) -> Result<Option<Place>, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, account)? else { return Ok(None) };
        let settlements = txn.open_table(tables::SETTLEMENTS)?;
        let half = short(&key.0);
        let last = settlements.range((number, half, 0, 0)..=(number, half, u64::MAX, u32::MAX))?.next_back();
        let place = last.transpose()?.map(|(key, _)| {
            let (_, _, height, index) = key.value();
            Place { height, index }
        });
        Ok(place)
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Position, StoreError> {
    Position::decode(bytes).map_err(StoreError::damaged)
}
