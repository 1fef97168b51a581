//! The replay: day after day, the institutions move to it, the customers give its orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use stemma_chain_format::genesis::GenesisFile;
use stemma_node_api::types::MoveDay;
use tokio::task::JoinSet;

use super::layout::Folder;
use super::orders::{Order, Orders};
use super::plan::{INSTITUTIONS, STRANGERS_BANK};
use super::prices::Prices;
use super::processes::Clients;
use super::setup::{Limit, client};
use super::state::{ReplayState, State, Tally};
use super::trader::{Shared, Trader};
use crate::error::CliError;
use crate::progress::Progress;
use crate::requests::{fresh_counter, now_ms};

/// Replays what is not yet replayed, and remembers each finished day.
///
/// # Errors
/// A node fails or answers what is not true.
pub async fn run(
    clients: &Clients,
    folder: &Folder,
    state: &mut State,
    (prices, orders): (&Prices, &Orders),
    genesis: &GenesisFile,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let shared = Arc::new(Shared { genesis: genesis.clone(), started_ms: now_ms() });
    let mut traders = BTreeMap::new();
    progress.advance(state.replay.next);
    let done = state.replay.day.clone();
    let is_done = |day: &String| done.as_ref().is_some_and(|done| day <= done);
    for day in prices.days().iter().filter(|day| !is_done(day)) {
        if orders.last_day().is_none_or(|last| day.as_str() > last) {
            break;
        }
        move_day(clients, day).await?;
        let today = orders.of_day(day);
        replay_day(clients, folder, state, today, &shared, &mut traders, progress).await?;
        state.replay.day = Some(day.clone());
        state.replay.next = state.replay.next.saturating_add(u64::try_from(today.len()).unwrap_or(u64::MAX));
        state.save(&folder.state())?;
    }
    state.replay.is_finished = true;
    state.save(&folder.state())
}

/// Begins with another orders file, where the one before is finished.
///
/// # Errors
/// It is not, or a node can't be asked for the counters.
pub async fn begin(clients: &Clients, state: &mut State, orders: &str) -> Result<(), CliError> {
    state.replay = ReplayState { orders: orders.to_owned(), ..ReplayState::default() };
    for customer in state.customers.values_mut() {
        let Some(account) = &customer.account else { continue };
        let view = client(clients, &customer.bank)?.account(account).await?;
        // The customer may have traded by hand since. Remembered, so that the same orders get the same counters.
        customer.accepted = view.counter;
        customer.counter = fresh_counter(customer.counter.max(view.counter));
    }
    Ok(())
}

/// Moves both institutions to a trading day.
///
/// # Errors
/// One refuses or can't be reached.
pub async fn move_day(clients: &Clients, day: &str) -> Result<(), CliError> {
    for institution in INSTITUTIONS {
        let limit = Limit::start();
        while let Err(error) = client(clients, institution)?.move_day(&MoveDay { day: day.to_owned() }).await {
            limit.pause(error).await?;
        }
    }
    Ok(())
}

async fn replay_day(
    clients: &Clients,
    folder: &Folder,
    state: &mut State,
    orders: &[Order],
    shared: &Arc<Shared>,
    traders: &mut BTreeMap<String, Trader>,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let mut by_customer: BTreeMap<String, Vec<Order>> = BTreeMap::new();
    for order in orders {
        by_customer.entry(order.customer.clone()).or_default().push(order.clone());
    }
    // Dropped when this run is interrupted, which ends every task.
    let mut tasks = JoinSet::new();
    for (name, orders) in by_customer {
        let trader = match traders.remove(&name) {
            Some(trader) => trader,
            None => trader(clients, folder, state, &name)?,
        };
        tasks.spawn(give_all(name, trader, orders, Arc::clone(shared)));
    }
    while let Some(finished) = tasks.join_next().await {
        let failed = |error| CliError::files("a customer's task failed").caused_by(&error);
        let (name, trader, tally, count) = finished.map_err(failed)??;
        if let Some(customer) = state.customers.get_mut(&name) {
            customer.counter = trader.counter;
            customer.accepted = trader.accepted;
        }
        state.replay.tally.add(tally);
        traders.insert(name, trader);
        progress.advance(count);
    }
    Ok(())
}

async fn give_all(
    name: String,
    mut trader: Trader,
    orders: Vec<Order>,
    shared: Arc<Shared>,
) -> Result<(String, Trader, Tally, u64), CliError> {
    let mut tally = Tally::default();
    for order in &orders {
        trader.give(order, &shared, &mut tally).await?;
    }
    let count = u64::try_from(orders.len()).unwrap_or(u64::MAX);
    Ok((name, trader, tally, count))
}

fn trader(clients: &Clients, folder: &Folder, state: &State, name: &str) -> Result<Trader, CliError> {
    let Some(customer) = state.customers.get(name) else {
        return Trader::stranger(client(clients, STRANGERS_BANK)?.clone(), STRANGERS_BANK);
    };
    let account = customer.account.as_deref().unwrap_or_default();
    let account = account.parse().map_err(|error| {
        CliError::files(format!("the sandbox's state names no account of {name}")).caused_by(&error)
    })?;
    let key = folder.open_customer_key(name)?;
    let client = client(clients, &customer.bank)?.clone();
    Ok(Trader::customer(client, &customer.bank, account, key, (customer.counter, customer.accepted)))
}
