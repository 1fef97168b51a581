//! A member's signed entry: what an organisation hands to those who found a network, or to the members of one that it wants to join.
//!
//! It is JSON: the fields of the member, the network that it is for, and a signature of each of its keys:
//!
//! ```text
//! {
//!   "version": 1,
//!   "network": "Example network",
//!   "id": "bank-a", "role": "bank", "name": "Bank A",
//!   "member_key": "19bf…", "network_key": "5a07…", "validator_key": "8c1d…", "power": 1,
//!   "signatures": { "member": "…", "network": "…", "validator": "…" }
//! }
//! ```
//!
//! The member key's signature says that the entry is as its organisation made it; those of the other keys, that it holds them: nobody
//! enters with the network key of somebody else. A founder names the network by the name that it will have, since its id follows
//! from the entries; whoever joins later names the id.
//!
//! What each key signs (Ed25519) is `stemma member entry v1` and a line feed, then the deterministic CBOR array of the network as text, the
//! key's purpose as text, and the member as in a genesis (chain-format/spec/genesis.md) as a byte string. It begins like nothing
//! else that is signed, so that an entry's signature is none on a record, a vote, a handshake or a file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use stemma_chain_format::cbor;
use stemma_chain_format::error::Violation;
use stemma_chain_format::keys::{PublicKey, Signature, verify_strict};
use stemma_chain_format::member::{Member, MemberId, Role};
use stemma_keystore::{Purpose, SecretKey};

use crate::error::{CliError, Exit};
use crate::files;

/// The version of the JSON.
const VERSION: u32 = 1;
/// What every signed text begins with.
const HEADING: &[u8] = b"stemma member entry v1\n";
/// The largest file that is read.
const ENTRY_BYTES_MAX: u64 = 64 * 1024;

/// A member's entry whose signatures hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEntry {
    network: String,
    member: Member,
    signatures: Signatures,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signatures {
    member: Signature,
    network: Signature,
    validator: Option<Signature>,
}

/// What a member says of itself beside its keys.
#[derive(Clone, Debug)]
pub struct About {
    /// Short name.
    pub id: MemberId,
    /// What it may do.
    pub role: Role,
    /// The organisation's name.
    pub name: String,
    /// Voting power; above zero exactly with a validator key.
    pub power: u64,
}

/// A member's keys.
#[derive(Debug)]
pub struct MemberKeys {
    /// Signs records.
    pub member: SecretKey,
    /// The node's identity.
    pub network: SecretKey,
    /// Signs votes.
    pub validator: Option<SecretKey>,
}

/// Why something is no member's entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not JSON of this form.
    #[error("it is not the JSON of a member's entry")]
    Json(#[source] serde_json::Error),
    /// Of a later version.
    #[error("it is an entry of version {found}, and this program knows version {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// A field is malformed.
    #[error("its field {field:?} is malformed: {reason}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The member breaks a rule.
    #[error("its member is not valid")]
    Rule(#[source] Violation),
    /// A signature is missing, or there without its key.
    #[error("the entry of {id} must have a signature of the validator key exactly where it has that key")]
    ValidatorSignature {
        /// The member.
        id: MemberId,
    },
    /// A signature does not hold.
    #[error(
        "the entry of {id} is not signed by its {purpose} key: it was changed after it was signed, or {id} does not hold the key"
    )]
    Signature {
        /// The member.
        id: MemberId,
        /// Which key.
        purpose: Purpose,
    },
    /// A key's purpose is another.
    #[error("a key for the purpose {found} stands where one for {expected} must")]
    WrongPurpose {
        /// What the place asks for.
        expected: Purpose,
        /// What the key is for.
        found: Purpose,
    },
    /// It was made for another network.
    #[error("the entry of {id} is for the network {found:?}, not for {expected:?}")]
    OtherNetwork {
        /// The member.
        id: MemberId,
        /// What the entry says.
        found: String,
        /// What is asked for.
        expected: String,
    },
}

/// An entry as JSON; also what stands in a draft.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryJson {
    version: u32,
    network: String,
    id: String,
    role: String,
    name: String,
    member_key: String,
    network_key: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    validator_key: Option<String>,
    #[serde(default)]
    power: u64,
    signatures: SignaturesJson,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignaturesJson {
    member: String,
    network: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    validator: Option<String>,
}

impl MemberEntry {
    /// Makes an entry for a network, named by its name or id, and signs it with each key.
    ///
    /// # Errors
    /// A rule of members is broken, or a key is for something else.
    pub fn sign(network: &str, about: About, keys: &MemberKeys) -> Result<Self, EntryError> {
        let all = [(&keys.member, Purpose::Member), (&keys.network, Purpose::Network)];
        let all = all.into_iter().chain(keys.validator.iter().map(|key| (key, Purpose::Validator)));
        for (key, expected) in all {
            if key.purpose() != expected {
                return Err(EntryError::WrongPurpose { expected, found: key.purpose() });
            }
        }
        let About { id, role, name, power } = about;
        let public = |key: &SecretKey| PublicKey(key.public_key());
        let member = Member {
            id,
            role,
            name,
            member_key: public(&keys.member),
            network_key: public(&keys.network),
            validator_key: keys.validator.as_ref().map(public),
            power,
        };
        member.check().map_err(EntryError::Rule)?;
        let sign = |key: &SecretKey| Signature(key.sign(&signed_bytes(network, key.purpose(), &member)));
        let signatures = Signatures {
            member: sign(&keys.member),
            network: sign(&keys.network),
            validator: keys.validator.as_ref().map(sign),
        };
        Ok(Self { network: network.to_owned(), member, signatures })
    }

