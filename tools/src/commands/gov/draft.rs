//! The files of a resolution: the draft, and the signatures on it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stemma_chain_format::cbor;
use stemma_chain_format::cose::ContentType;
use stemma_chain_format::cosign::CosignedRecord;
use stemma_chain_format::cosign::cosign;
use stemma_chain_format::governance::Governance;
use stemma_chain_format::keys::{PublicKey, Signature, verify_strict};
use stemma_keystore::SecretKey;
use stemma_node_api::governance::GovernanceJson;

use crate::error::CliError;
use crate::files;
use crate::node::broken;

/// The largest file that is read: 304 signatures, and room.
const BYTES_MAX: u64 = 1024 * 1024;
/// The version of the JSON of signatures.
const VERSION: u32 = 1;

/// Reads a draft and checks what it keeps by itself.
pub(super) fn read(path: &Path) -> Result<Governance, CliError> {
    let json: GovernanceJson = files::read_json(path, BYTES_MAX, "a draft of a governance record")?;
    let malformed = |error| CliError::files(format!("{} is no valid draft", path.display())).caused_by(&error);
    let record = json.parse().map_err(malformed)?;
    record.check().map_err(|violation| broken(&format!("{} is no valid draft", path.display()), &violation))?;
    Ok(record)
}

/// BLAKE3 of the bytes that are signed: what people compare.
pub(super) fn digest(record: &Governance) -> String {
    blake3::hash(&cbor::encode(record)).to_hex().to_string()
}

/// Signatures on one draft.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signatures {
    version: u32,
    digest: String,
    signatures: Vec<KeySignature>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySignature {
    key: String,
    signature: String,
}

impl Signatures {
    /// Signs a draft with some keys.
    pub(super) fn sign(record: &Governance, keys: &[SecretKey]) -> Self {
        let payload = cbor::encode(record);
        let signed = |key: &SecretKey| {
            let (public, signature) = cosign(ContentType::Governance, &payload, key.signing_key());
            KeySignature { key: public.to_string(), signature: hex::encode(signature.0) }
        };
        Self { version: VERSION, digest: digest(record), signatures: keys.iter().map(signed).collect() }
    }

    /// The signatures of a file on a draft, each of them verified.
    pub(super) fn read(path: &Path, record: &Governance) -> Result<Vec<(PublicKey, Signature)>, CliError> {
        let signed: Self = files::read_json(path, BYTES_MAX, "signatures on a draft")?;
        let name = path.display();
        if signed.version != VERSION {
            return Err(CliError::files(format!("{name} is of version {}", signed.version))
                .help(format!("this program knows version {VERSION}")));
        }
        let expected = digest(record);
        if signed.digest != expected {
            let message = format!("{name} signs another draft, with the digest {}", signed.digest);
            return Err(CliError::usage(message)
                .help(format!("the draft was changed, or is another one: sign this one, whose digest is {expected}")));
        }
        let payload = cbor::encode(record);
        let checked = |one: &KeySignature| -> Result<(PublicKey, Signature), CliError> {
            let malformed = |what| CliError::files(format!("{name}: a {what} is malformed"));
            let key: PublicKey = one.key.parse().map_err(|error| malformed("key").caused_by(&error))?;
            let mut bytes = [0; 64];
            hex::decode_to_slice(&one.signature, &mut bytes)
                .map_err(|error| malformed("signature").caused_by(&error))?;
            let message = stemma_chain_format::cosign::signed_bytes(ContentType::Governance, &key, &payload);
            verify_strict(&key, &message, &Signature(bytes))
                .map_err(|error| CliError::usage(format!("{name}: the signature of {key}")).caused_by(&error))?;
            Ok((key, Signature(bytes)))
        };
        signed.signatures.iter().map(checked).collect()
    }

    /// The signatures of several files.
    pub(super) fn read_all(paths: &[PathBuf], record: &Governance) -> Result<Vec<(PublicKey, Signature)>, CliError> {
        let mut all = Vec::new();
        for path in paths {
            all.extend(Self::read(path, record)?);
        }
        Ok(all)
    }
}
