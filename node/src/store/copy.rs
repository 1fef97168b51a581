//! A copy of the whole store while it is in use: every table of one read transaction, so all of one moment.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{
    Database, Durability, Key, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle,
    Value,
};

use super::tables::{self, Visitor};
use super::{Store, StoreError};

/// The copy's cache: writing it must not push the node's own pages out of memory.
const CACHE_BYTES: usize = 32 << 20;

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The last block's height; 0 before the first block.
    pub height: u64,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
}

impl Store {
    /// Copies all there is at this moment into a new file. Nobody waits for it, neither readers nor writers.
    ///
    /// # Errors
    /// [`StoreError`]; then the file is of no use.
    pub fn copy_to(&self, path: &Path) -> Result<Copied, StoreError> {
        let failed = |source| StoreError::Open { path: path.display().to_string(), source };
        let db = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(failed)?;
        let mut copy = Copy { from: self.read()?, to: &db, rows: BTreeMap::new() };
        tables::visit_all(&mut copy)?;
        let Copy { from, rows, .. } = copy;
        // Whoever adds a table and forgets it here must not lose it.
        if let Some(other) = from.list_tables()?.find(|table| !rows.contains_key(table.name())) {
            return Err(StoreError::Damaged(format!(
                "there is a table {} that this version does not know",
                other.name()
            )));
        }
        let last = from.open_table(tables::BLOCKS)?.last()?.map_or(0, |(height, _)| height.value());
        // Nothing before this commit is durable, and all of it is with it.
        let mut end = db.begin_write()?;
        end.set_two_phase_commit(true);
        end.commit()?;
        Ok(Copied { height: last, rows })
    }

    /// How many rows each table has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn row_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        struct Count(ReadTransaction, BTreeMap<String, u64>);
        impl Visitor for Count {
            fn visit<K: Key + 'static, V: Value + 'static>(
                &mut self,
                table: TableDefinition<'static, K, V>,
            ) -> Result<(), StoreError> {
                let count = self.0.open_table(table)?.len()?;
                self.1.insert(table.name().to_owned(), count);
                Ok(())
            }
        }
        let mut count = Count(self.read()?, BTreeMap::new());
        tables::visit_all(&mut count)?;
        Ok(count.1)
    }

    /// How many bytes the store holds, without what is free inside the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stored_bytes(&self) -> Result<u64, StoreError> {
        struct Sum(ReadTransaction, u64);
        impl Visitor for Sum {
            fn visit<K: Key + 'static, V: Value + 'static>(
                &mut self,
                table: TableDefinition<'static, K, V>,
            ) -> Result<(), StoreError> {
                self.1 = self.1.saturating_add(self.0.open_table(table)?.stats()?.stored_bytes());
                Ok(())
            }
        }
        let mut sum = Sum(self.read()?, 0);
        tables::visit_all(&mut sum)?;
        Ok(sum.1)
    }
}

struct Copy<'d> {
    from: ReadTransaction,
    to: &'d Database,
    rows: BTreeMap<String, u64>,
}

impl Visitor for Copy<'_> {
    fn visit<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError> {
        let mut txn = self.to.begin_write()?;
        txn.set_durability(Durability::None).map_err(|e| StoreError::Damaged(e.to_string()))?;
        let mut count = 0_u64;
        {
            let from = self.from.open_table(table)?;
            let mut to = txn.open_table(table)?;
            for row in from.iter()? {
                let (key, value) = row?;
                to.insert(key.value(), value.value())?;
                count = count.saturating_add(1);
            }
        }
        txn.commit()?;
        self.rows.insert(table.name().to_owned(), count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::hash::NetworkId;

    use super::*;

    #[test]
    fn a_copy_is_of_one_moment_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (network, member) = (NetworkId([7; 32]), "bank-a".parse().unwrap());
        let store = Store::open(&folder.path().join("a.redb"), network, &member).unwrap();
        store.set_note("first", "1").unwrap();
        let path = folder.path().join("b.redb");
        let copied = store.copy_to(&path).unwrap();
        store.set_note("second", "2").unwrap();
        let copy = Store::open_copy(&path, network, &member).unwrap();
        assert_eq!((copy.note("first").unwrap().as_deref(), copy.note("second").unwrap()), (Some("1"), None));
        assert_eq!((copied.height, copied.rows["meta"]), (0, 2));
        assert_eq!(copy.row_counts().unwrap(), copied.rows);
        assert!(copy.stored_bytes().unwrap() > 0);
        drop(copy);
        let other = "bank-b".parse().unwrap();
        let e = Store::open_copy(&path, network, &other).unwrap_err().to_string();
        assert!(e.contains("belongs to layout") && e.contains("bank-b"), "{e}");
        assert!(Store::open_copy(&folder.path().join("none"), network, &member).is_err());
    }
}
