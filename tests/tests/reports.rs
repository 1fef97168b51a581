//! Promise: an institution's reports say what was traded, by sums that this test keeps itself, in JSON, CSV and the tool alike, and
//! its book reconciles with the ledger at every height, also while customers of both banks trade.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stemma_chain_format::record::Signed;
use stemma_chain_format::request::{Request, Side};
use stemma_node_api::config::{RewardAmount, RewardPolicy, RewardsConfig};
use stemma_node_api::reports::{
    AsOf, Days, FeesReport, HoldingsReport, ReconciliationReport, Report, ReportHead, RewardsReport, TradesReport,
};
use stemma_node_api::types::{ExecutedView, RequestState, RequestView};
use stemma_node_api::{Client, ClientError, ErrorCode, moment};
use stemma_tests::binaries::binaries;
use stemma_tests::customer::Customer;
use stemma_tests::load::Load;
use stemma_tests::network::{AAPL, IBM, Network};
use stemma_tools::requests::Prepared;

const BROKER: &str = "broker-a";
/// Orders of each customer.
const ORDERS: u64 = 14;
/// A share at 25.94.
const PRICE: i128 = 2_594;

/// A trade as the customer knows it: by what was signed, and what the bank answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    account: String,
    bank: String,
    side: Side,
    quantity: i128,
    fee: i128,
    height: u64,
}

/// What customers were told of committed trades at broker-a, by chain.
#[derive(Debug, Default)]
struct Kept(BTreeMap<String, Known>);

fn keep(kept: &mut Kept, customer: &Customer, order: &Prepared, view: &RequestView) {
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    let signed = Signed::<Request>::decode(BASE64_STANDARD.decode(&order.body.request).unwrap()).unwrap();
    let ExecutedView { quantity, price, fee, .. } = view.executed.as_ref().unwrap();
    assert_eq!(price, &PRICE.to_string());
    let known = Known {
        account: customer.account.to_string(),
        bank: customer.bank.to_string(),
        side: signed.record().order.trade().unwrap().side,
        quantity: quantity.parse().unwrap(),
        fee: fee.parse().unwrap(),
        height: view.height.unwrap(),
    };
    kept.0.insert(view.chain.clone().unwrap(), known);
}

/// Pays 1.00 to the customer and two percent to the promoter.
fn policy() -> RewardsConfig {
    let (customer, promoter) = (Some(RewardAmount::flat(Some("1.00"), 0)), Some(RewardAmount::flat(None, 200)));
    let policy = RewardPolicy { instruments: Vec::new(), side: None, customer, promoter };
    RewardsConfig { policies: vec![policy], ..RewardsConfig::default() }
}

