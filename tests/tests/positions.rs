//! Promise: a fund that is priced forward takes orders with their cash reserved, executes them at the next price or gives it back; a
//! future puts up margin, is settled with each day's price, called and closed out. Nothing is made or lost, across kills too, and
//! anyone proves it offline.

use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::request::{Cancel, MarginPayment, Order, Side, Size};
use stemma_node_api::ClientError;
use stemma_node_api::catalogue::{DryRun, ListInstrument, TermsView};
use stemma_node_api::positions::PositionStateView;
use stemma_node_api::reports::{Days, ReconciliationReport};
use stemma_node_api::types::{RequestState, RequestView, ServiceAct};
use stemma_tests::books::{must_balance, parsed};
use stemma_tests::customer::{Customer, trade_of};
use stemma_tests::network::Network;
use stemma_tests::positions::{FUTURE, NEXT, day, network};
use stemma_tests::proof;
use stemma_tests::wait::until;

const BANKS: [&str; 2] = ["bank-a", "bank-b"];

fn sized(customer: &mut Customer, instrument: &str, side: Side, size: Size) -> stemma_tools::requests::Terms {
    let mut terms = customer.terms(side, instrument, 1);
    trade_of(&mut terms).size = size;
    terms
}

async fn gives(customer: &mut Customer, instrument: &str, side: Side, size: Size) -> RequestView {
    let terms = sized(customer, instrument, side, size);
    let view = customer.finish(&customer.sign(terms)).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    view
}

async fn asks(customer: &mut Customer, instrument: &str, order: Order) -> RequestView {
    let mut terms = customer.terms(Side::Buy, instrument, 1);
    terms.order = order;
    customer.finish(&customer.sign(terms)).await
}

fn cash(units: i128) -> Size {
    Size::Cash(Amount::new(units).unwrap())
}

fn quantity(units: i128) -> Size {
    Size::Quantity(Amount::new(units).unwrap())
}

async fn held(customer: &Customer, instrument: &str) -> i128 {
    parsed(&customer.view().await.total).get(instrument).copied().unwrap_or(0)
}

/// Waits until the order is settled, and gives act, quantity and reason.
async fn settled(customer: &Customer, request: &str) -> (String, Option<String>, Option<String>) {
    until("the settlement", async || {
        let settled = customer.client.request(request, 0).await.ok()?.accepted?.settled?;
        Some((settled.act, settled.quantity, settled.reason))
    })
    .await
}

/// Quantity, margin and whether more is called for, once the future stands so.
async fn future_is(customer: &Customer, expected: Option<(i128, i128, bool)>) {
    let what = format!("a future of {expected:?}");
    until(&what, async || {
        let view = customer.client.account(&customer.account.to_string()).await.ok()?;
        let found = view.positions.iter().find_map(|position| match &position.state {
            PositionStateView::Margin { quantity, margin, called, .. } => {
                Some((quantity.parse().unwrap(), margin.parse().unwrap(), called.is_some()))
            }
            PositionStateView::Waiting { .. } => None,
        });
        (found == expected).then_some(())
    })
    .await;
}

