//! One vector for each kind of record that is accepted, and the forms it may take.

use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{Bundle, Claim};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::{Vote, VoteKind};
use stemma_chain_format::chain::{Chain, Entry};
use stemma_chain_format::hash::{AccountId, Digest};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::merkle::{SparseProof, inclusion_path, leaf_hash};
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_chain_format::request::{IdentityClaim, Side, Size};

use crate::common::proofs::VALIDATORS;
use crate::common::{
    Order, Plan, World, amount, certify, id, instrument_of, member_key, price, trade_of, validator_key,
};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [entries(world), stages(world), applied(world), blocks(world), votes(world), states(world), proofs(world)].concat()
}

/// A plan whose chain uses every optional field: limit, highest fee, expiry, referral, absorbed credits, a credit line, a reward.
pub fn full_plan(world: &World) -> Plan<'_> {
    let order = Order {
        size: Size::Cash(amount(9_000)),
        limit: Some(price(12_345, 1)),
        reward: Some((world.customer("bob"), 12)),
        ..Order::new(world.customer("alice"), "fund-house", Side::Sell)
    };
    Plan::new(world, order).request(|request| {
        request.expires = Some(500);
        trade_of(request).fee_max = Some(amount(199));
        request.identities.push(IdentityClaim::commit("password", &[8; 32], b"a password"));
    })
}

fn entries(world: &World) -> Vec<Vector> {
    let genesis = Vector::accept(
        "genesis",
        ("decode", "genesis"),
        "The genesis of the test network, signed by its five founders; every other vector belongs to it.",
        world.network(),
        world.file.bytes(),
    );
    let mut vectors = vec![genesis];
    let mut named = std::collections::BTreeSet::new();
    for entry in world.history() {
        let (record, name, about, stage) = match entry {
            Entry::Opening(o) => ("opening", "opening", "Opens alice's account.", o.bytes()),
            Entry::Listing(l) if l.record().quoted_in.is_none() => {
                ("listing", "listing-currency", "A bank lists its cash.", l.bytes())
            }
            Entry::Listing(l) => ("listing", "listing-stock", "An institution lists what it issues.", l.bytes()),
            Entry::Issuance(i) => ("issuance", "issuance", "A bank issues cash to six accounts.", i.bytes()),
            Entry::Governance(g) => ("governance", "governance", "A member rotates a key of its own.", g.bytes()),
            Entry::Chain(_) | Entry::Servicing(_) | Entry::Settlement(_) => continue,
        };
        if named.insert(name) {
            vectors.push(Vector::accept(name, ("decode", record), about, entry.id(), stage));
            let name = format!("entry-{name}");
            let bytes = entry.encode();
            vectors.push(Vector::accept(&name, ("verify", "entry"), "The same as an entry.", entry.id(), &bytes));
        }
    }
    vectors
}

fn stages(world: &World) -> Vec<Vector> {
    let plain = Order::new(world.customer("bob"), "fund-house", Side::Buy).chain(world);
    let Entry::Chain(plain) = plain else { panic!("a chain") };
    let Entry::Chain(full) = full_plan(world).entry() else { panic!("a chain") };
    let mut vectors = three_stages("", "without any optional field", &plain);
    vectors.extend(three_stages("-full", "with every optional field", &full));
    let refusal = Refusal {
        network: world.network(),
        member: id("broker"),
        refused: plain.endorsement.link(),
        reason: RefusalReason::PriceOutsideLimit,
        expected: "a price of at most 12.34".to_owned(),
        found: "12.35".to_owned(),
        refused_ms: 1_760_000_009_000,
    };
    let refusal = Signed::sign(refusal, &member_key("broker")).unwrap();
    let about = "An institution's signed, typed no.";
    vectors.push(Vector::accept("refusal", ("verify", "refusal"), about, refusal.link(), refusal.bytes()));
    vectors
}

fn three_stages(suffix: &str, how: &str, chain: &Chain) -> Vec<Vector> {
    let Chain { request, endorsement, execution } = chain;
    let name = |stage: &str| format!("{stage}{suffix}");
    let about = |stage: &str| format!("A {stage} chain {how}.");
    let judged = ("verify", "request");
    let first = Vector::accept(&name("request"), judged, &about("first"), request.link(), request.bytes());
    let judged = ("verify", "endorsement");
    let second =
        Vector::accept(&name("endorsement"), judged, &about("second"), endorsement.link(), endorsement.bytes())
            .with("request", hex::encode(request.bytes()));
    let judged = ("decode", "execution");
    let third = Vector::accept(&name("execution"), judged, &about("third"), execution.link(), execution.bytes());
    vec![first, second, third]
}

