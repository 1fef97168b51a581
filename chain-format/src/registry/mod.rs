//! The member registry at a height: who may do what, under which key, with which voting power; the network's parameters and version
//! of the protocol; and what was resolved and waits to take effect. How it changes is in [`govern`](self).

mod apply;
mod govern;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use blake3::hazmat::{self, ContextKey, HasherExt};

use crate::cbor;
use crate::error::{Rule, Violation, ensure};
use crate::genesis::{FORMAT_VERSION, Genesis, GenesisFile, Parameters};
use crate::governance::Change;
use crate::hash::{AccountId, Digest, Link, NetworkId};
use crate::keys::PublicKey;
use crate::limits::REGISTRY_BYTES_MAX;
use crate::member::{KeyUse, Member, MemberId, MemberStatus, OwnAccount, Role};
use crate::merkle;

/// All that is in force at one height, and what is going to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    network: NetworkId,
    summary: Summary,
    members: BTreeMap<MemberId, Registration>,
    /// In the order in which they take effect.
    scheduled: Vec<Scheduled>,
    retired: BTreeMap<PublicKey, RetiredKey>,
    /// Whose each member's own account is. It follows from the members, and saves hashing their names for every record.
    owners: BTreeMap<AccountId, MemberId>,
}

/// What there is one of.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
struct Summary {
    /// Parameters in force.
    #[n(0)]
    parameters: Parameters,
    /// Version of the protocol in force.
    #[n(1)]
    version: u32,
    /// How many governance records have taken effect.
    #[n(2)]
    epoch: u64,
    /// How many governance records were committed.
    #[n(3)]
    number: u64,
    /// The last of them; before the first, the network id's bytes.
    #[n(4)]
    head: Link,
}

/// A member and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Registration {
    /// The member.
    #[n(0)]
    pub member: Member,
    /// How it stands.
    #[n(1)]
    pub status: MemberStatus,
}

/// What waits to take effect.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Scheduled {
    /// The height from which on it holds.
    #[n(0)]
    pub effective: u64,
    /// The number of the governance record.
    #[n(1)]
    pub number: u64,
    /// The changes.
    #[n(2)]
    pub changes: Vec<Change>,
}

