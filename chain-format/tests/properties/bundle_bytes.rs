//! Every byte of a bundle of every claim, changed in every small way: nothing is proved but what was proved before, or what is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use minicbor::bytes::ByteVec;
use stemma_chain_format::bundle::{self, Bundle, Claim, Proved, ProvedClaim, Verdict};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::genesis::{GenesisFile, sign_genesis};
use stemma_chain_format::governance::Change;
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::KeyUse;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Side;

use crate::common::members::{CREATED_MS, genesis, listing_of};
use crate::common::world::opening;
use crate::common::{Order, Plan, World, certify, id, key, member_key};

/// Changes to a byte: its eight bits flipped, set to 0, set to 255, taken out, put in twice.
const CHANGES: usize = 12;
/// Bytes that one thread takes at a time.
const SHARE: usize = 64;

/// One change to one byte; none where that leaves the bytes as they were.
fn changed(bytes: &[u8], at: usize, change: usize) -> Option<Vec<u8>> {
    let mut changed = bytes.to_vec();
    match change {
        0..8 => changed[at] ^= 1 << change,
        8 => changed[at] = 0,
        9 => changed[at] = 255,
        10 => drop(changed.remove(at)),
        _ => changed.insert(at, bytes[at]),
    }
    (changed != bytes).then_some(changed)
}

/// A bundle, and the world in which what it proves is so.
struct Case {
    claim: &'static str,
    bytes: Vec<u8>,
    world: World,
}

/// A network of two, where the bank decides alone: few signatures, so that all changes are tried in little time.
fn decided_by_one() -> World {
    let mut genesis = genesis("decided by one");
    let founders = ["bank-a", "fund-house"];
    genesis.members.retain(|member| founders.contains(&member.id.as_str()));
    genesis.members[0].power = 9;
    let payload = genesis.payload();
    let signatures = founders.map(|founder| sign_genesis(&payload, &member_key(founder)));
    let mut world = World::before_the_first_block();
    world.file = GenesisFile::assemble(&genesis, &signatures).unwrap();
    world.registry = Registry::from_genesis(&world.file);
    world.ledger = Ledger::genesis(world.registry.clone(), CREATED_MS);
    world
}

fn listed(world: &World, member: &str) -> Entry {
    Entry::Listing(Box::new(Signed::sign(listing_of(world.network(), member), &member_key(member)).unwrap()))
}

/// A bank lists its cash and opens an account.
fn opened() -> World {
    let mut world = decided_by_one();
    let opened = Entry::Opening(Box::new(opening(world.network(), "alice", "bank-a")));
    world.commit(vec![listed(&world, "bank-a"), opened]).unwrap();
    world
}

/// And issues cash to it; an institution lists a fund.
fn funded(mut world: World) -> World {
    let issued = world.issued("bank-a", &[(world.customer("alice").account, 10_000_000)]);
    world.commit(vec![listed(&world, "fund-house"), issued]).unwrap();
    world
}

/// The same bundle, each of its headers signed by bank-a alone.
fn by_one(mut bundle: Bundle) -> Bundle {
    let head = &mut bundle.head;
    let other = match &mut head.claim {
        Claim::LineageFrom(_, anchor) => Some(&mut anchor.header),
        Claim::Conflict(other) => Some(other.as_mut()),
        _ => None,
    };
    let trusted = head.trust.iter_mut().map(|step| &mut step.header);
    trusted.chain(other).chain([&mut head.checkpoint]).for_each(|at| *at = certify(&at.header, &["bank-a"]));
    bundle
}

/// A case of every claim: a trade, and a member that rotated a key before the block at which an account is absent.
fn cases() -> Vec<Case> {
    let opened = opened();
    let before = funded(opened.clone());
    let alice = before.customer("alice");
    let mut traded = before.clone();
    traded.commit(vec![Order::new(alice, "fund-house", Side::Buy).chain(&traded)]).unwrap();
    let mut governed = traded.clone();
    let new = key("fund-house/network-2");
    let rotated = Change::Rotate(id("fund-house"), KeyUse::Network, PublicKey::of(&new));
    governed.commit(vec![governed.resolved(1, vec![rotated], &["fund-house"], &[new])]).unwrap();
    let alone = |world: &World, claim| Bundle { head: world.head_of(claim), elements: Vec::new() };
    let nobody = AccountId(Digest::of(b"nobody").0);
    let mut fork = before.checkpoint();
    fork.header.time_ms += 1;
    let bundles = [
        (before.bundle(alice.account), &before),
        (traded.bundle_from(alice.account, &before), &traded),
        (alone(&traded, Claim::Holdings(Box::new(traded.holding(alice.account)))), &traded),
        (alone(&governed, Claim::Absence(nobody, governed.ledger.prove(&nobody))), &governed),
        (traded.entry_bundle(1), &traded),
        (traded.block_bundle(1), &traded),
        (opened.ledger_bundle(), &opened),
        (before.conflict_bundle(fork), &before),
        (alone(&before, two_endorsements(&before)), &before),
        (alone(&before, two_executions(&before)), &before),
    ];
    let case = |(bundle, world): (Bundle, &World)| Case {
        claim: bundle.head.claim.as_str(),
        bytes: by_one(bundle).encode(),
        world: world.clone(),
    };
    bundles.map(case).into()
}

