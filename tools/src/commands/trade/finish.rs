//! What became of an order, told to the customer.

use std::process::ExitCode;

use serde::Serialize;
use stemma_node_api::positions::PositionView;
use stemma_node_api::types::{Amounts, RequestState, RequestView};

use super::market::Market;
use crate::customer::Customer;
use crate::error::{CliError, Exit};
use crate::output::{Output, pairs};
use crate::requests::refusal_rows;
use crate::units::position_line;

/// What happened.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    request: RequestView,
    /// After it, the credits that wait included; absent where nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    holdings: Option<Amounts>,
    /// After it: orders that wait for their price, and futures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    positions: Vec<PositionView>,
}

/// Tells what became of what was asked for; `said` names it, such as `buy of broker-a/AAPL`.
pub(super) async fn finish(
    said: &str,
    customer: &Customer,
    market: &Market,
    view: RequestView,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let is_committed = view.state == RequestState::Committed;
    let account = if is_committed { Some(customer.client.account(&view.account).await?) } else { None };
    let name = &market.instrument.instrument;
    let mut rows = vec![("Request", view.request.clone())];
    match (&view.executed, &view.refusal, view.state) {
        (Some(executed), _, RequestState::Committed) => {
            let quantity = market.units.show(name, &executed.quantity);
            rows.insert(0, ("Committed", said.to_owned()));
            rows.push(("Quantity", format!("{quantity} {name}")));
            rows.push(("Price", market.price(&executed.price)));
            rows.push(("Fee", market.money(&executed.fee)));
            rows.extend(executed.referral.clone().map(|outcome| ("Referral", outcome)));
            for reward in &executed.rewards {
                let amount = market.units.show(&reward.instrument, &reward.amount);
                rows.push(("Reward", format!("{amount} {} to {}", reward.instrument, reward.account)));
            }
        }
        (None, _, RequestState::Committed) => match &view.accepted {
            Some(accepted) => {
                rows.insert(0, ("Accepted", format!("{said}: it waits for the next price")));
                let until = accepted.cut_off.clone().unwrap_or_else(|| "it is executed".to_owned());
                rows.push(("Cancel until", until));
            }
            None => rows.insert(0, ("Done", said.to_owned())),
        },
        (_, Some(refusal), _) => {
            rows.insert(0, ("Refused", format!("{said}, by {}", refusal.member)));
            rows.extend(refusal_rows(refusal));
            rows.push(("Signature", "verified".to_owned()));
        }
        (_, None, RequestState::Expired) => {
            rows.insert(0, ("Expired", format!("{said}: nothing has changed")));
            rows.push(("Advice", "Sign a new order.".to_owned()));
        }
        (_, None, state) => rows.insert(0, ("State", format!("{state:?}"))),
    }
    rows.extend(view.chain.clone().map(|chain| ("Chain", chain)));
    rows.extend(view.height.map(|height| ("Height", height.to_string())));
    if let Some(account) = &account {
        rows.extend(market.units.lines(&account.total).into_iter().map(|line| ("Holds", line)));
        rows.extend(account.positions.iter().map(|position| ("Position", position_line(position, &market.units))));
    }
    let (holdings, positions) = account.map(|account| (account.total, account.positions)).unzip();
    let positions = positions.unwrap_or_default();
    output.data(&Report { request: view, holdings, positions }, &pairs(&rows))?;
    Ok(if is_committed { Exit::Yes } else { Exit::No }.into())
}
