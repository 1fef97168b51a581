//! Acts of servicing that are accepted, and announcements.

use stemma_chain_format::announcement::{AnnouncedPath, Announcement};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::Link;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::servicing::Act;

use crate::common::{Order, ServicePlan, World, amount, cash_of, forge, id, key, member_key, terms};
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [stages(world), applied(world), announced(world)].concat()
}

fn withdrawal(world: &World) -> ServicePlan<'_> {
    let act = Act::Withdraw(cash_of("bank-a"), amount(250));
    ServicePlan::new(world, world.customer("alice"), act).absorb(1).instruction(|i| i.expires = Some(500))
}

fn stages(world: &World) -> Vec<Vector> {
    let stages = withdrawal(world).stages();
    let links: Vec<Link> = stages.iter().map(|bytes| Link::of(bytes)).collect();
    let about = "A customer tells the bank to pay cash out.";
    vec![
        Vector::accept("instruction", ("verify", "instruction"), about, links[0], &stages[0]),
        Vector::accept("servicing", ("decode", "servicing"), "The bank pays it out.", links[1], &stages[1]),
    ]
}

fn applied(world: &World) -> Vec<Vector> {
    let act = |name: &'static str, act| ServicePlan::new(world, world.customer(name), act);
    let new_key = Act::BindKey(PublicKey::of(&key("a new key")));
    let cases = [
        ("withdraw", "Pays out, absorbing a credit first.", withdrawal(world)),
        ("freeze", "Freezes an account.", act("bob", Act::Freeze)),
        ("unfreeze", "Unfreezes one.", act("frida", Act::Unfreeze)),
        ("close", "Closes an empty account.", act("gina", Act::Close)),
        ("close-frozen", "Closes a frozen one.", act("frida", Act::Close)),
        (
            "close-asked",
            "Closes an account that its customer asks to close.",
            act("frida", Act::Close).instructed(true),
        ),
        ("revoke-key", "The bank revokes a key.", act("bob", Act::RevokeKey)),
        ("revoke-key-asked", "The customer revokes it.", act("bob", Act::RevokeKey).instructed(true)),
        ("bind-key", "The customer rotates the key.", act("bob", new_key.clone())),
        (
            "bind-key-revoked",
            "The bank binds a key where the old one is revoked.",
            act("gina", new_key).instructed(false),
        ),
        ("set-credit", "The bank changes level and line.", act("bob", Act::SetCredit(terms("bank-a", 5, 3, 7)))),
    ];
    let accept = |(name, about, plan): (&str, &str, ServicePlan<'_>)| {
        let bytes = plan.bytes();
        let id = Entry::decode(&bytes).unwrap().id();
        Vector::accept(&format!("act-{name}"), ("apply", "entry"), about, id, &bytes)
    };
    let mut vectors: Vec<Vector> = cases.into_iter().map(accept).collect();
    let frozen_is_paid = Order {
        reward: Some((world.customer("frida"), 3)),
        ..Order::new(world.customer("alice"), "fund-house", stemma_chain_format::request::Side::Buy)
    };
    let entry = frozen_is_paid.chain(world);
    let about = "A frozen account is rewarded.";
    vectors.push(Vector::accept("chain-pays-frozen", ("apply", "entry"), about, entry.id(), &entry.encode()));
    vectors
}

/// What an institution says of its addresses.
pub fn announcement(world: &World) -> Announcement {
    let path = |name: &str, address: &str| AnnouncedPath { name: name.to_owned(), address: address.to_owned() };
    Announcement {
        network: world.network(),
        member: id("broker"),
        serial: 7,
        paths: vec![
            path("fibre", "/ip4/192.0.2.7/tcp/4101"),
            path("radio", "/ip4/198.51.100.7/udp/4101/quic-v1"),
            path("web", "/ip4/203.0.113.7/tcp/443/ws"),
        ],
        addresses: vec!["/ip4/192.0.2.7/tcp/4001".to_owned(), "/ip4/192.0.2.7/udp/4001/quic-v1".to_owned()],
    }
}

fn announced(world: &World) -> Vec<Vector> {
    let bytes = forge(&announcement(world), &member_key("broker"));
    let about = "An institution says at which addresses it is reached.";
    vec![Vector::accept("announcement", ("verify", "announcement"), about, Link::of(&bytes), &bytes)]
}
