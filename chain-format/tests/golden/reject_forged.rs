//! Bundles whose entries, votes or bytes somebody forged.

use stemma_chain_format::amount::Amount;
use stemma_chain_format::bundle::{Bundle, Element};
use stemma_chain_format::cbor;
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::error::Rule;
use stemma_chain_format::execution::Execution;
use stemma_chain_format::request::{Request, Side};

use crate::common::members::{founded, id, key, member_key, validator_key};
use crate::common::proofs::{ENTRY, VALIDATORS, kind, place};
use crate::common::{Order, Plan, World, amount, cash_of, certify};
use crate::reject_bundle::Case;
use crate::vector::Vector;

const OTHER_FORM: &str = "not the one encoding of this record (an unknown field, or a field in another form)";
const NON_MINIMAL: &str = "an integer or length is not in its shortest form";
const INDEFINITE: &str = "indefinite lengths are not allowed";
const CUT_OFF: &str = "the bytes end in the middle of a value";

pub fn vectors(world: &World) -> Vec<Vector> {
    [signers(world), requests(world), endorsements(world), executions(world), votes(world), bytes(world)].concat()
}

/// A bundle whose lineage goes on with a chain that nobody committed.
struct Forgery<'w> {
    world: &'w World,
    case: Case<'w>,
    bundle: Bundle,
    /// The place of the forged chain.
    place: String,
}

impl<'w> Forgery<'w> {
    fn of(world: &'w World) -> Self {
        let bundle = world.bundle(world.customer("alice").account);
        let entries = bundle.elements.iter().filter(|element| kind(element) == ENTRY).count();
        Self { world, case: Case::on(world, bundle.clone()), bundle, place: format!("lineage[{entries}]") }
    }

    fn plan(&self) -> Plan<'w> {
        let alice = self.world.customer("alice");
        Plan::new(self.world, Order { absorb: 0, ..Order::new(alice, "broker", Side::Buy) })
    }

    fn reject(&self, name: &str, about: &str, (rule, field): (Rule, &str), plan: Plan<'w>) -> Vector {
        let last = self.bundle.elements.iter().filter(|element| kind(element) == ENTRY).count() - 1;
        let after = place(&self.bundle.elements, ENTRY, last) + 1;
        let forged = plan.bytes();
        // What the end of the bundle tells stands nowhere in the lineage.
        let field = match field {
            "" => self.place.clone(),
            whole if whole.starts_with("account.") => whole.to_owned(),
            within => format!("{}.{within}", self.place),
        };
        self.case.reject(&format!("forged-{name}"), about, (rule, &field), &|b| {
            b.elements.insert(after, Element::Entry(forged.clone().into()));
        })
    }
}

fn signers(world: &World) -> Vec<Vector> {
    let forgery = Forgery::of(world);
    let reject = |name: &str, about: &str, field: &str, stage, key| {
        forgery.reject(name, about, (Rule::Signer, field), forgery.plan().signer(stage, key))
    };
    let (endorsement, execution) = ("endorsement.signer", "execution.signer");
    vec![
        reject("by-stranger", "A stranger asks.", "request.signer", 0, key("mallory")),
        reject("by-bank", "The bank asks in the customer's name.", "request.signer", 0, member_key("bank-a")),
        reject("by-institution", "The institution endorses.", endorsement, 1, member_key("broker")),
        reject("by-other-bank", "Another bank endorses.", endorsement, 1, member_key("bank-b")),
        reject("by-vote-key", "The bank endorses with the key for votes.", endorsement, 1, validator_key("bank-a")),
        reject("by-customer", "The customer endorses.", endorsement, 1, key("alice")),
        reject("executed-by-bank", "The bank executes.", execution, 2, member_key("bank-a")),
        reject("executed-by-other", "Another institution executes.", execution, 2, member_key("fund-house")),
    ]
}

