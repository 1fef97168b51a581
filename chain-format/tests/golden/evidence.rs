//! Evidence: bundles that prove what no honest member signs, and such as prove no such thing.

use stemma_chain_format::bundle::{Bundle, Claim};
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::error::Rule;
use stemma_chain_format::governance::Change;
use stemma_chain_format::hash::{Digest, Link};
use stemma_chain_format::header::Header;
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::KeyUse;
use stemma_chain_format::request::Side;

use crate::common::members::{founded, key, member_key};
use crate::common::proofs::VALIDATORS;
use crate::common::trades::{Order, Plan, forge};
use crate::common::{World, certify, id};
use crate::reject_bundle::Case;
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [accepted(world), conflicts(world), endorsements(world), signatures(world), executions(world)].concat()
}

/// Bank-a, bank-b and broker sign another block beside the last one.
const GUILTY: [&str; 3] = ["bank-a", "bank-b", "broker"];

fn last(world: &World) -> Header {
    world.blocks.last().unwrap().0.header.clone()
}

/// Another block of the last height.
fn fork(world: &World, signers: &[&str]) -> CertifiedHeader {
    let mut header = last(world);
    header.time_ms += 1;
    certify(&header, signers)
}

/// A block above the last one, with another parent.
fn on_fork(world: &World) -> CertifiedHeader {
    let parent = fork(world, &GUILTY).header.id();
    let header = Header { height: last(world).height + 1, parent, ..last(world) };
    certify(&header, &GUILTY)
}

fn plan(world: &World) -> Plan<'_> {
    Plan::new(world, Order::new(world.customer("alice"), "broker", Side::Buy))
}

/// Two records, the one with the lower link first.
fn in_order(first: Vec<u8>, second: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    if Link::of(&first) < Link::of(&second) { (first, second) } else { (second, first) }
}

fn two_endorsements(world: &World) -> (Vec<u8>, Vec<u8>) {
    let [_, one, _] = plan(world).stages();
    let [_, other, _] = plan(world).endorsement(|record| record.expires += 1).stages();
    in_order(one, other)
}

fn two_executions(world: &World) -> (Vec<u8>, Vec<u8>) {
    let [_, _, one] = plan(world).stages();
    let [_, _, other] = plan(world).execution(|record| record.executed_ms += 1).stages();
    in_order(one, other)
}

/// A world in which bank-a has another member key from its last block on, and two endorsements for one head: by the old key, by the new
/// one. The records differ, or are one.
fn rotated(world: &World, differ: bool) -> (World, (Vec<u8>, Vec<u8>)) {
    let (mut later, new) = (world.clone(), key("bank-a, its next member key"));
    let change = Change::Rotate(id("bank-a"), KeyUse::Member, PublicKey::of(&new));
    let resolved =
        later.resolved(1, vec![change], &["bank-a", "bank-b", "broker", "fund-house"], std::slice::from_ref(&new));
    later.commit(vec![resolved]).unwrap();
    later.commit(Vec::new()).unwrap();
    let [_, one, _] = plan(world).stages();
    let more = u64::from(differ);
    let [_, other, _] = plan(world).endorsement(|record| record.expires += more).signer(1, new).stages();
    (later, in_order(one, other))
}

fn endorsed(world: &World, (first, second): (Vec<u8>, Vec<u8>)) -> Bundle {
    Bundle { head: world.head_of(Claim::Endorsements(first.into(), second.into())), elements: Vec::new() }
}

fn executed(world: &World, (first, second): (Vec<u8>, Vec<u8>)) -> Bundle {
    Bundle { head: world.head_of(Claim::Executions(first.into(), second.into())), elements: Vec::new() }
}

fn accepted(world: &World) -> Vec<Vector> {
    let accept = |name: &str, about: &str, subject: String, bundle: Bundle| {
        let bytes = bundle.encode();
        let name = format!("bundle-{name}");
        Vector::accept(&name, ("verify", "bundle"), about, Digest::of(&bytes), &bytes).with("account", subject)
    };
    let (fork, on_fork) = (fork(world, &GUILTY), on_fork(world));
    let head = world.ledger.account(&world.customer("alice").account).unwrap().state.head;
    let [_, endorsement, _] = plan(world).stages();
    let (later, by_two_keys) = rotated(world, true);
    let ids = [fork.header.id().to_string(), on_fork.header.id().to_string()];
    let [id, next_id] = ids;
    vec![
        accept("conflict", "Two blocks of one height.", id, world.conflict_bundle(fork)),
        accept("conflict-parent", "A block whose parent is another block.", next_id, world.conflict_bundle(on_fork)),
        accept(
            "two-endorsements",
            "A bank endorsed twice on one head.",
            head.to_string(),
            endorsed(world, two_endorsements(world)),
        ),
        accept(
            "two-endorsements-rotated",
            "The same, each with a key that the bank had at its time.",
            head.to_string(),
            endorsed(&later, by_two_keys),
        ),
        accept(
            "two-executions",
            "An institution answered one endorsement twice.",
            Link::of(&endorsement).to_string(),
            executed(world, two_executions(world)),
        ),
    ]
}

