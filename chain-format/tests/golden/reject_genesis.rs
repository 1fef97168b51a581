//! Genesis files that break a rule of the genesis or of a member, or are not signed by every founder.

use minicbor::Encoder;
use minicbor::data::Tag;
use stemma_chain_format::cose::{ContentType, protected_header};
use stemma_chain_format::error::Rule;
use stemma_chain_format::genesis::{Genesis, sign_genesis};
use stemma_chain_format::keys::PublicKey;

use crate::bytes::flipped;
use crate::common::members::{FOUNDERS, genesis};
use crate::common::world::NETWORK_NAME;
use crate::common::{World, member_key};
use crate::vector::Vector;

/// A genesis file with the signatures of some founders, in the order given.
fn file(genesis: &Genesis, signers: &[&str]) -> Vec<u8> {
    let payload = genesis.payload();
    let mut e = Encoder::new(Vec::new());
    e.tag(Tag::new(98)).unwrap().array(4).unwrap().bytes(&[]).unwrap().map(0).unwrap().bytes(&payload).unwrap();
    e.array(signers.len() as u64).unwrap();
    for signer in signers {
        let key = member_key(signer);
        let (_, signature) = sign_genesis(&payload, &key);
        let protected = protected_header(ContentType::Genesis, &PublicKey::of(&key));
        e.array(3).unwrap().bytes(&protected).unwrap().map(0).unwrap().bytes(&signature.0).unwrap();
    }
    e.into_writer()
}

fn reject(name: &str, about: &str, broken: (Rule, &str), bytes: &[u8]) -> Vector {
    Vector::reject(&format!("genesis-{name}"), ("decode", "genesis"), about, broken, bytes)
}

pub fn vectors(world: &World) -> Vec<Vector> {
    [signatures(world), members(), parameters()].concat()
}

fn signatures(world: &World) -> Vec<Vector> {
    let all = FOUNDERS.map(|(id, ..)| id);
    let genesis = genesis(NETWORK_NAME);
    assert_eq!(file(&genesis, &all), world.file.bytes());
    let mut swapped = all;
    swapped.swap(1, 2);
    let mut repeated = all;
    repeated[2] = "bank-a";
    let last = (Rule::Genesis, "genesis.signatures.fund-house");
    let second = (Rule::Genesis, "genesis.signatures.bank-a");
    let third = (Rule::Genesis, "genesis.signatures.bank-b");
    vec![
        reject(
            "signature-missing",
            "One founder did not sign.",
            (Rule::Genesis, "genesis.signatures"),
            &file(&genesis, &all[..4]),
        ),
        reject("signature-twice", "One founder signs for another.", third, &file(&genesis, &repeated)),
        reject("signatures-swapped", "Two signatures change places.", second, &file(&genesis, &swapped)),
        reject("signature-flipped", "A bit of the last signature.", last, &flipped(world.file.bytes(), 1)),
    ]
}

fn changed(change: fn(&mut Genesis)) -> Vec<u8> {
    let mut genesis = genesis(NETWORK_NAME);
    change(&mut genesis);
    let signers: Vec<String> = genesis.members.iter().map(|member| member.id.to_string()).collect();
    file(&genesis, &signers.iter().map(String::as_str).collect::<Vec<_>>())
}

fn members() -> Vec<Vector> {
    let members = (Rule::Genesis, "genesis.members");
    let case = |name: &str, about: &str, broken, change| reject(name, about, broken, &changed(change));
    vec![
        case("members-unsorted", "Two founders change places.", members, |g| g.members.swap(1, 2)),
        case("member-twice", "One founder stands twice.", members, |g| g.members[1] = g.members[2].clone()),
        case("no-members", "Without a founder.", members, |g| g.members.clear()),
        case("key-twice", "Two founders share a key.", members, |g| {
            g.members[2].network_key = g.members[1].network_key;
        }),
        case("no-power", "Nobody has a vote.", members, |g| {
            for member in &mut g.members {
                (member.power, member.validator_key) = (0, None);
            }
        }),
        case("auditor-votes", "An auditor with a vote.", (Rule::Member, "power"), |g| {
            (g.members[0].power, g.members[0].validator_key) = (1, Some(PublicKey::of(&member_key("nobody"))));
        }),
        case("power-without-key", "A vote without a key.", (Rule::Member, "validator_key"), |g| {
            g.members[1].validator_key = None;
        }),
        case("key-weak", "A key of small order.", (Rule::Member, "key"), |g| {
            g.members[1].network_key = PublicKey([0; 32]);
        }),
        case("member-nameless", "A founder without a name.", (Rule::Member, "name"), |g| g.members[1].name.clear()),
    ]
}

fn parameters() -> Vec<Vector> {
    let case = |name: &str, about: &str, field, change| reject(name, about, (Rule::Genesis, field), &changed(change));
    vec![
        case("format", "Another version of the format.", "genesis.format", |g| g.format = 2),
        case("nameless", "A network without a name.", "genesis.name", |g| g.name.clear()),
        case("no-entries", "Blocks of no entries.", "parameters.block_entries_max", |g| {
            g.parameters.block_entries_max = 0
        }),
        case("no-expiry", "Endorsements expire at once.", "parameters.expiry_blocks_max", |g| {
            g.parameters.expiry_blocks_max = 0
        }),
    ]
}
