//! Governance records on the ledger after the history: what each change needs, and what would leave the network unable to decide.

use ed25519_dalek::SigningKey;
use minicbor::bytes::ByteVec;
use stemma_chain_format::bundle::{Bundle, Element};
use stemma_chain_format::error::Rule;
use stemma_chain_format::genesis::Parameters;
use stemma_chain_format::governance::{Change, Governance};
use stemma_chain_format::hash::{Digest, Link};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{KeyUse, Member, Role};
use stemma_chain_format::request::Side;

use crate::common::governed::{MOST, cosigned, newcomer, newcomers_keys};
use crate::common::members::founded;
use crate::common::proofs::{ENTRY, VALIDATORS, kind, place};
use crate::common::{Order, Plan, World, certify, id, key, member_key, validator_key};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [
        accepted(world),
        rotated(world),
        sequences(world),
        approvals(world),
        changes(world),
        keys(world),
        deciding(world),
        trust(world),
    ]
    .concat()
}

fn signers(members: &[&str]) -> Vec<SigningKey> {
    members.iter().map(|member| member_key(member)).collect()
}

fn of(label: &str) -> PublicKey {
    PublicKey::of(&key(label))
}

fn accepted(world: &World) -> Vec<Vector> {
    let accept = |name: &str, about: &str, changes: Vec<Change>, members: &[&str], more: &[SigningKey]| {
        let entry = world.resolved(3, changes, members, more);
        Vector::accept(&format!("governance-{name}"), ("apply", "entry"), about, entry.id(), &entry.encode())
    };
    let rotate = |used: KeyUse, label: &str| vec![Change::Rotate(id("broker"), used, of(label))];
    let parameters = Parameters { approval_percent: 75, ..Parameters::default() };
    let validator = PublicKey::of(&validator_key("broker"));
    let many = vec![
        Change::Assign(id("bank-a"), Role::Bank, 4),
        Change::Admit(newcomer("fund-new", Role::Institution, 1)),
        Change::Set(parameters.clone()),
        Change::Withdraw(2),
    ];
    vec![
        accept(
            "admit",
            "Three of four founders admit an auditor; its keys sign, too.",
            vec![Change::Admit(newcomer("watcher", Role::Auditor, 0))],
            &MOST,
            &newcomers_keys("watcher", 0),
        ),
        accept("suspend", "A member is suspended.", vec![Change::Suspend(id("fund-house"))], &MOST, &[]),
        accept("remove", "A member leaves.", vec![Change::Remove(id("fund-house"))], &MOST, &[]),
        accept(
            "assign",
            "A member has more power.",
            vec![Change::Assign(id("broker"), Role::Institution, 5)],
            &MOST,
            &[],
        ),
        accept(
            "power-none",
            "A member has no vote.",
            vec![Change::Assign(id("broker"), Role::Institution, 0)],
            &MOST,
            &[],
        ),
        accept(
            "rotate-alone",
            "A member rotates its member key by itself; both keys sign.",
            rotate(KeyUse::Member, "broker/member-2"),
            &["broker"],
            &[key("broker/member-2")],
        ),
        accept(
            "rotate-by-others",
            "Others rotate a member's validator key.",
            rotate(KeyUse::Validator, "broker/validator-2"),
            &["bank-a", "bank-b", "fund-house"],
            &[key("broker/validator-2")],
        ),
        accept(
            "revoke",
            "A validator key is revoked.",
            vec![Change::Revoke(id("broker"), KeyUse::Validator, validator)],
            &MOST,
            &[],
        ),
        accept("set", "Other parameters.", vec![Change::Set(parameters)], &MOST, &[]),
        accept("upgrade", "A higher version.", vec![Change::Upgrade(2)], &MOST, &[]),
        accept("withdraw", "The record that waits is withdrawn.", vec![Change::Withdraw(2)], &MOST, &[]),
        accept("many", "Several changes at once.", many, &MOST, &newcomers_keys("fund-new", 1)),
    ]
}

/// A record that a change leaves broken, signed by three founders.
fn broken(world: &World, name: &str, about: &str, rule: (Rule, &str), change: impl Fn(&mut Governance)) -> Vector {
    let mut record = world.resolution(3, vec![Change::Suspend(id("fund-house"))]);
    change(&mut record);
    let entry = cosigned(&record, &signers(&MOST)).unwrap();
    Vector::reject(&format!("governance-{name}"), ("apply", "entry"), about, rule, &entry.encode())
}

