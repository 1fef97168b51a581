//! Each report over hand-made rows of the book.

use std::collections::VecDeque;

use stemma_chain_format::account::AccountState;
use stemma_chain_format::amount::Price;
use stemma_chain_format::endorsement::{Credit, CreditTerms};
use stemma_chain_format::hash::{AccountId, Digest, Link, NetworkId};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::ledger::Account;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::request::Side;
use stemma_node_api::reports::{DifferenceRow, FeeRow, HoldingRow, HoldingTotal, RewardRow, TradeDay};

use super::fees::Fees;
use super::holdings::Holdings;
use super::reconciliation::Reconciliation;
use super::rewards::Rewards;
use super::trades;
use super::*;
use crate::store::Rewarded;

const ALICE: AccountId = AccountId([1; 32]);
const EMEKA: AccountId = AccountId([2; 32]);
const NETWORK: NetworkId = NetworkId([9; 32]);
/// 2026-11-26, ten minutes before midnight.
const EVENING: u64 = 1_795_737_000_000;
/// The next day.
const MORNING: u64 = EVENING + 3_600_000;

fn broker() -> MemberId {
    "broker-a".parse().unwrap()
}

fn instrument(text: &str) -> InstrumentId {
    text.parse().unwrap()
}

fn amount(units: i128) -> Amount {
    Amount::new(units).unwrap()
}

fn decimals() -> Decimals {
    let all = [("broker-a/AAPL", 0), ("broker-a/FUND", 4), ("bank-a/USD", 2), ("bank-b/USD", 3)];
    Decimals(all.into_iter().map(|(name, decimals)| (instrument(name), decimals)).collect())
}

/// A trade at a price of 10 smallest units, with a fee of 1.
fn row(time_ms: u64, account: AccountId, side: Side, code: &str, quantity: i128) -> BookRow {
    let bank = if account == ALICE { "bank-a" } else { "bank-b" };
    BookRow {
        chain: Link([7; 32]),
        time_ms,
        account,
        bank: bank.parse().unwrap(),
        side,
        instrument: instrument(code),
        quantity: amount(quantity),
        price: Price::new(10, 0).unwrap(),
        cash: instrument(&format!("{bank}/USD")),
        cost: amount(quantity * 10),
        fee: Amount::ONE,
        rewards: Vec::new(),
        asked: Digest::of(b"asked"),
    }
}

/// Alice buys 5, sells 2; Emeka buys 4 the next day and sells them; Alice buys of a fund.
fn rows() -> Vec<BookRow> {
    vec![
        row(EVENING, ALICE, Side::Buy, "broker-a/AAPL", 5),
        row(EVENING + 1, ALICE, Side::Buy, "broker-a/AAPL", 1),
        row(EVENING + 2, ALICE, Side::Sell, "broker-a/AAPL", 2),
        row(MORNING, EMEKA, Side::Buy, "broker-a/AAPL", 4),
        row(MORNING + 1, EMEKA, Side::Sell, "broker-a/AAPL", 4),
        row(MORNING + 2, ALICE, Side::Buy, "broker-a/FUND", 12_500),
    ]
}

#[test]
fn holdings_are_bought_less_sold() {
    let mut sums = Holdings::default();
    rows().iter().for_each(|row| sums.add(row).unwrap());
    let (accounts, totals) = sums.rows(&decimals()).unwrap();
    let holding = |code: &str, (bought, sold, held): (&str, &str, &str), decimals| HoldingRow {
        instrument: code.to_owned(),
        account: ALICE.to_string(),
        bank: "bank-a".to_owned(),
        bought: bought.to_owned(),
        sold: sold.to_owned(),
        held: held.to_owned(),
        decimals,
    };
    // Emeka has nothing left.
    let expected = [holding("broker-a/AAPL", ("6", "2", "4"), 0), holding("broker-a/FUND", ("12500", "0", "12500"), 4)];
    assert_eq!(accounts, expected);
    let total = |code: &str, (bought, sold, held): (&str, &str, &str), decimals| HoldingTotal {
        instrument: code.to_owned(),
        accounts: 1,
        bought: bought.to_owned(),
        sold: sold.to_owned(),
        held: held.to_owned(),
        decimals,
    };
    assert_eq!(
        totals,
        [total("broker-a/AAPL", ("10", "6", "4"), 0), total("broker-a/FUND", ("12500", "0", "12500"), 4)]
    );
}

