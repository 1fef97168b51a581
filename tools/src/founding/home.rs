//! The folders of nodes whose members, keys and genesis are made in one go: of a sandbox, and of a network for trials.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stemma_chain_format::genesis::{GenesisFile, Parameters};
use stemma_chain_format::member::Role;
use stemma_keystore::{Passphrase, Purpose, ScryptCost, SecretKey, generate, write_key_file};
use stemma_node_api::config::{
    BankConfig, ConsensusConfig, HistoryConfig, HttpConfig, InstitutionConfig, KeyFiles, LogConfig, NetworkConfig,
    NodeConfig, PeerAddresses, SyncConfig, TelemetryConfig,
};

use super::{Draft, FounderSignature, assemble};
use crate::error::{CliError, Exit};
use crate::files::{self, MODE_PUBLIC, MODE_SECRET};
use crate::member_entry::{About, MemberEntry, MemberKeys};
use crate::requests::{now_ms, random};

/// A member of such a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Short name.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// The organisation's name.
    pub name: String,
    /// Voting power; above zero, a validator key is made.
    pub power: u64,
}

/// Ports of one node, on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The HTTP API, TCP.
    pub http: u16,
    /// The network among members, TCP and UDP.
    pub network: u16,
}

/// A member whose keys were made: all that forms the genesis.
#[derive(Debug)]
pub struct Founder {
    entry: MemberEntry,
    member_key: SecretKey,
}

/// Makes a member's keys, their passphrase and the operator's token in its node's folder, and signs its entry. What is there is
/// replaced.
///
/// # Errors
/// A file can't be written, the operating system gives no random bytes, or the plan breaks a rule of members.
pub fn make_founder(folder: &Path, plan: &Plan, network: &str) -> Result<Founder, CliError> {
    let passphrase = make_passphrase(&folder.join("passphrase"))?;
    let token = hex::encode(random::<32>()?);
    files::write(&folder.join("operator.token"), format!("{token}\n").as_bytes(), MODE_SECRET, true)?;
    let key = |purpose: Purpose| make_key(&folder.join(format!("keys/{purpose}.pem")), purpose, &passphrase);
    let keys = MemberKeys {
        member: key(Purpose::Member)?,
        network: key(Purpose::Network)?,
        validator: if plan.power > 0 { Some(key(Purpose::Validator)?) } else { None },
    };
    let id = plan.id.parse().map_err(|error| CliError::usage("no member id").caused_by(&error))?;
    let about = About { id, role: plan.role, name: plan.name.clone(), power: plan.power };
    let entry = MemberEntry::sign(network, about, &keys)
        .map_err(|error| CliError::usage(format!("{} can't be a member", plan.id)).caused_by(&error))?;
    Ok(Founder { entry, member_key: keys.member })
}

/// Makes a genesis the way founders do: entries, draft, signatures.
///
/// # Errors
/// The members break a rule of the genesis.
pub fn make_genesis(name: &str, founders: &[Founder], parameters: Parameters) -> Result<GenesisFile, CliError> {
    let entry = |founder: &Founder| (founder.entry.member().id.to_string(), founder.entry.clone());
    let draft = Draft::new(name, now_ms(), founders.iter().map(entry).collect(), parameters)?;
    let signatures = founders.iter().filter_map(|founder| FounderSignature::sign(&draft, &founder.member_key));
    let signatures: Vec<_> = signatures.map(|(member, signed)| (member.to_string(), signed)).collect();
    assemble(&draft, &signatures)
}

/// Makes a passphrase of random digits in a file of mode 0600.
///
/// # Errors
/// It can't be written, or the operating system gives no random bytes.
pub fn make_passphrase(path: &Path) -> Result<Passphrase, CliError> {
    let passphrase = hex::encode(random::<24>()?);
    files::write(path, format!("{passphrase}\n").as_bytes(), MODE_SECRET, true)?;
    Ok(Passphrase::new(passphrase)?)
}

/// Makes a key that protects nothing but a trial: its encryption is cheap to open, so that many nodes start at once.
///
/// # Errors
/// It can't be written, or the operating system gives no random bytes.
pub fn make_key(path: &Path, purpose: Purpose, passphrase: &Passphrase) -> Result<SecretKey, CliError> {
    let key = generate(purpose).map_err(|error| CliError::from_error(Exit::Failure, &error))?;
    write_key_file(path, &key, passphrase, ScryptCost::Trial, true)?;
    Ok(key)
}

/// The configuration of a node that lies at `nodes/<id>`, beside `genesis.stemma` two folders above, with all others as its peers.
///
/// # Errors
/// A member has no ports.
pub fn config(plan: &Plan, all: &[Plan], ports: &BTreeMap<String, Ports>) -> Result<NodeConfig, CliError> {
    let port_of = |member: &str| {
        let ports = ports.get(member).copied();
        ports.ok_or_else(|| CliError::files(format!("there are no ports of {member}")))
    };
    let addresses =
        |port: u16| vec![format!("/ip4/127.0.0.1/tcp/{port}"), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")];
    let own = port_of(&plan.id)?;
    let peer = |other: &Plan| {
        Ok(PeerAddresses { member: other.id.clone(), addresses: addresses(port_of(&other.id)?.network) })
    };
    let peers = all.iter().filter(|other| other.id != plan.id).map(peer).collect::<Result<_, CliError>>()?;
    Ok(NodeConfig {
        join: None,
        member: plan.id.clone(),
        genesis: PathBuf::from("../../genesis.stemma"),
        data: PathBuf::from("data"),
        keys: KeyFiles {
            member: PathBuf::from("keys/member.pem"),
            network: PathBuf::from("keys/network.pem"),
            validator: (plan.power > 0).then(|| PathBuf::from("keys/validator.pem")),
            passphrase_file: Some(PathBuf::from("passphrase")),
            next_member: None,
            next_network: None,
            next_validator: None,
        },
        http: HttpConfig {
            listen: ([127, 0, 0, 1], own.http).into(),
            operator_token_file: PathBuf::from("operator.token"),
        },
        network: NetworkConfig::new(addresses(own.network), peers),
        sync: SyncConfig::default(),
        history: HistoryConfig::default(),
        consensus: ConsensusConfig::default(),
        log: LogConfig::default(),
        telemetry: TelemetryConfig::default(),
        bank: BankConfig::default(),
        institution: InstitutionConfig::default(),
    })
}

/// Writes a node's configuration under a comment.
///
/// # Errors
/// It can't be written.
pub fn write_config(folder: &Path, config: &NodeConfig, comment: &str) -> Result<(), CliError> {
    let config =
        toml::to_string(config).map_err(|error| CliError::files("cannot encode a configuration").caused_by(&error))?;
    let text = format!("# {comment} Paths are relative to this file.\n{config}");
    files::write(&folder.join("config.toml"), text.as_bytes(), MODE_PUBLIC, true)
}