fn sequences(world: &World) -> Vec<Vector> {
    let head = world.ledger.head().height;
    let other = founded("another network").network();
    let first = Link(world.network().0);
    let (number, parent) = ((Rule::Sequence, "governance.number"), (Rule::Sequence, "governance.parent"));
    let effective = (Rule::Expiry, "governance.effective");
    vec![
        broken(world, "number-again", "The number of a record before.", number, |r| r.number = 2),
        broken(world, "number-ahead", "A number is left out.", number, |r| r.number = 4),
        broken(world, "parent", "Follows the genesis.", parent, |r| r.parent = first),
        broken(world, "effective-now", "Effective with the block that commits it.", effective, |r| {
            r.effective = head + 1
        }),
        broken(world, "effective-far", "Effective too far ahead.", effective, |r| r.effective = head + 10_000_002),
        broken(world, "network", "Of another network.", (Rule::Network, "governance.network"), |r| r.network = other),
    ]
}

fn reject(name: &str, about: &str, rule: (Rule, &str), record: &Governance, keys: &[SigningKey]) -> Vector {
    let entry = cosigned(record, keys).unwrap();
    Vector::reject(&format!("governance-{name}"), ("apply", "entry"), about, rule, &entry.encode())
}

fn approvals(world: &World) -> Vec<Vector> {
    let suspend = world.resolution(3, vec![Change::Suspend(id("fund-house"))]);
    let admit = world.resolution(3, vec![Change::Admit(newcomer("watcher", Role::Auditor, 0))]);
    let rotate = |member: &str| Change::Rotate(id(member), KeyUse::Network, of(&format!("{member}/network-9")));
    let two = world.resolution(3, vec![rotate("broker"), rotate("bank-a")]);
    let alone = world.resolution(3, vec![rotate("broker")]);
    let new = [key("broker/network-9"), key("bank-a/network-9")];
    let with = |members: &[&str], more: &[SigningKey]| [signers(members), more.to_vec()].concat();
    let (approval, signatures) =
        ((Rule::Governance, "governance.approval"), (Rule::Governance, "governance.signatures"));
    let mut forged = cosigned(&suspend, &signers(&MOST)).unwrap().encode();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let most_by_key = {
        let mut keys: Vec<PublicKey> = MOST.iter().map(|member| PublicKey::of(&member_key(member))).collect();
        keys.sort();
        keys[2]
    };
    vec![
        reject("two", "Two of four.", approval, &suspend, &signers(&["bank-a", "bank-b"])),
        reject("nobody", "Nobody signed.", approval, &suspend, &[]),
        reject(
            "auditor",
            "An auditor has no vote.",
            signatures,
            &suspend,
            &signers(&["bank-a", "bank-b", "broker", "auditor"]),
        ),
        reject("stranger", "A stranger signs, too.", signatures, &suspend, &with(&MOST, &[key("nobody")])),
        reject(
            "vote-key",
            "A validator key approves nothing.",
            signatures,
            &suspend,
            &with(&MOST, &[validator_key("fund-house")]),
        ),
        reject("admit-alone", "Who joins has not signed.", signatures, &admit, &signers(&MOST)),
        reject("admit-by-itself", "Who joins signs alone.", approval, &admit, &newcomers_keys("watcher", 0)),
        reject("rotate-two-alone", "One member rotates another's key.", approval, &two, &with(&["broker"], &new)),
        reject("rotate-no-proof", "The new key has not signed.", signatures, &alone, &signers(&["broker"])),
        reject("rotate-anothers", "Another member rotates the key.", approval, &alone, &with(&["bank-a"], &new[..1])),
        Vector::reject(
            "governance-forged",
            ("verify", "entry"),
            "A signature is wrong.",
            (Rule::Signature, &format!("governance.{most_by_key}.signature")),
            &forged,
        ),
    ]
}

