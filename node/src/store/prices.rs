//! An institution's last price of each instrument, so that a restart neither loses one nor takes an older one.

use redb::ReadableTable;

use super::{Store, StoreError, tables};

/// One price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    /// The instrument's code.
    pub code: String,
    /// As quoted.
    pub text: String,
    /// Its time, in Unix milliseconds.
    pub time_ms: u64,
}

impl Store {
    /// Makes prices durable, each in place of the one before.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them is there.
    pub fn put_prices(&self, rows: &[PriceRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let txn = self.begin()?;
        {
            let mut prices = txn.open_table(tables::PRICES)?;
            for row in rows {
                prices.insert(row.code.as_str(), (row.text.as_str(), row.time_ms))?;
            }
        }
        Ok(txn.commit()?)
    }

    /// All prices, in the order of their codes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prices(&self) -> Result<Vec<PriceRow>, StoreError> {
        let prices = self.read()?.open_table(tables::PRICES)?;
        let rows = prices.iter()?.map(|row| {
            let (code, price) = row?;
            let (text, time_ms) = price.value();
            Ok(PriceRow { code: code.value().to_owned(), text: text.to_owned(), time_ms })
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::hash::NetworkId;

    use super::*;

    #[test]
    fn prices_are_there_when_the_store_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let network = NetworkId([7; 32]);
            Store::open(&folder.path().join("stemma.redb"), network, &"broker-a".parse().unwrap()).unwrap()
        };
        let row = |code: &str, text: &str, time_ms| PriceRow { code: code.to_owned(), text: text.to_owned(), time_ms };
        let store = open();
        store.put_prices(&[]).unwrap();
        store.put_prices(&[row("IBM", "100", 1), row("AAPL", "189.10", 2)]).unwrap();
        store.put_prices(&[row("IBM", "101", 3)]).unwrap();
        drop(store);
        assert_eq!(open().prices().unwrap(), [row("AAPL", "189.10", 2), row("IBM", "101", 3)]);
    }
}