/// Two records, the one with the lower link first.
fn in_order(first: Vec<u8>, second: Vec<u8>) -> (ByteVec, ByteVec) {
    let (first, second) = if Link::of(&first) < Link::of(&second) { (first, second) } else { (second, first) };
    (first.into(), second.into())
}

fn two_endorsements(world: &World) -> Claim {
    let plan = || Plan::new(world, Order::new(world.customer("alice"), "fund-house", Side::Buy));
    let ([_, one, _], [_, other, _]) = (plan().stages(), plan().endorsement(|record| record.expires += 1).stages());
    let (first, second) = in_order(one, other);
    Claim::Endorsements(first, second)
}

fn two_executions(world: &World) -> Claim {
    let plan = || Plan::new(world, Order::new(world.customer("alice"), "fund-house", Side::Buy));
    let ([_, _, one], [_, _, other]) = (plan().stages(), plan().execution(|record| record.executed_ms += 1).stages());
    let (first, second) = in_order(one, other);
    Claim::Executions(first, second)
}

/// The claims of the golden vectors of bundles to be accepted.
#[allow(clippy::disallowed_methods, reason = "the vectors are files; the format itself does no I/O")]
fn golden_claims() -> BTreeSet<&'static str> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/accept");
    let vectors = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let vectors = vectors.map(|text| serde_json::from_slice::<serde_json::Value>(&text).unwrap());
    let bundles = vectors.filter(|vector| vector["record"] == "bundle");
    let bytes = bundles.map(|vector| hex::decode(vector["hex"].as_str().unwrap()).unwrap());
    bytes.map(|bytes| Bundle::decode(&bytes).unwrap().head.claim.as_str()).collect()
}

fn proved(bytes: &[u8], world: &World) -> Option<Proved> {
    match bundle::verify(bytes, &world.file) {
        Verdict::Verified(proved) => Some(*proved),
        Verdict::Refuted(_) | Verdict::Unreadable(_) => None,
    }
}

/// Whether what a changed bundle proves may be proved by it.
///
/// Every byte but those of an absent account's id is under a hash or a signature, so a change to it either fails or is none. That id is
/// under none: a path that ends before its last bit ends so for many ids, and shows of all of them that there is no such account.
/// Such a bundle is a good proof of something else that is so.
fn may_be(found: &Proved, original: &Proved, world: &World) -> bool {
    let at_another_id = match (&found.claim, &original.claim) {
        (ProvedClaim::Absence(other), ProvedClaim::Absence(_)) => {
            let claim = original.claim.clone();
            Proved { claim, ..found.clone() } == *original && world.ledger.account(other).is_none()
        }
        _ => false,
    };
    found == original || at_another_id
}

/// Changes every byte of a bundle, on all cores; how many changed bundles were verified all the same.
fn verified_all_the_same(case: &Case) -> usize {
    let original = proved(&case.bytes, &case.world).unwrap();
    let (next, verified) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let from = next.fetch_add(SHARE, Ordering::Relaxed);
            if from >= case.bytes.len() {
                return;
            }
            for at in from..case.bytes.len().min(from + SHARE) {
                let changes = (0..CHANGES).filter_map(|change| Some((change, changed(&case.bytes, at, change)?)));
                for (change, bytes) in changes {
                    let Some(found) = proved(&bytes, &case.world) else { continue };
                    verified.fetch_add(1, Ordering::Relaxed);
                    let holds = may_be(&found, &original, &case.world);
                    assert!(holds, "{}, byte {at}, change {change}: {found:?}", case.claim);
                }
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    verified.into_inner()
}

#[test]
fn no_changed_byte_of_a_bundle_proves_anything_that_is_not_so() {
    let cases = cases();
    let claims: BTreeSet<&str> = cases.iter().map(|case| case.claim).collect();
    assert_eq!(claims, golden_claims(), "a case for each claim");
    for case in &cases {
        let verified = verified_all_the_same(case);
        assert_eq!(verified > 0, case.claim == "absence", "{}: {verified} were verified", case.claim);
    }
}
