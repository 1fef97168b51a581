//! What the network needs before the first order: listings, accounts, cash.
//!
//! Each step first looks at the ledger and does only what is missing, so an interrupted set-up just goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use stemma_node_api::catalogue::{ListInstrument, TermsView};
use stemma_node_api::types::{AccountView, IssueCash, OpenAccount};
use stemma_node_api::{Client, ClientError};

use super::layout::Folder;
use super::plan::{BANKS, CASH_DECIMALS, CURRENCY, INSTITUTIONS, WORKING_CASH};
use super::prices::Prices;
use super::processes::Clients;
use super::state::State;
use crate::error::CliError;
use crate::files;
use crate::node::{is_absent, is_passing};
use crate::progress::Progress;

/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// The fee of every trade, in basis points of its cost.
const FEE_BASIS_POINTS: u16 = 10;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A customer's account, as `customers/<name>.json` tells it.
#[derive(Serialize)]
struct Card<'c> {
    name: &'c str,
    bank: &'c str,
    account: &'c str,
    public_key: String,
}

/// Lists what is traded, opens the customers' accounts and funds them.
///
/// # Errors
/// A node refuses a step or can't be reached.
pub async fn run(
    clients: &Clients,
    folder: &Folder,
    state: &mut State,
    prices: &Prices,
    progress: &mut Progress,
) -> Result<(), CliError> {
    list_all(clients, prices, progress).await?;
    open_all(clients, folder, state, progress).await?;
    for bank in BANKS {
        fund(client(clients, bank)?, bank, state).await?;
        progress.advance(1);
    }
    state.is_set_up = true;
    state.save(&folder.state())
}

/// How many steps the set-up has.
pub fn steps(state: &State, prices: &Prices) -> u64 {
    let listings = prices.instruments().count().saturating_add(BANKS.len());
    let steps = listings.saturating_add(state.customers.len()).saturating_add(BANKS.len());
    u64::try_from(steps).unwrap_or(u64::MAX)
}

/// The client of a member's node.
///
/// # Errors
/// There is no such member.
pub fn client<'c>(clients: &'c Clients, member: &str) -> Result<&'c Client, CliError> {
    clients.get(member).ok_or_else(|| CliError::files(format!("the sandbox has no member {member}")))
}

/// An account's state, where it has one.
///
/// # Errors
/// The node can't be reached for a while, or refuses.
pub async fn account(client: &Client, id: &str) -> Result<Option<AccountView>, CliError> {
    let limit = Limit::start();
    loop {
        match client.account(id).await {
            Ok(account) => return Ok(Some(account)),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => limit.pause(error).await?,
        }
    }
}

async fn list_all(clients: &Clients, prices: &Prices, progress: &mut Progress) -> Result<(), CliError> {
    let currency = ListInstrument {
        code: CURRENCY.to_owned(),
        kind: "currency".to_owned(),
        decimals: CASH_DECIMALS,
        name: "US dollar".to_owned(),
        quoted_in: None,
        isin: None,
        terms: None,
    };
    for bank in BANKS {
        list(client(clients, bank)?, bank, &currency).await?;
        progress.advance(1);
    }
    for instrument in prices.instruments() {
        let stock = ListInstrument {
            code: instrument.code().to_owned(),
            kind: "stock".to_owned(),
            decimals: 0,
            name: instrument.code().to_owned(),
            quoted_in: Some(CURRENCY.to_owned()),
            isin: None,
            terms: Some(TermsView {
                fee_buy_basis_points: FEE_BASIS_POINTS,
                fee_sell_basis_points: FEE_BASIS_POINTS,
                ..TermsView::default()
            }),
        };
        list(client(clients, instrument.issuer())?, instrument.issuer(), &stock).await?;
        progress.advance(1);
    }
    Ok(())
}

/// Lists an instrument, unless it is listed.
///
/// # Errors
/// The node refuses or can't be reached.
pub async fn list(client: &Client, issuer: &str, listing: &ListInstrument) -> Result<(), CliError> {
    let name = format!("{issuer}/{}", listing.code);
    let limit = Limit::start();
    loop {
        if client.instruments().await?.iter().any(|listed| listed.instrument == name) {
            return Ok(());
        }
        match client.list_instrument(listing).await {
            Ok(_) => return Ok(()),
            Err(error) => limit.pause(error).await?,
        }
    }
}

async fn open_all(
    clients: &Clients,
    folder: &Folder,
    state: &mut State,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let names: Vec<String> = state.customers.keys().cloned().collect();
    for name in names {
        let Some(customer) = state.customers.get(&name) else { continue };
        if customer.account.is_none() {
            let bank = customer.bank.clone();
            let key = hex::encode(folder.open_customer_key(&name)?.public_key());
            let account = open(client(clients, &bank)?, &key).await?;
            write_card(folder, &Card { name: &name, bank: &bank, account: &account, public_key: key })?;
            state.customers.entry(name).and_modify(|customer| customer.account = Some(account));
            state.save(&folder.state())?;
        }
        progress.advance(1);
    }
    Ok(())
}