/// Chains that commit on top of the history.
fn applied(world: &World) -> Vec<Vector> {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| world.customer(name));
    let buy = Order { limit: Some(price(123_456, 2)), ..Order::new(alice, "fund-house", Side::Buy) };
    let by_cash = Order { size: Size::Cash(amount(98_765)), ..Order::new(carol, "broker", Side::Buy) };
    let free = Order { fee: 0, ..Order::new(alice, "broker", Side::Buy) };
    let one_credit = Order { absorb: 1, ..Order::new(alice, "fund-house", Side::Buy) };
    let beyond = Order { size: Size::Quantity(amount(20_000_000)), ..Order::new(bob, "fund-house", Side::Buy) };
    let on_credit = Plan::new(world, beyond);
    let plan = |order| Plan::new(world, order);
    let issued = world.issued("bank-b", &[(carol.account, 1), (world.own("bank-b", OwnAccount::Fees), 2)]);
    let cases = [
        ("chain-buy-quantity", "Buys a quantity at exactly its limit.", plan(buy).bytes()),
        ("chain-buy-cash", "Buys for an amount of cash, fee included.", plan(by_cash).bytes()),
        ("chain-sell-cash", "Sells for an amount of cash, with every optional field.", full_plan(world).bytes()),
        ("chain-no-fee", "Without a fee.", plan(free).bytes()),
        ("chain-one-credit", "Absorbs the first of the credits that wait.", plan(one_credit).bytes()),
        ("chain-on-credit", "Goes below zero within the credit line.", on_credit.bytes()),
        ("chain-issuance", "A second issuance of the bank, to a customer and to itself.", issued.encode()),
    ];
    let accept = |(name, about, bytes): (&str, &str, Vec<u8>)| {
        let id = Entry::decode(&bytes).unwrap().id();
        Vector::accept(name, ("apply", "entry"), about, id, &bytes)
    };
    cases.into_iter().map(accept).collect()
}

fn blocks(world: &World) -> Vec<Vector> {
    let (block, _) = world.last_full_block();
    let judged = ("verify", "certified-header");
    let all = cbor::encode(&certify(&block.header, &VALIDATORS));
    let three = cbor::encode(&certify(&block.header, &["bank-a", "bank-b", "fund-house"]));
    vec![
        Vector::accept("block", ("decode", "block"), "The last block.", block.id(), &cbor::encode(block)),
        Vector::accept("certified-header", judged, "Its header, signed by all four validators.", block.id(), &all),
        Vector::accept("certified-header-quorum", judged, "Signed by three of four.", block.id(), &three),
    ]
}

fn votes(world: &World) -> Vec<Vector> {
    let (block, _) = world.last_full_block();
    let vote =
        |kind, block| Vote { network: world.network(), kind, height: 5, round: 2, block, validator: id("broker") };
    let key = validator_key("broker");
    let cases = [
        ("vote-prevote-nil", "A prevote for no block.", vote(VoteKind::Prevote, None)),
        ("vote-precommit", "A precommit for the last block.", vote(VoteKind::Precommit, Some(block.id()))),
    ];
    let accept = |(name, about, vote): (&str, &str, Vote)| {
        let bytes = cbor::encode(&vote);
        Vector::accept(name, ("verify", "vote"), about, Digest::of(&bytes), &bytes)
            .with("key", PublicKey::of(&key))
            .with("signature", hex::encode(vote.sign(&key).0))
    };
    cases.into_iter().map(accept).collect()
}

fn states(world: &World) -> Vec<Vector> {
    let alice = world.ledger.account(&world.customer("alice").account).unwrap().state.clone();
    let settlement = world.ledger.account(&world.own("bank-a", OwnAccount::Settlement)).unwrap().state.clone();
    let mut wide = AccountState::opened(alice.account, id("bank-a"), alice.key.unwrap(), alice.credit.clone());
    let edges = [1_i128 << 96, -(1_i128 << 96), 1 << 64, -(1_i128 << 64), -(1_i128 << 64) - 1, i128::from(u64::MAX)];
    for (at, units) in edges.into_iter().enumerate() {
        let instrument = format!("bank-a/EDGE{at}").parse().unwrap();
        wide.holdings.add(&instrument, amount(units)).unwrap();
    }
    for name in ["fund-house", "broker"] {
        wide.holdings.add(&instrument_of(name), amount(24)).unwrap();
    }
    let cases = [
        ("account-state", "A customer's state, the value of a leaf.", &alice),
        ("account-state-own", "A bank's settlement account, below zero in its own cash.", &settlement),
        ("account-state-wide", "Amounts of every width, instruments in the order of their encoding.", &wide),
    ];
    let accept = |(name, about, state): (&str, &str, &AccountState)| {
        let bytes = cbor::encode(state);
        Vector::accept(name, ("decode", "account-state"), about, Digest::of(&bytes), &bytes)
    };
    cases.into_iter().map(accept).collect()
}