/// A table as CSV: by the standard, true at the height that the headers say, and its rows.
async fn table<R: DeserializeOwned>(client: &Client, report: &str, table: &str, head: &ReportHead) -> Vec<R> {
    let days = Days { from: head.from.clone(), to: head.to.clone() };
    let csv = client.report_csv(report, table, &days).await.unwrap();
    let text = String::from_utf8(csv.bytes.clone()).unwrap();
    assert!(text.ends_with("\r\n") && text.lines().next().unwrap().ends_with(",as_of_height,as_of_time"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let mut reader = csv::Reader::from_reader(csv.bytes.as_slice());
    for as_of in reader.deserialize() {
        let AsOf { as_of_height, as_of_time } = as_of.unwrap();
        assert_eq!((as_of_height, as_of_time.as_str()), (csv.height, csv.time.as_str()));
    }
    assert!(csv.height >= head.height);
    let mut reader = csv::Reader::from_reader(csv.bytes.as_slice());
    reader.deserialize().map(Result::unwrap).collect()
}

async fn same<R: DeserializeOwned + PartialEq + Debug>(client: &Client, head: &ReportHead, name: &str, rows: &[R]) {
    assert_eq!(table::<R>(client, &head.report, name, head).await, rows, "{name} of {}", head.report);
}

fn whole() -> Days {
    Days::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_say_what_was_traded_and_the_book_reconciles_at_every_height() {
    let network = Network::start_with(|config| {
        if config.member == BROKER {
            config.institution.rewards = policy();
        }
    })
    .await;
    let client = network.client(BROKER);
    nothing_yet(client).await;
    let (kept, rewards) = traded(&network).await;
    network.agreed().await;

    trades(client, &kept).await;
    holdings(client, &kept).await;
    fees(client, &kept).await;
    promoters(client, &rewards).await;
    reconciles(client, kept.0.len()).await;
    // The other institution has a book of its own.
    let other: TradesReport = network.client("broker-b").report(&whole()).await.unwrap();
    assert_eq!((other.trades.len(), other.trades[0].instrument.as_str()), (1, IBM));
    the_tool_says_the_same(&network, kept.0.len());
    what_makes_no_sense_is_refused(&network).await;
}

/// Before the first trade every report is there and empty, tables with their header.
async fn nothing_yet(client: &Client) {
    let trades: TradesReport = client.report(&whole()).await.unwrap();
    assert!(trades.trades.is_empty() && trades.days.is_empty() && trades.head.height > 0);
    assert_eq!((trades.head.report.as_str(), trades.head.institution.as_str()), ("trades", BROKER));
    for (report, tables) in [
        (HoldingsReport::NAME, HoldingsReport::TABLES),
        (TradesReport::NAME, TradesReport::TABLES),
        (FeesReport::NAME, FeesReport::TABLES),
        (RewardsReport::NAME, RewardsReport::TABLES),
        (ReconciliationReport::NAME, ReconciliationReport::TABLES),
    ] {
        for name in tables {
            assert_eq!(table::<Value>(client, report, name, &trades.head).await, Vec::<Value>::new());
        }
    }
}

/// Customers of both banks trade at once while the book is reconciled; then two trade on referrals of each other.
/// What came of it, and the rewards by part and account: how many, and their sum.
async fn traded(network: &Network) -> (Kept, BTreeMap<(&'static str, String), (u64, i128)>) {
    let client = network.client(BROKER);
    let load = Load::one_by_one(network.customers(), AAPL, ORDERS);
    let mut heights = Vec::new();
    while !load.is_finished() {
        let report: ReconciliationReport = client.report(&whole()).await.unwrap();
        assert_eq!(report.differences, [], "{:?}", report.head);
        heights.push(report.head.height);
    }
    heights.dedup();
    assert!(heights.len() >= 2, "reconciled at several heights: {heights:?}");
    let mut kept = Kept::default();
    let mut customers = BTreeMap::new();
    for record in load.records().await {
        for (order, view) in &record.acknowledged {
            keep(&mut kept, &record.customer, order, view);
        }
        customers.insert(record.customer.account.to_string(), record.customer);
    }
    let mut again = |name: &str| customers.remove(&network.customer(name).account.to_string()).unwrap();
    let (mut alice, mut emeka) = (again("alice"), again("emeka"));
    let of_alice = alice.referral(network.client("bank-a"), AAPL, 9, 500_000).await;
    let mut rewards = BTreeMap::new();
    for quantity in [10, 20] {
        let mut terms = emeka.terms(Side::Buy, AAPL, quantity);
        terms.referral = Some(of_alice.clone());
        let order = emeka.sign(terms);
        let view = emeka.finish(&order).await;
        keep(&mut kept, &emeka, &order, &view);
        let percents = quantity * PRICE * 2 / 100;
        for (part, account, amount) in [("promoter", &alice.account, percents), ("customer", &emeka.account, 100)] {
            let (count, sum) = rewards.entry((part, account.to_string())).or_insert((0, 0));
            (*count, *sum) = (*count + 1, *sum + amount);
        }
    }
    let elsewhere = alice.buy(IBM, 1);
    assert_eq!(alice.finish(&elsewhere).await.state, RequestState::Committed);
    (kept, rewards)
}

async fn trades(client: &Client, kept: &Kept) {
    let report: TradesReport = client.report(&whole()).await.unwrap();
    assert_eq!(report.trades.len(), kept.0.len());
    let mut days: BTreeMap<(String, String, String), (u64, i128, i128)> = BTreeMap::new();
    for row in &report.trades {
        let known = &kept.0[&row.chain];
        let found = Known {
            account: row.account.clone(),
            bank: row.bank.clone(),
            side: if row.side == "buy" { Side::Buy } else { Side::Sell },
            quantity: row.quantity.parse().unwrap(),
            fee: row.fee.parse().unwrap(),
            height: row.height,
        };
        assert_eq!(&found, known);
        assert_eq!((row.cost.parse::<i128>().unwrap(), row.price.as_str()), (known.quantity * PRICE, "25.94"));
        assert_eq!((row.instrument.as_str(), row.decimals, row.cash_decimals), (AAPL, 0, 2));
        assert_eq!(row.cash, format!("{}/USD", known.bank));
        let block = client.block(row.height).await.unwrap();
        assert_eq!((row.time.clone(), &row.day), (moment::show(block.time_ms), &row.time[..10].to_owned()));
        assert_eq!(block.entries.unwrap()[row.index as usize], row.chain);
        let day = days.entry((row.day.clone(), row.side.clone(), row.cash.clone())).or_default();
        *day = (day.0 + 1, day.1 + known.quantity, day.2 + known.fee);
    }
    let places: Vec<_> = report.trades.iter().map(|row| (row.height, row.index)).collect();
    assert!(places.is_sorted());
    assert_eq!(report.days.len(), days.len());
    for row in &report.days {
        let (trades, quantity, fee) = days[&(row.day.clone(), row.side.clone(), row.cash.clone())];
        let expected = (trades, quantity.to_string(), (quantity * PRICE).to_string(), fee.to_string());
        assert_eq!((row.trades, row.quantity.clone(), row.cost.clone(), row.fee.clone()), expected);
    }
    same(client, &report.head, "trades", &report.trades).await;
    same(client, &report.head, "days", &report.days).await;
    // Of all days that there are, of none, and of those before.
    let (first, last) = (&report.trades[0].day, &report.trades[report.trades.len() - 1].day);
    let days = |from: &str, to: &str| Days { from: Some(from.to_owned()), to: Some(to.to_owned()) };
    let covered: TradesReport = client.report(&days(first, last)).await.unwrap();
    assert_eq!((covered.trades, covered.days), (report.trades.clone(), report.days));
    for (from, to) in [("2000-01-01", "2000-12-31"), ("2999-01-01", "2999-01-01")] {
        let none: TradesReport = client.report(&days(from, to)).await.unwrap();
        assert!(none.trades.is_empty() && none.days.is_empty());
        assert_eq!((none.head.from.as_deref(), none.head.to.as_deref()), (Some(from), Some(to)));
    }
}

async fn holdings(client: &Client, kept: &Kept) {
    let report: HoldingsReport = client.report(&whole()).await.unwrap();
    let mut sums: BTreeMap<(String, String), (i128, i128)> = BTreeMap::new();
    for known in kept.0.values() {
        let sum = sums.entry((known.account.clone(), known.bank.clone())).or_default();
        if known.side == Side::Buy { sum.0 += known.quantity } else { sum.1 += known.quantity }
    }
    assert_eq!((report.accounts.len(), sums.len()), (4, 4));
    let texts = |(bought, sold): (i128, i128)| (bought.to_string(), sold.to_string(), (bought - sold).to_string());
    for row in &report.accounts {
        let expected = texts(sums[&(row.account.clone(), row.bank.clone())]);
        assert_eq!((row.bought.clone(), row.sold.clone(), row.held.clone()), expected);
        let view = client.account(&row.account).await.unwrap();
        assert_eq!((view.total[AAPL].as_str(), row.instrument.as_str(), row.decimals), (row.held.as_str(), AAPL, 0));
    }
    let all = sums.values().fold((0, 0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
    let total = &report.totals[0];
    assert_eq!((report.totals.len(), total.accounts), (1, 4));
    assert_eq!((total.bought.clone(), total.sold.clone(), total.held.clone()), texts(all));
    same(client, &report.head, "accounts", &report.accounts).await;
    same(client, &report.head, "totals", &report.totals).await;
    let before: HoldingsReport = client.report(&Days { from: None, to: Some("2000-01-01".to_owned()) }).await.unwrap();
    assert!(before.accounts.is_empty() && before.totals.is_empty());
}

async fn fees(client: &Client, kept: &Kept) {
    let report: FeesReport = client.report(&whole()).await.unwrap();
    let mut found: BTreeMap<String, (u64, i128)> = BTreeMap::new();
    for row in &report.fees {
        assert_eq!((row.instrument.as_str(), row.decimals), (AAPL, 2));
        let sum = found.entry(row.cash.clone()).or_default();
        *sum = (sum.0 + row.trades, sum.1 + row.fee.parse::<i128>().unwrap());
    }
    let mut expected: BTreeMap<String, (u64, i128)> = BTreeMap::new();
    for known in kept.0.values() {
        let sum = expected.entry(format!("{}/USD", known.bank)).or_default();
        *sum = (sum.0 + 1, sum.1 + known.fee);
    }
    assert_eq!((found.len(), &found), (2, &expected));
    same(client, &report.head, "fees", &report.fees).await;
}

async fn promoters(client: &Client, rewards: &BTreeMap<(&'static str, String), (u64, i128)>) {
    let report: RewardsReport = client.report(&whole()).await.unwrap();
    assert_eq!((report.rewards.len(), rewards.len()), (2, 2));
    for row in &report.rewards {
        let (count, sum) =
            rewards[&(if row.part == "promoter" { "promoter" } else { "customer" }, row.account.clone())];
        assert_eq!((row.rewards, row.amount.clone(), row.decimals), (count, sum.to_string(), 2));
        let bank = if row.part == "promoter" { "bank-a" } else { "bank-b" };
        assert_eq!(row.cash, format!("{bank}/USD"));
    }
    same(client, &report.head, "rewards", &report.rewards).await;
}

async fn reconciles(client: &Client, trades: usize) {
    let report: ReconciliationReport = client.report(&whole()).await.unwrap();
    assert_eq!((report.differences.as_slice(), report.trades), (&[][..], trades as u64));
    assert!(report.accounts > 4, "{report:?}");
    same(client, &report.head, "differences", &report.differences).await;
}

/// The tool, with its exit code.
fn tool(network: &Network, member: &str, args: &[&str]) -> (i32, String, String) {
    let token = network.home(member).join("operator.token");
    let output = Command::new(&binaries().tool)
        .args(["report"])
        .args(args)
        .args(["--node", network.client(member).url(), "--operator-token-file", token.to_str().unwrap()])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn the_tool_says_the_same(network: &Network, trades: usize) {
    let run = |args: &[&str]| {
        let (code, stdout, stderr) = tool(network, BROKER, args);
        assert_eq!(code, 0, "{args:?}: {stderr}");
        (stdout, stderr)
    };
    let (text, _) = run(&["reconciliation"]);
    assert!(text.contains(&format!("{trades} trades and ")) && text.contains("book and ledger agree"), "{text}");
    let (json, _) = run(&["trades", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["version"].as_u64(), json["trades"].as_array().unwrap().len()), (Some(1), trades));
    let (csv, said) = run(&["trades", "--csv"]);
    assert!(csv.lines().count() == trades + 1 && said.starts_with("As of height "), "{said}\n{csv}");
    let (days, _) = run(&["trades", "--csv", "--by-day"]);
    assert!(days.starts_with("day,instrument,side,cash,trades,quantity,"), "{days}");
    // People read whole units.
    let (text, _) = run(&["trades", "--from", "2000-01-01"]);
    assert!(text.contains("25.94") && text.contains("2000-01-01 on"), "{text}");
    let (text, _) = run(&["rewards"]);
    assert!(text.contains("promoter") && text.contains("15.55"), "{text}");
    for report in ["holdings", "fees"] {
        assert!(run(&[report]).0.contains(AAPL));
    }
    let file = network.scratch().join("holdings.csv");
    let file = file.to_str().unwrap();
    let (summary, _) = run(&["holdings", "--csv", "--out", file]);
    assert!(summary.contains(file) && summary.contains("Height:"), "{summary}");
    let written = std::fs::read_to_string(file).unwrap();
    assert_eq!((written.lines().count(), written.lines().next().unwrap().split(',').next()), (5, Some("instrument")));
    let (code, _, said) = tool(network, BROKER, &["holdings", "--csv", "--out", file]);
    assert!(code == 3 && said.contains("is not overwritten"), "{said}");
    run(&["holdings", "--totals", "--csv", "--out", file, "--force"]);
    assert!(std::fs::read_to_string(file).unwrap().starts_with("instrument,accounts,"));
    let (code, _, said) = tool(network, "bank-a", &["fees"]);
    assert!(code == 3 && said.contains("this node is no institution"), "{said}");
}

async fn what_makes_no_sense_is_refused(network: &Network) {
    let client = network.client(BROKER);
    let refused = |e: ClientError| match e {
        ClientError::Refused { source, .. } => (source.error.code, source.error.message),
        other => panic!("{other:?}"),
    };
    let stranger = Client::new(client.url()).unwrap();
    let e = stranger.report::<FeesReport>(&whole()).await.unwrap_err();
    assert_eq!(refused(e).0, ErrorCode::Unauthorized);
    let e = client.report_csv("balance", "all", &whole()).await.unwrap_err();
    let (code, message) = refused(e);
    assert!(code == ErrorCode::NotFound && message.contains("holdings, trades, fees, rewards"), "{message}");
    let e = client.report_csv("trades", "totals", &whole()).await.unwrap_err();
    assert_eq!(refused(e), (ErrorCode::Malformed, "table: one of trades, days".to_owned()));
    let days = |from: Option<&str>, to: Option<&str>| Days { from: from.map(Into::into), to: to.map(Into::into) };
    for (days, field) in [
        (days(Some("2026-02-30"), None), "from: "),
        (days(Some("2026-11-26"), Some("2026-11-25")), "to: "),
        (days(None, Some("26.11.2026")), "to: "),
    ] {
        let (code, message) = refused(client.report::<TradesReport>(&days).await.unwrap_err());
        assert!(code == ErrorCode::Malformed && message.starts_with(field), "{message}");
    }
    let from = days(Some("2026-11-26"), None);
    assert_eq!(refused(client.report::<HoldingsReport>(&from).await.unwrap_err()).0, ErrorCode::Malformed);
    assert_eq!(refused(client.report::<ReconciliationReport>(&from).await.unwrap_err()).0, ErrorCode::Malformed);
    let document = reqwest::get(format!("{}/v1/openapi.json", client.url())).await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(document["paths"]["/v1/reports/{name}"]["get"].is_object());
    for schema in ["HoldingsReport", "TradesReport", "FeesReport", "RewardsReport", "ReconciliationReport"] {
        assert!(document["components"]["schemas"][schema].is_object(), "{schema}");
    }
}