/// Books and ledger say the same, everything sums to nothing, and everybody's bundle is verified here and by the second implementation.
async fn all_holds(network: &Network) {
    network.agreed().await;
    must_balance(network.client("auditor")).await;
    for institution in ["broker-a", "broker-b"] {
        let report = network.client(institution).report::<ReconciliationReport>(&Days::default()).await.unwrap();
        assert!(report.differences.is_empty(), "{report:?}");
    }
    for customer in network.customers() {
        let (derived, _) = proof::proved(network, &customer.client, &customer.account).await;
        assert_eq!(derived.positions.len(), customer.view().await.positions.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_waits_with_its_cash_reserved_and_is_executed_at_the_next_price() {
    let (mut network, _prices) = network(|_| {}).await;
    let (mut alice, mut emeka) = (network.customer("alice"), network.customer("emeka"));
    let before = held(&alice, "bank-a/USD").await;

    let asked = DryRun {
        account: alice.account.to_string(),
        side: "buy".to_owned(),
        instrument: NEXT.to_owned(),
        quantity: None,
        amount: Some("100000".to_owned()),
        limit: None,
        fee_max: None,
    };
    let tried = network.client("broker-a").dry_run(&asked).await.unwrap();
    assert!(tried.would_execute && tried.outcome.as_deref() == Some("accepted"), "{tried:?}");

    let order = gives(&mut alice, NEXT, Side::Buy, cash(100_000)).await;
    assert_eq!((order.outcome.as_deref(), order.executed.is_none()), (Some("accepted"), true), "{order:?}");
    assert_eq!(held(&alice, "bank-a/USD").await, before - 100_000);
    let waits = alice.view().await.positions;
    assert!(
        matches!(&waits[0].state, PositionStateView::Waiting { reserved, request, .. }
        if reserved == "100000" && *request == order.request),
        "{waits:?}"
    );

    // By quantity nobody knows what a purchase costs; a limit may turn out to be beyond the price; another order is taken back.
    let refused = {
        let terms = sized(&mut alice, NEXT, Side::Buy, quantity(5));
        alice.finish(&alice.sign(terms)).await
    };
    assert_eq!(refused.refusal.expect("refused").reason, "quantity-outside-terms");
    let mut limited = sized(&mut emeka, NEXT, Side::Buy, cash(50_000));
    trade_of(&mut limited).limit = Some(Price::parse("12.30", 2).unwrap());
    let limited = emeka.finish(&emeka.sign(limited)).await;
    assert_eq!(limited.outcome.as_deref(), Some("accepted"), "{limited:?}");
    let second = gives(&mut alice, NEXT, Side::Buy, cash(30_000)).await;
    let cancel = |request: &str| Cancel {
        request: request.parse().unwrap(),
        instrument: NEXT.parse().unwrap(),
        cash: "bank-a/USD".parse().unwrap(),
    };
    let cancelled = asks(&mut alice, NEXT, Order::Cancel(cancel(&second.request))).await;
    assert_eq!(cancelled.outcome.as_deref(), Some("done"), "{cancelled:?}");
    let again = asks(&mut alice, NEXT, Order::Cancel(cancel(&second.request))).await;
    assert_eq!(again.refusal.expect("refused").reason, "unknown-position");
    assert_eq!(held(&alice, "bank-a/USD").await, before - 100_000);
    all_holds(&network).await;

    // The bank takes nothing back before its time, and the institution forgets nothing when it is killed.
    let reclaim = ServiceAct::Reclaim { request: order.request.clone() };
    let early = network.client("bank-a").act(&alice.account.to_string(), &reclaim).await.unwrap();
    assert_eq!(early.refusal.expect("refused").reason, "act-not-possible");
    network.process_mut("broker-a").kill();
    network.process_mut("broker-a").run();
    network.connected().await;
    // The day that it remembers is not a new price.
    assert!(customer_waits(&alice, &order.request).await);

    day(&network, "2000-02-01").await;
    // 80.1982 units for 990.09 and a fee of 9.91, as in the specification.
    assert_eq!(settled(&alice, &order.request).await, ("fill".to_owned(), Some("801982".to_owned()), None));
    let released = settled(&emeka, &limited.request).await;
    assert_eq!(released, ("release".to_owned(), None, Some("price-outside-limit".to_owned())));
    assert_eq!((held(&alice, NEXT).await, held(&alice, "bank-a/USD").await), (801_982, before - 100_000));

    let redeem = gives(&mut alice, NEXT, Side::Sell, quantity(400_000)).await;
    assert_eq!(held(&alice, NEXT).await, 401_982);
    day(&network, "2000-03-01").await;
    assert_eq!(settled(&alice, &redeem.request).await, ("fill".to_owned(), Some("400000".to_owned()), None));
    assert_eq!(held(&alice, "bank-a/USD").await, before - 100_000 + 49_750);
    all_holds(&network).await;
}

async fn customer_waits(customer: &Customer, request: &str) -> bool {
    let view = customer.client.request(request, 0).await.unwrap();
    view.accepted.expect("accepted").settled.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_is_settled_daily_called_and_closed_out() {
    let (mut network, _prices) = network(|_| {}).await;
    let (mut alice, mut emeka) = (network.customer("alice"), network.customer("emeka"));
    let (before, shorts) = (held(&alice, "bank-a/USD").await, held(&emeka, "bank-b/USD").await);

    let bought = gives(&mut alice, FUTURE, Side::Buy, quantity(10)).await;
    assert_eq!(bought.executed.as_ref().unwrap().fee, "250");
    future_is(&alice, Some((10, 12_000, false))).await;
    assert_eq!(held(&alice, "bank-a/USD").await, before - 12_250);
    gives(&mut emeka, FUTURE, Side::Sell, quantity(10)).await;
    future_is(&emeka, Some((-10, 12_000, false))).await;

    day(&network, "2000-02-01").await;
    future_is(&alice, Some((10, 10_000, false))).await;
    future_is(&emeka, Some((-10, 14_000, false))).await;
    all_holds(&network).await;

    // Emeka takes out what is above the initial margin of 117.60, and not more; alice is called, and pays in time.
    let payment = |units, bank: &str| {
        Order::Margin(MarginPayment {
            instrument: FUTURE.parse().unwrap(),
            cash: format!("{bank}/USD").parse().unwrap(),
            amount: Amount::new(units).unwrap(),
        })
    };
    let much = asks(&mut emeka, FUTURE, payment(-2_241, BANKS[1])).await;
    assert_eq!(much.refusal.expect("refused").reason, "insufficient-margin");
    let taken = asks(&mut emeka, FUTURE, payment(-2_240, BANKS[1])).await;
    assert_eq!(taken.outcome.as_deref(), Some("done"), "{taken:?}");
    let paid = asks(&mut alice, FUTURE, payment(1_580, BANKS[0])).await;
    assert_eq!(paid.outcome.as_deref(), Some("done"), "{paid:?}");
    network.process_mut("broker-b").kill();
    network.process_mut("broker-b").run();
    network.connected().await;
    day(&network, "2000-03-01").await;
    future_is(&alice, Some((10, 10_080, false))).await;
    future_is(&emeka, Some((-10, 13_260, false))).await;

    // The price rises: emeka is called, does not pay, and is closed out; what is left of the margin comes back.
    day(&network, "2000-04-01").await;
    future_is(&alice, Some((10, 17_580, false))).await;
    future_is(&emeka, None).await;
    // Sold at 100.00, closed out at 104.00: the loss of 40.00 and a fee of 2.50.
    assert_eq!(held(&emeka, "bank-b/USD").await, shorts - 4_000 - 250);

    let sold = gives(&mut alice, FUTURE, Side::Sell, quantity(10)).await;
    assert_eq!(sold.executed.unwrap().price, "10400");
    future_is(&alice, None).await;
    assert_eq!(held(&alice, "bank-a/USD").await, before + 4_000 - 500);
    all_holds(&network).await;

    // A short position whose margin is used up by the next price is closed out at once; nobody loses more than the margin.
    gives(&mut emeka, FUTURE, Side::Sell, quantity(10)).await;
    future_is(&emeka, Some((-10, 12_480, false))).await;
    let before = held(&emeka, "bank-b/USD").await;
    day(&network, "2000-05-01").await;
    future_is(&emeka, None).await;
    assert_eq!(held(&emeka, "bank-b/USD").await, before);
    all_holds(&network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_listings_and_orders_are_told_what_is_wrong() {
    let (network, _prices) = network(|config| config.institution.conditions.duplicate_window_s = 3_600).await;
    let broker = network.client("broker-b");
    let said = |result: Result<_, ClientError>| match result {
        Err(ClientError::Refused { source, .. }) => source.error.message,
        Ok(_) => panic!("it was listed"),
        Err(other) => panic!("{other:?}"),
    };
    let listing = |kind: &str, dealing: &str, margin| ListInstrument {
        code: "BAD".to_owned(),
        kind: kind.to_owned(),
        decimals: 0,
        name: "bad".to_owned(),
        quoted_in: Some("USD".to_owned()),
        isin: None,
        terms: Some(TermsView { dealing: dealing.to_owned(), margin, ..TermsView::default() }),
    };
    let unpaid = said(broker.list_instrument(&listing("future", "spot", None)).await.map(|_| ()));
    assert!(unpaid.contains("listing.terms.dealing"), "{unpaid}");
    let missing = said(broker.list_instrument(&listing("future", "margin", None)).await.map(|_| ()));
    assert!(missing.contains("terms.margin"), "{missing}");
    let unknown = said(broker.list_instrument(&listing("fund", "later", None)).await.map(|_| ()));
    assert!(unknown.contains("spot, forward or margin"), "{unknown}");

    let mut alice = network.customer("alice");
    let terms = sized(&mut alice, FUTURE, Side::Buy, cash(50_000));
    let by_cash = alice.finish(&alice.sign(terms)).await;
    assert_eq!(by_cash.refusal.expect("refused").reason, "quantity-outside-terms");
    let nothing = Order::Margin(MarginPayment {
        instrument: FUTURE.parse().unwrap(),
        cash: "bank-a/USD".parse().unwrap(),
        amount: Amount::new(100).unwrap(),
    });
    let nothing = asks(&mut alice, FUTURE, nothing).await;
    assert_eq!(nothing.refusal.expect("refused").reason, "unknown-position");

    // Whoever knows of another's order that waits does not get what it reserves; and one is not given twice by mistake.
    let order = gives(&mut alice, NEXT, Side::Buy, cash(50_000)).await;
    let cancel = Order::Cancel(Cancel {
        request: order.request.parse().unwrap(),
        instrument: NEXT.parse().unwrap(),
        cash: "bank-a/USD".parse().unwrap(),
    });
    let mut bruno = network.customer("bruno");
    let stolen = asks(&mut bruno, NEXT, cancel.clone()).await;
    assert_eq!(stolen.refusal.expect("refused").reason, "unknown-position");
    let terms = sized(&mut alice, NEXT, Side::Buy, cash(50_000));
    let again = alice.finish(&alice.sign(terms)).await;
    let refusal = again.refusal.expect("refused");
    assert_eq!(refusal.reason, "duplicate-order");
    assert_eq!(refusal.found, format!("request {}", order.request));
    let cancelled = asks(&mut alice, NEXT, cancel).await;
    assert_eq!(cancelled.outcome.as_deref(), Some("done"), "{cancelled:?}");
    gives(&mut alice, NEXT, Side::Buy, cash(50_000)).await;
    all_holds(&network).await;
}
