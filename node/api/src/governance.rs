//! The network's members, parameters and version, and what changes them, as JSON: what the API shows, and what `stemma gov` drafts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use stemma_chain_format::genesis::Parameters;
use stemma_chain_format::governance::{Change, Governance};
use stemma_chain_format::member::{KeyUse, Member};
use stemma_chain_format::registry::Registry;
use utoipa::ToSchema;

use crate::client::{Client, ClientError};
use crate::routes;
use crate::types::Committed;

/// A member, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberJson {
    /// Short name, unique in the network.
    pub id: String,
    /// bank, institution or auditor.
    pub role: String,
    /// The organisation's name.
    pub name: String,
    /// Signs its records.
    pub member_key: String,
    /// Its node's identity on the network.
    pub network_key: String,
    /// Signs its votes; present exactly where the power is above zero.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validator_key: Option<String>,
    /// Its voting power.
    #[serde(default)]
    pub power: u64,
}

/// The parameters of a network, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ParametersJson {
    /// Most entries in one block.
    pub block_entries_max: u32,
    /// How far ahead of a validator's clock a block's time may lie, in milliseconds.
    pub clock_drift_ms_max: u64,
    /// How many blocks ahead an endorsement's expiry may lie.
    pub expiry_blocks_max: u64,
    /// How much of the voting power must sign a governance record, in percent.
    pub approval_percent: u8,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChangeJson {
    /// A new member.
    Admit(MemberJson),
    /// An active member may not act any more.
    Suspend(String),
    /// A suspended member may act again.
    Reinstate(String),
    /// A member leaves for good.
    Remove(String),
    /// A member has another role or voting power.
    Assign {
        /// The member.
        member: String,
        /// bank, institution or auditor.
        role: String,
        /// The voting power.
        power: u64,
    },
    /// A member has another key of a use.
    Rotate {
        /// The member.
        member: String,
        /// member, network or validator.
        used: String,
        /// The new key.
        key: String,
    },
    /// A key does not count any more.
    Revoke {
        /// The member.
        member: String,
        /// member, network or validator.
        used: String,
        /// The key.
        key: String,
    },
    /// The network has other parameters.
    Set(ParametersJson),
    /// The network has a higher version of the protocol.
    Upgrade(u32),
    /// A record that waits, by its number, never takes effect.
    Withdraw(u64),
}

/// A governance record before it is signed; what is signed is its CBOR form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GovernanceJson {
    /// The network's id.
    pub network: String,
    /// Counts governance records, from 1.
    pub number: u64,
    /// The record before; in the first, the network's id.
    pub parent: String,
    /// The height from which on the changes hold.
    pub effective: u64,
    /// The changes.
    pub changes: Vec<ChangeJson>,
    /// Why, for people.
    #[serde(default)]
    pub note: String,
}

/// Text that cannot be read: the field, and why.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct JsonError {
    field: &'static str,
    reason: String,
}

fn read<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, JsonError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| JsonError { field, reason: e.to_string() })
}

impl MemberJson {
    /// As JSON.
    pub fn of(member: &Member) -> Self {
        Self {
            id: member.id.to_string(),
            role: member.role.to_string(),
            name: member.name.clone(),
            member_key: member.member_key.to_string(),
            network_key: member.network_key.to_string(),
            validator_key: member.validator_key.map(|key| key.to_string()),
            power: member.power,
        }
    }

    /// The member.
    ///
    /// # Errors
    /// [`JsonError`]. The member's own rules are not checked.
    pub fn parse(&self) -> Result<Member, JsonError> {
        Ok(Member {
            id: read("id", &self.id)?,
            role: read("role", &self.role)?,
            name: self.name.clone(),
            member_key: read("member_key", &self.member_key)?,
            network_key: read("network_key", &self.network_key)?,
            validator_key: self.validator_key.as_deref().map(|key| read("validator_key", key)).transpose()?,
            power: self.power,
        })
    }
}

impl ParametersJson {
    /// As JSON.
    pub fn of(parameters: &Parameters) -> Self {
        let Parameters { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent } = *parameters;
        Self { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent }
    }

    /// The parameters; their ranges are not checked.
    pub fn parse(&self) -> Parameters {
        let Self { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent } = *self;
        Parameters { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent }
    }
}