fn changes(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, field: &str, changes: Vec<Change>, more: &[SigningKey]| {
        let record = world.resolution(3, changes);
        let keys = [signers(&MOST), more.to_vec()].concat();
        reject(name, about, (Rule::Governance, field), &record, &keys)
    };
    let first = |what: &str| format!("governance 3.changes[0].{what}");
    let unknown = || id("nobody");
    let again = Member { id: id("bank-b"), ..newcomer("watcher", Role::Auditor, 0) };
    let revoke = |label: PublicKey| vec![Change::Revoke(id("broker"), KeyUse::Member, label)];
    let no_percent = Parameters { approval_percent: 50, ..Parameters::default() };
    vec![
        reject(
            "admit-again",
            "The name of a member.",
            &first("admit.id"),
            vec![Change::Admit(again)],
            &newcomers_keys("watcher", 0),
        ),
        reject("suspend-unknown", "Nobody of the name.", &first("suspend"), vec![Change::Suspend(unknown())], &[]),
        reject(
            "reinstate-active",
            "It is not suspended.",
            &first("reinstate"),
            vec![Change::Reinstate(id("broker"))],
            &[],
        ),
        reject("remove-unknown", "Nobody of the name.", &first("remove"), vec![Change::Remove(unknown())], &[]),
        reject(
            "remove-twice",
            "Twice at once.",
            "governance 3.changes[1].remove",
            vec![Change::Remove(id("broker")), Change::Remove(id("broker"))],
            &[],
        ),
        reject("revoke-other", "Not its key.", &first("revoke.key"), revoke(of("nobody")), &[]),
        reject(
            "set-percent",
            "Half is no majority.",
            &first("set.parameters.approval_percent"),
            vec![Change::Set(no_percent)],
            &[],
        ),
        reject("upgrade-same", "The version there is.", &first("upgrade"), vec![Change::Upgrade(1)], &[]),
        reject(
            "withdraw-done",
            "It has taken effect.",
            "governance.changes[0].withdraw",
            vec![Change::Withdraw(1)],
            &[],
        ),
        reject(
            "no-such-waits",
            "No record of the number.",
            "governance.changes[0].withdraw",
            vec![Change::Withdraw(9)],
            &[],
        ),
    ]
}

fn keys(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, field: &str, used: KeyUse, new: &SigningKey| {
        let record = world.resolution(3, vec![Change::Rotate(id("broker"), used, PublicKey::of(new))]);
        let keys = [signers(&["broker"]), vec![new.clone()]].concat();
        reject(name, about, (Rule::Governance, field), &record, &keys)
    };
    let place = "governance 3.changes[0].rotate.key";
    vec![
        reject(
            "rotate-same",
            "The key it has: it signs as the new key alone.",
            "governance.approval",
            KeyUse::Member,
            &member_key("broker"),
        ),
        reject("rotate-others-key", "Another member's key.", place, KeyUse::Network, &validator_key("bank-b")),
        reject("rotate-retired", "A key that was in use once.", place, KeyUse::Network, &key("auditor/network")),
        reject(
            "rotate-coming",
            "A key that a record which waits brings for another.",
            "governance 2.changes[0].admit.key",
            KeyUse::Network,
            &key("bank-c/network"),
        ),
    ]
}

/// What would leave the network unable to decide.
fn deciding(world: &World) -> Vec<Vector> {
    let reject = |name: &str, about: &str, broken: (Rule, &str), changes: Vec<Change>, more: &[SigningKey]| {
        let record = world.resolution(3, changes);
        let keys = [signers(&VALIDATORS), more.to_vec()].concat();
        reject(name, about, broken, &record, &keys)
    };
    let remove = |member: &str| Change::Remove(id(member));
    let power = (Rule::Governance, "governance 3.power");
    vec![
        reject("nobody-left", "Nobody has a vote any more.", power, VALIDATORS.map(remove).to_vec(), &[]),
        reject(
            "newcomer-decides",
            "A new validator has half of the power.",
            power,
            vec![Change::Admit(newcomer("bank-new", Role::Bank, 4))],
            &newcomers_keys("bank-new", 4),
        ),
        reject(
            "together-with-what-waits",
            "With the record that waits, new validators would have a third.",
            (Rule::Governance, "governance 2.power"),
            vec![remove("broker"), remove("fund-house")],
            &[],
        ),
        reject(
            "auditor-votes",
            "An auditor with a vote.",
            (Rule::Member, "governance 3.power"),
            vec![
                Change::Assign(id("auditor"), Role::Auditor, 1),
                Change::Rotate(id("auditor"), KeyUse::Validator, of("auditor/validator")),
            ],
            &[key("auditor/validator")],
        ),
        reject(
            "no-validator-key",
            "A vote without a key.",
            (Rule::Member, "governance 3.validator_key"),
            vec![Change::Assign(id("auditor"), Role::Bank, 1)],
            &[],
        ),
    ]
}

