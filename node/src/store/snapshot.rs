//! Reading for reports: the book up to a height a few rows at a time, or book and accounts together at one height.

use redb::{ReadTransaction, ReadableTable};
use stemma_chain_format::ledger::Account;
use stemma_chain_format::position::Position;
use stemma_consensus::sync::SyncedBlock;

use super::book::decode;
use super::{BookRow, Place, Store, StoreError, accounts, positions, tables};

/// Rows that are read at once; between two readings nothing of the store is held.
const BATCH_COUNT: usize = 1_000;

/// The block that something was read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAt {
    /// Its height; 0 before the first block.
    pub height: u64,
    /// Its time in Unix milliseconds; 0 before the first block.
    pub time_ms: u64,
}

/// The book from a place up to a height. Rows of the past never change, so reading it piece by piece gives what one reading would:
/// a slow reader keeps no old pages alive.
#[derive(Debug)]
pub struct BookReader {
    store: Store,
    after: Option<Place>,
    height_max: u64,
    rows: std::vec::IntoIter<(Place, BookRow)>,
    is_last_batch: bool,
}

impl Iterator for BookReader {
    type Item = Result<(Place, BookRow), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((place, row)) = self.rows.next() {
                if place.height > self.height_max {
                    self.is_last_batch = true;
                    self.rows = Vec::new().into_iter();
                    return None;
                }
                self.after = Some(place);
                return Some(Ok((place, row)));
            }
            if self.is_last_batch {
                return None;
            }
            match self.store.book(self.after, BATCH_COUNT) {
                Ok(rows) => {
                    self.is_last_batch = rows.len() < BATCH_COUNT;
                    self.rows = rows.into_iter();
                }
                Err(e) => {
                    self.is_last_batch = true;
                    return Some(Err(e));
                }
            }
        }
    }
}

/// Everything at one height.
pub struct Snapshot {
    txn: ReadTransaction,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Store {
    /// The last committed state, held until it is dropped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot { txn: self.read()? })
    }

    /// The book from a time on, up to a height.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn book_since(&self, from_ms: u64, height_max: u64) -> Result<BookReader, StoreError> {
        let height = self.book_height_of(from_ms, height_max)?;
        let before = height.checked_sub(1).map(|height| Place { height, index: u32::MAX });
        let rows = Vec::new().into_iter();
        Ok(BookReader { store: self.clone(), after: before, height_max, rows, is_last_batch: false })
    }

    /// The least height from which on no row of the book is before a time: block times rise with the height.
    fn book_height_of(&self, from_ms: u64, height_max: u64) -> Result<u64, StoreError> {
        let book = self.read()?.open_table(tables::BOOK)?;
        let (mut least, mut most) = (0, height_max.saturating_add(1));
        while least < most {
            let middle = least.midpoint(most);
            let first = book.range((middle, 0)..)?.next().transpose()?;
            let is_before = match first {
                Some((_, value)) => decode(value.value())?.time_ms < from_ms,
                None => false,
            };
            if is_before {
                least = middle.saturating_add(1);
            } else {
                most = middle;
            }
        }
        Ok(least)
    }
}

impl Snapshot {
    /// The last block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read_at(&self) -> Result<ReadAt, StoreError> {
        let blocks = self.txn.open_table(tables::BLOCKS)?;
        let Some((_, value)) = blocks.last()? else { return Ok(ReadAt { height: 0, time_ms: 0 }) };
        let header = SyncedBlock::decode(value.value()).map_err(StoreError::damaged)?.block.header;
        Ok(ReadAt { height: header.height, time_ms: header.time_ms })
    }

    /// The whole book, the oldest row first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn book(&self) -> Result<impl Iterator<Item = Result<BookRow, StoreError>> + use<>, StoreError> {
        let rows = self.txn.open_table(tables::BOOK)?.range::<(u64, u32)>(..)?;
        Ok(rows.map(|row| decode(row?.1.value())))
    }

    /// All accounts with what waits in their inboxes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn accounts(&self) -> Result<impl Iterator<Item = Result<Account, StoreError>> + use<>, StoreError> {
        let credits = self.txn.open_table(tables::CREDITS)?;
        let rows = self.txn.open_table(tables::ACCOUNTS)?.range::<u64>(..)?;
        Ok(rows.map(move |row| {
            let (number, value) = row?;
            accounts::stored_account(number.value(), value.value(), &credits)
        }))
    }
}

