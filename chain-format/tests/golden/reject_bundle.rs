//! Lineages that do not prove what they claim.

use stemma_chain_format::bundle::{Bundle, Element};
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::Digest;

use crate::common::members::founded;
use crate::common::proofs::{ENTRY, LISTING, SETTLEMENT, SOURCE, VALIDATORS, WAITING, claimed, entry_of, place};
use crate::common::{World, amount, cash_of, certify};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [stages(world), settlements(world), credits(world), listings(world), leaves(world), checkpoints(world)].concat()
}

pub struct Case<'w> {
    world: &'w World,
    bundle: Bundle,
}

impl<'w> Case<'w> {
    fn of(world: &'w World) -> Self {
        Self::on(world, world.bundle(world.customer("alice").account))
    }

    pub fn on(world: &'w World, bundle: Bundle) -> Self {
        Self { world, bundle }
    }

    pub fn reject(&self, name: &str, about: &str, broken: (Rule, &str), change: &dyn Fn(&mut Bundle)) -> Vector {
        let mut bundle = self.bundle.clone();
        change(&mut bundle);
        let name = format!("bundle-{name}");
        Vector::reject(&name, ("verify", "bundle"), about, broken, &bundle.encode())
            .with("account", self.world.customer("alice").account)
    }
}

/// Takes an element of a kind out.
fn take(bundle: &mut Bundle, kind: u8, n: usize) -> Element {
    bundle.elements.remove(place(&bundle.elements, kind, n))
}

fn swap(bundle: &mut Bundle, kind: u8, n: usize, other: usize) {
    let (at, other) = (place(&bundle.elements, kind, n), place(&bundle.elements, kind, other));
    bundle.elements.swap(at, other);
}

/// Repeats an element before another of its kind.
fn repeat(bundle: &mut Bundle, kind: u8, n: usize, before: usize) {
    let again = bundle.elements[place(&bundle.elements, kind, n)].clone();
    bundle.elements.insert(place(&bundle.elements, kind, before), again);
}

fn stages(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let bobs = world.bundle(world.customer("bob").account).elements;
    let bobs = |n| bobs[place(&bobs, ENTRY, n)].clone();
    let sequence = |at| (Rule::Sequence, at);
    vec![
        case.reject(
            "chain-dropped",
            "A chain that absorbs nothing is left out.",
            sequence("lineage[1].endorsement.parent"),
            &|b| {
                take(b, ENTRY, 1);
            },
        ),
        case.reject("last-chain-dropped", "The last chain is left out.", (Rule::Listing, "listings[3]"), &|b| {
            let last = b.elements.iter().filter(|e| matches!(e, Element::Entry(_))).count() - 1;
            take(b, ENTRY, last);
        }),
        case.reject("chains-swapped", "Two chains change places.", (Rule::Listing, "lineage[2]"), &|b| {
            swap(b, ENTRY, 2, 3)
        }),
        case.reject("chain-repeated", "A chain stands twice.", (Rule::Listing, "listings[2]"), &|b| {
            repeat(b, ENTRY, 2, 3)
        }),
        case.reject("chain-foreign", "Another account's chain.", (Rule::Listing, "lineage[2]"), &|b| {
            let at = place(&b.elements, ENTRY, 2);
            b.elements.insert(at, bobs(2));
        }),
        case.reject("opening-dropped", "The opening is left out.", sequence("lineage[0]"), &|b| {
            take(b, ENTRY, 0);
        }),
        case.reject("opening-foreign", "Another account's opening.", (Rule::Account, "lineage[0]"), &|b| {
            b.elements[0] = bobs(0);
        }),
        case.reject("opening-twice", "The opening stands twice.", sequence("lineage[1]"), &|b| repeat(b, ENTRY, 0, 0)),
        case.reject("no-lineage", "No lineage at all.", sequence("lineage"), &|b| b.elements.clear()),
        case.reject(
            "chain-flipped",
            "A bit of a chain's last signature.",
            (Rule::Signature, "lineage[2].execution.signature"),
            &|b| {
                let at = place(&b.elements, ENTRY, 2);
                let bytes = entry_of(&mut b.elements[at]);
                let last = bytes.len() - 40;
                bytes[last] ^= 1;
            },
        ),
        case.reject(
            "chain-after-waiting",
            "The last chain, with all that it needs, stands after the credits that wait.",
            sequence("lineage[5]"),
            &|b| {
                let chains = b.elements.iter().filter(|e| matches!(e, Element::Entry(_))).count();
                let before = place(&b.elements, ENTRY, chains - 2) + 1;
                let waiting = place(&b.elements, ENTRY, chains - 1) + 1;
                b.elements[before..].rotate_left(waiting - before);
            },
        ),
    ]
}