fn requests(world: &World) -> Vec<Vector> {
    let forgery = Forgery::of(world);
    let reject = |name: &str, about: &str, broken, change: &'static dyn Fn(&mut Request)| {
        forgery.reject(name, about, broken, forgery.plan().request(change))
    };
    vec![
        reject("counter-again", "A request that counted before.", (Rule::Counter, "request.counter"), &|r| {
            r.counter -= 1
        }),
        reject("request-foreign", "A request of another network.", (Rule::Network, "request.network"), &|r| {
            r.network = founded("another network").network()
        }),
        reject(
            "request-to-other-bank",
            "A request to another bank.",
            (Rule::Range, "request.request.trade.cash"),
            &|r| r.bank = id("bank-b"),
        ),
        reject(
            "request-to-other",
            "A request to another institution.",
            (Rule::Range, "request.request.trade.instrument"),
            &|r| r.institution = id("fund-house"),
        ),
    ]
}

fn endorsements(world: &World) -> Vec<Vector> {
    let forgery = Forgery::of(world);
    let first = world.credits[&world.customer("alice").account][0].clone();
    let reject = |name: &str, about: &str, broken, change: Box<dyn Fn(&mut Endorsement)>| {
        forgery.reject(name, about, broken, forgery.plan().endorsement(change))
    };
    let higher = |e: &mut Endorsement| e.holdings.add(&cash_of("bank-a"), amount(1)).unwrap();
    vec![
        reject(
            "endorsed-higher",
            "The bank states one unit more than held.",
            (Rule::Holdings, "endorsement.holdings.bank-a/USD"),
            Box::new(higher),
        ),
        reject(
            "credit-absorbed-twice",
            "A credit is absorbed again.",
            (Rule::Credit, "account.credits_received"),
            Box::new(move |e| {
                e.holdings.add(&first.instrument, first.amount).unwrap();
                e.absorbed.push(first.clone());
            }),
        ),
        reject(
            "sequence-skipped",
            "A sequence is left out.",
            (Rule::Sequence, "endorsement.sequence"),
            Box::new(|e| e.sequence += 1),
        ),
        reject(
            "parent-other",
            "It stands on another head.",
            (Rule::Sequence, "endorsement.parent"),
            Box::new(|e| e.parent.0[0] ^= 1),
        ),
        reject(
            "credit-level",
            "A better credit level than the bank gave.",
            (Rule::Agreement, "endorsement.credit"),
            Box::new(|e| e.credit.level += 1),
        ),
    ]
}

fn executions(world: &World) -> Vec<Vector> {
    let forgery = Forgery::of(world);
    let listing = world.ledger.listing(&cash_of("bank-b")).unwrap().link;
    let reject = |name: &str, about: &str, broken, change: Box<dyn Fn(&mut Execution)>| {
        forgery.reject(name, about, broken, forgery.plan().execution(change))
    };
    vec![
        reject(
            "balance-off",
            "The new balance is off by one unit.",
            (Rule::Holdings, "execution.holdings.bank-a/USD"),
            Box::new(|e| e.holdings.add(&cash_of("bank-a"), amount(1)).unwrap()),
        ),
        reject(
            "posting-off",
            "A posting is off by one unit.",
            (Rule::Balance, "execution.postings.broker/ACME"),
            Box::new(|e| e.postings[0].amount = e.postings[0].amount.plus(Amount::ONE).unwrap()),
        ),
        reject(
            "posting-dropped",
            "A posting is left out.",
            (Rule::Balance, "execution.postings.bank-a/USD"),
            Box::new(|e| {
                e.postings.pop();
            }),
        ),
        reject(
            "listing-other",
            "Executed under another listing.",
            (Rule::Listing, ""),
            Box::new(move |e| e.listing = listing),
        ),
        reject(
            "endorsement-other",
            "It executes another endorsement.",
            (Rule::Link, "execution.endorsement"),
            Box::new(|e| e.endorsement.0[0] ^= 1),
        ),
    ]
}

