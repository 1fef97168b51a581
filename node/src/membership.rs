//! What a node is to the network, by the registry as it stands: the member, how it stands, and which of the configured keys are in use.
//!
//! When a governance record changes the member, the node takes up the change at the height that the record names: everything above the
//! store is built anew from what this file says.

use std::path::Path;

use ed25519_dalek::SigningKey;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::governance::Change;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{KeyUse, Member, MemberId, MemberStatus};
use stemma_chain_format::registry::{Registration, Registry};
use stemma_keystore::Purpose;
use stemma_node_api::config::NodeConfig;
use zeroize::Zeroizing;

use crate::config::{ConfigError, Told, read_join};

/// How a node's member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It acts by its role.
    Active,
    /// It is going to be a member; until then its node follows.
    Coming,
    /// It may not act: its node follows.
    Suspended,
    /// It has left.
    Removed,
}

impl Standing {
    /// The standing as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Coming => "coming",
            Self::Suspended => "suspended",
            Self::Removed => "removed",
        }
    }
}

/// Everything a node works with until the registry changes its member.
pub struct Settings {
    /// The configuration, its paths made absolute.
    pub config: NodeConfig,
    /// The genesis.
    pub genesis: GenesisFile,
    /// The registry that says all this.
    pub registry: Registry,
    /// The member that this node belongs to.
    pub member: Member,
    /// How it stands.
    pub standing: Standing,
    /// Signs the member's records.
    pub member_key: SigningKey,
    /// Every member key at hand, also one that is not in use.
    pub member_keys: Vec<SigningKey>,
    /// The node's network identity.
    pub network_seed: Zeroizing<[u8; 32]>,
    /// Whether another network key is at hand, to be tried where no peer lets this one in.
    pub has_other_identity: bool,
    /// Signs votes, for a member with a vote.
    pub validator_key: Option<SigningKey>,
    /// What operators' calls must carry.
    pub operator_token: Zeroizing<String>,
}

impl Told {
    /// What the registry makes of the member that the configuration names. The network key is the one that the registry names, or by
    /// another identity the other one: a node that was away while it was rotated knows of it only once its peers let it in.
    ///
    /// # Errors
    /// [`ConfigError::NoMember`], or [`ConfigError::OtherKey`] where no configured key is the member's.
    pub fn take_up(&self, registry: Registry, by_other_identity: bool) -> Result<Settings, ConfigError> {
        let (member, standing) = stand(&registry, self.config.join.as_deref(), &self.member)?;
        let choose = |purpose, expected: &PublicKey| self.keys.chosen(purpose, expected, &member);
        let member_key = choose(Purpose::Member, &member.member_key)?.signing_key().clone();
        let network_key = choose(Purpose::Network, &member.network_key)?;
        let other = self.keys.network.iter().find(|key| key.public_key() != network_key.public_key());
        let has_other_identity = other.is_some();
        let network_key = other.filter(|_| by_other_identity).unwrap_or(network_key);
        let network_seed = Zeroizing::new(network_key.signing_key().to_bytes());
        let validator_key = match &member.validator_key {
            Some(expected) => Some(choose(Purpose::Validator, expected)?.signing_key().clone()),
            None => None,
        };
        Ok(Settings {
            config: self.config.clone(),
            genesis: self.genesis.clone(),
            registry,
            member,
            standing,
            member_key,
            member_keys: self.keys.member.iter().map(|key| key.signing_key().clone()).collect(),
            network_seed,
            has_other_identity,
            validator_key,
            operator_token: self.operator_token.clone(),
        })
    }
}

/// A member as the registry has it, or as it is going to be: by what waits to take effect, or by the record that a joining member was
/// given, which is read only where it is needed.
///
/// # Errors
/// [`ConfigError::NoMember`], or the record cannot be read.
pub fn stand(registry: &Registry, join: Option<&Path>, id: &MemberId) -> Result<(Member, Standing), ConfigError> {
    if let Some(Registration { member, status }) = registry.registration(id) {
        let standing = match status {
            MemberStatus::Active => Standing::Active,
            MemberStatus::Suspended => Standing::Suspended,
            MemberStatus::Removed => Standing::Removed,
        };
        return Ok((member.clone(), standing));
    }
    let admits = |change: &Change| match change {
        Change::Admit(member) if member.id == *id => Some(member.clone()),
        _ => None,
    };
    let mut scheduled = registry.scheduled().iter().flat_map(|scheduled| &scheduled.changes);
    let mut admitted = scheduled.find_map(admits);
    if let Some(path) = join.filter(|_| admitted.is_none()) {
        admitted = read_join(path)?.changes.iter().find_map(admits);
    }
    admitted.map(|member| (member, Standing::Coming)).ok_or_else(|| {
        let known: Vec<String> = registry.members().map(|m| m.id.to_string()).collect();
        ConfigError::NoMember { member: id.to_string(), known: known.join(", ") }
    })
}

/// Whether two registries say something else of a member: its role, standing, power or keys.
pub fn differs(before: &Registry, after: &Registry, member: &MemberId) -> bool {
    before.registration(member) != after.registration(member)
}

/// The key of a use to which a member is going to change.
pub fn coming_key(registry: &Registry, member: &MemberId, used: KeyUse) -> Option<PublicKey> {
    let changes = registry.scheduled().iter().flat_map(|scheduled| &scheduled.changes);
    changes.into_iter().find_map(|change| match change {
        Change::Rotate(id, of, key) if id == member && *of == used => Some(*key),
        _ => None,
    })
}
