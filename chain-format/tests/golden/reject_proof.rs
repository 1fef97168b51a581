//! Certificates and Merkle proofs that prove nothing.

use stemma_chain_format::cbor;
use stemma_chain_format::certificate::{CertifiedHeader, Precommit, VoteKind};
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::header::Header;
use stemma_chain_format::merkle::{OtherLeaf, SparseProof};

use crate::accept::{absent_keys, inclusion};
use crate::bytes::flipped;
use crate::common::proofs::VALIDATORS;
use crate::common::{World, certify, id, key, validator_key};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [quorums(world), signatures(world), paths(world), leaves(world)].concat()
}

fn certified(name: &str, about: &str, field: &str, header: &CertifiedHeader) -> Vector {
    let judged = ("verify", "certified-header");
    let name = format!("certificate-{name}");
    let field = format!("certificate.{field}");
    Vector::reject(&name, judged, about, (Rule::Certificate, &field), &cbor::encode(header))
}

fn last(world: &World) -> &Header {
    &world.blocks.last().unwrap().0.header
}

fn quorums(world: &World) -> Vec<Vector> {
    let header = last(world);
    let signed = |signers: &[&str]| certify(header, signers);
    let [a, b, broker, fund] = VALIDATORS;
    vec![
        certified("one-short", "Two of four: one vote short of more than two thirds.", "power", &signed(&[a, broker])),
        certified("no-votes", "Nobody signed.", "power", &signed(&[])),
        certified("duplicate", "One validator counts twice.", "signatures.bank-b", &signed(&[a, b, b])),
        certified("unsorted", "Two signers change places.", "signatures.bank-b", &signed(&[a, broker, b])),
        certified("auditor", "A member without a vote signs.", "signatures.auditor", &signed(&["auditor", a, b, fund])),
        certified("foreign", "Nobody of the network signs.", "signatures.nobody", &signed(&[a, b, fund, "nobody"])),
    ]
}

fn signatures(world: &World) -> Vec<Vector> {
    let header = last(world);
    let before = &world.blocks[world.blocks.len() - 2].0.header;
    let whole = certify(header, &VALIDATORS);
    let changed = |change: &dyn Fn(&mut CertifiedHeader)| {
        let mut header = whole.clone();
        change(&mut header);
        header
    };
    let resigned = |kind, key: &str| {
        let mut vote = whole.certificate.precommit(header.network, &id("bank-b"));
        vote.kind = kind;
        Precommit { validator: id("bank-b"), signature: vote.sign(&validator_key(key)) }
    };
    let prevote = resigned(VoteKind::Prevote, "bank-b");
    let by_another = resigned(VoteKind::Precommit, "bank-a");
    let member_key = {
        let vote = whole.certificate.precommit(header.network, &id("bank-b"));
        Precommit { validator: id("bank-b"), signature: vote.sign(&key("bank-b/member")) }
    };
    let other_block = certify(before, &VALIDATORS).certificate.signatures[1].clone();
    let second = |precommit: Precommit| changed(&|h| h.certificate.signatures[1] = precommit.clone());
    let place = "signatures.bank-b";
    vec![
        certified("other-block", "A signature for the block before.", place, &second(other_block)),
        certified("prevote", "A prevote in the place of a precommit.", place, &second(prevote)),
        certified("by-another", "One validator signs for another.", place, &second(by_another)),
        certified("member-key", "Signed with the member's other key.", place, &second(member_key)),
        certified(
            "other-round",
            "Signed for another round.",
            "signatures.bank-a",
            &changed(&|h| h.certificate.round = 1),
        ),
        certified("other-height", "Names another height.", "height", &changed(&|h| h.certificate.height += 1)),
        certified(
            "of-another-header",
            "A certificate of the block before.",
            "height",
            &CertifiedHeader { header: header.clone(), certificate: certify(before, &VALIDATORS).certificate },
        ),
        certified(
            "header-changed",
            "The root of all accounts is another.",
            "block",
            &changed(&|h| {
                h.header.accounts_root = Digest([3; 32]);
            }),
        ),
        certified(
            "one-bad-of-four",
            "Three good signatures and a bad one.",
            "signatures.fund-house",
            &changed(&|h| {
                h.certificate.signatures[3].signature.0[0] ^= 1;
            }),
        ),
    ]
}

