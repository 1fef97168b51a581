//! JSON Web Keys (RFC 7517) of Ed25519 (RFC 8037).

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::About;
use crate::{ImportError, Purpose, SecretKey};

/// Our own member: what the key is for. Others ignore it, as RFC 7517 §4 asks.
const PURPOSE: &str = "stemma_purpose";
/// 32 bytes in base64url without padding.
const KEY_CHARS: usize = 43;

/// What we read of a key. Texts are borrowed, so that no copy of the private one is left behind.
#[derive(Deserialize)]
struct Jwk<'a> {
    kty: &'a str,
    crv: &'a str,
    x: &'a str,
    d: Option<&'a str>,
    stemma_purpose: Option<&'a str>,
}

pub(super) fn look_at(text: &str) -> Result<About, ImportError> {
    Ok(About { is_encrypted: false, purpose: purpose_of(&read(text)?)? })
}

pub(super) fn import(text: &str, purpose: Purpose) -> Result<(SecretKey, Option<Purpose>), ImportError> {
    let jwk = read(text)?;
    let d = jwk.d.ok_or(ImportError::JwkPublic)?;
    let seed = Zeroizing::new(decode(d, "d")?);
    let key = SecretKey::from_seed(&seed, purpose);
    if decode(jwk.x, "x")? != key.public_key() {
        return Err(ImportError::KeyMismatch);
    }
    Ok((key, purpose_of(&jwk)?))
}

pub(super) fn export(key: &SecretKey) -> Zeroizing<Vec<u8>> {
    let mut buffer = Zeroizing::new([0; KEY_CHARS]);
    let d = Base64UrlUnpadded::encode(key.seed(), buffer.as_mut()).unwrap_or_default();
    let public = members(&key.public_key(), Some(key.purpose()));
    // Reserved at once: growing would leave copies of the private part behind.
    let mut text = Zeroizing::new(Vec::with_capacity(public.len().saturating_add(KEY_CHARS).saturating_add(16)));
    for part in ["{", public.as_str(), ",\"d\":\"", d, "\"}\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    text
}

pub(super) fn export_public(public_key: &[u8; 32], purpose: Option<Purpose>) -> Vec<u8> {
    format!("{{{}}}\n", members(public_key, purpose)).into_bytes()
}

fn members(public_key: &[u8; 32], purpose: Option<Purpose>) -> String {
    let mut buffer = [0; KEY_CHARS];
    let x = Base64UrlUnpadded::encode(public_key, &mut buffer).unwrap_or_default();
    let purpose = purpose.map(|purpose| format!(",\"{PURPOSE}\":\"{purpose}\"")).unwrap_or_default();
    format!("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"{purpose}")
}

fn read(text: &str) -> Result<Jwk<'_>, ImportError> {
    // The library's own words may quote what it found, and that may be the private part: only the place is told.
    let jwk: Jwk<'_> =
        serde_json::from_str(text).map_err(|error| ImportError::Json { line: error.line(), column: error.column() })?;
    if jwk.kty != "OKP" || jwk.crv != "Ed25519" {
        return Err(ImportError::NotEd25519);
    }
    Ok(jwk)
}

fn purpose_of(jwk: &Jwk<'_>) -> Result<Option<Purpose>, ImportError> {
    jwk.stemma_purpose.map(str::parse).transpose().map_err(ImportError::UnknownPurpose)
}

fn decode(text: &str, member: &'static str) -> Result<[u8; 32], ImportError> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text, &mut bytes).map(<[u8]>::len);
    if decoded != Ok(bytes.len()) {
        return Err(ImportError::JwkMember { member });
    }
    Ok(bytes)
}
