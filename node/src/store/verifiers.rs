//! A bank's verifiers of identities, the log of their enrolments, and failed attempts. Evidence never comes here.

use minicbor::bytes::ByteVec;
use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, Digest};

use super::{Store, StoreError, tables};

/// One verifier.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct VerifierRow {
    /// Whose.
    #[n(0)]
    pub account: AccountId,
    /// Its type.
    #[n(1)]
    pub kind: String,
    /// What evidence is compared with, sealed.
    #[n(2)]
    pub stored: ByteVec,
    /// Its digest, as endorsements state it.
    #[n(3)]
    pub digest: Digest,
    /// When it was enrolled, in Unix milliseconds.
    #[n(4)]
    pub enrolled_ms: u64,
}

/// What was done with a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum EnrolmentKind {
    /// There was none before.
    #[n(0)]
    Enrolled,
    /// It took another's place.
    #[n(1)]
    Replaced,
    /// It was removed.
    #[n(2)]
    Removed,
    /// The failed attempts at it were forgotten.
    #[n(3)]
    Unlocked,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct EnrolmentRow {
    /// What was done.
    #[n(0)]
    pub what: EnrolmentKind,
    /// Whose verifier.
    #[n(1)]
    pub account: AccountId,
    /// Its type.
    #[n(2)]
    pub kind: String,
    /// The digest of the verifier afterwards.
    #[n(3)]
    pub digest: Option<Digest>,
    /// When, in Unix milliseconds.
    #[n(4)]
    pub at_ms: u64,
}

/// Largest encoding of a verifier row, in bytes.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// What is to be done with verifiers and attempts, within one transaction.
#[derive(Debug, Default)]
pub struct IdentityWrites<'w> {
    /// Verifiers, new or changed.
    pub put: Vec<&'w VerifierRow>,
    /// Verifiers that go.
    pub removed: Vec<(AccountId, &'w str)>,
    /// Lines for the log.
    pub log: Vec<&'w EnrolmentRow>,
    /// Failed attempts by subject: the row, or nothing where it goes.
    pub attempts: Vec<(&'w str, Option<&'w [u8]>)>,
}

impl Store {
    /// All verifiers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all_verifiers(&self) -> Result<Vec<VerifierRow>, StoreError> {
        let verifiers = self.read()?.open_table(tables::VERIFIERS)?;
        let decode = |bytes: &[u8]| cbor::decode(bytes, "verifier", ROW_BYTES_MAX).map_err(StoreError::damaged);
        verifiers.iter()?.map(|row| decode(row?.1.value())).collect()
    }

    /// Writes verifiers that were sealed anew, and a note of by which key, at once.
    ///
    /// # Errors
    /// [`StoreError`]; then all is as it was.
    pub fn reseal(&self, rows: &[VerifierRow], note: &str, sealed_by: &str) -> Result<(), StoreError> {
        let txn = self.begin()?;
        {
            let mut verifiers = txn.open_table(tables::VERIFIERS)?;
            for row in rows {
                verifiers.insert((row.account.0, row.kind.as_str()), cbor::encode(row).as_slice())?;
            }
            txn.open_table(tables::META)?.insert(note, sealed_by)?;
        }
        Ok(txn.commit()?)
    }
}

impl IdentityWrites<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.removed.is_empty() && self.log.is_empty() && self.attempts.is_empty()
    }
}

pub(super) fn write(txn: &WriteTransaction, writes: &IdentityWrites<'_>) -> Result<(), StoreError> {
    if writes.is_empty() {
        return Ok(());
    }
    let mut verifiers = txn.open_table(tables::VERIFIERS)?;
    for row in &writes.put {
        verifiers.insert((row.account.0, row.kind.as_str()), cbor::encode(*row).as_slice())?;
    }
    for (account, kind) in &writes.removed {
        verifiers.remove((account.0, *kind))?;
    }
    let mut log = txn.open_table(tables::ENROLMENT_LOG)?;
    for row in &writes.log {
        let next = log.last()?.map_or(0, |(number, _)| number.value().saturating_add(1));
        log.insert(next, cbor::encode(*row).as_slice())?;
    }
    let mut attempts = txn.open_table(tables::ATTEMPTS)?;
    for (subject, row) in &writes.attempts {
        match row {
            Some(row) => attempts.insert(*subject, *row)?,
            None => attempts.remove(*subject)?,
        };
    }
    Ok(())
}

impl Store {
    /// The verifier of an account and a type.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn verifier(&self, account: &AccountId, kind: &str) -> Result<Option<VerifierRow>, StoreError> {
        let verifiers = self.read()?.open_table(tables::VERIFIERS)?;
        let row = verifiers.get((account.0, kind))?;
        row.map(|value| cbor::decode(value.value(), "verifier", ROW_BYTES_MAX).map_err(StoreError::damaged)).transpose()
    }

    /// All verifiers of an account, in the order of their types.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn verifiers(&self, account: &AccountId) -> Result<Vec<VerifierRow>, StoreError> {
        let verifiers = self.read()?.open_table(tables::VERIFIERS)?;
        let mut rows: Vec<VerifierRow> = Vec::new();
        for row in verifiers.range((account.0, "")..)? {
            let (key, value) = row?;
            if key.value().0 != account.0 {
                break;
            }
            rows.push(cbor::decode(value.value(), "verifier", ROW_BYTES_MAX).map_err(StoreError::damaged)?);
        }
        Ok(rows)
    }

    /// The last lines of the log of enrolments, at most `count`, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn enrolments(&self, count: usize) -> Result<Vec<EnrolmentRow>, StoreError> {
        let log = self.read()?.open_table(tables::ENROLMENT_LOG)?;
        let decode = |bytes: &[u8]| cbor::decode(bytes, "enrolment", ROW_BYTES_MAX).map_err(StoreError::damaged);
        log.iter()?.rev().take(count).map(|row| decode(row?.1.value())).collect()
    }

    /// The failed attempts that count, as they were stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn attempts(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let attempts = self.read()?.open_table(tables::ATTEMPTS)?;
        attempts.iter()?.map(|row| Ok(row?.1.value().to_vec())).collect()
    }
}