fn proofs(world: &World) -> Vec<Vector> {
    let root = world.ledger.root();
    let alice = world.customer("alice").account;
    let proof = |key: &AccountId| cbor::encode(&world.ledger.prove(key));
    let present = Vector::accept(
        "sparse-present",
        ("present", "sparse-proof"),
        "An account's leaf under the root of the state tree.",
        root,
        &proof(&alice),
    );
    let state = cbor::encode(&world.ledger.account(&alice).unwrap().state);
    let mut vectors = vec![present.with("root", root).with("key", alice).with("value", hex::encode(state))];
    let (other, empty) = absent_keys(world);
    for (name, about, key) in [
        ("sparse-absent-other", "No such account: another leaf stands where it would.", other),
        ("sparse-absent-empty", "No such account: nothing stands where it would.", empty),
    ] {
        let vector = Vector::accept(name, ("absent", "sparse-proof"), about, root, &proof(&key));
        vectors.push(vector.with("root", root).with("key", key));
    }
    vectors.push(inclusion(world));
    for name in ["alice", "bob", "carol"] {
        let account = world.customer(name).account;
        let bytes = world.bundle(account).encode();
        let about = format!("Everything that proves what {name} holds.");
        let name = format!("bundle-{name}");
        let vector = Vector::accept(&name, ("verify", "bundle"), &about, Digest::of(&bytes), &bytes);
        vectors.push(vector.with("account", account));
    }
    vectors.extend(claims(world));
    vectors
}

/// Bundles of every claim but a whole lineage.
fn claims(world: &World) -> Vec<Vector> {
    let earlier = World::positioned();
    let accept = |name: &str, about: &str, subject: String, bundle: Bundle| {
        let bytes = bundle.encode();
        let name = format!("bundle-{name}");
        Vector::accept(&name, ("verify", "bundle"), about, Digest::of(&bytes), &bytes).with("account", subject)
    };
    let alone = |claim| Bundle { head: world.head_of(claim), elements: Vec::new() };
    let anchored = ["alice", "bob", "carol"].map(|name| {
        let account = world.customer(name).account;
        let about = format!("What {name} holds, from an earlier block on.");
        accept(&format!("{name}-from-anchor"), &about, account.to_string(), world.bundle_from(account, &earlier))
    });
    let alice = world.customer("alice").account;
    let held = alone(Claim::Holdings(Box::new(world.holding(alice))));
    let own = world.own("broker", OwnAccount::Settlement);
    let owned = alone(Claim::Holdings(Box::new(world.holding(own))));
    let (other, empty) = absent_keys(world);
    let absent = |key| alone(Claim::Absence(key, world.ledger.prove(&key)));
    let entry = world.last_full_block().0.entries[1];
    let mut vectors = Vec::from(anchored);
    vectors.extend([
        accept("held", "What an account holds.", alice.to_string(), held),
        accept("held-by-member", "What a member's own account holds.", own.to_string(), owned),
        accept("absent-other", "No such account: another leaf stands there.", other.to_string(), absent(other)),
        accept("absent-empty", "No such account: nothing stands there.", empty.to_string(), absent(empty)),
        accept("entry", "An entry stands in a block.", entry.to_string(), world.entry_bundle(1)),
    ]);
    vectors
}

/// Two keys that are no account: one on another leaf's path, one in an empty place.
pub fn absent_keys(world: &World) -> (AccountId, AccountId) {
    let candidates = (0_u32..).map(|n| AccountId(Digest::of(&n.to_be_bytes()).0));
    let proofs = candidates.map(|key| (key, world.ledger.prove(&key)));
    let found: Vec<(AccountId, SparseProof)> = proofs.take(256).collect();
    let with = |other: bool| found.iter().find(|(_, proof)| proof.other.is_some() == other).unwrap().0;
    (with(true), with(false))
}

/// The inclusion of the last entry in the last block.
pub fn inclusion(world: &World) -> Vector {
    let (block, _) = world.last_full_block();
    let leaves: Vec<Digest> = block.entries.iter().map(|id| leaf_hash(&id.0)).collect();
    let index = leaves.len() - 1;
    let path: Vec<u8> = inclusion_path(&leaves, index).unwrap().iter().flat_map(|digest| digest.0).collect();
    let root = block.header.entries_root;
    let about = "The last entry under the entries' root of the last block; the path's hashes, one after the other.";
    Vector::accept("inclusion", ("include", "inclusion-path"), about, root, &path)
        .with("leaf", leaves[index])
        .with("index", index)
        .with("size", leaves.len())
        .with("root", root)
}
