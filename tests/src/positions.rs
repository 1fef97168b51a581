//! A network in which there are positions: broker-a lists a fund that is priced forward, broker-b a future.

use std::fs;

use stemma_node_api::Client;
use stemma_node_api::catalogue::{ListInstrument, MarginView, TermsView};
use stemma_node_api::config::NodeConfig;
use stemma_node_api::types::MoveDay;
use tempfile::TempDir;

use crate::network::{MEMBERS, Network};
use crate::wait::until;

/// The fund, of four decimals, at 1 % to buy and 0.5 % to sell.
pub const NEXT: &str = "broker-a/NEXT";
/// The future, at a margin of 12 %, 9 % to keep, and three seconds to restore it.
pub const FUTURE: &str = "broker-b/FUTURE";

const PRICES: &str = "date,symbol,close\n\
    2000-01-01,AAPL,25.94\n2000-01-01,IBM,100.52\n2000-01-01,NEXT,12.00\n2000-01-01,FUTURE,100.00\n\
    2000-02-01,AAPL,25.94\n2000-02-01,IBM,100.52\n2000-02-01,NEXT,12.3456\n2000-02-01,FUTURE,98.00\n\
    2000-03-01,AAPL,25.94\n2000-03-01,IBM,100.52\n2000-03-01,NEXT,12.50\n2000-03-01,FUTURE,96.50\n\
    2000-04-01,AAPL,25.94\n2000-04-01,IBM,100.52\n2000-04-01,NEXT,12.60\n2000-04-01,FUTURE,104.00\n\
    2000-05-01,AAPL,25.94\n2000-05-01,IBM,100.52\n2000-05-01,NEXT,12.60\n2000-05-01,FUTURE,120.00\n";

/// A network whose institutions also list the fund and the future. The folder holds their prices.
///
/// # Panics
/// It does not come up, or an instrument is not listed.
pub async fn network(change: impl Fn(&mut NodeConfig)) -> (Network, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    fs::write(&file, PRICES).unwrap();
    let network = Network::start_with(|config| {
        config.institution.prices.file = Some(file.clone());
        change(config);
    })
    .await;
    let fund = TermsView {
        fee_buy_basis_points: 100,
        fee_sell_basis_points: 50,
        dealing: "forward".to_owned(),
        ..TermsView::default()
    };
    let future = TermsView {
        fee_least: "250".to_owned(),
        dealing: "margin".to_owned(),
        margin: Some(MarginView { initial_basis_points: 1_200, maintenance_basis_points: 900, call_s: 3 }),
        ..TermsView::default()
    };
    for (issuer, code, kind, decimals, terms) in
        [("broker-a", "NEXT", "fund", 4, fund), ("broker-b", "FUTURE", "future", 0, future)]
    {
        let listing = ListInstrument {
            code: code.to_owned(),
            kind: kind.to_owned(),
            decimals,
            name: format!("The {kind} of {issuer}"),
            quoted_in: Some("USD".to_owned()),
            isin: None,
            terms: Some(terms),
        };
        let listed = network.client(issuer).list_instrument(&listing).await.unwrap();
        for member in MEMBERS {
            committed_at(network.client(member), listed.height).await;
        }
    }
    (network, folder)
}

async fn committed_at(client: &Client, height: u64) {
    until("a height", async || (client.status().await.ok()?.height >= height).then_some(())).await;
}

/// Moves both institutions to a day of the prices.
///
/// # Panics
/// One does not go there.
pub async fn day(network: &Network, day: &str) {
    for institution in ["broker-a", "broker-b"] {
        network.client(institution).move_day(&MoveDay { day: day.to_owned() }).await.unwrap();
    }
}