fn paths(world: &World) -> Vec<Vector> {
    let good = inclusion(world);
    let path = good.bytes();
    let case = |name: &str, about: &str, bytes: &[u8]| {
        let broken = (Rule::Proof, "merkle.path");
        let vector = Vector::reject(name, ("include", "inclusion-path"), about, broken, bytes);
        Vector { with: good.with.clone(), ..vector }
    };
    let size: usize = good.with["size"].parse().unwrap();
    vec![
        case("inclusion-sibling", "A bit of a sibling is flipped.", &flipped(&path, 1)),
        case("inclusion-longer", "One sibling more.", &[path.as_slice(), &[0; 32]].concat()),
        case("inclusion-shorter", "One sibling fewer.", &path[..path.len() - 32]),
        case("inclusion-index", "Another index.", &path).with("index", 0),
        case("inclusion-beyond", "An index beyond the tree.", &path).with("index", size),
        case("inclusion-leaf", "Another leaf.", &path).with("leaf", Digest([1; 32])),
        case("inclusion-root", "Another root.", &path).with("root", Digest([1; 32])),
    ]
}

fn leaves(world: &World) -> Vec<Vector> {
    let root = world.ledger.root();
    let alice = world.customer("alice").account;
    let state = cbor::encode(&world.ledger.account(&alice).unwrap().state);
    let bob_state = cbor::encode(&world.ledger.account(&world.customer("bob").account).unwrap().state);
    let (other, empty) = absent_keys(world);
    let proof = world.ledger.prove(&alice);
    let changed = |of: &SparseProof, change: &dyn Fn(&mut SparseProof)| {
        let mut proof = of.clone();
        change(&mut proof);
        cbor::encode(&proof)
    };
    let case = |name: &str, step: &str, about: &str, field: &str, key, bytes: &[u8]| {
        let broken = (Rule::Proof, field);
        Vector::reject(&format!("sparse-{name}"), (step, "sparse-proof"), about, broken, bytes)
            .with("root", root)
            .with("key", key)
    };
    let (end, other_leaf) = ("proof.root", "proof.other");
    let plain = cbor::encode(&proof);
    let flip = |p: &mut SparseProof| p.siblings[0].0[0] ^= 1;
    let stranger = OtherLeaf { key: other, value_hash: Digest([0; 32]) };
    let claims_other = changed(&proof, &|p| p.other = Some(stranger.clone()));
    let own_leaf = changed(&proof, &|p| p.other = Some(OtherLeaf { key: alice, value_hash: Digest::of(&state) }));
    let value = hex::encode(&state);
    vec![
        case("sibling", "present", "A bit of a sibling is flipped.", end, alice, &changed(&proof, &flip))
            .with("value", &value),
        case("value", "present", "Another account's state.", end, alice, &plain).with("value", hex::encode(bob_state)),
        case(
            "short",
            "present",
            "The last sibling is left out.",
            end,
            alice,
            &changed(&proof, &|p| {
                p.siblings.pop();
            }),
        )
        .with("value", &value),
        case("present-other", "present", "Presence with another leaf beside.", other_leaf, alice, &claims_other)
            .with("value", &value),
        case("absent-present", "absent", "An account that is there.", end, alice, &plain),
        case("absent-own-leaf", "absent", "An account whose own leaf stands there.", other_leaf, alice, &own_leaf),
        case(
            "absent-elsewhere",
            "absent",
            "A leaf from another part of the tree.",
            other_leaf,
            empty,
            &changed(&world.ledger.prove(&empty), &|p| p.other = world.ledger.prove(&other).other),
        ),
    ]
}
