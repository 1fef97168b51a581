//! The text around a key: our two lines and one PEM block.

use pkcs8::SecretDocument;
use zeroize::Zeroizing;

use crate::encode::pem;
use crate::{DecodeError, EncodeError, Purpose, SecretKey};

/// Label of an encrypted key.
pub(crate) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// Label of a plain key.
pub(crate) const PLAIN: &str = "PRIVATE KEY";

const PURPOSE_LINE: &str = "Stemma-Purpose";
const PUBLIC_KEY_LINE: &str = "Public-Key";
const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// A key file's text, taken apart but neither decoded nor believed.
pub(crate) struct Envelope<'a> {
    /// What the purpose line says.
    pub purpose: Option<Purpose>,
    /// What the public key line says.
    pub public_key: Option<[u8; 32]>,
    /// Label of the PEM block.
    pub label: &'a str,
    /// The PEM block, boundaries included.
    pub block: &'a str,
}

impl<'a> Envelope<'a> {
    /// Finds the parts. Lines before the block that are not ours are ignored, as RFC 7468 asks.
    pub fn parse(text: &'a str) -> Result<Self, DecodeError> {
        let begin = block_start(text).ok_or(DecodeError::NoPem)?;
        let (before, rest) = text.split_at_checked(begin).ok_or(DecodeError::NoPem)?;
        let label = rest
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.lines().next())
            .and_then(|line| line.trim_end().strip_suffix(DASHES))
            .ok_or(DecodeError::NoPem)?;
        let end_line = format!("-----END {label}-----");
        let end = rest.find(&end_line).and_then(|start| start.checked_add(end_line.len())).ok_or(DecodeError::NoPem)?;
        let (block, after) = rest.split_at_checked(end).ok_or(DecodeError::NoPem)?;
        if !after.trim().is_empty() {
            return Err(DecodeError::TrailingText);
        }
        let purpose = unique_line(before, PURPOSE_LINE)?
            .map(|name| name.parse().map_err(DecodeError::UnknownPurpose))
            .transpose()?;
        let public_key = unique_line(before, PUBLIC_KEY_LINE)?.map(parse_public_key).transpose()?;
        Ok(Self { purpose, public_key, label, block })
    }

    /// Decodes the PEM block.
    pub fn document(&self) -> Result<SecretDocument, DecodeError> {
        let (_, document) = SecretDocument::from_pem(self.block).map_err(DecodeError::Pem)?;
        Ok(document)
    }

    /// Whether the block says that it is encrypted.
    pub fn is_encrypted(&self) -> Result<bool, DecodeError> {
        match self.label {
            ENCRYPTED => Ok(true),
            PLAIN => Ok(false),
            other => Err(DecodeError::NotAPrivateKey { label: other.to_owned() }),
        }
    }
}

/// Writes a key file's text.
pub(crate) fn compose(
    key: &SecretKey,
    label: &'static str,
    document: &SecretDocument,
) -> Result<Zeroizing<String>, EncodeError> {
    let block = pem(label, document)?;
    let lines = format!("{PURPOSE_LINE}: {}\n{PUBLIC_KEY_LINE}: {}\n", key.purpose(), hex::encode(key.public_key()),);
    // Reserved at once: growing would leave copies of the block behind, and it may be a plain one.
    let mut text = Zeroizing::new(String::with_capacity(lines.len().saturating_add(block.len())));
    text.push_str(&lines);
    text.push_str(&block);
    Ok(text)
}

/// Where the first line that begins a block starts.
fn block_start(text: &str) -> Option<usize> {
    if text.starts_with(BEGIN) {
        return Some(0);
    }
    text.find(&format!("\n{BEGIN}"))?.checked_add(1)
}

fn unique_line<'a>(text: &'a str, name: &'static str) -> Result<Option<&'a str>, DecodeError> {
    let mut values = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value.trim());
    let value = values.next();
    match values.next() {
        Some(_) => Err(DecodeError::DuplicateLine { name }),
        None => Ok(value),
    }
}

fn parse_public_key(text: &str) -> Result<[u8; 32], DecodeError> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).map_err(|_| DecodeError::MalformedPublicKey)?;
    // One spelling only, so that a changed line is always told.
    if hex::encode(key) != text {
        return Err(DecodeError::MalformedPublicKey);
    }
    Ok(key)
}
