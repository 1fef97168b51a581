//! Calls for audit bundles.

use std::time::Duration;

use super::{BACKUP_SECONDS_MAX, Client, ClientError};
use crate::routes;
use crate::types::BundleClaim;

impl Client {
    /// The bundle of an account's lineage.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account_bundle(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        self.account_bundle_at(id, BundleClaim::Lineage, (None, None)).await
    }

    /// The bundle of what an account holds, with or without why; at a height, or at the last block; of a lineage, from a height on, or from its
    /// opening.
    ///
    /// # Errors
    /// [`ClientError`]. Of an id that is no account, what it holds is the proof that it is none.
    pub async fn account_bundle_at(
        &self,
        id: &str,
        claim: BundleClaim,
        (from, height): (Option<u64>, Option<u64>),
    ) -> Result<Vec<u8>, ClientError> {
        let claim = match claim {
            BundleClaim::Lineage => "lineage",
            BundleClaim::Holdings => "holdings",
        };
        let given =
            |name: &str, height: Option<u64>| height.map(|height| format!("&{name}={height}")).unwrap_or_default();
        let given = [given("from", from), given("height", height)].concat();
        let path = routes::ACCOUNT_BUNDLE.replace("{id}", id);
        let call = self.http.get(format!("{}{path}?claim={claim}{given}", self.base));
        // An earlier height is replayed first.
        let mut answer = self.accepted(call.timeout(Duration::from_secs(BACKUP_SECONDS_MAX))).await?;
        let mut bundle = Vec::new();
        self.write_all(&mut answer, &mut bundle).await?;
        Ok(bundle)
    }

    /// The bundle that proves a block and its entries.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn block_bundle(&self, height: u64) -> Result<Vec<u8>, ClientError> {
        self.bytes(&routes::BLOCK_BUNDLE.replace("{height}", &height.to_string())).await
    }

    /// Writes the bundle of the whole ledger, up to a height or to the last block.
    ///
    /// # Errors
    /// [`ClientError`]; then what is written is of no use.
    pub async fn ledger_bundle(&self, height: Option<u64>, to: &mut impl std::io::Write) -> Result<(), ClientError> {
        let height = height.map(|height| format!("?height={height}")).unwrap_or_default();
        let call = self.http.get(format!("{}{}{height}", self.base, routes::LEDGER_BUNDLE));
        let mut answer = self.accepted(call.timeout(Duration::from_secs(BACKUP_SECONDS_MAX))).await?;
        self.write_all(&mut answer, to).await
    }

    /// The bundle that proves that an entry was committed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn entry_bundle(&self, id: &str) -> Result<Vec<u8>, ClientError> {
        self.bytes(&routes::CHAIN_BUNDLE.replace("{id}", id)).await
    }
}
