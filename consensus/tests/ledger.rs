//! The real ledger under consensus: what is proposed, judged, committed, deferred and dropped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "../../chain-format/tests/common/mod.rs"]
mod common;

use std::sync::Arc;

use common::{Order, Plan, View, World, certify, id, instrument_of};
use stemma_chain_format::certificate::Certificate;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::header::Block;
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::{VerifiedEntry, verify_entry};
use stemma_consensus::ports::{Application, Judgement};
use stemma_consensus::state::{BlockSink, CommittedBlock, LedgerState};

const VALIDATORS: [&str; 4] = ["bank-a", "bank-b", "broker", "fund-house"];

/// Keeps the heights written; fails where told to.
#[derive(Debug, Default)]
struct Sink {
    heights: Vec<u64>,
    broken: bool,
}

impl BlockSink for Sink {
    fn write(&mut self, committed: &CommittedBlock<'_>) -> Result<(), String> {
        if self.broken {
            return Err("the disk is full".to_owned());
        }
        self.heights.push(committed.block.header.height);
        Ok(())
    }
}

fn state(world: &World) -> LedgerState<Sink> {
    LedgerState::new(world.ledger.clone(), Sink::default())
}

fn verified(world: &World, entry: Entry) -> Arc<VerifiedEntry> {
    Arc::new(verify_entry(entry, world.ledger.registry()).unwrap())
}

fn now(world: &World) -> u64 {
    world.ledger.head().time_ms + 1_000
}

fn certificate(block: &Block) -> Certificate {
    certify(&block.header, &VALIDATORS).certificate
}

fn buy(world: &World) -> Entry {
    Order::new(world.customer("alice"), "fund-house", Side::Buy).chain(world)
}

/// Alice's next two chains, the second on top of the first.
fn two(world: &World) -> (Arc<VerifiedEntry>, Arc<VerifiedEntry>) {
    let alice = world.customer("alice");
    let plan = || Plan::new(world, Order::new(alice, "fund-house", Side::Buy));
    let Entry::Chain(chain) = plan().entry() else { panic!("a chain") };
    let listed = world.ledger.listing(&instrument_of("fund-house")).unwrap();
    let view = View::of(world, &alice.account).after(&chain, listed);
    (verified(world, plan().entry()), verified(world, plan().on_top_of(view).entry()))
}

#[test]
fn what_one_validator_proposes_every_other_finds_valid_and_commits_to_the_same_root() {
    let world = World::traded();
    let (mut proposer, mut other) = (state(&world), state(&world));
    let entry = verified(&world, buy(&world));
    assert!(proposer.add(entry.clone()));
    assert!(proposer.has_work());
    let block = proposer.propose(&id("bank-a"), now(&world));
    assert_eq!(block.entries, [entry.id()]);
    assert_eq!(other.judge(&block, now(&world)), Judgement::Missing(vec![entry.id()]));
    assert!(other.add(entry));
    assert_eq!(other.judge(&block, now(&world)), Judgement::Valid);
    for state in [&mut proposer, &mut other] {
        state.commit(&block, &certificate(&block)).unwrap();
        assert_eq!(state.ledger().root(), block.header.accounts_root);
        assert_eq!((state.height(), state.head()), (block.header.height, block.id()));
        assert!(!state.has_work() && state.pool().is_empty());
        assert_eq!(state.sink_mut().heights, [block.header.height]);
    }
}

