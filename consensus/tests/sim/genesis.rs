//! Members, keys and the registry of a test network.

use ed25519_dalek::SigningKey;
use stemma_chain_format::genesis::{FORMAT_VERSION, Genesis, GenesisFile, Parameters, sign_genesis};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{Member, MemberId, Role};
use stemma_chain_format::registry::Registry;

pub fn validator_key(index: usize) -> SigningKey {
    key(index, 2)
}

fn key(index: usize, purpose: u8) -> SigningKey {
    let mut seed = [purpose; 32];
    seed[0] = u8::try_from(index).unwrap();
    SigningKey::from_bytes(&seed)
}

pub fn id(index: usize) -> MemberId {
    format!("node-{index:02}").parse().unwrap()
}

/// A registry of validators with these powers; a power of zero is an auditor.
pub fn registry(powers: &[u64]) -> Registry {
    let member = |(index, power): (usize, &u64)| Member {
        id: id(index),
        role: if *power > 0 { Role::Bank } else { Role::Auditor },
        name: format!("Node {index}"),
        member_key: PublicKey::of(&key(index, 0)),
        network_key: PublicKey::of(&key(index, 1)),
        validator_key: (*power > 0).then(|| PublicKey::of(&validator_key(index))),
        power: *power,
    };
    let genesis = Genesis {
        format: FORMAT_VERSION,
        name: "simulation".into(),
        created_ms: 1,
        members: powers.iter().enumerate().map(member).collect(),
        parameters: Parameters::default(),
    };
    let payload = genesis.payload();
    let sign = |index| sign_genesis(&payload, &key(index, 0));
    let signatures: Vec<_> = (0..powers.len()).map(sign).collect();
    Registry::from_genesis(&GenesisFile::assemble(&genesis, &signatures).unwrap())
}