fn settlements(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let of_bob = Case::on(world, world.bundle(world.customer("bob").account));
    let marked = (Rule::Holdings, "positions[0].position");
    let sequence = |at| (Rule::Sequence, at);
    vec![
        of_bob.reject("settlement-dropped", "A position's last settlement is left out.", marked, &|b| {
            take(b, SETTLEMENT, 0);
        }),
        case.reject("settlement-nowhere", "A settlement of no position.", sequence("settlements[0]"), &|b| {
            let settlement = world.history().find(|entry| entry.kind().as_str() == "settlement").unwrap();
            b.elements.insert(1, Element::Settlement(settlement.encode().into()));
        }),
        case.reject(
            "settlement-no-settlement",
            "A chain in the place of a settlement.",
            sequence("settlements[0]"),
            &|b| {
                let at = place(&b.elements, ENTRY, 2);
                let chain = entry_of(&mut b.elements[at]).clone();
                b.elements.insert(at, Element::Settlement(chain));
            },
        ),
    ]
}

fn credits(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let carols = world.bundle(world.customer("carol").account).elements;
    let unused = carols[place(&carols, SOURCE, 1)].clone();
    let received = (Rule::Credit, "account.credits_received");
    let source = |at| (Rule::Credit, at);
    vec![
        case.reject("credit-dropped", "The last credit, which waits, is left out.", source("sources[2]"), &|b| {
            b.elements.pop();
        }),
        case.reject("credit-dropped-with-source", "It and its source are left out.", received, &|b| {
            b.elements.pop();
            b.elements.pop();
        }),
        case.reject(
            "credits-swapped",
            "Two credits change places, and their sources.",
            (Rule::Credit, "account.credits_digest"),
            &|b| {
                swap(b, WAITING, 0, 1);
                let last = b.elements.len() - 2;
                b.elements.swap(last, last - 2);
            },
        ),
        case.reject("credit-repeated", "A credit stands twice.", received, &|b| {
            b.elements.push(b.elements.last().unwrap().clone());
        }),
        case.reject("credit-amount", "A credit one unit higher than given.", source("waiting[0]"), &|b| {
            let at = place(&b.elements, WAITING, 0);
            let Element::Waiting(credit) = &mut b.elements[at] else { panic!("a credit") };
            credit.amount = credit.amount.plus(amount(1)).unwrap();
        }),
        case.reject("credit-index", "A credit at another's index.", source("waiting[0]"), &|b| {
            let at = place(&b.elements, WAITING, 0);
            let Element::Waiting(credit) = &mut b.elements[at] else { panic!("a credit") };
            credit.index += 1;
        }),
        case.reject("source-dropped", "A credit's source is left out.", source("lineage[2].absorbed[0]"), &|b| {
            take(b, SOURCE, 0);
        }),
        case.reject("source-foreign", "A source of no credit.", source("sources[3]"), &|b| {
            b.elements.push(unused.clone())
        }),
        case.reject("source-twice", "A source stands twice.", source("sources[1]"), &|b| repeat(b, SOURCE, 0, 0)),
        case.reject("sources-swapped", "Two sources change places.", source("lineage[2].absorbed[0]"), &|b| {
            swap(b, SOURCE, 0, 1)
        }),
        case.reject("source-early", "A source of what comes later.", source("sources[1]"), &|b| {
            let source = take(b, SOURCE, 1);
            let chains = b.elements.iter().filter(|e| matches!(e, Element::Entry(_))).count();
            b.elements.insert(place(&b.elements, ENTRY, chains - 1), source);
        }),
        case.reject("source-before-listing", "A source stands before a listing.", source("sources[0]"), &|b| {
            let source = take(b, SOURCE, 0);
            b.elements.insert(1, source);
        }),
    ]
}