#[test]
fn a_block_that_lies_is_judged_invalid() {
    let world = World::traded();
    let mut state = state(&world);
    assert!(state.add(verified(&world, buy(&world))));
    let honest = state.propose(&id("bank-a"), now(&world));
    let drift = world.ledger.registry().parameters().clock_drift_ms_max;
    type Lie = fn(&mut Block, u64);
    let lies: [(&str, Lie); 5] = [
        ("header.accounts_root", |block, _| block.header.accounts_root = Digest([1; 32])),
        ("header.registry_root", |block, _| block.header.registry_root = Digest([1; 32])),
        ("header.entries_root", |block, _| block.entries.clear()),
        ("header.time_ms", |block, latest| block.header.time_ms = latest + 1),
        ("header.time_ms", |block, _| block.header.time_ms = 1),
    ];
    for (field, lie) in lies {
        let mut block = honest.clone();
        lie(&mut block, now(&world) + drift);
        let Judgement::Invalid(violation) = state.judge(&block, now(&world)) else { panic!("{field} passes") };
        assert_eq!((violation.rule, violation.field.as_str()), (Rule::Block, field));
    }
    let mut repeated = honest.clone();
    repeated.entries.extend(honest.entries.clone());
    repeated.header.entries_root = stemma_chain_format::header::entries_root(&repeated.entries);
    assert!(matches!(state.judge(&repeated, now(&world)), Judgement::Invalid(_)), "an entry twice");
    assert_eq!(state.judge(&honest, now(&world)), Judgement::Valid);
}

#[test]
fn an_early_chain_waits_without_keeping_the_network_busy() {
    let world = World::traded();
    let mut state = state(&world);
    let (first, second) = two(&world);
    assert!(state.add(second.clone()));
    let empty = state.propose(&id("bank-a"), now(&world));
    assert!(empty.entries.is_empty());
    assert!(!state.has_work(), "what waits for its parent is no work");
    assert_eq!(state.pool().len(), 1);
    assert!(state.add(first.clone()));
    let block = state.propose(&id("bank-a"), now(&world));
    assert_eq!(block.entries, [first.id()]);
    state.commit(&block, &certificate(&block)).unwrap();
    assert!(state.has_work(), "its parent is committed");
    assert_eq!(state.propose(&id("bank-b"), now(&world) + 1).entries, [second.id()]);
}

#[test]
fn of_two_chains_with_one_parent_one_commits_and_the_other_leaves() {
    let world = World::traded();
    let mut state = state(&world);
    let alice = world.customer("alice");
    let one = verified(&world, buy(&world));
    let other = verified(&world, Order::new(alice, "broker", Side::Buy).chain(&world));
    assert!(state.add(one.clone()) && state.add(other.clone()));
    let block = state.propose(&id("bank-a"), now(&world));
    assert_eq!(block.entries, [one.id()]);
    state.commit(&block, &certificate(&block)).unwrap();
    assert!(state.propose(&id("bank-a"), now(&world) + 1).entries.is_empty());
    assert!(state.pool().is_empty(), "what was overtaken is gone");
    assert!(!state.add(other) && !state.add(one), "and does not come back");
}

#[test]
fn a_synced_block_is_checked_whatever_its_bodies_say() {
    let world = World::traded();
    let mut proposer = state(&world);
    let entry = verified(&world, buy(&world));
    assert!(proposer.add(entry.clone()));
    let block = proposer.propose(&id("bank-a"), now(&world));
    let body = entry.entry().encode();
    let mut forged = body.clone();
    let end = forged.len() - 1;
    forged[end] ^= 1;
    for bodies in [vec![], vec![forged], vec![body.clone(), body.clone()]] {
        let count = bodies.len();
        let mut follower = state(&world);
        let verdict = follower.commit_synced(&block, &certificate(&block), bodies);
        // One body too many is not looked at: the block names its entries.
        assert_eq!(verdict.is_ok(), count == 2, "{count} bodies: {verdict:?}");
    }
    let mut follower = state(&world);
    follower.commit_synced(&block, &certificate(&block), vec![body]).unwrap();
    assert_eq!(follower.ledger().root(), block.header.accounts_root);
}

#[test]
fn a_block_that_cannot_be_made_durable_changes_nothing() {
    let world = World::traded();
    let mut state = state(&world);
    let entry = verified(&world, buy(&world));
    assert!(state.add(entry));
    let block = state.propose(&id("bank-a"), now(&world));
    let (root, height) = (state.ledger().root(), state.height());
    state.sink_mut().broken = true;
    let violation = state.commit(&block, &certificate(&block)).unwrap_err();
    assert_eq!(violation.found, "the disk is full");
    assert_eq!((state.ledger().root(), state.height()), (root, height));
}
