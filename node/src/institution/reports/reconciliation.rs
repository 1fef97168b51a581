//! The book against the ledger, in one snapshot: whatever differs is a row, and there must be none.
//!
//! It is exact: what this institution issues reaches customers by its executions alone, and withdrawals move nothing but cash.

use std::collections::{BTreeMap, BTreeSet};

use stemma_chain_format::amount::Amount;
use stemma_chain_format::hash::{AccountId, NetworkId};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::Account;
use stemma_chain_format::member::{MemberId, OwnAccount};
use stemma_chain_format::position::Position;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::request::Side;
use stemma_node_api::reports::{DifferenceRow, ReconciliationReport, Report as _};

use super::{Decimals, Period, ReportError, Sum};
use crate::store::{BookRow, Store};

/// Compares the whole book with the ledger as it stands.
///
/// # Errors
/// [`ReportError`].
pub fn report(
    store: &Store,
    network: &NetworkId,
    institution: &MemberId,
    period: &Period,
) -> Result<ReconciliationReport, ReportError> {
    period.without(&["from", "to"])?;
    let snapshot = store.snapshot()?;
    let at = snapshot.read_at()?;
    let mut compared = Reconciliation::new(network, institution);
    for row in snapshot.book()? {
        compared.book(&row?)?;
    }
    for account in snapshot.accounts()? {
        compared.ledger(&account?)?;
    }
    for position in snapshot.positions()? {
        compared.position(&position?)?;
    }
    drop(snapshot);
    let (trades, accounts) = (compared.trades, compared.accounts);
    let differences = compared.differences(&Decimals::of_store(store)?)?;
    let head = period.head(ReconciliationReport::NAME, institution, at);
    Ok(ReconciliationReport { head, trades, accounts, differences })
}

/// What one side says: book or ledger.
#[derive(Debug, Default)]
struct Books {
    /// Units issued: bought less sold; what the settlement account owes.
    issued: BTreeMap<InstrumentId, Sum>,
    /// Units that others have; by the book the same as issued.
    outstanding: BTreeMap<InstrumentId, Sum>,
    positions: BTreeMap<(InstrumentId, AccountId), Sum>,
    fees: BTreeMap<InstrumentId, Sum>,
}

impl Books {
    fn position(&mut self, account: AccountId, instrument: &InstrumentId, amount: Amount) -> Result<(), ReportError> {
        self.positions.entry((instrument.clone(), account)).or_default().add(instrument, amount)?;
        self.outstanding.entry(instrument.clone()).or_default().add(instrument, amount)
    }
}

/// The comparison in the making.
#[derive(Debug)]
pub(super) struct Reconciliation {
    institution: MemberId,
    settlement: AccountId,
    fees: AccountId,
    book: Books,
    ledger: Books,
    trades: u64,
    accounts: u64,
}

impl Reconciliation {
    pub(super) fn new(network: &NetworkId, institution: &MemberId) -> Self {
        Self {
            institution: institution.clone(),
            settlement: own_account(network, institution, OwnAccount::Settlement),
            fees: own_account(network, institution, OwnAccount::Fees),
            book: Books::default(),
            ledger: Books::default(),
            trades: 0,
            accounts: 0,
        }
    }

    /// Takes a row of the book in.
    pub(super) fn book(&mut self, row: &BookRow) -> Result<(), ReportError> {
        self.trades = self.trades.saturating_add(1);
        let units = match row.side {
            Side::Buy => row.quantity,
            Side::Sell => row.quantity.negated(),
        };
        self.book.issued.entry(row.instrument.clone()).or_default().add(&row.instrument, units)?;
        self.book.position(row.account, &row.instrument, units)?;
        self.book.fees.entry(row.cash.clone()).or_default().add(&row.cash, row.fee)
    }

    /// Takes an account of the ledger in, with what waits for it.
    pub(super) fn ledger(&mut self, account: &Account) -> Result<(), ReportError> {
        self.accounts = self.accounts.saturating_add(1);
        let id = account.state.account;
        let held = account.state.holdings.iter();
        let waiting = account.inbox.iter().map(|credit| (&credit.instrument, credit.amount));
        for (instrument, amount) in held.chain(waiting) {
            let is_own = instrument.is_issued_by(&self.institution);
            if id == self.fees && !is_own {
                self.ledger.fees.entry(instrument.clone()).or_default().add(instrument, amount)?;
            } else if id == self.settlement && is_own {
                self.ledger.issued.entry(instrument.clone()).or_default().add(instrument, amount.negated())?;
            } else if is_own {
                self.ledger.position(id, instrument, amount)?;
            }
        }
        Ok(())
    }

    /// Takes a position of the ledger in: what an order reserves, or a futures position has, is still its account's.
    pub(super) fn position(&mut self, position: &Position) -> Result<(), ReportError> {
        let held = position.holdings().filter(|(instrument, _)| instrument.is_issued_by(&self.institution));
        for (instrument, amount) in held {
            self.ledger.position(position.account, instrument, amount)?;
        }
        Ok(())
    }

    /// Everything that book and ledger say differently.
    pub(super) fn differences(self, decimals: &Decimals) -> Result<Vec<DifferenceRow>, ReportError> {
        let Self { settlement, fees, book, ledger, .. } = self;
        let mut found = Vec::new();
        for (check, account, book, ledger) in [
            ("issued", Some(settlement), &book.issued, &ledger.issued),
            ("outstanding", None, &book.outstanding, &ledger.outstanding),
            ("fees", Some(fees), &book.fees, &ledger.fees),
        ] {
            for (instrument, book, ledger) in differing(book, ledger) {
                found.push(row(check, instrument, account, (book, ledger), decimals)?);
            }
        }
        for ((instrument, account), book, ledger) in differing(&book.positions, &ledger.positions) {
            found.push(row("holding", instrument, Some(*account), (book, ledger), decimals)?);
        }
        Ok(found)
    }
}

/// The keys under which two sides have different sums; what is not there is zero.
fn differing<'m, K: Ord>(book: &'m BTreeMap<K, Sum>, ledger: &'m BTreeMap<K, Sum>) -> Vec<(&'m K, Sum, Sum)> {
    let keys: BTreeSet<&K> = book.keys().chain(ledger.keys()).collect();
    let of = |side: &BTreeMap<K, Sum>, key: &K| side.get(key).copied().unwrap_or_default();
    let both = keys.into_iter().map(|key| (key, of(book, key), of(ledger, key)));
    both.filter(|(_, book, ledger)| book != ledger).collect()
}

fn row(
    check: &str,
    instrument: &InstrumentId,
    account: Option<AccountId>,
    (book, ledger): (Sum, Sum),
    decimals: &Decimals,
) -> Result<DifferenceRow, ReportError> {
    Ok(DifferenceRow {
        check: check.to_owned(),
        instrument: instrument.to_string(),
        account: account.map(|account| account.to_string()),
        book: book.to_string(),
        ledger: ledger.to_string(),
        decimals: decimals.of(instrument)?,
    })
}
