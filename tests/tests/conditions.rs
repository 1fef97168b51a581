//! Promise: an institution lists instruments on its terms, changes them by signed records, and trades by its conditions: each
//! refusal names the rule, what it asks and what was found, and a dry run says the same beforehand.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::request::{Side, Size};
use stemma_node_api::catalogue::{ChangeListing, DryRun, HoursView, InstrumentView, ListInstrument, TermsView};
use stemma_node_api::types::{RefusalView, RequestState, RequestView};
use stemma_node_api::{Client, ClientError, ErrorCode};
use stemma_tests::binaries::binaries;
use stemma_tests::customer::{Customer, trade_of};
use stemma_tests::network::{AAPL, Network};
use stemma_tests::wait::until;

const BROKER: &str = "broker-a";

async fn listed(client: &Client, instrument: &str) -> InstrumentView {
    let all = client.instruments().await.unwrap();
    all.into_iter().find(|view| view.instrument == instrument).unwrap()
}

/// Changes AAPL, and waits until a bank sees it.
async fn change(network: &Network, change: ChangeListing) {
    let committed = network.client(BROKER).change_listing("AAPL", &change).await.unwrap();
    for bank in ["bank-a", "bank-b"] {
        until("the listing at the bank", async || {
            (listed(network.client(bank), AAPL).await.listing == committed.id).then_some(())
        })
        .await;
    }
}

async fn on_terms(network: &Network, terms: TermsView) {
    change(network, ChangeListing { terms: Some(terms), ..ChangeListing::default() }).await;
}

async fn status(network: &Network, status: &str) {
    change(network, ChangeListing { status: Some(status.to_owned()), ..ChangeListing::default() }).await;
}

async fn try_out(
    network: &Network,
    customer: &Customer,
    side: &str,
    quantity: i128,
) -> stemma_node_api::catalogue::DryRunView {
    // The institution may be a block behind the bank.
    network.agreed().await;
    let asked = DryRun {
        account: customer.account.to_string(),
        side: side.to_owned(),
        instrument: AAPL.to_owned(),
        quantity: Some(quantity.to_string()),
        amount: None,
        limit: None,
        fee_max: None,
    };
    network.client(BROKER).dry_run(&asked).await.unwrap()
}

/// An order is refused for a reason, and a dry run said so before.
async fn refused(network: &Network, customer: &mut Customer, side: Side, quantity: i128, reason: &str) -> RefusalView {
    let before = try_out(network, customer, &side.to_string(), quantity).await;
    let broken: Vec<_> = before.rules.iter().filter(|rule| !rule.holds).collect();
    assert!(!before.would_execute && broken[0].rule == reason, "{before:?}");
    let order = if side == Side::Buy { customer.buy(AAPL, quantity) } else { customer.sell(AAPL, quantity) };
    let refusal = customer.finish(&order).await.refusal.expect(reason);
    assert_eq!((refusal.member.as_str(), refusal.reason.as_str()), (BROKER, reason));
    assert_eq!(refusal.expected, broken[0].expected);
    // A time of day may have gone on meanwhile.
    assert!(refusal.found == broken[0].found || reason == "outside-trading-hours", "{} {before:?}", refusal.found);
    refusal
}