fn listings(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let listing = |at| (Rule::Listing, at);
    let opening = entry_of(&mut case.bundle.clone().elements[0]).clone();
    let cash = world.ledger.listing(&cash_of("bank-b")).unwrap().link;
    let cash = Element::Listing(world.body(cash));
    vec![
        case.reject("listing-dropped", "A listing is left out.", listing("lineage[2]"), &|b| {
            take(b, LISTING, 0);
        }),
        case.reject("listing-of-cash-dropped", "The listing of the cash is left out.", listing("lineage[2]"), &|b| {
            take(b, LISTING, 1);
        }),
        case.reject("listing-untraded", "The listing of what was not traded.", listing("listings[0]"), &|b| {
            b.elements.insert(1, cash.clone());
        }),
        case.reject("listing-last", "A listing that nothing needs comes last.", listing("listings[4]"), &|b| {
            b.elements.push(cash.clone());
        }),
        case.reject("listing-twice", "A listing stands twice.", listing("lineage[2]"), &|b| repeat(b, LISTING, 0, 0)),
        case.reject("listings-swapped", "Two listings change places.", listing("lineage[2]"), &|b| {
            swap(b, LISTING, 0, 1)
        }),
        case.reject("listing-no-listing", "Another entry in the place of a listing.", listing("listings[0]"), &|b| {
            let at = place(&b.elements, LISTING, 0);
            b.elements[at] = Element::Listing(opening.clone());
        }),
    ]
}

fn leaves(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let bobs = world.holding(world.customer("bob").account);
    let carols = world.holding(world.customer("carol").account);
    let root = (Rule::Proof, "proof.root");
    let holdings = |at| (Rule::Holdings, at);
    vec![
        case.reject("holdings-higher", "The leaf holds one unit more.", root, &|b| {
            claimed(b).account.holdings.add(&cash_of("bank-a"), amount(1)).unwrap()
        }),
        case.reject("sequence-lower", "The leaf counts one chain fewer.", root, &|b| claimed(b).account.sequence -= 1),
        case.reject("sibling", "A bit of a sibling is flipped.", root, &|b| claimed(b).proof.siblings[0].0[0] ^= 1),
        case.reject("leaf-foreign", "Another account's holding.", (Rule::Account, "lineage[0]"), &|b| {
            *claimed(b) = bobs.clone();
        }),
        case.reject("position-dropped", "A position is left out.", holdings("positions"), &|b| {
            claimed(b).positions.pop();
        }),
        case.reject("position-foreign", "Another account's position.", (Rule::Account, "positions[0].account"), &|b| {
            claimed(b).positions[0] = carols.positions[0].clone();
        }),
        case.reject("position-head", "A position with another head.", (Rule::Proof, "positions[0].proof.root"), &|b| {
            claimed(b).positions[0].position.head.0[0] ^= 1;
        }),
    ]
}

fn checkpoints(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let other = founded("another network").network();
    let [a, b, ..] = VALIDATORS;
    let (block, _) = world.blocks.last().unwrap();
    // The last two blocks are governance alone.
    let before = certify(&world.blocks[world.blocks.len() - 4].0.header, &VALIDATORS);
    let mut registry = block.header.clone();
    registry.registry_root = Digest([1; 32]);
    let registry = certify(&registry, &VALIDATORS);
    let two = certify(&block.header, &[a, b]);
    vec![
        case.reject("network", "Belongs to another network.", (Rule::Network, "bundle.network"), &|b| {
            b.head.network = other
        }),
        case.reject(
            "checkpoint-network",
            "The checkpoint belongs to another network.",
            (Rule::Network, "checkpoint.network"),
            &|b| {
                b.head.checkpoint.header.network = other;
            },
        ),
        case.reject(
            "checkpoint-short",
            "The checkpoint lacks a vote.",
            (Rule::Certificate, "checkpoint.certificate.power"),
            &|b| {
                b.head.checkpoint = two.clone();
            },
        ),
        case.reject("checkpoint-before", "The checkpoint is the block before.", (Rule::Proof, "proof.root"), &|b| {
            b.head.checkpoint = before.clone();
            b.head.trust.clear();
        }),
        case.reject(
            "registry",
            "The members have changed otherwise.",
            (Rule::Certificate, "checkpoint.registry_root"),
            &|b| {
                b.head.checkpoint = registry.clone();
            },
        ),
        Vector {
            step: "decode".to_owned(),
            ..case.reject("version", "Another version of the form.", (Rule::Encoding, "bundle.version"), &|b| {
                b.head.version = 4
            })
        },
    ]
}