#[test]
fn trades_are_summed_by_day_instrument_side_and_cash() {
    let mut sums = trades::Days::default();
    rows().iter().for_each(|row| sums.add(row).unwrap());
    let day = |day: &str,
               (side, code, cash): (&str, &str, &str),
               (trades, quantity, fee): (u64, i128, i128),
               places: (u8, u8)| TradeDay {
        day: day.to_owned(),
        instrument: code.to_owned(),
        side: side.to_owned(),
        cash: cash.to_owned(),
        trades,
        quantity: quantity.to_string(),
        decimals: places.0,
        cost: (quantity * 10).to_string(),
        fee: fee.to_string(),
        cash_decimals: places.1,
    };
    let expected = [
        day("2026-11-26", ("buy", "broker-a/AAPL", "bank-a/USD"), (2, 6, 2), (0, 2)),
        day("2026-11-26", ("sell", "broker-a/AAPL", "bank-a/USD"), (1, 2, 1), (0, 2)),
        day("2026-11-27", ("buy", "broker-a/AAPL", "bank-b/USD"), (1, 4, 1), (0, 3)),
        day("2026-11-27", ("sell", "broker-a/AAPL", "bank-b/USD"), (1, 4, 1), (0, 3)),
        day("2026-11-27", ("buy", "broker-a/FUND", "bank-a/USD"), (1, 12_500, 1), (4, 2)),
    ];
    assert_eq!(sums.rows(&decimals()).unwrap(), expected);
}

#[test]
fn fees_are_summed_by_day_cash_and_instrument() {
    let mut sums = Fees::default();
    rows().iter().for_each(|row| sums.add(row).unwrap());
    let fee = |day: &str, cash: &str, code: &str, trades: u64, decimals| FeeRow {
        day: day.to_owned(),
        cash: cash.to_owned(),
        instrument: code.to_owned(),
        trades,
        fee: trades.to_string(),
        decimals,
    };
    let expected = [
        fee("2026-11-26", "bank-a/USD", "broker-a/AAPL", 3, 2),
        fee("2026-11-27", "bank-a/USD", "broker-a/FUND", 1, 2),
        fee("2026-11-27", "bank-b/USD", "broker-a/AAPL", 2, 3),
    ];
    assert_eq!(sums.rows(&decimals()).unwrap(), expected);
}

#[test]
fn rewards_are_a_promoters_or_the_customers_own() {
    let mut sums = Rewards::default();
    let reward = |account, units| Rewarded { account, instrument: instrument("bank-a/USD"), amount: amount(units) };
    for mut row in rows() {
        row.rewards = if row.account == ALICE { vec![reward(ALICE, 3)] } else { vec![reward(ALICE, 50)] };
        sums.add(&row).unwrap();
    }
    let expected = |part: &str, rewards, amount: &str| RewardRow {
        part: part.to_owned(),
        account: ALICE.to_string(),
        cash: "bank-a/USD".to_owned(),
        rewards,
        amount: amount.to_owned(),
        decimals: 2,
    };
    assert_eq!(sums.rows(&decimals()).unwrap(), [expected("promoter", 2, "100"), expected("customer", 4, "12")]);
}

fn account(id: AccountId, held: &[(&str, i128)], waiting: &[(&str, i128)]) -> Account {
    let key = PublicKey::of(&ed25519_dalek::SigningKey::from_bytes(&[5; 32]));
    let mut state = AccountState::opened(id, "bank-a".parse().unwrap(), key, CreditTerms::default());
    held.iter().for_each(|(code, units)| state.holdings.add(&instrument(code), amount(*units)).unwrap());
    let credit = |(code, units): &(&str, i128)| Credit {
        source: Link([3; 32]),
        index: 0,
        instrument: instrument(code),
        amount: amount(*units),
    };
    Account { state, inbox: waiting.iter().map(credit).collect::<VecDeque<_>>() }
}

/// The ledger that [`rows`] make: what waits counts as held, cash of customers does not matter.
fn ledger() -> Vec<Account> {
    let own = |purpose| own_account(&NETWORK, &broker(), purpose);
    vec![
        account(
            own(OwnAccount::Settlement),
            &[("broker-a/AAPL", -4), ("broker-a/FUND", -12_500), ("bank-a/USD", 77)],
            &[],
        ),
        account(own(OwnAccount::Fees), &[("bank-a/USD", 4), ("bank-b/USD", 2)], &[]),
        account(own(OwnAccount::Promotion), &[("bank-a/USD", 1_000)], &[]),
        account(ALICE, &[("broker-a/AAPL", 4), ("broker-b/IBM", 9), ("bank-a/USD", 5)], &[("broker-a/FUND", 12_500)]),
        account(EMEKA, &[("bank-b/USD", 5)], &[]),
    ]
}

