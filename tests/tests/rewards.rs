//! Promise: a good referral pays by the institution's policy, in the same execution, to the customer and to a promoter at any bank;
//! a forged, expired, exhausted or foreign one never pays, and the client is told; limits hold through kill -9.

use std::collections::BTreeMap;

use stemma_chain_format::request::Side;
use stemma_node_api::config::{InvalidReferral, RewardAmount, RewardPolicy, RewardsConfig};
use stemma_node_api::types::{ExecutedView, RequestState};
use stemma_tests::books::{must_balance, parsed};
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, Network};

/// What the customer and the promoter are paid for ten shares at 25.94: 1.00, and one percent rounded down.
const TO_CUSTOMER: i128 = 100;
const TO_PROMOTER: i128 = 259;

fn policy() -> RewardsConfig {
    let policy = RewardPolicy {
        instruments: vec!["AAPL".to_owned()],
        side: Some("buy".to_owned()),
        customer: Some(RewardAmount::flat(Some("1.00"), 0)),
        promoter: Some(RewardAmount::flat(None, 100)),
    };
    RewardsConfig {
        promoter_day_max: BTreeMap::from([("USD".to_owned(), "6.00".to_owned())]),
        policies: vec![policy],
        ..RewardsConfig::default()
    }
}

async fn network() -> Network {
    Network::start_with(|config| match config.member.as_str() {
        "broker-a" => config.institution.rewards = policy(),
        "broker-b" => {
            let invalid_referral = InvalidReferral::Refuse;
            config.institution.rewards = RewardsConfig { invalid_referral, ..RewardsConfig::default() };
        }
        _ => {}
    })
    .await
}

/// A customer's referral for buying an instrument.
async fn referral(network: &Network, promoter: &mut Customer, instrument: &str, uses: u32, expires: u64) -> Vec<u8> {
    let operator = network.client(promoter.bank.as_str());
    promoter.referral(operator, instrument, uses, expires).await
}

/// Trades ten shares on a referral.
async fn trade(customer: &mut Customer, side: Side, instrument: &str, referral: &[u8]) -> ExecutedView {
    let mut terms = customer.terms(side, instrument, 10);
    terms.referral = Some(referral.to_vec());
    let view = customer.finish(&customer.sign(terms)).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    view.executed.unwrap()
}

#[track_caller]
fn must_pay(executed: &ExecutedView, customer: &Customer, promoter: &Customer) {
    assert_eq!(executed.referral.as_deref(), Some("rewarded"), "{executed:?}");
    let found: Vec<_> = executed
        .rewards
        .iter()
        .map(|reward| (reward.account.clone(), reward.instrument.clone(), reward.amount.parse::<i128>().unwrap()))
        .collect();
    let paid = |who: &Customer, amount| (who.account.to_string(), format!("{}/USD", who.bank), amount);
    assert_eq!(found, [paid(customer, TO_CUSTOMER), paid(promoter, TO_PROMOTER)]);
}

#[track_caller]
fn must_not_pay(executed: &ExecutedView, why: &str) {
    assert_eq!((executed.referral.as_deref(), executed.rewards.as_slice()), (Some(why), &[][..]));
}

async fn cash(customer: &Customer) -> i128 {
    parsed(&customer.view().await.total)[&format!("{}/USD", customer.bank)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_referral_pays_both_and_a_bad_one_nobody() {
    let mut network = network().await;
    let (mut alice, mut emeka, mut farah) =
        (network.customer("alice"), network.customer("emeka"), network.customer("farah"));
    let of_alice = referral(&network, &mut alice, AAPL, 5, 500_000).await;
    let before = (cash(&alice).await, cash(&emeka).await);

    // Emeka banks with bank-b; alice, who promotes, with bank-a.
    must_pay(&trade(&mut emeka, Side::Buy, AAPL, &of_alice).await, &emeka, &alice);
    let (cost, fee) = (25_940, 26);
    // Her bank may be a block behind his.
    network.agreed().await;
    assert_eq!(cash(&alice).await, before.0 + TO_PROMOTER);
    assert_eq!(cash(&emeka).await, before.1 - cost - fee + TO_CUSTOMER);

    // Bad referrals: the trade goes on, and says why nothing is paid.
    must_not_pay(&trade(&mut alice, Side::Buy, AAPL, &of_alice).await, "own-referral");
    must_not_pay(&trade(&mut emeka, Side::Sell, AAPL, &of_alice).await, "other-trade");
    let mut forged = of_alice.clone();
    *forged.last_mut().unwrap() ^= 1;
    must_not_pay(&trade(&mut emeka, Side::Buy, AAPL, &forged).await, "invalid");
    must_not_pay(&trade(&mut emeka, Side::Buy, AAPL, b"no referral at all").await, "invalid");
    let once = referral(&network, &mut farah, AAPL, 1, 500_000).await;
    must_pay(&trade(&mut alice, Side::Buy, AAPL, &once).await, &alice, &farah);
    must_not_pay(&trade(&mut alice, Side::Buy, AAPL, &once).await, "exhausted");
    // A chain may commit for two hundred blocks, so a referral that ends before is over.
    let height = network.client("bank-b").status().await.unwrap().height;
    let short = referral(&network, &mut farah, AAPL, 1, height + 100).await;
    must_not_pay(&trade(&mut alice, Side::Buy, AAPL, &short).await, "expired");

    // The other institution has no policy, and refuses what does not hold.
    let of_ibm = referral(&network, &mut farah, IBM, 1, 500_000).await;
    must_not_pay(&trade(&mut alice, Side::Buy, IBM, &of_ibm).await, "no-policy");
    let mut terms = alice.terms(Side::Buy, IBM, 1);
    terms.referral = Some(of_alice.clone());
    let refusal = alice.finish(&alice.sign(terms)).await.refusal.unwrap();
    assert_eq!((refusal.member.as_str(), refusal.reason.as_str()), ("broker-b", "referral-rejected"));
    assert_eq!(refusal.found, "other-trade");

    // A promoter's limit for a day is two such rewards, also over a crash of the institution.
    must_pay(&trade(&mut emeka, Side::Buy, AAPL, &of_alice).await, &emeka, &alice);
    network.process_mut("broker-a").kill();
    network.process_mut("broker-a").run();
    network.connected().await;
    must_not_pay(&trade(&mut emeka, Side::Buy, AAPL, &of_alice).await, "limit-reached");
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}
