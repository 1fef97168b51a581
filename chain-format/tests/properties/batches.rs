//! A batch gives each signature and each entry the verdict that it gets alone.

use proptest::collection::vec;
use proptest::prelude::*;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::keys::{self, PublicKey, SignatureCheck};
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::{verify_entries, verify_entry};

use crate::common::{Order, Plan, World, key, member_key};

/// What is done to a good signature.
#[derive(Debug, Clone, Copy)]
enum Damage {
    None,
    FlipR(u8),
    FlipS(u8),
    FlipKey(u8),
    Message,
    AnotherKey,
    SmallOrderKey,
    /// All zero: a valid signature under every key of small order by the cofactored rule, under no other.
    ZeroSignature,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        8 => Just(Damage::None),
        1 => any::<u8>().prop_map(Damage::FlipR),
        1 => any::<u8>().prop_map(Damage::FlipS),
        1 => any::<u8>().prop_map(Damage::FlipKey),
        1 => Just(Damage::Message),
        1 => Just(Damage::AnotherKey),
        1 => Just(Damage::SmallOrderKey),
        1 => Just(Damage::ZeroSignature),
    ]
}

fn check(signer: u8, message: Vec<u8>, damage: Damage) -> SignatureCheck {
    let signing = key(&format!("signer {}", signer % 4));
    let signature = keys::sign(&signing, &message);
    let mut check = SignatureCheck { key: PublicKey::of(&signing), message, signature };
    let flip = |bytes: &mut [u8], bit: u8| bytes[usize::from(bit / 8) % bytes.len()] ^= 1 << (bit % 8);
    match damage {
        Damage::None => {}
        Damage::FlipR(bit) => flip(&mut check.signature.0[..32], bit),
        Damage::FlipS(bit) => flip(&mut check.signature.0[32..], bit),
        Damage::FlipKey(bit) => flip(&mut check.key.0, bit),
        Damage::Message => check.message.push(0),
        Damage::AnotherKey => check.key = PublicKey::of(&key("nobody")),
        Damage::SmallOrderKey => check.key = PublicKey([0; 32]),
        Damage::ZeroSignature => (check.key, check.signature.0) = (PublicKey([0; 32]), [0; 64]),
    }
    check
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signatures(drawn in vec((any::<u8>(), vec(any::<u8>(), 0..40), damage()), 0..40)) {
        let checks: Vec<_> = drawn.into_iter().map(|(signer, message, damage)| check(signer, message, damage)).collect();
        let single: Vec<_> = checks.iter().map(|c| keys::verify(&c.key, &c.message, &c.signature)).collect();
        prop_assert_eq!(keys::verify_batch(&checks), single);
    }

    /// Good chains, and chains of which one stage is signed by another key or has its signature's last byte changed.
    #[test]
    fn entries(drawn in vec((0_usize..3, 0_usize..3, 0_u8..4), 1..10)) {
        let world = World::traded();
        let entry = |&(who, stage, how): &(usize, usize, u8)| {
            let customer = world.customer(["alice", "bob", "carol"][who]);
            let plan = Plan::new(&world, Order::new(customer, "broker", Side::Buy));
            let plan = if how == 0 { plan.signer(stage, member_key("fund-house")) } else { plan };
            let mut bytes = plan.bytes();
            if how == 1 {
                *bytes.last_mut().unwrap() ^= 1;
            }
            Entry::decode(&bytes).unwrap()
        };
        let entries: Vec<Entry> = drawn.iter().map(entry).collect();
        let single: Vec<_> = entries.iter().map(|entry| verify_entry(entry.clone(), &world.registry)).collect();
        prop_assert_eq!(verify_entries(entries, &world.registry), single);
    }
}
