//! A draft of a genesis: the founders' signed entries and the parameters.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stemma_chain_format::genesis::{FORMAT_VERSION, Genesis, Parameters};
use stemma_chain_format::member::Member;

use super::{ParametersJson, read_json};
use crate::error::{CliError, Exit};
use crate::member_entry::{EntryError, EntryJson, MemberEntry};

/// A draft whose entries and rules hold.
#[derive(Clone, Debug)]
pub struct Draft {
    genesis: Genesis,
    entries: Vec<MemberEntry>,
}

/// A draft as JSON. What founders sign is the CBOR form of the genesis in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftJson {
    format: u32,
    name: String,
    created_ms: u64,
    members: Vec<EntryJson>,
    parameters: ParametersJson,
}

impl Draft {
    /// Puts entries together, each with the name of where it is from.
    ///
    /// # Errors
    /// An entry is for another network; two entries are of one member, or share a key; a rule of the genesis is broken.
    pub fn new(
        name: &str,
        created_ms: u64,
        mut entries: Vec<(String, MemberEntry)>,
        parameters: Parameters,
    ) -> Result<Self, CliError> {
        for (source, entry) in &entries {
            entry.check_network(&[name]).map_err(|error| {
                CliError::no(format!("{source} is no entry for this network")).caused_by(&error).help(
                    "its member makes another with `stemma genesis member --network NAME`, or the draft gets that name",
                )
            })?;
        }
        check_distinct(&entries)?;
        entries.sort_by(|(_, one), (_, other)| one.member().id.cmp(&other.member().id));
        let entries: Vec<MemberEntry> = entries.into_iter().map(|(_, entry)| entry).collect();
        let members = entries.iter().map(|entry| entry.member().clone()).collect();
        let genesis = Genesis { format: FORMAT_VERSION, name: name.to_owned(), created_ms, members, parameters };
        genesis.check().map_err(|violation| CliError::usage("the draft is not valid").caused_by(&violation))?;
        Ok(Self { genesis, entries })
    }

    /// Reads a draft and checks everything in it again: entries, signatures and rules.
    ///
    /// # Errors
    /// Names the file, and the member or parameter that is wrong.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        Self::from_json(read_json(path, "a genesis draft")?, &path.display().to_string())
    }

    /// The same from bytes that were read already; `source` is only for errors.
    ///
    /// # Errors
    /// Names the source, and the member or parameter that is wrong.
    pub fn parse(bytes: &[u8], source: &str) -> Result<Self, CliError> {
        let json = serde_json::from_slice(bytes)
            .map_err(|error| CliError::files(format!("{source} is not a genesis draft")).caused_by(&error))?;
        Self::from_json(json, source)
    }

    fn from_json(json: DraftJson, source: &str) -> Result<Self, CliError> {
        if json.format != FORMAT_VERSION {
            let message =
                format!("{source} is a draft of format {}, and this program knows {FORMAT_VERSION}", json.format);
            return Err(CliError::files(message));
        }
        let parameters = json.parameters.parse().map_err(|error| CliError::files(format!("{source}: {error}")))?;
        let mut entries = Vec::new();
        for (entry, place) in json.members.into_iter().zip(1_u64..) {
            let entry = MemberEntry::from_json(entry).map_err(|error| {
                let exit = if matches!(error, EntryError::Signature { .. }) { Exit::No } else { Exit::Failure };
                CliError::from_error(exit, &Placed(format!("{source}: entry {place} is not valid"))).caused_by(&error)
            })?;
            entries.push((format!("the entry of {} in {source}", entry.member().id), entry));
        }
        Self::new(&json.name, json.created_ms, entries, parameters)
    }

    /// The genesis that founders sign.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// BLAKE3 of the bytes that founders sign, in hexadecimal: what people compare.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.genesis)
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> DraftJson {
        DraftJson {
            format: self.genesis.format,
            name: self.genesis.name.clone(),
            created_ms: self.genesis.created_ms,
            members: self.entries.iter().map(MemberEntry::json).collect(),
            parameters: ParametersJson::of(&self.genesis.parameters),
        }
    }
}

/// BLAKE3 of the bytes that founders sign, in hexadecimal.
#[must_use]
pub fn digest(genesis: &Genesis) -> String {
    blake3::hash(&genesis.payload()).to_hex().to_string()
}

/// Names the two entries that are of one member or share a key; the genesis' own rule names but one.
fn check_distinct(entries: &[(String, MemberEntry)]) -> Result<(), CliError> {
    let mut ids = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (source, entry) in entries {
        let member = entry.member();
        if let Some(other) = ids.insert(&member.id, source) {
            return Err(CliError::usage(format!("{other} and {source} are both of the member {}", member.id))
                .help("give each member's entry once; two organisations take different ids"));
        }
        for (purpose, key) in named_keys(member) {
            if let Some((other, others_purpose)) = keys.insert(key.clone(), (source, purpose)) {
                let message =
                    format!("the {others_purpose} key of {other} and the {purpose} key of {source} are one: {key}");
                return Err(CliError::usage(message).help("each member makes keys of its own, one for each purpose"));
            }
        }
    }
    Ok(())
}

fn named_keys(member: &Member) -> impl Iterator<Item = (&'static str, String)> {
    let keys = [
        ("member", Some(member.member_key)),
        ("network", Some(member.network_key)),
        ("validator", member.validator_key),
    ];
    keys.into_iter().filter_map(|(purpose, key)| Some((purpose, key?.to_string())))
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Placed(String);
