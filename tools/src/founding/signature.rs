//! A founder's signature on a draft, and joining them into the genesis file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stemma_chain_format::cbor;
use stemma_chain_format::genesis::{Genesis, GenesisFile, sign_genesis};
use stemma_chain_format::keys::{PublicKey, Signature};
use stemma_chain_format::member::MemberId;
use stemma_keystore::SecretKey;

use super::{Draft, ParametersJson, read_json};
use crate::error::CliError;

/// A founder's signature as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FounderSignature {
    version: u32,
    member: String,
    digest: String,
    key: String,
    signature: String,
    /// What the draft said: so that the difference can be told where another draft was signed. Nothing is proved by it.
    signed: Outline,
}

/// A draft's parts, to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline {
    name: String,
    created_ms: u64,
    parameters: ParametersJson,
    /// BLAKE3 of each member's encoding, by id.
    members: BTreeMap<String, String>,
}

/// The version of the JSON.
const VERSION: u32 = 1;

impl FounderSignature {
    /// Signs a draft with a founder's member key; nothing where it is no founder's.
    #[must_use]
    pub fn sign(draft: &Draft, key: &SecretKey) -> Option<(MemberId, Self)> {
        let genesis = draft.genesis();
        let (public, signature) = sign_genesis(&genesis.payload(), key.signing_key());
        let founder = genesis.members.iter().find(|member| member.member_key == public)?;
        let signed = Self {
            version: VERSION,
            member: founder.id.to_string(),
            digest: draft.digest(),
            key: public.to_string(),
            signature: hex::encode(signature.0),
            signed: Outline::of(genesis),
        };
        Some((founder.id.clone(), signed))
    }

    /// Reads a signature file. Nothing is checked yet.
    ///
    /// # Errors
    /// It can't be read, or is none.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let signed: Self = read_json(path, "a founder's signature")?;
        if signed.version != VERSION {
            let message = format!("{} is a signature of version {}", path.display(), signed.version);
            return Err(CliError::files(message).help(format!("this program knows version {VERSION}")));
        }
        Ok(signed)
    }

    /// The key and signature, where they are for this draft.
    fn check(&self, draft: &Draft, source: &str) -> Result<(PublicKey, Signature), CliError> {
        let malformed = |what: &str| CliError::files(format!("{source}: the {what} is malformed"));
        let key: PublicKey = self.key.parse().map_err(|error| malformed("key").caused_by(&error))?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(&self.signature, &mut bytes).map_err(|error| malformed("signature").caused_by(&error))?;
        let genesis = draft.genesis();
        if self.digest != draft.digest() {
            let differences = self.signed.differences(&Outline::of(genesis));
            let message = format!("{source}, the signature of {}, is on another draft: {differences}", self.member);
            return Err(CliError::no(message).help(format!(
                "{} signs this draft, whose digest is {}",
                self.member,
                draft.digest()
            )));
        }
        if !genesis.members.iter().any(|member| member.member_key == key) {
            let message = format!("{source} is signed by {key}, which is no founder's member key");
            return Err(CliError::no(message).help("`stemma genesis show` lists the founders and their keys"));
        }
        Ok((key, Signature(bytes)))
    }
}

/// Joins a draft and all founders' signatures, each with the name of where it is from.
///
/// # Errors
/// A signature is missing, given twice, on another draft, by a stranger, or does not hold: named with where it is from.
pub fn assemble(draft: &Draft, signatures: &[(String, FounderSignature)]) -> Result<GenesisFile, CliError> {
    let genesis = draft.genesis();
    let mut by_key: BTreeMap<PublicKey, (&str, Signature)> = BTreeMap::new();
    for (source, signed) in signatures {
        let (key, signature) = signed.check(draft, source)?;
        if let Some((other, _)) = by_key.insert(key, (source, signature)) {
            let message = format!("{other} and {source} are both signatures of {}", signed.member);
            return Err(CliError::usage(message).help("give --signature once for each founder"));
        }
    }
    let is_missing = |key: &PublicKey| !by_key.contains_key(key);
    let members = genesis.members.iter();
    let missing: Vec<&str> = members.filter(|m| is_missing(&m.member_key)).map(|m| m.id.as_str()).collect();
    if !missing.is_empty() {
        return Err(CliError::no(format!("the signature of {} is missing", missing.join(", ")))
            .help("give --signature once for each founder"));
    }
    // One by one, so that the one that does not hold is named with its file.
    let joined: Vec<(PublicKey, Signature)> = by_key.iter().map(|(key, (_, signature))| (*key, *signature)).collect();
    GenesisFile::assemble(genesis, &joined).map_err(|violation| {
        let bad = genesis.members.iter().find(|member| violation.field.ends_with(&format!(".{}", member.id)));
        let source = bad.and_then(|member| by_key.get(&member.member_key)).map(|(source, _)| *source);
        let message = match (bad, source) {
            (Some(member), Some(source)) => format!("{source}, the signature of {}, does not hold", member.id),
            _ => "the signatures do not make a genesis file".to_owned(),
        };
        CliError::no(message).caused_by(&violation).help("its founder signs the draft again")
    })
}

impl Outline {
    fn of(genesis: &Genesis) -> Self {
        let digest = |member| blake3::hash(&cbor::encode(member)).to_hex().to_string();
        Self {
            name: genesis.name.clone(),
            created_ms: genesis.created_ms,
            parameters: ParametersJson::of(&genesis.parameters),
            members: genesis.members.iter().map(|member| (member.id.to_string(), digest(member))).collect(),
        }
    }

    /// What differs between what was signed and a draft, in words.
    fn differences(&self, draft: &Self) -> String {
        let mut found = Vec::new();
        if self.name != draft.name {
            found.push(format!("the name is {:?} there and {:?} here", self.name, draft.name));
        }
        if self.created_ms != draft.created_ms {
            found.push(format!("created_ms is {} there and {} here", self.created_ms, draft.created_ms));
        }
        for (name, value) in &draft.parameters.0 {
            match self.parameters.0.get(name) {
                Some(signed) if signed == value => {}
                Some(signed) => found.push(format!("the parameter {name} is {signed} there and {value} here")),
                None => found.push(format!("the parameter {name} is not there")),
            }
        }
        for (id, digest) in &draft.members {
            match self.members.get(id) {
                Some(signed) if signed == digest => {}
                Some(_) => found.push(format!("the entry of {id} is another there")),
                None => found.push(format!("{id} is not there")),
            }
        }
        let gone = self.members.keys().filter(|id| !draft.members.contains_key(*id));
        found.extend(gone.map(|id| format!("{id} is not here")));
        if found.is_empty() { "its digest is another".to_owned() } else { found.join("; ") }
    }
}
