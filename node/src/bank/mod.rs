//! The bank: takes requests in, verifies identities, endorses, sends, settles; and services accounts.
//!
//! The road of a request: [`intake`] → [`identity`] → [`endorse`] → [`queue`] → [`dispatch`] → [`settle`]. An instruction or an
//! operator's act goes [`intake`] → [`identity`] → [`service`] → [`settle`]; a promotion [`intake`] → [`identity`] → [`promote`].

mod asked;
mod credit;
mod desk;
mod dispatch;
mod endorse;
pub mod identity;
mod intake;
mod issue;
mod promote;
mod queue;
mod reseal;
mod service;
mod settle;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_node_api::config::BankConfig;

use crate::role::{RoleEffect, shortened};
use crate::store::{OrderKind, OrderRow, OrderState, Store, StoreError};
pub use desk::{Desk, DeskError, Holder, IdentityFile, IdentityJob, IdentityOutcome};
use dispatch::Dispatch;
pub use dispatch::{DISPATCH_RETRY_MS, SendFailure};
use identity::attempts::Attempts;
pub use intake::{HandedIn, Intake, IntakeError};
pub use issue::IssueError;
use queue::{Lines, Queues};
pub use queue::{QueueConfig, QueueShown, Rank};
pub use reseal::{ResealError, reseal};
pub use service::{ActError, act_of};

/// A bank's state: the orders that are not final, and what waits for what.
pub struct Bank {
    id: MemberId,
    network: NetworkId,
    key: SigningKey,
    config: BankConfig,
    store: Store,
    desk: Arc<Desk>,
    attempts: Attempts,
    /// Orders whose identity is being verified, one at a time for each account; they are not stored yet.
    identifying: BTreeMap<AccountId, VecDeque<intake::AtTheDoor>>,
    /// Identities to verify that the node has not taken yet.
    jobs: VecDeque<IdentityJob>,
    /// Verifiers in a form that is not durable yet; an order at the door is compared with these.
    used_up: BTreeMap<(AccountId, String), Vec<u8>>,
    /// Clients' names of orders that are not durable yet.
    fresh_keys: BTreeMap<(AccountId, String), Link>,
    /// Promotions that are answered and not durable yet.
    fresh_referred: BTreeMap<Link, OrderRow>,
    /// Orders that are not final.
    open: BTreeMap<Link, OrderRow>,
    lines: Lines,
    queues: Queues,
    dispatch: Dispatch,
    /// Entries that wait for a block: entry → order.
    executed: BTreeMap<Link, Link>,
    /// Last height at which an order may commit → orders.
    expiries: BTreeMap<u64, Vec<Link>>,
    counters: BTreeMap<AccountId, u64>,
    next_number: u64,
    next_turned: u64,
    /// How many orders became final, to tell how soon a full bank has room again.
    pace: intake::Pace,
    /// When failures were last looked through.
    forgot_ms: u64,
}

/// How often failed attempts are looked through for old ones, in milliseconds.
const FORGET_EVERY_MS: u64 = 60_000;

impl std::fmt::Debug for Bank {
    /// Leaves keys and orders out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bank").field("id", &self.id).field("open", &self.open.len()).finish_non_exhaustive()
    }
}

/// What a bank is made of, beside its store.
pub struct BankParts {
    /// The bank.
    pub id: MemberId,
    /// The network.
    pub network: NetworkId,
    /// Signs its records.
    pub key: SigningKey,
    /// Its rules.
    pub config: BankConfig,
    /// How it verifies identities.
    pub desk: Arc<Desk>,
}