fn reconciled(book: &[BookRow], ledger: &[Account]) -> Vec<(String, String, Option<String>, String, String)> {
    let mut compared = Reconciliation::new(&NETWORK, &broker());
    book.iter().for_each(|row| compared.book(row).unwrap());
    ledger.iter().for_each(|account| compared.ledger(account).unwrap());
    let told =
        |DifferenceRow { check, instrument, account, book, ledger, .. }| (check, instrument, account, book, ledger);
    compared.differences(&decimals()).unwrap().into_iter().map(told).collect()
}

#[test]
fn a_whole_book_reconciles_and_one_without_a_row_does_not() {
    assert_eq!(reconciled(&rows(), &ledger()), []);
    assert_eq!(reconciled(&[], &[]), []);
    // Whatever row is missing, it is found.
    for missing in 0..rows().len() {
        let mut book = rows();
        book.remove(missing);
        assert!(reconciled(&book, &ledger()).len() >= 4, "without row {missing}");
    }
    let mut book = rows();
    book.remove(1);
    let own = |purpose| Some(own_account(&NETWORK, &broker(), purpose).to_string());
    let difference = |check: &str, code: &str, account, book: &str, ledger: &str| {
        (check.to_owned(), code.to_owned(), account, book.to_owned(), ledger.to_owned())
    };
    let expected = [
        difference("issued", "broker-a/AAPL", own(OwnAccount::Settlement), "3", "4"),
        difference("outstanding", "broker-a/AAPL", None, "3", "4"),
        difference("fees", "bank-a/USD", own(OwnAccount::Fees), "3", "4"),
        difference("holding", "broker-a/AAPL", Some(ALICE.to_string()), "3", "4"),
    ];
    assert_eq!(reconciled(&book, &ledger()), expected);
}

#[test]
fn what_the_ledger_moved_without_the_book_is_found() {
    // Units that went from one customer to the other leave every sum as it was.
    let mut moved = ledger();
    moved[3] = account(ALICE, &[("broker-a/AAPL", 3)], &[("broker-a/FUND", 12_500)]);
    moved[4] = account(EMEKA, &[("broker-a/AAPL", 1)], &[]);
    let found: Vec<_> = reconciled(&rows(), &moved).into_iter().map(|row| (row.0, row.3, row.4)).collect();
    let holding = |book: &str, ledger: &str| ("holding".to_owned(), book.to_owned(), ledger.to_owned());
    assert_eq!(found, [holding("4", "3"), holding("0", "1")]);
    // So does a fee that was taken and not kept, or an account that is gone.
    let mut unpaid = ledger();
    unpaid[1] = account(own_account(&NETWORK, &broker(), OwnAccount::Fees), &[("bank-a/USD", 4)], &[]);
    assert_eq!(reconciled(&rows(), &unpaid).len(), 1);
    let mut gone = ledger();
    gone.remove(3);
    assert_eq!(reconciled(&rows(), &gone).len(), 4);
}

#[test]
fn days_are_whole_and_in_order() {
    let period = |from: Option<&str>, to: Option<&str>| {
        Period::read(&Days { from: from.map(str::to_owned), to: to.map(str::to_owned) })
            .map(|read| (read.from_ms, read.end_ms))
    };
    assert_eq!(period(None, None).unwrap(), (0, u64::MAX));
    let (from, end) = period(Some("2026-11-26"), Some("2026-11-26")).unwrap();
    assert_eq!(
        (moment::show(from).as_str(), moment::show(end).as_str()),
        ("2026-11-26T00:00:00Z", "2026-11-27T00:00:00Z")
    );
    let said = period(Some("2026-11-27"), Some("2026-11-26")).unwrap_err().to_string();
    assert_eq!(said, "to: a day not before 2026-11-27");
    let said = period(Some("27.11.2026"), None).unwrap_err().to_string();
    assert!(said.starts_with("from: expected a day from 1970 on"), "{said}");
    let whole = Period::read(&Days { from: Some("2026-11-26".to_owned()), to: None }).unwrap();
    assert!(whole.without(&["from", "to"]).is_err() && whole.without(&["to"]).is_ok());
}

#[test]
fn what_is_not_listed_and_what_is_too_large_is_told() {
    let mut sums = Holdings::default();
    sums.add(&row(EVENING, ALICE, Side::Buy, "broker-a/NEW", 1)).unwrap();
    assert!(matches!(sums.rows(&decimals()), Err(ReportError::Unlisted(_))));
    let mut sum = Sum(i128::MAX);
    assert!(matches!(sum.add(&instrument("broker-a/AAPL"), Amount::ONE), Err(ReportError::TooLarge(_))));
}