async fn committed(network: &Network, customer: &mut Customer, side: Side, quantity: i128) -> RequestView {
    let before = try_out(network, customer, &side.to_string(), quantity).await;
    assert!(before.would_execute && before.rules.iter().all(|rule| rule.holds), "{before:?}");
    let order = if side == Side::Buy { customer.buy(AAPL, quantity) } else { customer.sell(AAPL, quantity) };
    let view = customer.finish(&order).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    let executed = view.executed.as_ref().unwrap();
    assert_eq!((Some(&executed.quantity), Some(&executed.fee)), (before.quantity.as_ref(), before.fee.as_ref()));
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_and_status_decide_and_a_change_of_them_is_a_signed_record() {
    let network = Network::start_with(|config| {
        config.institution.conditions.position_max.insert("AAPL".to_owned(), "500".to_owned());
        config.institution.conditions.order_amount_max.insert("USD".to_owned(), "10000.00".to_owned());
    })
    .await;
    let mut alice = network.customer("alice");
    let terms = TermsView { fee_buy_basis_points: 10, fee_sell_basis_points: 20, ..TermsView::default() };

    // Lots, bounds and fees.
    let lots = TermsView {
        lot: "10".to_owned(),
        quantity_min: Some("20".to_owned()),
        quantity_max: Some("400".to_owned()),
        fee_least: "150".to_owned(),
        ..terms.clone()
    };
    on_terms(&network, lots).await;
    refused(&network, &mut alice, Side::Buy, 25, "quantity-outside-terms").await;
    refused(&network, &mut alice, Side::Buy, 10, "quantity-outside-terms").await;
    let least = committed(&network, &mut alice, Side::Buy, 20).await;
    assert_eq!(least.executed.unwrap().fee, "150");
    // The largest amount of an order: 390 × 25.94 is 10,116.60.
    let large = refused(&network, &mut alice, Side::Buy, 390, "order-too-large").await;
    assert!(large.expected.contains("10000.00") && large.found.contains("10116.60"), "{large:?}");
    // By amount: the largest number of whole lots, 38 × 10 × 25.94 = 9,857.20, and a fee of 9.86.
    let mut by_cash = alice.terms(Side::Buy, AAPL, 1);
    trade_of(&mut by_cash).size = Size::Cash(Amount::new(1_000_000).unwrap());
    let view = alice.finish(&alice.sign(by_cash)).await;
    let executed = view.executed.expect("executed");
    assert_eq!((executed.quantity.as_str(), executed.fee.as_str()), ("380", "986"));
    // 400 are held; the cap is 500.
    let capped = refused(&network, &mut alice, Side::Buy, 110, "position-cap-exceeded").await;
    assert!(capped.expected.contains("500") && capped.found.contains("510"), "{capped:?}");
    // All that is held is sold, whatever the lot.
    on_terms(&network, TermsView { lot: "7".to_owned(), quantity_min: Some("1000".to_owned()), ..terms.clone() }).await;
    refused(&network, &mut alice, Side::Sell, 399, "quantity-outside-terms").await;
    // 400 × 25.94 = 10,376.00 is above the largest order, so half is kept.
    on_terms(&network, terms.clone()).await;
    committed(&network, &mut alice, Side::Sell, 200).await;

    // Status: suspended is neither bought nor sold, closed only sold.
    status(&network, "suspended").await;
    refused(&network, &mut alice, Side::Buy, 1, "instrument-suspended").await;
    refused(&network, &mut alice, Side::Sell, 1, "instrument-suspended").await;
    status(&network, "closed").await;
    refused(&network, &mut alice, Side::Buy, 1, "instrument-closed").await;
    committed(&network, &mut alice, Side::Sell, 50).await;
    status(&network, "open").await;

    // Level and suitability: the bank gives level 1.
    on_terms(&network, TermsView { credit_level_min: 2, ..terms.clone() }).await;
    refused(&network, &mut alice, Side::Buy, 1, "credit-level-too-low").await;
    on_terms(&network, TermsView { risk_class: 5, ..terms.clone() }).await;
    refused(&network, &mut alice, Side::Buy, 1, "unsuitable-product").await;

    // Trading hours: only on the day after tomorrow.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let weekdays = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let later = weekdays[usize::try_from((now / 86_400 + 2) % 7).unwrap()];
    let session = format!("{later} 00:00-24:00");
    let hours = HoursView { zone: "Etc/UTC".to_owned(), sessions: vec![session.clone()], holidays: Vec::new() };
    on_terms(&network, TermsView { hours: Some(hours), ..terms.clone() }).await;
    let closed = refused(&network, &mut alice, Side::Buy, 1, "outside-trading-hours").await;
    assert!(closed.expected.contains(&session) && closed.found.contains("trading opens"), "{closed:?}");

    // Lock-up: everything was bought today.
    on_terms(&network, TermsView { lock_up_days: 30, ..terms }).await;
    let locked = refused(&network, &mut alice, Side::Sell, 1, "locked-up").await;
    assert!(locked.expected.contains("30 days") && locked.found.starts_with("0 "), "{locked:?}");
    every_record_is_signed_by_the_issuer(&network).await;
    audit_holds(&network, &alice).await;
}

/// The listings in force are records on the ledger, signed with the issuer's member key; the changed one names the one before.
async fn every_record_is_signed_by_the_issuer(network: &Network) {
    let auditor = network.client("auditor");
    let issuer = auditor.members().await.unwrap().into_iter().find(|member| member.id == BROKER).unwrap();
    let in_force = listed(auditor, AAPL).await;
    let chain = auditor.chain(&in_force.listing).await.unwrap();
    assert_eq!((chain.kind.as_str(), chain.signers.as_slice()), ("listing", &[issuer.member_key][..]));
}

/// A bundle over trades on several listings of one instrument verifies offline.
async fn audit_holds(network: &Network, customer: &Customer) {
    let bundle = network.scratch().join("alice.bundle");
    let node = network.client("auditor").url().to_owned();
    let account = customer.account.to_string();
    let run = |args: &[&str]| {
        let output = Command::new(&binaries().tool).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["audit", "export", "--node", &node, "--account", &account, "--out", bundle.to_str().unwrap()]);
    let verdict = run(&[
        "audit",
        "verify",
        bundle.to_str().unwrap(),
        "--genesis",
        network.genesis_file().to_str().unwrap(),
        "--json",
    ]);
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["verdict"], "verified", "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_lists_changes_and_tries_out() {
    let network = Network::start_with(|config| config.institution.conditions.duplicate_window_s = 3_600).await;
    let broker = network.client(BROKER).url().to_owned();
    let token = network.home(BROKER).join("operator.token");
    let token = token.to_str().unwrap();
    let run = |args: &[&str], exit: i32| {
        let output = Command::new(&binaries().tool).args(args).args(["--node", &broker, "--json"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {said}");
        (serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default(), said)
    };
    let operator = ["--operator-token-file", token];
    let add = [
        "instrument",
        "add",
        "ACME",
        "--kind",
        "trust",
        "--name",
        "Acme Trust",
        "--quoted-in",
        "USD",
        "--decimals",
        "2",
    ];
    let terms = ["--lot", "0.50", "--min", "1", "--fee-buy", "25", "--lock-up", "90", "--risk-class", "2"];
    let wrong = ["--isin", "US0378331004"];
    let (_, said) = run(&[&add[..], &terms, &wrong, &operator].concat(), 2);
    assert!(said.contains("check digit would be 5"), "{said}");
    run(&[&add[..], &terms, &["--isin", "US0378331005"], &operator].concat(), 0);
    run(&[&["instrument", "change", "ACME", "--status", "suspended", "--fee-sell", "50"], &operator[..]].concat(), 0);
    let (view, _) = run(&["instrument", "show", "broker-a/ACME"], 0);
    assert_eq!(
        (&view["status"], &view["isin"], &view["kind"]),
        (&"suspended".into(), &"US0378331005".into(), &"trust".into())
    );
    let shown = &view["terms"];
    assert_eq!((&shown["lot"], &shown["quantity_min"]), (&"50".into(), &"100".into()));
    assert_eq!((&shown["fee_buy_basis_points"], &shown["fee_sell_basis_points"]), (&25.into(), &50.into()));
    assert_eq!((&shown["lock_up_days"], &shown["risk_class"]), (&90.into(), &2.into()));

    // A dry run by the tool: exit code 0 for yes, 1 for no; what was executed just now would be a repetition.
    let mut alice = network.customer("alice");
    let account = alice.account.to_string();
    let dry = ["trade", "dry-run", "buy", "--account", &account, "--instrument", AAPL, "--quantity", "3"];
    let (verdict, _) = run(&dry, 0);
    assert_eq!((&verdict["would_execute"], &verdict["cost"]), (&true.into(), &"7782".into()));
    let order = alice.buy(AAPL, 3);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
    network.agreed().await;
    let (verdict, _) = run(&dry, 1);
    let broken = verdict["rules"].as_array().unwrap().iter().find(|rule| rule["holds"] == false).unwrap();
    assert_eq!(broken["rule"], "duplicate-order", "{verdict}");
    let again = alice.buy(AAPL, 3);
    assert_eq!(alice.finish(&again).await.refusal.unwrap().reason, "duplicate-order");
}

/// A dry run names what it cannot read.
async fn dry_runs_of_nothing(network: &Network) {
    let asked = DryRun {
        account: network.customer("alice").account.to_string(),
        side: "buy".to_owned(),
        instrument: AAPL.to_owned(),
        quantity: Some("1".to_owned()),
        amount: None,
        limit: None,
        fee_max: None,
    };
    let both = DryRun { amount: Some("1".to_owned()), ..asked.clone() };
    let none = DryRun { quantity: Some("0".to_owned()), ..asked.clone() };
    let side = DryRun { side: "hold".to_owned(), ..asked.clone() };
    let unlisted = DryRun { instrument: "broker-a/NOPE".to_owned(), ..asked.clone() };
    let nobody = DryRun { account: "00".repeat(32), ..asked.clone() };
    for (asked, code, named) in [
        (&both, ErrorCode::Malformed, "quantity and amount"),
        (&none, ErrorCode::Malformed, "quantity: above 0"),
        (&side, ErrorCode::Malformed, "side: buy or sell"),
        (&unlisted, ErrorCode::NotFound, "broker-a/NOPE is not listed"),
        (&nobody, ErrorCode::NotFound, "there is no account"),
    ] {
        match network.client(BROKER).dry_run(asked).await {
            Err(ClientError::Refused { source, .. }) => {
                assert_eq!(source.error.code, code, "{asked:?}");
                assert!(source.error.message.contains(named), "{}", source.error.message);
            }
            other => panic!("{other:?}"),
        }
    }
    match network.client("bank-a").dry_run(&asked).await {
        Err(ClientError::Refused { source, .. }) => assert_eq!(source.error.code, ErrorCode::WrongRole),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_name() {
    let network = Network::start().await;
    let client = network.client(BROKER);
    let refused = |result: Result<_, ClientError>| match result.map(|_: stemma_node_api::types::Committed| ()) {
        Err(ClientError::Refused { source, .. }) => (source.error.code, source.error.message),
        other => panic!("{other:?}"),
    };
    let unlisted = client.change_listing("NOPE", &ChangeListing { name: Some("x".into()), ..Default::default() }).await;
    assert_eq!(refused(unlisted).0, ErrorCode::NotFound);
    let status =
        client.change_listing("AAPL", &ChangeListing { status: Some("shut".into()), ..Default::default() }).await;
    let (code, message) = refused(status);
    assert!(code == ErrorCode::Malformed && message.contains("open, suspended or closed"), "{message}");
    let lots = TermsView { lot: "0".to_owned(), ..TermsView::default() };
    let (code, message) =
        refused(client.change_listing("AAPL", &ChangeListing { terms: Some(lots), ..Default::default() }).await);
    assert!(code == ErrorCode::Conflict && message.contains("listing.terms.lot"), "{message}");
    dry_runs_of_nothing(&network).await;
    let again = ListInstrument {
        code: "AAPL".to_owned(),
        kind: "stock".to_owned(),
        decimals: 0,
        name: "Again".to_owned(),
        quoted_in: Some("USD".to_owned()),
        isin: None,
        terms: None,
    };
    let (code, message) = refused(client.list_instrument(&again).await);
    assert!(
        code == ErrorCode::Conflict && message.contains("already") || message.contains("not yet listed"),
        "{message}"
    );
}