    /// Reads an entry and checks all its signatures.
    ///
    /// # Errors
    /// Names the field or the key.
    pub fn parse(text: &[u8]) -> Result<Self, EntryError> {
        Self::from_json(serde_json::from_slice(text).map_err(EntryError::Json)?)
    }

    /// The same from JSON that was read already.
    ///
    /// # Errors
    /// Names the field or the key.
    pub fn from_json(json: EntryJson) -> Result<Self, EntryError> {
        if json.version != VERSION {
            return Err(EntryError::Version { found: json.version });
        }
        let field = |field: &'static str, reason: &dyn std::fmt::Display| EntryError::Field {
            field,
            reason: reason.to_string(),
        };
        let key = |name: &'static str, text: &str| text.parse::<PublicKey>().map_err(|error| field(name, &error));
        let member = Member {
            id: json.id.parse().map_err(|error| field("id", &error))?,
            role: json.role.parse().map_err(|error| field("role", &error))?,
            name: json.name,
            member_key: key("member_key", &json.member_key)?,
            network_key: key("network_key", &json.network_key)?,
            validator_key: json.validator_key.as_deref().map(|text| key("validator_key", text)).transpose()?,
            power: json.power,
        };
        member.check().map_err(EntryError::Rule)?;
        let SignaturesJson { member: by_member, network: by_network, validator: by_validator } = &json.signatures;
        let signatures = Signatures {
            member: signature("signatures.member", by_member)?,
            network: signature("signatures.network", by_network)?,
            validator: by_validator.as_deref().map(|text| signature("signatures.validator", text)).transpose()?,
        };
        let entry = Self { network: json.network, member, signatures };
        entry.check_signatures()?;
        Ok(entry)
    }

    /// Reads an entry from a file (`-` is standard input), checks all its signatures, and that it is for one of these networks.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub fn read(path: &Path, networks: &[&str]) -> Result<Self, CliError> {
        let text = files::read_up_to(path, ENTRY_BYTES_MAX)?;
        let entry = Self::parse(&text).map_err(|error| of_file(path, &error))?;
        entry.check_network(networks).map_err(|error| {
            of_file(path, &error).help("its member makes another with `stemma genesis member --network NAME_OR_ID`")
        })?;
        Ok(entry)
    }

    /// Checks that the entry is for one of these networks: the name of one to be founded; the id of one to join.
    ///
    /// # Errors
    /// It is for another.
    pub fn check_network(&self, networks: &[&str]) -> Result<(), EntryError> {
        if networks.contains(&self.network.as_str()) {
            return Ok(());
        }
        let (id, found) = (self.member.id.clone(), self.network.clone());
        Err(EntryError::OtherNetwork { id, found, expected: networks.join(" or ") })
    }

    /// The member.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The network that it is for, by name or id.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> EntryJson {
        let Member { id, role, name, member_key, network_key, validator_key, power } = &self.member;
        let digits = |signature: &Signature| hex::encode(signature.0);
        EntryJson {
            version: VERSION,
            network: self.network.clone(),
            id: id.to_string(),
            role: role.to_string(),
            name: name.clone(),
            member_key: member_key.to_string(),
            network_key: network_key.to_string(),
            validator_key: validator_key.map(|key| key.to_string()),
            power: *power,
            signatures: SignaturesJson {
                member: digits(&self.signatures.member),
                network: digits(&self.signatures.network),
                validator: self.signatures.validator.as_ref().map(digits),
            },
        }
    }

    fn check_signatures(&self) -> Result<(), EntryError> {
        let Signatures { member, network, validator } = &self.signatures;
        let id = &self.member.id;
        let mut checks = vec![
            (self.member.member_key, member, Purpose::Member),
            (self.member.network_key, network, Purpose::Network),
        ];
        match (self.member.validator_key, validator) {
            (Some(key), Some(signature)) => checks.push((key, signature, Purpose::Validator)),
            (None, None) => {}
            _ => return Err(EntryError::ValidatorSignature { id: id.clone() }),
        }
        for (key, signature, purpose) in checks {
            verify_strict(&key, &signed_bytes(&self.network, purpose, &self.member), signature)
                .map_err(|_| EntryError::Signature { id: id.clone(), purpose })?;
        }
        Ok(())
    }
}

/// What is wrong with the entry in a file. A check that says no is told from a file that is none.
fn of_file(path: &Path, error: &EntryError) -> CliError {
    let exit = match error {
        EntryError::Signature { .. } | EntryError::OtherNetwork { .. } | EntryError::ValidatorSignature { .. } => {
            Exit::No
        }
        _ => Exit::Failure,
    };
    let path = path.display();
    CliError::from_error(exit, &InFile(format!("{path} is not a valid entry of a member"))).caused_by(error)
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InFile(String);

fn signature(field: &'static str, text: &str) -> Result<Signature, EntryError> {
    let mut bytes = [0; 64];
    let decoded = hex::decode_to_slice(text, &mut bytes);
    let reason = "a signature is written as 128 lowercase hexadecimal digits".to_owned();
    match decoded {
        Ok(()) if hex::encode(bytes) == text => Ok(Signature(bytes)),
        _ => Err(EntryError::Field { field, reason }),
    }
}

/// What a key of this purpose signs.
fn signed_bytes(network: &str, purpose: Purpose, member: &Member) -> Vec<u8> {
    let mut bytes = HEADING.to_vec();
    let member = cbor::encode(member);
    let mut encoder = minicbor::Encoder::new(&mut bytes);
    // Writing into memory can't fail.
    let _infallible = (|| encoder.array(3)?.str(network)?.str(purpose.as_str())?.bytes(&member)?.ok())();
    bytes
}

#[cfg(test)]
mod tests;