/// Opens an account for a key, or finds the one that it has.
///
/// # Errors
/// The node refuses or can't be reached.
pub async fn open(client: &Client, key: &str) -> Result<String, CliError> {
    let limit = Limit::start();
    loop {
        // One that was opened just before the sandbox was killed, or after the node stopped waiting.
        if let Some(account) = accounts_by_key(client).await?.remove(key) {
            return Ok(account);
        }
        match client.open_account(&OpenAccount { key: key.to_owned() }).await {
            Ok(opened) => return Ok(opened.id),
            Err(error) => limit.pause(error).await?,
        }
    }
}

async fn accounts_by_key(client: &Client) -> Result<BTreeMap<String, String>, CliError> {
    let mut accounts = BTreeMap::new();
    let mut after = None;
    loop {
        let page = client.accounts(after.as_deref()).await?;
        for id in page.accounts {
            // Members' own accounts have no customer's key; they are listed all the same.
            if let Some(key) = account(client, &id).await?.and_then(|view| view.key) {
                accounts.insert(key, id);
            }
        }
        if page.next.is_none() {
            return Ok(accounts);
        }
        after = page.next;
    }
}

/// Credits the bank's customers and both institutions, in one record, so that all of it is done or nothing.
async fn fund(client: &Client, bank: &str, state: &State) -> Result<(), CliError> {
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for customer in state.customers.values().filter(|customer| customer.bank == bank) {
        wanted.extend(customer.account.clone().map(|account| (account, customer.cash.clone())));
    }
    let institutions: BTreeSet<&str> = INSTITUTIONS.into_iter().collect();
    for member in client.members().await? {
        if institutions.contains(member.id.as_str()) {
            for purpose in ["settlement", "promotion"] {
                let account = member.accounts.get(purpose).cloned().ok_or_else(|| {
                    CliError::network(format!("the node of {bank} names no {purpose} account of {}", member.id))
                })?;
                wanted.insert(account, WORKING_CASH.to_string());
            }
        }
    }
    loop {
        let mut credits = BTreeMap::new();
        for (id, cash) in &wanted {
            if !has_cash(client, id, bank).await? {
                credits.insert(id.clone(), cash.clone());
            }
        }
        if credits.is_empty() {
            return Ok(());
        }
        match client.issue(&IssueCash { code: CURRENCY.to_owned(), credits: credits.clone() }).await {
            Ok(_) => return Ok(()),
            // It may still commit: only waited for, since issuing anew would credit twice.
            Err(error) if is_passing(&error) => await_cash(client, bank, &credits, error).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn await_cash(
    client: &Client,
    bank: &str,
    credits: &BTreeMap<String, String>,
    error: ClientError,
) -> Result<(), CliError> {
    let limit = Limit::start();
    for id in credits.keys() {
        while !has_cash(client, id, bank).await? {
            if limit.has_passed() {
                return Err(error.into());
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
    Ok(())
}

/// Whether an account has ever had cash of the bank.
async fn has_cash(client: &Client, id: &str, bank: &str) -> Result<bool, CliError> {
    let account = account(client, id).await?;
    Ok(account.is_some_and(|view| view.sequence > 0 || view.total.contains_key(&format!("{bank}/{CURRENCY}"))))
}

fn write_card(folder: &Folder, card: &Card<'_>) -> Result<(), CliError> {
    let mut text = serde_json::to_vec_pretty(card)
        .map_err(|error| CliError::files("cannot encode a customer's card").caused_by(&error))?;
    text.push(b'\n');
    files::write(&folder.customer_card(card.name), &text, files::MODE_PUBLIC, true)
}

/// How long a step goes on trying.
pub struct Limit(Instant);

impl Limit {
    /// From now on.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Pauses after a failure that may pass.
    ///
    /// # Errors
    /// Every other failure, and one that lasts.
    pub async fn pause(&self, error: ClientError) -> Result<(), CliError> {
        if !is_passing(&error) || self.has_passed() {
            return Err(error.into());
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        Ok(())
    }

    /// Pauses before something that is not there yet is looked for again.
    ///
    /// # Errors
    /// The time has passed.
    pub async fn wait(&self, missing: &str) -> Result<(), CliError> {
        if self.has_passed() {
            return Err(CliError::network(missing.to_owned()).help("the same command goes on from the committed state"));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        Ok(())
    }

    fn has_passed(&self) -> bool {
        self.0.elapsed() > STEP_LIMIT
    }
}