impl Snapshot {
    /// All positions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn positions(&self) -> Result<impl Iterator<Item = Result<Position, StoreError>> + use<>, StoreError> {
        let rows = self.txn.open_table(tables::POSITIONS)?.range::<([u8; 32], [u8; 32])>(..)?;
        Ok(rows.map(|row| positions::decode(row?.1.value())))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use stemma_chain_format::amount::{Amount, Price};
    use stemma_chain_format::cbor;
    use stemma_chain_format::hash::{AccountId, Digest, Link, NetworkId};
    use stemma_chain_format::request::Side;

    use super::*;

    /// Two rows a block, blocks a second apart, every third height without any.
    fn filled(heights: u64) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let member = "broker-a".parse().unwrap();
        let store = Store::open(&folder.path().join("store"), NetworkId([9; 32]), &member).unwrap();
        let txn = store.begin().unwrap();
        for height in (1..=heights).filter(|height| height % 3 != 0) {
            for index in 0..2 {
                let row = BookRow {
                    chain: Link([1; 32]),
                    time_ms: height * 1_000,
                    account: AccountId([2; 32]),
                    bank: "bank-a".parse().unwrap(),
                    side: Side::Buy,
                    instrument: "broker-a/AAPL".parse().unwrap(),
                    quantity: Amount::ONE,
                    price: Price::new(1, 0).unwrap(),
                    cash: "bank-a/USD".parse().unwrap(),
                    cost: Amount::ONE,
                    fee: Amount::ZERO,
                    rewards: Vec::new(),
                    asked: Digest::of(b"asked"),
                };
                let mut book = txn.open_table(tables::BOOK).unwrap();
                book.insert((height, index), cbor::encode(&row).as_slice()).unwrap();
            }
        }
        txn.commit().unwrap();
        (folder, store)
    }

    #[test]
    fn a_book_of_many_batches_is_read_once_and_in_order_between_time_and_height() {
        let heights = 3_000;
        let (_folder, store) = filled(heights);
        let read = |from_ms, height_max| -> Vec<(u64, u32)> {
            let reader = store.book_since(from_ms, height_max).unwrap();
            reader.map(|row| row.map(|(place, _)| (place.height, place.index)).unwrap()).collect()
        };
        let expected = |from: u64, to: u64| -> Vec<(u64, u32)> {
            let heights = (from..=to).filter(|height| height % 3 != 0);
            heights.flat_map(|height| [(height, 0), (height, 1)]).collect()
        };
        assert_eq!(read(0, heights), expected(1, heights));
        assert_eq!(read(0, u64::MAX), expected(1, heights));
        for from in [1, 2, 3, 4, 1_499, 1_500, 1_501, 2_999, 3_000, 3_001] {
            assert_eq!(read(from * 1_000, heights), expected(from, heights), "{from}");
            assert_eq!(read(from * 1_000 - 1, heights), expected(from, heights), "{from}");
            assert_eq!(read(from * 1_000, 2_000), expected(from, 2_000), "{from}");
        }
        assert_eq!(read(0, 0), []);
        assert_eq!(read(u64::MAX, u64::MAX), []);
    }

    #[test]
    fn an_empty_store_stands_before_the_first_block() {
        let (_folder, store) = filled(0);
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.read_at().unwrap(), ReadAt { height: 0, time_ms: 0 });
        assert_eq!((snapshot.book().unwrap().count(), snapshot.accounts().unwrap().count()), (0, 0));
        assert_eq!(store.book_since(5, 0).unwrap().count(), 0);
    }
}
