//! Governance over several blocks: what waits, what one member may do alone, and that what was verified before a change counts by what
//! holds after it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

use common::governed::MOST;
use common::{Order, Plan, World, id, key};
use stemma_chain_format::error::Rule;
use stemma_chain_format::governance::Change;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::limits::{RETIRED_KEYS_MAX, ROTATION_BLOCKS_MAX};
use stemma_chain_format::member::{KeyUse, MemberStatus};
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::verify_entry;

fn rotate(member: &str, used: KeyUse, label: &str) -> Change {
    Change::Rotate(id(member), used, PublicKey::of(&key(label)))
}

#[test]
fn a_member_alone_has_one_rotation_under_way_and_not_for_long() {
    let mut world = World::funded();
    let first = world.resolved(5, vec![rotate("broker", KeyUse::Network, "n2")], &["broker"], &[key("n2")]);
    world.commit(vec![first]).unwrap();
    let second = vec![rotate("broker", KeyUse::Network, "n3")];
    let alone = world.resolved(6, second.clone(), &["broker"], &[key("n3")]);
    let refused = world.commit(vec![alone]).unwrap_err();
    assert_eq!((refused.rule, refused.field.as_str()), (Rule::Governance, "governance.changes"));
    // With the others' approval it may.
    let approved = world.resolved(6, second, &MOST, &[key("n3")]);
    world.commit(vec![approved]).unwrap();
    let far = vec![rotate("bank-a", KeyUse::Network, "n4")];
    let far = world.resolved(ROTATION_BLOCKS_MAX + 1, far, &["bank-a"], &[key("n4")]);
    assert_eq!(world.commit(vec![far]).unwrap_err().rule, Rule::Expiry);
    while world.ledger.head().height < 12 {
        world.later(1_000);
    }
    let broker = world.registry.member(&id("broker")).unwrap();
    assert_eq!(broker.network_key, PublicKey::of(&key("n3")));
    assert_eq!(world.registry.retired().count(), 2);
}

#[test]
fn a_suspension_ends_what_the_member_has_under_way() {
    let mut world = World::funded();
    // A thief of the member key wants the owner's next key to be the thief's.
    let stolen = world.resolved(9, vec![rotate("broker", KeyUse::Member, "thief")], &["broker"], &[key("thief")]);
    world.commit(vec![stolen]).unwrap();
    let suspend = world.resolved(1, vec![Change::Suspend(id("broker"))], &["bank-a", "bank-b", "fund-house"], &[]);
    world.commit(vec![suspend]).unwrap();
    assert!(world.registry.scheduled().is_empty());
    let owners = vec![rotate("broker", KeyUse::Member, "owner"), Change::Reinstate(id("broker"))];
    let given = world.resolved(1, owners, &["bank-a", "bank-b", "fund-house"], &[key("owner")]);
    world.commit(vec![given]).unwrap();
    for _ in 0..12 {
        world.later(1_000);
    }
    let broker = world.registry.registration(&id("broker")).unwrap();
    assert_eq!((broker.status, broker.member.member_key), (MemberStatus::Active, PublicKey::of(&key("owner"))));
}

#[test]
fn nobody_makes_the_registry_grow_without_end() {
    let mut world = World::funded();
    let mut label = 0;
    let mut sixteen = || -> Vec<String> {
        let labels = (0..16).map(|n| format!("key-{}", label + n)).collect();
        label += 16;
        labels
    };
    for _ in 0..RETIRED_KEYS_MAX / 16 {
        let labels = sixteen();
        let changes = labels.iter().map(|label| rotate("auditor", KeyUse::Network, label)).collect();
        let keys: Vec<_> = labels.iter().map(|label| key(label)).collect();
        let record = world.resolved(1, changes, &["auditor"], &keys);
        world.commit(vec![record]).unwrap();
    }
    assert_eq!(world.registry.retired().count(), RETIRED_KEYS_MAX);
    let record =
        world.resolved(1, vec![rotate("auditor", KeyUse::Network, "one-more")], &["auditor"], &[key("one-more")]);
    let refused = world.commit(vec![record]).unwrap_err();
    assert!(refused.field.ends_with("retired"), "{refused}");
    // It may still leave.
    let leave = world.resolved(1, vec![Change::Remove(id("auditor"))], &MOST, &[]);
    world.commit(vec![leave]).unwrap();
}

/// A pooled chain was verified before its bank's key was retired: what counts is the registry of the height that is to commit it.
#[test]
fn what_was_verified_under_another_registry_is_judged_by_the_one_in_force() {
    let mut world = World::funded();
    let order = Order::new(world.customer("alice"), "fund-house", Side::Buy);
    let verified = verify_entry(Plan::new(&world, order).entry(), &world.registry).unwrap();
    let draft = world.ledger.draft(world.ledger.head().time_ms + 1);
    let mut tried = draft;
    tried.apply(&verified).unwrap();
    let new = key("bank-a/member-2");
    let rotation = world.resolved(1, vec![rotate("bank-a", KeyUse::Member, "bank-a/member-2")], &["bank-a"], &[new]);
    world.commit(vec![rotation]).unwrap();
    let mut draft = world.ledger.draft(world.ledger.head().time_ms + 1);
    let refused = draft.apply(&verified).unwrap_err();
    assert_eq!((refused.rule, refused.field.as_str()), (Rule::Signer, "endorsement.signer"));
}
