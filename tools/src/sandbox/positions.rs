//! A fund that is priced forward and a future: orders that wait, one of them cancelled; margin, daily settlement.

use stemma_chain_format::amount::Amount;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Cancel, Order as Asked, Side, Size};
use stemma_node_api::positions::{PositionStateView, PositionView, SettledView};

use super::processes::Clients;
use super::products::{ProductRow, Showing, outcome};
use super::replay::move_day;
use super::setup;
use crate::error::CliError;

/// What the fund is subscribed for, in smallest units: 500.00 and 200.00.
const SUBSCRIBED: i128 = 50_000;
const CANCELLED: i128 = 20_000;
/// How many contracts are bought.
const CONTRACTS: i128 = 3;

/// Orders both on the last of two days, has the price of the day before come next, and ends where it began.
///
/// # Errors
/// A node refuses or can't be reached, or nothing is settled in time.
pub async fn run(
    clients: &Clients,
    show: &Showing<'_>,
    (fund, future): (InstrumentId, InstrumentId),
    [before, last]: [&str; 2],
) -> Result<Vec<ProductRow>, CliError> {
    let cash = |units| Amount::new(units).map(Size::Cash).map_err(|e| CliError::usage("no amount").caused_by(&e));
    let contracts =
        |units| Amount::new(units).map(Size::Quantity).map_err(|e| CliError::usage("no amount").caused_by(&e));
    let mut rows = vec![show.order(("fund", &fund), Side::Buy, cash(SUBSCRIBED)?, "for 500.00").await?];
    let waits = waiting(show, &fund).await?;
    rows.push(show.order(("fund", &fund), Side::Buy, cash(CANCELLED)?, "for 200.00").await?);
    rows.push(cancelled(show, &fund, &waits).await?);
    rows.push(show.order(("future", &future), Side::Buy, contracts(CONTRACTS)?, &CONTRACTS.to_string()).await?);
    let opened = margin(show, &future).await?;
    move_day(clients, before).await?;
    if let Some(request) = waits {
        rows.push(filled(show, &fund, &request).await?);
    }
    if let Some(opened) = opened {
        rows.push(marked(show, &future, &opened).await?);
    }
    move_day(clients, last).await?;
    rows.push(show.order(("future", &future), Side::Sell, contracts(CONTRACTS)?, &CONTRACTS.to_string()).await?);
    Ok(rows)
}

async fn positions(show: &Showing<'_>, instrument: &InstrumentId) -> Result<Vec<PositionView>, CliError> {
    let account = show.party.client.account(&show.party.account.to_string()).await?;
    let name = instrument.to_string();
    Ok(account.positions.into_iter().filter(|position| position.instrument == name).collect())
}

/// The request of an order that waits.
async fn waiting(show: &Showing<'_>, fund: &InstrumentId) -> Result<Option<String>, CliError> {
    let held = positions(show, fund).await?;
    Ok(held.into_iter().find_map(|position| match position.state {
        PositionStateView::Waiting { request, .. } => Some(request),
        PositionStateView::Margin { .. } => None,
    }))
}

/// Mark and margin of a future.
async fn margin(show: &Showing<'_>, future: &InstrumentId) -> Result<Option<(String, String)>, CliError> {
    let held = positions(show, future).await?;
    Ok(held.into_iter().find_map(|position| match position.state {
        PositionStateView::Margin { mark, margin, .. } => Some((mark, margin)),
        PositionStateView::Waiting { .. } => None,
    }))
}

fn row(kind: &str, instrument: &InstrumentId, order: &str, outcome: String) -> ProductRow {
    let instrument = instrument.to_string();
    ProductRow { instrument, kind: kind.to_owned(), order: order.to_owned(), outcome, quantity: None, gain: None }
}

/// Takes back whichever order waits beside the first.
async fn cancelled(show: &Showing<'_>, fund: &InstrumentId, first: &Option<String>) -> Result<ProductRow, CliError> {
    let held = positions(show, fund).await?;
    let second = held.into_iter().find_map(|position| match position.state {
        PositionStateView::Waiting { request, .. } if Some(&request) != first.as_ref() => Some(request),
        _ => None,
    });
    let Some(request) = second else { return Ok(row("fund", fund, "cancel", "nothing waits".to_owned())) };
    let request = request.parse().map_err(|e| CliError::network("the node names no request").caused_by(&e))?;
    let cancel = Cancel { request, instrument: fund.clone(), cash: show.party.cash()? };
    let view = show.party.ask(Asked::Cancel(cancel), None, show.genesis).await?;
    let told = outcome(&view);
    Ok(row("fund", fund, "cancel 200.00", if told == "done" { "cancelled".to_owned() } else { told }))
}

/// Waits until the order is executed at the next net asset value.
async fn filled(show: &Showing<'_>, fund: &InstrumentId, request: &str) -> Result<ProductRow, CliError> {
    let limit = setup::Limit::start();
    loop {
        let view = show.party.client.request(request, 0).await?;
        if let Some(SettledView { act, quantity, .. }) = view.accepted.and_then(|accepted| accepted.settled) {
            return Ok(ProductRow { quantity, ..row("fund", fund, "500.00 at the next value", act) });
        }
        limit.wait("the order was not executed").await?;
    }
}

/// Waits until the future is marked to another price.
async fn marked(
    show: &Showing<'_>,
    future: &InstrumentId,
    (mark, margin_before): &(String, String),
) -> Result<ProductRow, CliError> {
    let limit = setup::Limit::start();
    loop {
        let now = margin(show, future).await?;
        if let Some((_, margin_now)) = now.filter(|(now, _)| now != mark) {
            let number = |text: &str| text.parse::<i128>().unwrap_or_default();
            let gain = number(&margin_now).saturating_sub(number(margin_before));
            let gain = Some(gain.to_string());
            return Ok(ProductRow { gain, ..row("future", future, "settlement of the day", "settled".to_owned()) });
        }
        limit.wait("the future was not settled").await?;
    }
}
