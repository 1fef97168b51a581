//! Bundles that do not prove what they claim.

use stemma_chain_format::bundle::AccountBundle;
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::Digest;

use crate::common::members::founded;
use crate::common::proofs::VALIDATORS;
use crate::common::{World, amount, cash_of, certify};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [stages(world), credits(world), listings(world), leaves(world), checkpoints(world)].concat()
}

struct Case<'w> {
    world: &'w World,
    bundle: AccountBundle,
}

impl<'w> Case<'w> {
    fn of(world: &'w World) -> Self {
        Self { world, bundle: world.bundle(world.customer("alice").account) }
    }

    fn reject(&self, name: &str, about: &str, broken: (Rule, &str), change: &dyn Fn(&mut AccountBundle)) -> Vector {
        let mut bundle = self.bundle.clone();
        change(&mut bundle);
        let name = format!("bundle-{name}");
        Vector::reject(&name, ("verify", "bundle"), about, broken, &bundle.encode())
            .with("account", self.world.customer("alice").account)
    }
}

fn stages(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let bobs = world.bundle(world.customer("bob").account).lineage;
    let counter = |at| (Rule::Counter, at);
    let sequence = |at| (Rule::Sequence, at);
    vec![
        case.reject(
            "chain-dropped",
            "A chain in the middle is left out.",
            (Rule::Sequence, "lineage[2].endorsement.parent"),
            &|b| {
                b.lineage.remove(2);
            },
        ),
        case.reject(
            "last-chain-dropped",
            "The last chain and its listing are left out.",
            (Rule::Holdings, "account.holdings.bank-a/USD"),
            &|b| {
                b.lineage.pop();
                b.listings.pop();
            },
        ),
        case.reject("chains-swapped", "Two chains change places.", sequence("lineage[2].endorsement.parent"), &|b| {
            b.lineage.swap(2, 3)
        }),
        case.reject("chain-repeated", "A chain stands twice.", counter("lineage[3].request.counter"), &|b| {
            b.lineage.insert(2, b.lineage[2].clone())
        }),
        case.reject(
            "chain-foreign",
            "Another account's chain, whose listing is not there.",
            (Rule::Listing, "lineage[2]"),
            &|b| b.lineage.insert(2, bobs[2].clone()),
        ),
        case.reject("opening-dropped", "The opening is left out.", sequence("lineage[0]"), &|b| {
            b.lineage.remove(0);
        }),
        case.reject("opening-foreign", "Another account's opening.", (Rule::Account, "lineage[0]"), &|b| {
            b.lineage[0] = bobs[0].clone()
        }),
        case.reject("opening-twice", "The opening stands twice.", sequence("lineage[1]"), &|b| {
            b.lineage.insert(0, b.lineage[0].clone())
        }),
        case.reject("no-lineage", "No lineage at all.", sequence("lineage"), &|b| b.lineage.clear()),
        case.reject(
            "chain-flipped",
            "A bit of a chain's last signature.",
            (Rule::Signature, "lineage[2].execution.signature"),
            &|b| {
                let last = b.lineage[2].len() - 40;
                b.lineage[2][last] ^= 1;
            },
        ),
    ]
}

