//! The member registry at a height: who may do what, under which key, with which voting power.

use std::collections::BTreeMap;

use crate::cbor;
use crate::error::{Rule, Violation, ensure};
use crate::genesis::{Genesis, GenesisFile, Parameters};
use crate::hash::{AccountId, Digest, NetworkId};
use crate::keys::PublicKey;
use crate::member::{Member, MemberId, OwnAccount, Role};
use crate::merkle;

/// All members in force at one height, and the network's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    network: NetworkId,
    members: BTreeMap<MemberId, Member>,
    parameters: Parameters,
}

/// A member with a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// The member.
    pub id: MemberId,
    /// Its vote-signing key.
    pub key: PublicKey,
    /// Its voting power, above zero.
    pub power: u64,
}

impl Registry {
    /// The registry that a genesis file founds.
    pub fn from_genesis(file: &GenesisFile) -> Self {
        let Genesis { members, parameters, .. } = file.genesis();
        Self {
            network: file.network(),
            members: members.iter().map(|m| (m.id.clone(), m.clone())).collect(),
            parameters: parameters.clone(),
        }
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The parameters in force.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// A member by id.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// A member by id text, such as an instrument's issuer.
    pub fn member_by_text(&self, id: &str) -> Option<&Member> {
        id.parse().ok().and_then(|id| self.members.get(&id))
    }

    /// All members in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The members with a vote, in the order of their ids.
    pub fn validators(&self) -> Vec<Validator> {
        let voting = |m: &Member| {
            let key = m.validator_key?;
            Some(Validator { id: m.id.clone(), key, power: m.power })
        };
        self.members.values().filter_map(voting).collect()
    }

    /// Requires that a member exists, has a role, and signs with a key.
    ///
    /// # Errors
    /// [`Rule::Signer`] naming what differs.
    pub fn require(&self, field: &str, id: &MemberId, role: Role, signer: &PublicKey) -> Result<&Member, Violation> {
        let member =
            self.members.get(id).ok_or_else(|| Violation::new(Rule::Signer, field, "a member of this network", id))?;
        ensure(member.role == role, Rule::Signer, field, format!("{id} with the role {role}"), member.role)?;
        let keyed = member.member_key == *signer;
        ensure(keyed, Rule::Signer, field, format!("the key of {id}, {}", member.member_key), signer)?;
        Ok(member)
    }

    /// The ids of a member's own accounts, one for each purpose.
    pub fn own_accounts(&self, id: &MemberId) -> [AccountId; 3] {
        OwnAccount::ALL.map(|purpose| own_account(&self.network, id, purpose))
    }

    /// The Merkle root over the parameters and then all members in the order of their ids (RFC 6962 shape, BLAKE3).
    pub fn root(&self) -> Digest {
        let parameters = std::iter::once(merkle::leaf_hash(&cbor::encode(&self.parameters)));
        let members = self.members.values().map(|member| merkle::leaf_hash(&cbor::encode(member)));
        let leaves: Vec<Digest> = parameters.chain(members).collect();
        merkle::root(&leaves)
    }
}

/// The id of a member's own account for a purpose. It needs no opening record: membership implies it.
pub fn own_account(network: &NetworkId, id: &MemberId, purpose: OwnAccount) -> AccountId {
    let mut hasher = blake3::Hasher::new_derive_key("stemma 2026 member account id");
    hasher.update(network.as_bytes());
    hasher.update(purpose.as_str().as_bytes());
    hasher.update(b"/");
    hasher.update(id.as_str().as_bytes());
    AccountId(hasher.finalize().into())
}