impl Bank {
    /// A bank as its store left it. [`Self::resume`] then takes up what was in flight.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(parts: BankParts, store: Store) -> Result<Self, StoreError> {
        let BankParts { id, network, key, config, desk } = parts;
        let rows = store.attempts()?;
        let rows = rows.iter().map(|bytes| identity::attempts::Row::decode(bytes).map_err(StoreError::damaged));
        let attempts = Attempts::new(desk.attempts(), rows.collect::<Result<Vec<_>, _>>()?);
        let turned = store.turned_away()?.iter().map(|row| row.number).max();
        let window = usize::try_from(config.window).unwrap_or(usize::MAX);
        Ok(Self {
            next_number: store.next_order_number()?,
            next_turned: turned.map_or(0, |number| number.saturating_add(1)),
            queues: Queues::new(QueueConfig { window, advance_ms_max: config.activity_advance_ms }),
            id,
            network,
            key,
            config,
            store,
            desk,
            attempts,
            identifying: BTreeMap::new(),
            jobs: VecDeque::new(),
            used_up: BTreeMap::new(),
            fresh_keys: BTreeMap::new(),
            fresh_referred: BTreeMap::new(),
            open: BTreeMap::new(),
            lines: Lines::default(),
            dispatch: Dispatch::default(),
            executed: BTreeMap::new(),
            expiries: BTreeMap::new(),
            counters: BTreeMap::new(),
            pace: intake::Pace::default(),
            forgot_ms: 0,
        })
    }

    /// How it verifies identities.
    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// An order as it stands: from memory while it is open, else from the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn order(&self, link: &Link) -> Result<Option<OrderRow>, StoreError> {
        match self.open.get(link).or_else(|| self.fresh_referred.get(link)) {
            Some(row) => Ok(Some(row.clone())),
            None => self.store.order(link),
        }
    }

    /// The queues, of each the next `count` that wait.
    pub fn queues(&self, count: usize) -> Vec<QueueShown> {
        self.queues.shown(count)
    }

    /// How many orders are not final.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// What was asked for is durable.
    pub fn stored(&mut self) {
        self.used_up.clear();
        self.fresh_keys.clear();
        self.fresh_referred.clear();
    }

    /// Time goes on: asks again whatever is due, and forgets failures that are long ago.
    pub fn tick(&mut self, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        self.ask_again(now_ms, effects);
        if now_ms.saturating_sub(self.forgot_ms) >= FORGET_EVERY_MS {
            self.forgot_ms = now_ms;
            self.forget_failures(now_ms, effects);
        }
    }

    /// Begins an account's next waiting order, unless one is under way.
    fn advance(&mut self, account: &AccountId, ledger: &Ledger, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        while let Some(link) = self.lines.next(account) {
            let Some(row) = self.open.get(&link) else {
                self.lines.release(account, &link);
                continue;
            };
            let begun = match row.kind {
                OrderKind::Trade => self.endorse(&link, ledger, now_ms, effects),
                // A promotion is answered at the door and never stands in a line.
                OrderKind::Promotion => return,
                OrderKind::Instruction | OrderKind::Act => self.service(&link, ledger, now_ms, effects),
            };
            let Err(no) = begun else { return };
            tracing::info!(order = %link, reason = %no.reason, found = %no.found, "the order is refused at its turn");
            self.refuse_open(&link, no, now_ms, effects);
        }
    }

    fn refuse_open(&mut self, link: &Link, no: No, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let refusal = self.refusal(*link, no, now_ms);
        if let (Some(row), Ok(refusal)) = (self.open.get_mut(link), &refusal) {
            row.refusal = Some(refusal.bytes().to_vec().into());
        }
        if let Some(row) = self.move_to(link, OrderState::Refused, now_ms) {
            effects.push(RoleEffect::StoreOrder(Box::new(row)));
            effects.push(RoleEffect::Changed(*link));
        }
    }

    fn refusal(&self, refused: Link, no: No, now_ms: u64) -> Result<Signed<Refusal>, Violation> {
        let No { reason, expected, found } = no;
        let record = Refusal {
            network: self.network,
            member: self.id.clone(),
            refused,
            reason,
            expected: shortened(expected),
            found: shortened(found),
            refused_ms: now_ms,
        };
        Signed::sign(record, &self.key)
    }

    /// Moves an open order to a state; a final one leaves memory. Returns the row to store.
    fn move_to(&mut self, link: &Link, state: OrderState, now_ms: u64) -> Option<OrderRow> {
        let row = self.open.get_mut(link)?;
        row.move_to(state, now_ms);
        let row = row.clone();
        if state.is_final() {
            self.open.remove(link);
            self.dispatch.forget(link);
            self.lines.release(&row.account, link);
            self.pace.count(now_ms);
        }
        if !state.is_endorsed()
            && let Some(institution) = &row.institution
        {
            self.queues.release(institution, link);
        }
        Some(row)
    }
}

/// A reason with what was asked and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct No {
    reason: RefusalReason,
    expected: String,
    found: String,
}

fn no(reason: RefusalReason, expected: impl ToString, found: impl ToString) -> No {
    No { reason, expected: expected.to_string(), found: found.to_string() }
}