fn credits(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let unused = world.bundle(world.customer("carol").account).sources.pop().unwrap();
    let digest = (Rule::Credit, "account.credits_digest");
    let source = |at| (Rule::Credit, at);
    vec![
        case.reject("credit-dropped", "The last credit, which waits, is left out.", (Rule::Credit, "sources"), &|b| {
            b.credits.pop();
        }),
        case.reject("credit-dropped-with-source", "The last credit and its source are left out.", digest, &|b| {
            b.credits.pop();
            b.sources.pop();
        }),
        case.reject("credits-swapped", "Two credits change places, and their sources.", digest, &|b| {
            b.credits.swap(1, 2);
            b.sources.swap(1, 2);
        }),
        case.reject("credit-repeated", "A credit stands twice.", digest, &|b| b.credits.push(b.credits[0].clone())),
        case.reject("credit-amount", "A credit one unit higher than given.", source("credits[0]"), &|b| {
            b.credits[0].amount = b.credits[0].amount.plus(amount(1)).unwrap();
        }),
        case.reject("credit-index", "A credit at another's index.", source("credits[0]"), &|b| b.credits[0].index = 1),
        case.reject("source-dropped", "A credit's source is left out.", source("credits[0]"), &|b| {
            b.sources.remove(0);
        }),
        case.reject("source-foreign", "A source of no credit.", source("sources"), &|b| b.sources.push(unused.clone())),
        case.reject("source-twice", "A source stands twice.", source("sources"), &|b| {
            b.sources.push(b.sources[0].clone())
        }),
        case.reject("sources-swapped", "Two sources change places.", source("sources"), &|b| b.sources.swap(0, 1)),
    ]
}

fn listings(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let listing = |at| (Rule::Listing, at);
    let opening = case.bundle.lineage[0].clone();
    let cash = world.ledger.listing(&cash_of("bank-b")).unwrap().link;
    let cash = world.body(cash);
    vec![
        case.reject("listing-dropped", "A listing is left out.", listing("lineage[2]"), &|b| {
            b.listings.remove(0);
        }),
        case.reject("listing-of-cash-dropped", "The listing of the cash is left out.", listing("lineage[2]"), &|b| {
            b.listings.remove(1);
        }),
        case.reject("listing-untraded", "The listing of what was not traded.", listing("listings"), &|b| {
            b.listings.push(cash.clone())
        }),
        case.reject("listing-twice", "A listing stands twice.", listing("listings"), &|b| {
            b.listings.push(b.listings[0].clone())
        }),
        case.reject("listings-swapped", "Two listings change places.", listing("listings"), &|b| b.listings.swap(0, 1)),
        case.reject("listing-no-listing", "Another entry in the place of a listing.", listing("listings"), &|b| {
            b.listings[0] = opening.clone()
        }),
    ]
}

fn leaves(world: &World) -> Vec<Vector> {
    let case = Case::of(world);
    let bob = world.customer("bob").account;
    let bobs = world.bundle(bob);
    let root = (Rule::Proof, "proof.root");
    vec![
        case.reject("holdings-higher", "The leaf holds one unit more.", root, &|b| {
            b.account.holdings.add(&cash_of("bank-a"), amount(1)).unwrap()
        }),
        case.reject("sequence-lower", "The leaf counts one chain fewer.", root, &|b| b.account.sequence -= 1),
        case.reject("sibling", "A bit of a sibling is flipped.", root, &|b| b.proof.siblings[0].0[0] ^= 1),
        case.reject(
            "leaf-foreign",
            "Another account's leaf, in its place in the tree.",
            (Rule::Credit, "credits[0]"),
            &|b| {
                (b.account, b.proof) = (bobs.account.clone(), bobs.proof.clone());
            },
        ),
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
            b.network = other
        }),
        case.reject(
            "checkpoint-network",
            "The checkpoint belongs to another network.",
            (Rule::Network, "checkpoint.network"),
            &|b| {
                b.checkpoint.header.network = other;
            },
        ),
        case.reject(
            "checkpoint-short",
            "The checkpoint lacks a vote.",
            (Rule::Certificate, "checkpoint.certificate.power"),
            &|b| {
                b.checkpoint = two.clone();
            },
        ),
        case.reject("checkpoint-before", "The checkpoint is the block before.", (Rule::Proof, "proof.root"), &|b| {
            b.checkpoint = before.clone();
            b.trust.clear();
        }),
        case.reject(
            "registry",
            "The members have changed otherwise.",
            (Rule::Certificate, "checkpoint.registry_root"),
            &|b| {
                b.checkpoint = registry.clone();
            },
        ),
        Vector {
            step: "decode".to_owned(),
            ..case.reject("version", "Another version of the form.", (Rule::Encoding, "bundle.version"), &|b| {
                b.version = 3
            })
        },
    ]
}