impl ChangeJson {
    /// As JSON.
    pub fn of(change: &Change) -> Self {
        match change {
            Change::Admit(member) => Self::Admit(MemberJson::of(member)),
            Change::Suspend(id) => Self::Suspend(id.to_string()),
            Change::Reinstate(id) => Self::Reinstate(id.to_string()),
            Change::Remove(id) => Self::Remove(id.to_string()),
            Change::Assign(id, role, power) => {
                Self::Assign { member: id.to_string(), role: role.to_string(), power: *power }
            }
            Change::Rotate(id, used, key) => {
                Self::Rotate { member: id.to_string(), used: used.to_string(), key: key.to_string() }
            }
            Change::Revoke(id, used, key) => {
                Self::Revoke { member: id.to_string(), used: used.to_string(), key: key.to_string() }
            }
            Change::Set(parameters) => Self::Set(ParametersJson::of(parameters)),
            Change::Upgrade(version) => Self::Upgrade(*version),
            Change::Withdraw(number) => Self::Withdraw(*number),
        }
    }

    /// The change.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(&self) -> Result<Change, JsonError> {
        let keyed = |member: &str, used: &str, key: &str| -> Result<_, JsonError> {
            Ok((read("member", member)?, read::<KeyUse>("used", used)?, read("key", key)?))
        };
        Ok(match self {
            Self::Admit(member) => Change::Admit(member.parse()?),
            Self::Suspend(id) => Change::Suspend(read("suspend", id)?),
            Self::Reinstate(id) => Change::Reinstate(read("reinstate", id)?),
            Self::Remove(id) => Change::Remove(read("remove", id)?),
            Self::Assign { member, role, power } => {
                Change::Assign(read("member", member)?, read("role", role)?, *power)
            }
            Self::Rotate { member, used, key } => {
                let (member, used, key) = keyed(member, used, key)?;
                Change::Rotate(member, used, key)
            }
            Self::Revoke { member, used, key } => {
                let (member, used, key) = keyed(member, used, key)?;
                Change::Revoke(member, used, key)
            }
            Self::Set(parameters) => Change::Set(parameters.parse()),
            Self::Upgrade(version) => Change::Upgrade(*version),
            Self::Withdraw(number) => Change::Withdraw(*number),
        })
    }
}

impl std::fmt::Display for ChangeJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Admit(m) => {
                write!(
                    f,
                    "admit {} ({}), {}, voting power {}, member key {}",
                    m.id, m.name, m.role, m.power, m.member_key
                )
            }
            Self::Suspend(id) => write!(f, "suspend {id}"),
            Self::Reinstate(id) => write!(f, "reinstate {id}"),
            Self::Remove(id) => write!(f, "remove {id} for good"),
            Self::Assign { member, role, power } => write!(f, "{member} is {role} with voting power {power}"),
            Self::Rotate { member, used, key } => write!(f, "the {used} key of {member} becomes {key}"),
            Self::Revoke { member, used, key } => write!(f, "the {used} key {key} of {member} is revoked"),
            Self::Set(p) => write!(
                f,
                "parameters: at most {} entries in a block, clock drift {} ms, expiry {} blocks ahead, approval {} percent",
                p.block_entries_max, p.clock_drift_ms_max, p.expiry_blocks_max, p.approval_percent
            ),
            Self::Upgrade(version) => write!(f, "protocol version {version}"),
            Self::Withdraw(number) => write!(f, "record {number} is withdrawn"),
        }
    }
}

impl GovernanceJson {
    /// As JSON.
    pub fn of(record: &Governance) -> Self {
        Self {
            network: record.network.to_string(),
            number: record.number,
            parent: record.parent.to_string(),
            effective: record.effective,
            changes: record.changes.iter().map(ChangeJson::of).collect(),
            note: record.note.clone(),
        }
    }

    /// The record.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(&self) -> Result<Governance, JsonError> {
        Ok(Governance {
            network: read("network", &self.network)?,
            number: self.number,
            parent: read("parent", &self.parent)?,
            effective: self.effective,
            changes: self.changes.iter().map(ChangeJson::parse).collect::<Result<_, _>>()?,
            note: self.note.clone(),
        })
    }
}

