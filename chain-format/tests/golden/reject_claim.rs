//! Claims other than a whole lineage that do not hold.

use stemma_chain_format::bundle::{Bundle, Claim, Element};
use stemma_chain_format::error::Rule;
use stemma_chain_format::merkle::SidedStep;

use crate::accept::absent_keys;
use crate::common::proofs::VALIDATORS;
use crate::common::{World, amount, cash_of, certify};
use crate::reject_bundle::Case;
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [anchors(world), holdings(world), absences(world), entries(world)].concat()
}

fn anchor_of(bundle: &mut Bundle) -> &mut stemma_chain_format::bundle::Anchor {
    match &mut bundle.head.claim {
        Claim::LineageFrom(_, anchor) => anchor,
        _ => panic!("no anchor"),
    }
}

fn anchors(world: &World) -> Vec<Vector> {
    let (alice, earlier) = (world.customer("alice").account, World::positioned());
    let case = Case::on(world, world.bundle_from(alice, &earlier));
    let two = certify(&earlier.blocks.last().unwrap().0.header, &VALIDATORS[..2]);
    let bobs = earlier.anchor(world.customer("bob").account);
    let fork = {
        let mut header = earlier.blocks.last().unwrap().0.header.clone();
        header.time_ms += 1;
        certify(&header, &VALIDATORS[..1])
    };
    let before = World::funded().anchor(alice);
    let opening = world.lineage(alice)[0].encode();
    let certificate = |at| (Rule::Certificate, at);
    let credit = |at| (Rule::Credit, at);
    vec![
        case.reject("anchor-short", "The anchor lacks votes.", certificate("anchor.header.certificate.power"), &|b| {
            anchor_of(b).header = two.clone()
        }),
        case.reject(
            "anchor-fork",
            "The anchor is a block of a fork.",
            certificate("anchor.header.certificate.power"),
            &|b| anchor_of(b).header = fork.clone(),
        ),
        case.reject(
            "anchor-later",
            "The anchor comes after the checkpoint.",
            certificate("anchor.header.height"),
            &|b| {
                let (header, trust) = (anchor_of(b).header.clone(), Vec::new());
                anchor_of(b).header = std::mem::replace(&mut b.head.checkpoint.clone(), header.clone());
                (b.head.checkpoint, b.head.trust) = (header, trust);
                let Claim::LineageFrom(holding, anchor) = &mut b.head.claim else { panic!("an anchor") };
                std::mem::swap(holding.as_mut(), &mut anchor.holding);
            },
        ),
        case.reject(
            "anchor-holdings",
            "The anchor's leaf holds one unit more.",
            (Rule::Proof, "anchor.proof.root"),
            &|b| anchor_of(b).holding.account.holdings.add(&cash_of("bank-a"), amount(1)).unwrap(),
        ),
        case.reject("anchor-foreign", "Another account's anchor.", (Rule::Account, "anchor.account"), &|b| {
            *anchor_of(b) = bobs.clone()
        }),
        case.reject(
            "anchor-before-waiting",
            "Another digest before the credits that waited.",
            credit("anchor.before_waiting"),
            &|b| anchor_of(b).before_waiting.0[0] ^= 1,
        ),
        case.reject(
            "anchor-earlier",
            "The anchor is an earlier block: entries are missing.",
            (Rule::Sequence, "lineage[0].endorsement.parent"),
            &|b| *anchor_of(b) = before.clone(),
        ),
        case.reject(
            "anchor-position-dropped",
            "The anchor lacks a position.",
            (Rule::Holdings, "anchor.positions"),
            &|b| anchor_of(b).holding.positions.clear(),
        ),
        case.reject("anchor-opening", "The opening after an anchor.", (Rule::Sequence, "lineage[0]"), &|b| {
            b.elements.insert(0, Element::Entry(opening.clone().into()))
        }),
        case.reject("anchor-nothing-after", "Nothing after the anchor.", credit("account.credits_received"), &|b| {
            b.elements.clear()
        }),
    ]
}

fn holdings(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice").account;
    let head = world.head_of(Claim::Holdings(Box::new(world.holding(alice))));
    let case = Case::on(world, Bundle { head, elements: Vec::new() });
    let opening = world.lineage(alice)[0].encode();
    let higher = |b: &mut Bundle| {
        let Claim::Holdings(holding) = &mut b.head.claim else { panic!("a holding") };
        holding.account.holdings.add(&cash_of("bank-a"), amount(1)).unwrap();
    };
    vec![
        case.reject("held-higher", "One unit more than held.", (Rule::Proof, "proof.root"), &higher),
        case.reject(
            "held-with-elements",
            "Elements after a claim that has none.",
            (Rule::Encoding, "elements"),
            &|b| b.elements.push(Element::Entry(opening.clone().into())),
        ),
    ]
}

fn absences(world: &World) -> Vec<Vector> {
    let alice = world.customer("alice").account;
    let (other, empty) = absent_keys(world);
    let absent = |key, proof| world.head_of(Claim::Absence(key, proof));
    let reject = |name: &str, about: &str, at: &str, key, proof| {
        let case = Case::on(world, Bundle { head: absent(key, proof), elements: Vec::new() });
        case.reject(name, about, (Rule::Proof, at), &|_| ())
    };
    vec![
        reject("absent-present", "An account that is there.", "proof.root", alice, world.ledger.prove(&alice)),
        reject("absent-other-path", "Another account's place.", "proof.other", alice, world.ledger.prove(&other)),
        reject("absent-empty-path", "Another empty place.", "proof.root", alice, world.ledger.prove(&empty)),
    ]
}

fn entries(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.entry_bundle(1));
    let other = world.lineage(world.customer("alice").account)[2].encode();
    let change = |b: &mut Bundle, change: &dyn Fn(&mut Vec<u8>, &mut Vec<SidedStep>)| {
        let Claim::Entry(bytes, path) = &mut b.head.claim else { panic!("an entry") };
        change(bytes, path);
    };
    let path = (Rule::Proof, "merkle.path");
    vec![
        case.reject("entry-foreign", "An entry of another block.", path, &|b| {
            change(b, &|bytes, _| *bytes = other.clone())
        }),
        case.reject("entry-side", "A sibling on the other side.", path, &|b| {
            change(b, &|_, path| path[0].is_left = !path[0].is_left)
        }),
        case.reject("entry-path-short", "A step is left out.", path, &|b| {
            change(b, &|_, path| {
                path.pop();
            })
        }),
        case.reject("entry-path-long", "More steps than there may be.", path, &|b| {
            change(b, &|_, path| *path = [path[0]; 65].to_vec())
        }),
        case.reject("entry-flipped", "A bit of its signature.", (Rule::Signature, "entry.execution.signature"), &|b| {
            change(b, &|bytes, _| {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            })
        }),
    ]
}
