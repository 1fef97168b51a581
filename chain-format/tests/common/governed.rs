//! What the members of a world resolve.

use ed25519_dalek::SigningKey;
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::cose::ContentType;
use stemma_chain_format::cosign::{Cosigned, cosign};
use stemma_chain_format::error::Violation;
use stemma_chain_format::governance::{Change, Governance};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{KeyUse, Member, Role};

use super::members::{id, key, member_key};
use super::world::World;

/// Three of four founders with a vote.
pub const MOST: [&str; 3] = ["bank-a", "bank-b", "broker"];

/// A member that is not there yet; its keys are those of the labels `<name>/member`, `<name>/network`, `<name>/validator`.
pub fn newcomer(name: &str, role: Role, power: u64) -> Member {
    Member {
        id: id(name),
        role,
        name: format!("{name}, which joined"),
        member_key: PublicKey::of(&member_key(name)),
        network_key: PublicKey::of(&key(&format!("{name}/network"))),
        validator_key: (power > 0).then(|| PublicKey::of(&key(&format!("{name}/validator")))),
        power,
    }
}

/// The keys that a newcomer signs its admission with.
pub fn newcomers_keys(name: &str, power: u64) -> Vec<SigningKey> {
    let uses: &[&str] = if power > 0 { &["member", "network", "validator"] } else { &["member", "network"] };
    uses.iter().map(|used| key(&format!("{name}/{used}"))).collect()
}

/// A record with the signatures of some keys.
pub fn cosigned(record: &Governance, keys: &[SigningKey]) -> Result<Entry, Violation> {
    let payload = cbor::encode(record);
    let signatures: Vec<_> = keys.iter().map(|key| cosign(ContentType::Governance, &payload, key)).collect();
    Ok(Entry::Governance(Box::new(Cosigned::assemble(record, &signatures)?)))
}

impl World {
    /// The next governance record, to take effect so many blocks after the next.
    pub fn resolution(&self, blocks: u64, changes: Vec<Change>) -> Governance {
        Governance {
            network: self.network(),
            number: self.registry.number() + 1,
            parent: self.registry.head(),
            effective: self.ledger.head().height + 1 + blocks,
            changes,
            note: "as resolved".to_owned(),
        }
    }

    /// [`Self::resolution`], signed by some members and by further keys.
    pub fn resolved(&self, blocks: u64, changes: Vec<Change>, members: &[&str], more: &[SigningKey]) -> Entry {
        let keys: Vec<SigningKey> = members.iter().map(|m| member_key(m)).chain(more.iter().cloned()).collect();
        cosigned(&self.resolution(blocks, changes), &keys).unwrap()
    }

    /// The auditor's network key is another, in force with the next block; a bank is to join, long after.
    pub(super) fn govern(&mut self) {
        let new = key("auditor/network-2");
        let rotate = Change::Rotate(id("auditor"), KeyUse::Network, PublicKey::of(&new));
        let rotation = self.resolved(1, vec![rotate], &["auditor"], &[new]);
        self.commit(vec![rotation]).unwrap();
        let admit = vec![Change::Admit(newcomer("bank-c", Role::Bank, 1))];
        let admission = self.resolved(50, admit, &MOST, &newcomers_keys("bank-c", 1));
        self.commit(vec![admission]).unwrap();
    }
}