/// The registry of the next block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryView {
    /// The network's id.
    pub network: String,
    /// The height of the last committed block.
    pub height: u64,
    /// The version of the protocol in force.
    pub version: u32,
    /// How many governance records have taken effect.
    pub epoch: u64,
    /// How many were committed.
    pub number: u64,
    /// The last of them; before the first, the network's id.
    pub head: String,
    /// The parameters in force.
    pub parameters: ParametersJson,
    /// All members there ever were.
    pub members: Vec<RegistrationView>,
    /// What waits to take effect, the first to do so first.
    pub scheduled: Vec<ScheduledView>,
    /// The keys that do not count any more.
    pub retired: Vec<RetiredView>,
    /// Base64 of the whole registry in its binary form, for programs that try a draft on it.
    pub encoding: String,
}

/// A member and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationView {
    /// The member.
    pub member: MemberJson,
    /// active, suspended or removed.
    pub status: String,
}

/// What waits to take effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduledView {
    /// The governance record's number.
    pub number: u64,
    /// The height from which on it holds.
    pub effective: u64,
    /// The changes.
    pub changes: Vec<ChangeJson>,
}

/// A key that does not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetiredView {
    /// The key.
    pub key: String,
    /// Whose it was.
    pub member: String,
    /// member, network or validator.
    pub used: String,
    /// The height from which on it does not count.
    pub from: u64,
    /// Whether it was revoked, rather than replaced.
    pub revoked: bool,
}

impl RegistryView {
    /// A registry as it is after a height.
    pub fn of(registry: &Registry, height: u64) -> Self {
        let registration = |r: &stemma_chain_format::registry::Registration| RegistrationView {
            member: MemberJson::of(&r.member),
            status: r.status.to_string(),
        };
        let scheduled = |s: &stemma_chain_format::registry::Scheduled| ScheduledView {
            number: s.number,
            effective: s.effective,
            changes: s.changes.iter().map(ChangeJson::of).collect(),
        };
        let retired = |r: &stemma_chain_format::registry::RetiredKey| RetiredView {
            key: r.key.to_string(),
            member: r.member.to_string(),
            used: r.used.to_string(),
            from: r.from,
            revoked: r.revoked,
        };
        Self {
            network: registry.network().to_string(),
            height,
            version: registry.version(),
            epoch: registry.epoch(),
            number: registry.number(),
            head: registry.head().to_string(),
            parameters: ParametersJson::of(registry.parameters()),
            members: registry.registrations().map(registration).collect(),
            scheduled: registry.scheduled().iter().map(scheduled).collect(),
            retired: registry.retired().map(retired).collect(),
            encoding: BASE64.encode(registry.encode()),
        }
    }

    /// The registry itself. It is what the node says: nothing here proves it.
    ///
    /// # Errors
    /// The encoding is malformed.
    pub fn registry(&self) -> Result<Registry, JsonError> {
        let malformed = |e: &dyn std::fmt::Display| JsonError { field: "encoding", reason: e.to_string() };
        let bytes = BASE64.decode(&self.encoding).map_err(|e| malformed(&e))?;
        Registry::decode(&bytes).map_err(|e| malformed(&e))
    }
}

/// A committed governance record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GovernanceView {
    /// Its id, which the next one names as its parent.
    pub id: String,
    /// The height that committed it.
    pub height: u64,
    /// waits, in-force or withdrawn.
    pub state: String,
    /// What it says.
    pub record: GovernanceJson,
    /// The keys that signed it.
    pub signers: Vec<String>,
}

/// A governance record to be put to the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Govern {
    /// Base64 of the entry's bytes.
    pub record: String,
}

impl Client {
    /// The registry of the next block.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn registry(&self) -> Result<RegistryView, ClientError> {
        self.get(routes::REGISTRY).await
    }

    /// The committed governance records, in order.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn governance(&self) -> Result<Vec<GovernanceView>, ClientError> {
        self.get(routes::GOVERNANCE).await
    }

    /// Puts a governance record to the network, as a node's operator; answered once it is committed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn govern(&self, record: String) -> Result<Committed, ClientError> {
        self.send(reqwest::Method::POST, routes::GOVERNANCE, &Govern { record }).await
    }
}
