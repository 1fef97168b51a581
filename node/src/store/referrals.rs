//! A bank's referrals: stored before they are answered, so that the same promotion always gets the same one.

use minicbor::bytes::ByteVec;
use redb::WriteTransaction;
use stemma_chain_format::cbor;
use stemma_chain_format::hash::Link;

use super::{Store, StoreError, short, tables};

/// One referral.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct ReferralRow {
    /// The link of the promotion that it answers.
    #[n(0)]
    pub promotion: Link,
    /// The signed referral's bytes.
    #[n(1)]
    pub referral: ByteVec,
}

/// Largest encoding of a row, in bytes.
const ROW_BYTES_MAX: usize = 1_024;

pub(super) fn write(txn: &WriteTransaction, rows: &[&ReferralRow]) -> Result<(), StoreError> {
    let mut referrals = txn.open_table(tables::REFERRALS)?;
    for row in rows {
        referrals.insert(short(&row.promotion.0), cbor::encode(*row).as_slice())?;
    }
    Ok(())
}

impl Store {
    /// The referral that answers a promotion.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn referral(&self, promotion: &Link) -> Result<Option<ReferralRow>, StoreError> {
        let referrals = self.read()?.open_table(tables::REFERRALS)?;
        let Some(value) = referrals.get(short(&promotion.0))? else { return Ok(None) };
        let row: ReferralRow =
            cbor::decode(value.value(), "referral row", ROW_BYTES_MAX).map_err(StoreError::damaged)?;
        Ok(Some(row).filter(|row| row.promotion == *promotion))
    }
}
