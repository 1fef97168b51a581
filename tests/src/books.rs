//! What accounts must hold, computed here from what was executed, and what all accounts together must: nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use stemma_chain_format::record::Signed;
use stemma_chain_format::request::{Request, Side};
use stemma_node_api::Client;
use stemma_node_api::positions::{PositionStateView, PositionView};
use stemma_node_api::types::{AccountView, Amounts, RequestState, RequestView};

use crate::customer::Customer;
use crate::network::CASH;

/// Basis points of the cost that an institution takes unless it is told otherwise.
const FEE_BASIS_POINTS: i128 = 10;

/// Sums by instrument.
pub type Sums = BTreeMap<String, i128>;

/// Adds what a committed request did to its account: cash and units, by the quantity, price and fee that the API tells
/// and the side that the customer signed. Prices here are whole smallest units, and all but cash has no decimals.
///
/// # Panics
/// The request is not committed, or what the API tells of it does not fit together.
pub async fn add_executed(client: &Client, view: &RequestView, sums: &mut Sums) {
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    let executed = view.executed.as_ref().unwrap();
    let number = |text: &str| text.parse::<i128>().unwrap();
    let (quantity, price, fee) = (number(&executed.quantity), number(&executed.price), number(&executed.fee));
    let cost = quantity * price;
    assert_eq!(fee, (cost * FEE_BASIS_POINTS + 9_999) / 10_000, "{executed:?}");
    let chain = client.chain(view.chain.as_ref().unwrap()).await.unwrap();
    assert_eq!(Some(chain.height), view.height, "the height of request {}", view.request);
    let request = Signed::<Request>::decode(BASE64_STANDARD.decode(&chain.stages[0]).unwrap()).unwrap();
    assert_eq!(request.link().to_string(), view.request);
    let trade = request.record().order.trade().unwrap();
    let signed = if trade.side == Side::Buy { quantity } else { -quantity };
    *sums.entry(trade.instrument.to_string()).or_default() += signed;
    *sums.entry(trade.cash.to_string()).or_default() -= signed * price + fee;
}

/// Requires that an account holds what these committed requests make of its first cash, that it has as many trades, and
/// that its counter is that of one of them.
///
/// # Panics
/// It does not.
pub async fn must_follow(customer: &Customer, committed: &[RequestView]) {
    let mut expected = Sums::from([(format!("{}/USD", customer.bank), CASH)]);
    for view in committed {
        add_executed(&customer.client, view, &mut expected).await;
    }
    let found = customer.view().await;
    assert_eq!(usize::try_from(found.sequence).unwrap(), committed.len(), "trades of {}", customer.account);
    expected.retain(|_, sum| *sum != 0);
    assert_eq!(parsed(&found.total), expected, "holdings of {}", customer.account);
}

/// Amounts as numbers.
///
/// # Panics
/// One is no number.
#[must_use]
pub fn parsed(amounts: &Amounts) -> Sums {
    amounts.iter().map(|(instrument, amount)| (instrument.clone(), amount.parse().unwrap())).collect()
}

/// All accounts that a node has, members' own included.
///
/// # Panics
/// The node does not answer.
pub async fn all_accounts(client: &Client) -> Vec<AccountView> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = client.accounts(after.as_deref()).await.unwrap();
        for id in &page.accounts {
            found.push(client.account(id).await.unwrap());
        }
        if page.next.is_none() {
            return found;
        }
        after = page.next;
    }
}

/// What a position holds.
fn in_position(position: &PositionView) -> Vec<(String, i128)> {
    let (instrument, cash) = (position.instrument.clone(), position.cash.clone());
    let number = |text: &String| text.parse::<i128>().unwrap();
    match &position.state {
        PositionStateView::Waiting { side, reserved, .. } => {
            vec![(if side == "buy" { cash } else { instrument }, number(reserved))]
        }
        PositionStateView::Margin { quantity, margin, .. } => {
            vec![(instrument, number(quantity)), (cash, number(margin))]
        }
    }
}

/// Requires that all accounts together hold nothing: what one has, another owes. Nothing may be under way.
///
/// # Panics
/// They do not, or a customer's account is negative.
pub async fn must_balance(client: &Client) {
    let mut sums = Sums::new();
    for account in all_accounts(client).await {
        for (instrument, amount) in parsed(&account.total) {
            *sums.entry(instrument).or_default() += amount;
        }
        for (instrument, amount) in account.positions.iter().flat_map(in_position) {
            *sums.entry(instrument).or_default() += amount;
        }
    }
    assert!(sums.len() >= 2, "there is something to sum: {sums:?}");
    sums.retain(|_, sum| *sum != 0);
    assert!(sums.is_empty(), "the sums over all accounts: {sums:?}");
}
