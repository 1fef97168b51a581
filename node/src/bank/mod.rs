//! The bank: takes requests in, verifies identities, endorses, sends, settles.
//!
//! The road of a request: [`intake`] → [`identity`] → [`endorse`] → [`queue`] → [`dispatch`] → [`settle`].

mod credit;
mod dispatch;
mod endorse;
pub mod identity;
mod intake;
mod issue;
mod queue;
mod settle;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_node_api::config::BankConfig;

use crate::role::shortened;
use crate::store::{Store, StoreError, TradeRow, TradeState};
use dispatch::Dispatch;
pub use dispatch::{DISPATCH_RETRY_MS, SendFailure};
pub use intake::{Intake, IntakeError};
pub use issue::IssueError;
use queue::Lines;

/// A bank's state: the requests that are not final, and what waits for what.
pub struct Bank {
    id: MemberId,
    network: NetworkId,
    key: SigningKey,
    config: BankConfig,
    store: Store,
    verifiers: identity::Verifiers,
    /// Requests that are not final.
    open: BTreeMap<Link, TradeRow>,
    lines: Lines,
    dispatch: Dispatch,
    /// Executed chains that wait for a block: chain id → request.
    executed: BTreeMap<Link, Link>,
    /// Last height of an endorsement → requests.
    expiries: BTreeMap<u64, Vec<Link>>,
    counters: BTreeMap<AccountId, u64>,
    next_number: u64,
}

impl std::fmt::Debug for Bank {
    /// Leaves keys and requests out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bank").field("id", &self.id).field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Bank {
    /// A bank as its store left it. [`Self::resume`] then takes up what was in flight.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        id: MemberId,
        network: NetworkId,
        key: SigningKey,
        config: BankConfig,
        store: Store,
    ) -> Result<Self, StoreError> {
        let next_number = store.next_trade_number()?;
        Ok(Self {
            id,
            network,
            key,
            config,
            store,
            verifiers: identity::Verifiers::standard(),
            open: BTreeMap::new(),
            lines: Lines::default(),
            dispatch: Dispatch::default(),
            executed: BTreeMap::new(),
            expiries: BTreeMap::new(),
            counters: BTreeMap::new(),
            next_number,
        })
    }

    /// A request as it stands: from memory while it is open, else from the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn trade(&self, link: &Link) -> Result<Option<TradeRow>, StoreError> {
        match self.open.get(link) {
            Some(row) => Ok(Some(row.clone())),
            None => self.store.trade(link),
        }
    }

    fn refusal(
        &self,
        refused: Link,
        reason: RefusalReason,
        expected: impl Into<String>,
        found: impl Into<String>,
        now_ms: u64,
    ) -> Result<Signed<Refusal>, Violation> {
        let record = Refusal {
            network: self.network,
            member: self.id.clone(),
            refused,
            reason,
            expected: shortened(expected.into()),
            found: shortened(found.into()),
            refused_ms: now_ms,
        };
        Signed::sign(record, &self.key)
    }

    /// Moves an open request to a state; a final one leaves memory. Returns the row to store.
    fn move_to(&mut self, link: &Link, state: TradeState, now_ms: u64) -> Option<TradeRow> {
        let row = self.open.get_mut(link)?;
        row.state = state;
        row.changed_ms = now_ms;
        let row = row.clone();
        if state.is_final() {
            self.open.remove(link);
            self.dispatch.forget(link);
            self.lines.release(&row.account, link);
        }
        Some(row)
    }
}