fn votes(world: &World) -> Vec<Vector> {
    let bundle = world.bundle(world.customer("alice").account);
    let case = Case::on(world, bundle);
    let (block, _) = world.blocks.last().unwrap();
    let certificate = |at| (Rule::Certificate, at);
    let mut fork = block.header.clone();
    fork.time_ms += 1;
    let fork = certify(&fork, &VALIDATORS[..2]);
    vec![
        case.reject(
            "votes-twice",
            "A vote stands twice.",
            certificate("checkpoint.certificate.signatures.bank-a"),
            &|b| {
                let votes = &mut b.head.checkpoint.certificate.signatures;
                votes[1] = votes[0].clone();
            },
        ),
        case.reject(
            "votes-swapped",
            "Two votes change places.",
            certificate("checkpoint.certificate.signatures.bank-a"),
            &|b| b.head.checkpoint.certificate.signatures.swap(0, 1),
        ),
        case.reject(
            "vote-flipped",
            "A bit of a vote.",
            certificate("checkpoint.certificate.signatures.bank-a"),
            &|b| b.head.checkpoint.certificate.signatures[0].signature.0[5] ^= 1,
        ),
        case.reject(
            "vote-of-auditor",
            "A vote of who has none.",
            certificate("checkpoint.certificate.signatures.auditor"),
            &|b| b.head.checkpoint.certificate.signatures[0].validator = id("auditor"),
        ),
        case.reject(
            "votes-of-other-round",
            "Votes of another round.",
            certificate("checkpoint.certificate.signatures.bank-a"),
            &|b| b.head.checkpoint.certificate.round += 1,
        ),
        case.reject(
            "votes-of-other-height",
            "Votes for another height.",
            certificate("checkpoint.certificate.height"),
            &|b| b.head.checkpoint.certificate.height += 1,
        ),
        case.reject(
            "checkpoint-fork",
            "A fork that two validators signed.",
            certificate("checkpoint.certificate.power"),
            &|b| b.head.checkpoint = fork.clone(),
        ),
        case.reject(
            "checkpoint-changed",
            "A certified header's time is changed.",
            certificate("checkpoint.certificate.block"),
            &|b| b.head.checkpoint.header.time_ms += 1,
        ),
    ]
}

/// Files that are no bundle by their form.
fn bytes(world: &World) -> Vec<Vector> {
    let bundle = world.bundle(world.customer("alice").account);
    let genuine = bundle.encode();
    let head = cbor::encode(&bundle.head);
    let rest = &genuine[head.len()..];
    let reject = |name: &str, about: &str, reason: &str, bytes: Vec<u8>| {
        Vector::unreadable(&format!("bundle-{name}"), "bundle", about, reason, &bytes)
    };
    let with = |element: &[u8]| [&genuine, element].concat();
    vec![
        reject("empty", "An empty file.", "an empty file", Vec::new()),
        reject("truncated", "The file ends in an element.", CUT_OFF, genuine[..genuine.len() - 1].to_vec()),
        reject("truncated-head", "The file ends in the head.", CUT_OFF, head[..head.len() / 2].to_vec()),
        reject("trailing-byte", "A byte after the last element.", "unexpected type", with(&[0])),
        reject("head-long-count", "The count of the head's fields in two bytes.", NON_MINIMAL, {
            [&[0xb8, 0x05], &head[1..], rest].concat()
        }),
        reject("head-indefinite", "The head has no length.", INDEFINITE, [&[0xbf], &head[1..], &[0xff], rest].concat()),
        reject("head-unknown-field", "A field that the head has not.", OTHER_FORM, {
            [&[0xa6], &head[1..], &[0x05, 0x00], rest].concat()
        }),
        reject("head-twice", "The head stands twice.", "unexpected type", [&head[..], &head, rest].concat()),
        reject("no-head", "Elements without a head.", "unexpected type", rest.to_vec()),
        reject("element-unknown", "An element of no kind.", "unknown enum variant", with(&[0x82, 0x09, 0x41, 0x00])),
        reject(
            "element-long-count",
            "An element's count in two bytes.",
            NON_MINIMAL,
            with(&[0x98, 0x02, 0x00, 0x41, 0x00]),
        ),
        reject("element-indefinite", "An element without a length.", INDEFINITE, with(&[0x9f, 0x00, 0x41, 0x00, 0xff])),
        reject("element-longer", "An element with a third part.", OTHER_FORM, with(&[0x83, 0x00, 0x41, 0x00, 0x00])),
        reject(
            "element-too-deep",
            "Arrays in arrays.",
            "nested more than 12 levels deep",
            with(&[vec![0x81; 40], vec![0x00]].concat()),
        ),
        reject(
            "element-float",
            "An element with a float.",
            "a kind of value that no record uses (float)",
            with(&[0x82, 0xf9, 0x3c, 0x00, 0x41, 0x00]),
        ),
        reject("element-endless", "An element that says it is longer than there is.", CUT_OFF, {
            with(&[0x82, 0x00, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
        }),
    ]
}