/// Bundles whose steps of trust do not lead to their checkpoint.
fn trust(world: &World) -> Vec<Vector> {
    let bundle = world.bundle(world.customer("alice").account);
    let reject = |name: &str, about: &str, rule: (Rule, &str), change: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        Vector::reject(&format!("bundle-trust-{name}"), ("verify", "bundle"), about, rule, &bundle.encode())
            .with("account", world.customer("alice").account)
    };
    let certificate = |field| (Rule::Certificate, field);
    let header = &bundle.head.trust[0].header.header;
    let two = certify(header, &VALIDATORS[..2]);
    let suspend = world.resolved(1, vec![Change::Suspend(id("fund-house"))], &MOST, &[]).encode();
    let opening: ByteVec = world.lineage(world.customer("alice").account)[0].encode().into();
    vec![
        reject("dropped", "A change is left out.", certificate("checkpoint.registry_root"), &|b| {
            drop(b.head.trust.pop())
        }),
        reject(
            "first-dropped",
            "The first is left out.",
            (Rule::Sequence, "trust[0].records[0].governance.number"),
            &|b| {
                b.head.trust.remove(0);
            },
        ),
        reject("twice", "A change stands twice.", certificate("trust[1].header.height"), &|b| {
            b.head.trust.insert(1, b.head.trust[0].clone())
        }),
        reject("swapped", "Two change places.", (Rule::Sequence, "trust[0].records[0].governance.number"), &|b| {
            b.head.trust.swap(0, 1)
        }),
        reject("short", "A step lacks votes.", certificate("trust[0].header.certificate.power"), &|b| {
            b.head.trust[0].header = two.clone()
        }),
        reject("empty", "A step without records.", (Rule::Governance, "trust[0].records"), &|b| {
            b.head.trust[0].records.clear()
        }),
        reject(
            "uncertified",
            "A change that its block does not hold.",
            certificate("trust[0].header.registry_root"),
            &|b| {
                let record = b.head.trust[1].records[0].clone();
                b.head.trust[0].records.push(record)
            },
        ),
        reject(
            "uncommitted",
            "A change that no block holds.",
            (Rule::Sequence, "trust[0].records[0].governance.number"),
            &|b| b.head.trust[0].records = vec![suspend.clone().into()],
        ),
        reject("other-entry", "Another record in a step.", (Rule::Governance, "trust[0].records[0].kind"), &|b| {
            b.head.trust[0].records = vec![opening.clone()]
        }),
    ]
}

/// Bundles across the height at which alice's bank and the broker rotate their member keys.
fn rotated(world: &World) -> Vec<Vector> {
    let mut world = world.clone();
    let alice = world.customer("alice");
    let new = [key("bank-a/member-2"), key("broker/member-2")];
    let changes = [("bank-a", &new[0]), ("broker", &new[1])];
    let changes = changes.map(|(member, key)| Change::Rotate(id(member), KeyUse::Member, PublicKey::of(key)));
    let rotation = world.resolved(1, changes.to_vec(), &MOST, &new);
    world.commit(vec![rotation]).unwrap();
    let [bank, broker] = new;
    let order = Order::new(alice, "broker", Side::Buy);
    let by = |bank: &SigningKey, broker: &SigningKey| {
        Plan::new(&world, order).signer(1, bank.clone()).signer(2, broker.clone()).entry()
    };
    let (traded, late) = (by(&bank, &broker), by(&member_key("bank-a"), &broker));
    let refused = |world: &mut World, entry| world.commit(vec![entry]).unwrap_err();
    assert_eq!(refused(&mut world, late).rule, Rule::Signer);
    world.commit(vec![traded]).unwrap();
    let good = world.bundle(alice.account);
    let bytes = good.encode();
    let mut back = good.clone();
    // A chain that would follow, but for the key of its bank, which was retired.
    let entries = good.elements.iter().filter(|element| kind(element) == ENTRY).count();
    let late = Plan::new(&world, order).signer(2, broker).entry().encode();
    back.elements.insert(place(&good.elements, ENTRY, entries - 1) + 1, Element::Entry(late.into()));
    let place = format!("lineage[{entries}].endorsement.signer");
    let judged = ("verify", "bundle");
    let about = "A lineage with chains before and after two members rotated their keys.";
    vec![
        Vector::accept("bundle-rotated", judged, about, Digest::of(&bytes), &bytes).with("account", alice.account),
        Vector::reject(
            "bundle-old-key-after-new",
            judged,
            "A chain signed by a retired key stands after one signed by the new.",
            (Rule::Signer, &place),
            &back.encode(),
        )
        .with("account", alice.account),
    ]
}