fn conflicts(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, broken: (Rule, &str), other: CertifiedHeader| {
        Case::on(world, world.conflict_bundle(other)).reject(name, about, broken, &|_| ())
    };
    let earlier = certify(&world.blocks[world.blocks.len() - 2].0.header, &VALIDATORS);
    let next = Header { height: last(world).height + 1, parent: last(world).id(), ..last(world) };
    let beyond = Header { height: last(world).height + 2, ..on_fork(world).header };
    let foreign = Header { network: founded("another network").network(), ..last(world) };
    let no_conflict = (Rule::Agreement, "other.header");
    vec![
        reject("conflict-same", "The same block twice.", no_conflict, certify(&last(world), &GUILTY)),
        reject("conflict-earlier", "An earlier block.", no_conflict, earlier),
        reject("conflict-next", "The block after.", no_conflict, certify(&next, &VALIDATORS)),
        reject("conflict-beyond", "A block two heights above.", no_conflict, certify(&beyond, &VALIDATORS)),
        reject(
            "conflict-short",
            "Half of the votes.",
            (Rule::Certificate, "other.certificate.power"),
            fork(world, &VALIDATORS[..2]),
        ),
        reject(
            "conflict-vote-repeated",
            "One vote stands twice.",
            (Rule::Certificate, "other.certificate.signatures.bank-b"),
            fork(world, &["bank-a", "bank-b", "bank-b"]),
        ),
        reject("conflict-foreign", "Of another network.", (Rule::Network, "other.network"), certify(&foreign, &GUILTY)),
    ]
}

fn endorsements(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, broken: (Rule, &str), two: (Vec<u8>, Vec<u8>)| {
        Case::on(world, endorsed(world, two)).reject(name, about, broken, &|_| ())
    };
    let [_, one, _] = plan(world).stages();
    let other = |change: &dyn Fn(&mut stemma_chain_format::endorsement::Endorsement)| {
        // One more unit of expiry until its link is the higher one, so that only the change is wrong.
        (1..)
            .map(|more| {
                let [_, other, _] = plan(world)
                    .endorsement(|record| {
                        record.expires += more;
                        change(record);
                    })
                    .stages();
                other
            })
            .find(|other| Link::of(other) > Link::of(&one))
            .unwrap()
    };
    let (first, second) = two_endorsements(world);
    let agreement = |at| (Rule::Agreement, at);
    vec![
        reject("endorsements-same", "One endorsement twice.", agreement("second"), (one.clone(), one.clone())),
        reject("endorsements-swapped", "In the other order.", agreement("second"), (second.clone(), first.clone())),
        reject(
            "endorsements-parents",
            "On two heads: as every account's are.",
            agreement("second.parent"),
            (one.clone(), other(&|record| record.parent.0[0] ^= 1)),
        ),
        reject(
            "endorsements-accounts",
            "Of two accounts.",
            agreement("second.account"),
            (one.clone(), other(&|record| record.account = world.customer("carol").account)),
        ),
        reject(
            "endorsements-banks",
            "By two banks.",
            agreement("second.bank"),
            (
                one.clone(),
                other(&|record| {
                    record.bank = id("bank-b");
                    record.credit.lines = Holdings::new();
                }),
            ),
        ),
        reject(
            "endorsements-foreign",
            "One is of another network.",
            (Rule::Network, "second.network"),
            (one.clone(), other(&|record| record.network = founded("another network").network())),
        ),
    ]
}

fn signatures(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, broken: (Rule, &str), two: (Vec<u8>, Vec<u8>)| {
        Case::on(world, endorsed(world, two)).reject(name, about, broken, &|_| ())
    };
    let [request, one, _] = plan(world).stages();
    let (later, again) = rotated(world, false);
    let (first, second) = two_endorsements(world);
    let by = |signer: &str| {
        let record = stemma_chain_format::record::Signed::<stemma_chain_format::endorsement::Endorsement>::decode(
            second.clone(),
        )
        .unwrap();
        let forged = forge(record.record(), &member_key(signer));
        in_order(first.clone(), forged)
    };
    let stranger = by("broker");
    let place = if stranger.0 == first { "second.signer" } else { "first.signer" };
    let mut flipped = second.clone();
    let at = flipped.len() - 1;
    flipped[at] ^= 1;
    let flipped = in_order(first.clone(), flipped);
    let flipped_place = if flipped.0 == first { "second.signature" } else { "first.signature" };
    vec![
        Case::on(&later, endorsed(&later, again)).reject(
            "endorsements-again",
            "One record, signed again with the bank's next key.",
            (Rule::Agreement, "second"),
            &|_| (),
        ),
        reject("endorsements-forged", "One is signed by another member.", (Rule::Signer, place), stranger),
        reject("endorsements-flipped", "A bit of a signature.", (Rule::Signature, flipped_place), flipped),
        Case::on(world, endorsed(world, (one, request))).reject(
            "endorsements-request",
            "A request instead of one.",
            (Rule::Encoding, "second.application/vnd.stemma.endorsement+cbor@0"),
            &|_| (),
        ),
    ]
}

fn executions(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, broken: (Rule, &str), two: (Vec<u8>, Vec<u8>)| {
        Case::on(world, executed(world, two)).reject(name, about, broken, &|_| ())
    };
    let (first, second) = two_executions(world);
    let others = |change: &dyn Fn(&mut stemma_chain_format::execution::Execution)| {
        (1..)
            .map(|more| {
                let [_, _, other] = plan(world)
                    .execution(|record| {
                        record.executed_ms += more;
                        change(record);
                    })
                    .stages();
                other
            })
            .find(|other| Link::of(other) > Link::of(&first))
            .unwrap()
    };
    let agreement = |at| (Rule::Agreement, at);
    vec![
        reject(
            "executions-endorsements",
            "Of two endorsements: as all are.",
            agreement("second.endorsement"),
            (first.clone(), others(&|record| record.endorsement.0[0] ^= 1)),
        ),
        reject(
            "executions-institutions",
            "By two institutions.",
            agreement("second.institution"),
            (first.clone(), others(&|record| record.institution = id("fund-house"))),
        ),
        reject("executions-swapped", "In the other order.", agreement("second"), (second, first)),
    ]
}
