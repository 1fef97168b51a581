//! Snapshots: the state of a world in parts gives the very ledger; one that is changed anywhere is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    reason = "tests may panic"
)]

mod common;

use common::proofs::VALIDATORS;
use common::{World, amount, cash_of, certify, founded};
use stemma_chain_format::account::AccountState;
use stemma_chain_format::cbor;
use stemma_chain_format::endorsement::{Credit, CreditTerms};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::Digest;
use stemma_chain_format::ledger::Account;
use stemma_chain_format::snapshot::{Assembly, Item, Manifest, Restored};

/// The state of a world's last block, as a node hands it out.
fn items(world: &World) -> Vec<Item> {
    let account = |account: &Account| {
        let absorbed = usize::try_from(account.state.credits_absorbed).unwrap();
        let all = world.credits.get(&account.state.account).cloned().unwrap_or_default();
        let waiting: Vec<Credit> = account.inbox.iter().cloned().collect();
        let own = world.ledger.own_account_of(&account.state.account).is_some();
        let before = if own { Digest([0; 32]) } else { digest(&all[..absorbed]) };
        Item::Account(account.state.clone(), before, waiting)
    };
    let accounts = world.ledger.accounts().map(account);
    let positions = world.ledger.positions().map(|(key, position)| Item::Position(*key, position.clone()));
    let listings = world.ledger.listings().map(|listed| Item::Listing(world.body(listed.link)));
    accounts.chain(positions).chain(listings).collect()
}

fn digest(credits: &[Credit]) -> Digest {
    credits.iter().fold(Digest([0; 32]), |digest, credit| credit.chained(&digest))
}

/// Parts of seven items each, with their manifest.
fn snapshot(world: &World, items: &[Item]) -> (Manifest, Vec<Vec<u8>>) {
    let parts: Vec<Vec<u8>> = items.chunks(7).map(|chunk| cbor::encode(&chunk.to_vec())).collect();
    let bytes = parts.iter().map(Vec::len).sum::<usize>() as u64;
    let hashes = parts.iter().map(|part| Digest::of(part)).collect();
    (Manifest { head: world.checkpoint(), trust: world.trust_steps(), parts: hashes, bytes }, parts)
}

fn assembled(world: &World, (manifest, parts): (Manifest, Vec<Vec<u8>>)) -> Result<Restored, Violation> {
    let manifest = Manifest::decode(&cbor::encode(&manifest)).unwrap();
    let mut assembly = Assembly::begin(manifest, &world.file)?;
    while let Some(index) = assembly.wanted() {
        assembly.take(&parts[index])?;
    }
    assembly.finish()
}

#[test]
fn the_parts_give_the_very_ledger() {
    let world = World::traded();
    let restored = assembled(&world, snapshot(&world, &items(&world))).unwrap();
    let (ledger, again) = (&world.ledger, &restored.ledger);
    assert_eq!(ledger.root(), again.root());
    assert_eq!(ledger.registry(), again.registry());
    assert!(ledger.accounts().eq(again.accounts()));
    assert!(ledger.positions().eq(again.positions()));
    assert!(ledger.listings().eq(again.listings()));
    assert_eq!(ledger.head(), again.head());
    assert!(ledger.accounts().any(|account| !account.inbox.is_empty()), "credits wait in the world");
}

fn is_untouched(item: &Item) -> bool {
    let Item::Account(state, ..) = item else { return false };
    let opened = |key| AccountState::opened(state.account, state.bank.clone(), key, CreditTerms::default());
    state.key.is_some_and(|key| *state == opened(key))
}

/// The members' own accounts follow from the registry until something moves them: a node does not store them before.
#[test]
fn own_accounts_that_nothing_moved_may_be_left_out() {
    let world = World::traded();
    let (left_out, listed): (Vec<Item>, Vec<Item>) = items(&world).into_iter().partition(is_untouched);
    assert!(!left_out.is_empty());
    let restored = assembled(&world, snapshot(&world, &listed)).unwrap();
    assert_eq!(restored.ledger.root(), world.ledger.root());
    assert!(world.ledger.accounts().eq(restored.ledger.accounts()));
}

fn refused(what: &str, rule: Rule, change: impl FnOnce(&mut Vec<Item>)) {
    let world = World::traded();
    let mut items = items(&world);
    change(&mut items);
    let found = assembled(&world, snapshot(&world, &items));
    assert_eq!(found.map(|_| ()).unwrap_err().rule, rule, "{what}");
}

fn first_waiting(items: &mut [Item]) -> (&mut Digest, &mut Vec<Credit>) {
    let found = items.iter_mut().find_map(|item| match item {
        Item::Account(_, before, waiting) if !waiting.is_empty() => Some((before, waiting)),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn a_state_that_is_another_is_refused() {
    refused("one unit more", Rule::Proof, |items| {
        let holder = items.iter_mut().find_map(|item| match item {
            Item::Account(state, ..) if !state.holdings.get(&cash_of("bank-a")).is_negative() => Some(state),
            _ => None,
        });
        holder.unwrap().holdings.add(&cash_of("bank-a"), amount(1)).unwrap();
    });
    refused("an account left out", Rule::Proof, |items| {
        let at = items.iter().position(|item| !is_untouched(item)).unwrap();
        items.remove(at);
    });
    refused("an account twice", Rule::Proof, |items| items.push(items[0].clone()));
    refused("a position left out", Rule::Proof, |items| {
        let at = items.iter().position(|item| matches!(item, Item::Position(..))).unwrap();
        items.remove(at);
    });
    refused("a listing left out", Rule::Proof, |items| drop(items.pop()));
    refused("a credit of one unit more", Rule::Credit, |items| {
        let credit = &mut first_waiting(items).1[0];
        credit.amount = credit.amount.plus(amount(1)).unwrap();
    });
    refused("a credit left out", Rule::Credit, |items| drop(first_waiting(items).1.pop()));
    refused("another digest before", Rule::Credit, |items| first_waiting(items).0.0[0] ^= 1);
}

#[test]
fn a_manifest_that_trust_does_not_lead_to_is_refused() {
    let world = World::traded();
    let (manifest, parts) = snapshot(&world, &items(&world));
    let begin = |change: &dyn Fn(&mut Manifest)| {
        let mut changed = manifest.clone();
        change(&mut changed);
        Assembly::begin(changed, &world.file).map(|_| ()).unwrap_err().rule
    };
    assert_eq!(begin(&|m| drop(m.trust.pop())), Rule::Certificate);
    assert_eq!(begin(&|m| m.head.header.accounts_root.0[0] ^= 1), Rule::Certificate);
    assert_eq!(begin(&|m| m.head = certify(&m.head.header, &VALIDATORS[..2])), Rule::Certificate);
    let foreign = Assembly::begin(manifest.clone(), &founded("another network"));
    assert_eq!(foreign.map(|_| ()).unwrap_err().rule, Rule::Network);
    // A part that was spoilt on its way, and parts in another order.
    let mut assembly = Assembly::begin(manifest.clone(), &world.file).unwrap();
    let mut spoilt = parts[0].clone();
    spoilt[9] ^= 1;
    assert_eq!(assembly.take(&spoilt).unwrap_err().rule, Rule::Proof);
    assert_eq!(assembly.take(&parts[1]).unwrap_err().rule, Rule::Proof);
    // Fewer parts than were named.
    assembly.take(&parts[0]).unwrap();
    assert_eq!(assembly.finish().map(|_| ()).unwrap_err().rule, Rule::Proof);
}
