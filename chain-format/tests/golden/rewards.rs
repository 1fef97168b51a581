//! Rewards: on a good referral alone, from the promotion account, to the account and the promoter.

use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::{PostingPurpose, ReferralOutcome};
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::record::Signed;
use stemma_chain_format::referral::Referral;
use stemma_chain_format::request::{Request, Side, Size};

use crate::common::members::instrument_of;
use crate::common::trades::forge;
use crate::common::{Order, Plan, World, amount, member_key};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [accepted(world), outcomes(world), referrals(world), payments(world)].concat()
}

/// Alice buys; carol of the other bank is rewarded.
fn order(world: &World) -> Order {
    Order {
        size: Size::Quantity(amount(20_000)),
        reward: Some((world.customer("carol"), 25)),
        ..Order::new(world.customer("alice"), "fund-house", Side::Buy)
    }
}

fn without_reward(world: &World) -> Order {
    Order { reward: None, ..order(world) }
}

fn accepted(world: &World) -> Vec<Vector> {
    let spent = Plan::new(world, without_reward(world))
        .request(|request| request.referral = Some(b"no referral at all".to_vec()))
        .execution(|execution| execution.referral = Some(ReferralOutcome::Invalid));
    let cases = [
        ("chain-reward", "Pays the promoter at the other bank a reward.", Plan::new(world, order(world)).entry()),
        ("chain-referral-invalid", "Goes on without a reward, and says why.", spent.entry()),
    ];
    let accept = |(name, about, entry): (&str, &str, stemma_chain_format::chain::Entry)| {
        Vector::accept(name, ("apply", "entry"), about, entry.id(), &entry.encode())
    };
    cases.into_iter().map(accept).collect()
}

fn reject(name: &str, about: &str, broken: (Rule, &str), plan: &Plan<'_>) -> Vector {
    Vector::reject(&format!("reward-{name}"), ("apply", "entry"), about, broken, &plan.bytes())
}

fn outcomes(world: &World) -> Vec<Vector> {
    let place = "execution.referral";
    let rewarded = |outcome| Plan::new(world, order(world)).execution(move |x| x.referral = outcome);
    let plain = |outcome| Plan::new(world, without_reward(world)).execution(move |x| x.referral = outcome);
    let asked = plain(Some(ReferralOutcome::Rewarded)).request(|request| request.referral = Some(vec![1]));
    vec![
        reject(
            "outcome-missing",
            "Does not say what became of the referral.",
            (Rule::Agreement, place),
            &rewarded(None),
        ),
        reject(
            "outcome-unasked",
            "Says what became of a referral that is not there.",
            (Rule::Agreement, place),
            &plain(Some(ReferralOutcome::Expired)),
        ),
        reject(
            "outcome-other",
            "Pays a reward on what it calls expired.",
            (Rule::Referral, place),
            &rewarded(Some(ReferralOutcome::Expired)),
        ),
        reject("unpaid", "Says that a reward was paid, and pays none.", (Rule::Referral, place), &asked),
    ]
}

fn referrals(world: &World) -> Vec<Vector> {
    let changed = |signer: &'static str, change: fn(&World, &mut Referral)| {
        Plan::new(world, order(world)).request(move |request: &mut Request| {
            let bytes = request.referral.clone().unwrap();
            let mut record = Signed::<Referral>::decode(bytes).unwrap().record().clone();
            change(world, &mut record);
            request.referral = Some(forge(&record, &member_key(signer)));
        })
    };
    let broken = (Rule::Referral, "request.referral");
    let no_referral = Plan::new(world, order(world)).request(|request| request.referral = Some(b"a referral".to_vec()));
    vec![
        reject("referral-unreadable", "Pays on what is no referral.", broken, &no_referral),
        reject("referral-forged", "Another bank signs the referral.", broken, &changed("bank-a", |_, _| ())),
        reject(
            "referral-other-instrument",
            "The referral promotes another instrument.",
            broken,
            &changed("bank-b", |_, r| r.instrument = instrument_of("broker")),
        ),
        reject(
            "referral-other-side",
            "The referral promotes selling.",
            broken,
            &changed("bank-b", |_, r| r.side = Some(Side::Sell)),
        ),
        reject(
            "referral-own",
            "The account promotes to itself.",
            broken,
            &changed("bank-b", |world, r| r.promoter = world.customer("alice").account),
        ),
        reject(
            "referral-expired",
            "The chain may commit when the referral is past its expiry.",
            (Rule::Referral, "request.referral.expires"),
            &changed("bank-b", |world, r| r.expires = world.ledger.head().height + 99),
        ),
    ]
}

fn payments(world: &World) -> Vec<Vector> {
    let broken = (Rule::Referral, "execution.postings.reward");
    let moved = |from_promotion: bool| {
        let account = if from_promotion {
            world.customer("bob").account
        } else {
            world.own("fund-house", OwnAccount::Settlement)
        };
        Plan::new(world, order(world)).execution(move |x| {
            let of_side = |posting: &&mut stemma_chain_format::execution::Posting| {
                posting.purpose == PostingPurpose::Reward && posting.amount.is_positive() == from_promotion
            };
            x.postings.iter_mut().filter(of_side).for_each(|posting| posting.account = account);
        })
    };
    vec![
        reject("to-another", "Pays somebody who did not promote.", broken, &moved(true)),
        reject("from-settlement", "Pays from another account than the promotion account.", broken, &moved(false)),
    ]
}