/// A key that was in use, and is never again.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct RetiredKey {
    /// The key.
    #[n(0)]
    pub key: PublicKey,
    /// Whose it was.
    #[n(1)]
    pub member: MemberId,
    /// What it was used for.
    #[n(2)]
    pub used: KeyUse,
    /// The height from which on it does not count.
    #[n(3)]
    pub from: u64,
    /// Whether it was revoked, rather than replaced.
    #[n(4)]
    pub revoked: bool,
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
        let registration = |m: &Member| Registration { member: m.clone(), status: MemberStatus::Active };
        let head = Link(file.network().0);
        let parameters = parameters.clone();
        let mut registry = Self {
            network: file.network(),
            summary: Summary { parameters, version: FORMAT_VERSION, epoch: 0, number: 0, head },
            members: BTreeMap::new(),
            scheduled: Vec::new(),
            retired: BTreeMap::new(),
            owners: BTreeMap::new(),
        };
        members.iter().for_each(|member| registry.register(registration(member)));
        registry
    }

    /// A member comes, with its own accounts.
    fn register(&mut self, registration: Registration) {
        let id = &registration.member.id;
        self.owners.extend(self.own_accounts(id).map(|account| (account, id.clone())));
        self.members.insert(id.clone(), registration);
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The parameters in force.
    pub fn parameters(&self) -> &Parameters {
        &self.summary.parameters
    }

    /// The version of the protocol in force.
    pub fn version(&self) -> u32 {
        self.summary.version
    }

    /// How many governance records have taken effect: two registries of one network with one epoch admit the same records.
    pub fn epoch(&self) -> u64 {
        self.summary.epoch
    }

    /// How many governance records were committed.
    pub fn number(&self) -> u64 {
        self.summary.number
    }

    /// The last governance record; before the first, the network id's bytes.
    pub fn head(&self) -> Link {
        self.summary.head
    }

    /// An active member by id: one that may act.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id).filter(|r| r.status == MemberStatus::Active).map(|r| &r.member)
    }

    /// An active member by id text, such as an instrument's issuer.
    pub fn member_by_text(&self, id: &str) -> Option<&Member> {
        id.parse().ok().and_then(|id| self.member(&id))
    }

    /// All active members in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|r| r.status == MemberStatus::Active).map(|r| &r.member)
    }

    /// How a member stands, also one that was suspended or removed.
    pub fn registration(&self, id: &MemberId) -> Option<&Registration> {
        self.members.get(id)
    }

    /// All members there ever were, in the order of their ids.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.members.values()
    }

    /// What waits to take effect, the first to do so first.
    pub fn scheduled(&self) -> &[Scheduled] {
        &self.scheduled
    }

    /// The keys that were in use once, in their order.
    pub fn retired(&self) -> impl Iterator<Item = &RetiredKey> {
        self.retired.values()
    }

    /// Whether and how a key was retired.
    pub fn retirement(&self, key: &PublicKey) -> Option<&RetiredKey> {
        self.retired.get(key)
    }

    /// Who may connect: every member that is not removed, and those that are going to be admitted, by the network keys that they have
    /// and those that they are going to have; none of them retired.
    pub fn peers(&self) -> Vec<(MemberId, PublicKey)> {
        let known = self.members.values().filter(|r| r.status != MemberStatus::Removed);
        let mut peers: Vec<_> = known.map(|r| (r.member.id.clone(), r.member.network_key)).collect();
        for change in self.scheduled.iter().flat_map(|scheduled| &scheduled.changes) {
            match change {
                Change::Admit(member) => peers.push((member.id.clone(), member.network_key)),
                Change::Rotate(id, KeyUse::Network, key) => peers.push((id.clone(), *key)),
                _ => {}
            }
        }
        peers.retain(|(_, key)| !self.retired.contains_key(key));
        peers
    }

    /// The members with a vote, in the order of their ids.
    pub fn validators(&self) -> Vec<Validator> {
        let voting = |m: &Member| {
            let key = m.validator_key.filter(|_| m.power > 0)?;
            Some(Validator { id: m.id.clone(), key, power: m.power })
        };
        self.members().filter_map(voting).collect()
    }

    /// Requires that a member may act, has a role, and signs with its key.
    ///
    /// # Errors
    /// [`Rule::Signer`] naming what differs.
    pub fn require(&self, field: &str, id: &MemberId, role: Role, signer: &PublicKey) -> Result<&Member, Violation> {
        let member = self.acting(field, id)?;
        ensure(member.role == role, Rule::Signer, field, format_args!("{id} with the role {role}"), member.role)?;
        self.signs(field, member, signer)?;
        Ok(member)
    }

    /// Requires that there is such a member and that it may act.
    ///
    /// # Errors
    /// [`Rule::Signer`].
    pub fn acting(&self, field: &str, id: &MemberId) -> Result<&Member, Violation> {
        let found = self.members.get(id);
        let found = found.ok_or_else(|| Violation::new(Rule::Signer, field, "a member of this network", id))?;
        let active = found.status == MemberStatus::Active;
        ensure(active, Rule::Signer, field, "an active member", format_args!("{id}, {}", found.status))?;
        Ok(&found.member)
    }

    /// Requires that a key is a member's present member key.
    ///
    /// # Errors
    /// [`Rule::Signer`]; of an earlier key, since when it does not count.
    pub fn signs(&self, field: &str, member: &Member, signer: &PublicKey) -> Result<(), Violation> {
        if member.member_key == *signer {
            return Ok(());
        }
        let found = match self.retired.get(signer) {
            Some(old) if old.member == member.id => {
                format!("{signer}, which does not count from height {} on", old.from)
            }
            _ => signer.to_string(),
        };
        let expected = format_args!("the key of {}, {}", member.id, member.member_key);
        Err(Violation::new(Rule::Signer, field, expected, found))
    }

    /// The ids of a member's own accounts, one for each purpose.
    pub fn own_accounts(&self, id: &MemberId) -> [AccountId; 3] {
        OwnAccount::ALL.map(|purpose| own_account(&self.network, id, purpose))
    }

    /// Whether an account is one of a member's own.
    pub fn owns(&self, id: &MemberId, account: &AccountId) -> bool {
        self.owners.get(account) == Some(id)
    }

    /// The Merkle root (RFC 6962 shape, BLAKE3) over the summary, all members in the order of their ids, what waits in the order in which
    /// it takes effect, and the retired keys in their order.
    pub fn root(&self) -> Digest {
        let mut leaves = vec![leaf(0, &self.summary)];
        leaves.extend(self.members.values().map(|registration| leaf(1, registration)));
        leaves.extend(self.scheduled.iter().map(|scheduled| leaf(2, scheduled)));
        leaves.extend(self.retired.values().map(|key| leaf(3, key)));
        merkle::root(&leaves)
    }

    /// The whole registry, as it is stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&Encoded {
            network: self.network,
            summary: self.summary.clone(),
            members: self.members.values().cloned().collect(),
            scheduled: self.scheduled.clone(),
            retired: self.retired.values().cloned().collect(),
        })
    }

    /// Reads a registry. What proves it is its root.
    ///
    /// # Errors
    /// Not the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let Encoded { network, summary, members, scheduled, retired } =
            cbor::decode(bytes, "registry", REGISTRY_BYTES_MAX)?;
        let retired = retired.into_iter().map(|r| (r.key, r)).collect();
        let (none, owners) = (BTreeMap::new(), BTreeMap::new());
        let mut registry = Self { network, summary, members: none, scheduled, retired, owners };
        members.into_iter().for_each(|registration| registry.register(registration));
        Ok(registry)
    }
}

/// A registry's wire and store form.
#[derive(minicbor::Encode, minicbor::Decode)]
struct Encoded {
    #[n(0)]
    network: NetworkId,
    #[n(1)]
    summary: Summary,
    #[n(2)]
    members: Vec<Registration>,
    #[n(3)]
    scheduled: Vec<Scheduled>,
    #[n(4)]
    retired: Vec<RetiredKey>,
}

/// The hash of a leaf, which says what kind it is of.
fn leaf<T: minicbor::Encode<()>>(kind: u8, value: &T) -> Digest {
    merkle::leaf_hash(&cbor::encode(&(kind, value)))
}

/// The id of a member's own account for a purpose. It needs no opening record: membership implies it.
pub fn own_account(network: &NetworkId, id: &MemberId, purpose: OwnAccount) -> AccountId {
    own_account_by_text(network, id.as_str(), purpose)
}

/// The same by an id's text, such as an instrument's issuer.
pub(crate) fn own_account_by_text(network: &NetworkId, id: &str, purpose: OwnAccount) -> AccountId {
    // The context's own hash is always the same.
    static CONTEXT: LazyLock<ContextKey> =
        LazyLock::new(|| hazmat::hash_derive_key_context("stemma 2026 member account id"));
    let mut hasher = blake3::Hasher::new_from_context_key(&CONTEXT);
    hasher.update(network.as_bytes());
    hasher.update(purpose.as_str().as_bytes());
    hasher.update(b"/");
    hasher.update(id.as_bytes());
    AccountId(hasher.finalize().into())
}
