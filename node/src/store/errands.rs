//! An institution's errands at its back office: durable before the first call, gone when the last one is acknowledged.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::Link;

use super::outbox::Reserved;
use super::{Store, StoreError, tables};
use crate::role::Question;

/// One errand.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct ErrandRow {
    /// Its number, in the order of asking.
    #[n(0)]
    pub number: u64,
    /// The endorsement's link: under this key the back office knows it.
    #[n(1)]
    pub key: Link,
    /// The last height at which the ledger may commit what is carried out.
    #[n(2)]
    pub expires: u64,
    /// Where it stands.
    #[n(3)]
    pub state: ErrandState,
    /// What of the institution's own cash it may pay out: reserved until it is decided, and then by its answer.
    #[n(4)]
    pub reserved: Option<Reserved>,
    /// What was asked, and how it was judged, while it is not decided.
    #[n(5)]
    pub judged: Option<JudgedBytes>,
}

/// A question and its judgement, from which the third chain is made, or the back office asked again.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct JudgedBytes {
    /// The first and the second chain.
    #[n(0)]
    pub question: Question,
    /// The judgement, as the institution encodes it.
    #[n(1)]
    pub judgement: ByteVec,
}

/// Where an errand stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum ErrandState {
    /// The back office is asked to carry it out.
    #[n(0)]
    Asked,
    /// It did; this chain waits for the ledger.
    #[n(1)]
    Filled(#[n(0)] Link),
    /// The ledger committed this chain; the back office is told.
    #[n(2)]
    Committed(#[n(0)] Link),
    /// The ledger can't commit it any more; the back office is told to release it.
    #[n(3)]
    Expired,
    /// The order was refused; the back office is told to release what it may have carried out.
    #[n(4)]
    Refused,
}

/// Largest encoding of a row, in bytes.
const ROW_BYTES_MAX: usize = 128 * 1024;

pub(super) fn write(txn: &WriteTransaction, rows: &BTreeMap<u64, Option<&ErrandRow>>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut errands = txn.open_table(tables::ERRANDS)?;
    for (number, row) in rows {
        match row {
            Some(row) => errands.insert(number, cbor::encode(*row).as_slice())?,
            None => errands.remove(number)?,
        };
    }
    Ok(())
}

impl Store {
    /// The errands that are not done, in the order of asking.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn errands(&self) -> Result<Vec<ErrandRow>, StoreError> {
        let errands = self.read()?.open_table(tables::ERRANDS)?;
        let rows = errands.iter()?.map(|row| {
            let (_, value) = row?;
            cbor::decode(value.value(), "errand row", ROW_BYTES_MAX).map_err(StoreError::damaged)
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::hash::NetworkId;

    use super::super::RoleWrites;
    use super::*;

    fn row(number: u64, state: ErrandState) -> ErrandRow {
        let question = Question { request: vec![1].into(), endorsement: vec![2].into() };
        let judged = Some(JudgedBytes { question, judgement: vec![3].into() });
        let amount = stemma_chain_format::amount::Amount::ONE;
        let reserved = Some(Reserved { instrument: "bank-a/USD".parse().unwrap(), amount });
        ErrandRow { number, key: Link([7; 32]), expires: 200, state, reserved, judged }
    }

    #[test]
    fn what_is_not_done_is_there_when_the_store_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let network = NetworkId([7; 32]);
            Store::open(&folder.path().join("stemma.redb"), network, &"broker-a".parse().unwrap()).unwrap()
        };
        let chain = Link([9; 32]);
        let states = [
            ErrandState::Asked,
            ErrandState::Filled(chain),
            ErrandState::Committed(chain),
            ErrandState::Expired,
            ErrandState::Refused,
        ];
        let rows: Vec<ErrandRow> = (1..).zip(states).map(|(number, state)| row(number, state)).collect();
        let write = |store: &Store, errands: BTreeMap<u64, Option<&ErrandRow>>| {
            store.write_roles(&RoleWrites { errands, ..RoleWrites::default() }).unwrap();
        };
        let store = open();
        write(&store, rows.iter().map(|row| (row.number, Some(row))).collect());
        drop(store);
        let store = open();
        assert_eq!(store.errands().unwrap(), rows);
        let next = row(2, ErrandState::Committed(chain));
        write(&store, [(1, None), (2, Some(&next)), (9, None)].into());
        drop(store);
        let left: Vec<_> = open().errands().unwrap().iter().map(|row| (row.number, row.state)).collect();
        assert_eq!(left[..2], [(2, ErrandState::Committed(chain)), (3, ErrandState::Committed(chain))]);
        assert_eq!(left.len(), 4);
    }
}
