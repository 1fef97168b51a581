//! Promise: an account is frozen, closed, paid out, lent to and given another key by signed records that every node
//! validates and every auditor can prove.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use ed25519_dalek::SigningKey;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::servicing::Act;
use stemma_node_api::types::{CreditView, OpenAccount, RequestState, RequestView, ServiceAct};
use stemma_tests::binaries::binaries;
use stemma_tests::books::must_balance;
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, CASH, MEMBERS, Network};
use stemma_tools::requests::random;

fn refused_for(view: &RequestView) -> &str {
    let refusal = view.refusal.as_ref().unwrap_or_else(|| panic!("a refusal: {view:?}"));
    assert_eq!(view.state, RequestState::Refused);
    &refusal.reason
}

async fn act(network: &Network, customer: &Customer, act: ServiceAct) -> RequestView {
    network.client(customer.bank.as_str()).act(&customer.account.to_string(), &act).await.unwrap()
}

async fn must_commit(network: &Network, customer: &Customer, asked: ServiceAct) -> RequestView {
    let view = act(network, customer, asked).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    view
}

fn withdrawal(customer: &Customer, units: i128) -> Act {
    Act::Withdraw(format!("{}/USD", customer.bank).parse().unwrap(), Amount::new(units).unwrap())
}

async fn cash(customer: &Customer) -> i128 {
    let name = format!("{}/USD", customer.bank);
    customer.view().await.total.get(&name).map_or(0, |amount| amount.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_through_its_life() {
    let network = Network::start().await;
    let mut alice = network.customer("alice");

    frozen_and_open_again(&network, &mut alice).await;
    paid_out_only_on_instruction(&mut alice).await;
    lent_to(&network, &mut alice).await;
    let mut alice = given_other_keys(&network, alice).await;
    closed(&network).await;

    let order = alice.buy(AAPL, 1);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
    let head = network.agreed().await;
    network.same_blocks(head.height).await;
    for member in MEMBERS {
        must_balance(network.client(member)).await;
    }
    proved_offline(&network, &alice);
}

async fn frozen_and_open_again(network: &Network, alice: &mut Customer) {
    let view = must_commit(network, alice, ServiceAct::Freeze).await;
    assert_eq!((view.act.as_deref(), alice.view().await.status.as_str()), (Some("freeze"), "frozen"));
    let order = alice.buy(AAPL, 1);
    assert_eq!(refused_for(&alice.finish(&order).await), "account-frozen");
    let told = alice.instruct(withdrawal(alice, 1)).await;
    assert_eq!(refused_for(&told), "act-not-possible");
    assert_eq!(refused_for(&act(network, alice, ServiceAct::Freeze).await), "act-not-possible");
    must_commit(network, alice, ServiceAct::Unfreeze).await;
    let order = alice.buy(AAPL, 1);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
}

async fn paid_out_only_on_instruction(alice: &mut Customer) {
    let before = cash(alice).await;
    let told = alice.instruct(withdrawal(alice, 12_345)).await;
    assert_eq!(told.state, RequestState::Committed, "{told:?}");
    assert_eq!(cash(alice).await, before - 12_345);
    let beyond = alice.instruct(withdrawal(alice, before)).await;
    assert_eq!(refused_for(&beyond), "insufficient-cash");
    let mut by_another = alice.clone();
    by_another.key = SigningKey::from_bytes(&random().unwrap());
    let told = by_another.instruct(withdrawal(alice, 1)).await;
    assert_eq!(refused_for(&told), "bad-signature");
    assert_eq!(cash(alice).await, before - 12_345);
}

/// With a credit line the account buys for more than it holds; without it, it does not.
async fn lent_to(network: &Network, alice: &mut Customer) {
    let shares = cash(alice).await / 2_594 + 10;
    let order = alice.buy(AAPL, shares);
    assert_eq!(refused_for(&alice.finish(&order).await), "insufficient-cash");
    let lines = BTreeMap::from([("USD".to_owned(), "200000".to_owned())]);
    must_commit(network, alice, ServiceAct::SetCredit(CreditView { level: 4, rules: 2, lines })).await;
    let view = alice.view().await;
    assert_eq!((view.credit.level, view.credit.lines["bank-a/USD"].as_str()), (4, "200000"));
    let order = alice.buy(AAPL, shares);
    let bought = alice.finish(&order).await;
    assert_eq!(bought.state, RequestState::Committed, "{bought:?}");
    assert!((-200_000..0).contains(&cash(alice).await), "{}", cash(alice).await);
    let order = alice.sell(AAPL, shares);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
    assert!(cash(alice).await > 0);
}

/// The customer rotates the key; the bank revokes it and binds another. Each old key is refused from then on.
async fn given_other_keys(network: &Network, mut alice: Customer) -> Customer {
    let second = SigningKey::from_bytes(&random().unwrap());
    let unasked = ServiceAct::BindKey { key: PublicKey::of(&second).to_string() };
    let conflict = network.client("bank-a").act(&alice.account.to_string(), &unasked).await.unwrap_err();
    assert_eq!(conflict.status().unwrap(), 409, "{conflict}");
    let told = alice.instruct(Act::BindKey(PublicKey::of(&second))).await;
    assert_eq!(told.state, RequestState::Committed, "{told:?}");
    let order = alice.buy(AAPL, 1);
    assert_eq!(refused_for(&alice.finish(&order).await), "bad-signature");
    alice.key = second;
    let order = alice.buy(AAPL, 1);
    assert_eq!(alice.finish(&order).await.state, RequestState::Committed);

    must_commit(network, &alice, ServiceAct::RevokeKey).await;
    assert_eq!(alice.view().await.key, None);
    let order = alice.buy(AAPL, 1);
    assert_eq!(refused_for(&alice.finish(&order).await), "key-revoked");
    let third = SigningKey::from_bytes(&random().unwrap());
    must_commit(network, &alice, ServiceAct::BindKey { key: PublicKey::of(&third).to_string() }).await;
    alice.key = third;
    alice
}

async fn closed(network: &Network) {
    let bruno = network.customer("bruno");
    assert_eq!(refused_for(&act(network, &bruno, ServiceAct::Close).await), "act-not-possible");
    let mut bruno = bruno;
    let all = bruno.instruct(withdrawal(&bruno, CASH)).await;
    assert_eq!(all.state, RequestState::Committed, "{all:?}");
    must_commit(network, &bruno, ServiceAct::Close).await;
    let order = bruno.buy(AAPL, 1);
    assert_eq!(refused_for(&bruno.finish(&order).await), "account-closed");
    assert_eq!(refused_for(&act(network, &bruno, ServiceAct::Unfreeze).await), "act-not-possible");
    // Another is opened for the same key; nobody can tell that it is one customer's.
    let key = PublicKey::of(&bruno.key).to_string();
    let opened = network.client("bank-a").open_account(&OpenAccount { key }).await.unwrap();
    assert_ne!(opened.id, bruno.account.to_string());
}

fn proved_offline(network: &Network, alice: &Customer) {
    let bundle = network.scratch().join("alice.bundle");
    let tool = |arguments: &[&str]| {
        let run = Command::new(&binaries().tool).args(arguments).stdin(Stdio::null()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    };
    let (url, account) = (alice.client.url(), alice.account.to_string());
    let (file, genesis) = (bundle.to_str().unwrap(), network.genesis_file());
    tool(&["audit", "export", "--node", url, "--account", &account, "--out", file]);
    tool(&["audit", "verify", file, "--genesis", genesis.to_str().unwrap()]);
}
