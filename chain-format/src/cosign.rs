//! The envelope of what several sign together: COSE_Sign (RFC 9052 §4.1) with EdDSA over Ed25519, one payload and a signature
//! for each signer.
//!
//! The body's headers are empty; each signature has a protected header of its own, the same as in [`crate::cose`]. The tag 98 is
//! always there. The genesis is such an envelope, and so is every governance record.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use minicbor::data::Tag;
use minicbor::decode::{Decoder, Error as CborError};
use minicbor::{Decode, Encode};

use crate::cbor::{self, DecodeError, DecodeReason};
use crate::cose::{ContentType, protected_header, read_protected, written};
use crate::error::Violation;
use crate::hash::{Link, fixed_bytes};
use crate::keys::{self, PublicKey, Signature, SignatureCheck};

/// A record that several sign together.
pub trait CosignedRecord: Encode<()> + for<'b> Decode<'b, ()> {
    /// Its content type, part of every signature on it.
    const CONTENT: ContentType;
    /// Largest envelope, in bytes.
    const BYTES_MAX: usize;
    /// Most signatures.
    const SIGNATURES_MAX: usize;

    /// The rules it keeps by itself: ranges, order.
    ///
    /// # Errors
    /// A [`Violation`] naming the field.
    fn check(&self) -> Result<(), Violation>;
}

/// A record with its signatures in the ascending order of the keys, each key once: well formed, its own rules kept, its signatures
/// **not yet** checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned<T> {
    record: T,
    signatures: Vec<(PublicKey, Signature)>,
    bytes: Vec<u8>,
    link: Link,
}

impl<T: CosignedRecord> Cosigned<T> {
    /// Puts a record and its signatures together, in whatever order these come; of two by one key the last is taken.
    ///
    /// # Errors
    /// The record's own rules, its size, the number of signatures.
    pub fn assemble(record: &T, signatures: &[(PublicKey, Signature)]) -> Result<Self, Violation> {
        let in_order: BTreeMap<PublicKey, Signature> = signatures.iter().copied().collect();
        let signed: Vec<_> =
            in_order.iter().map(|(key, signature)| (protected_header(T::CONTENT, key), *signature)).collect();
        Self::decode(write_cose_sign(&cbor::encode(record), &signed))
    }

    /// Reads a record from its envelope.
    ///
    /// # Errors
    /// Not the one encoding, another record, too large, too many signatures or out of order, or a rule of the record itself.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Violation> {
        let name = T::CONTENT.as_str();
        let fail = |offset, reason| DecodeError { record: name, offset, reason };
        if bytes.len() > T::BYTES_MAX {
            return Err(fail(0, DecodeReason::TooLarge { found: bytes.len(), max: T::BYTES_MAX }).into());
        }
        cbor::scan(&bytes).map_err(|(offset, reason)| fail(offset, reason))?;
        let read = || -> Result<_, CborError> {
            let (payload, raw) = read_cose_sign(&bytes, T::SIGNATURES_MAX)?;
            let mut signatures: Vec<(PublicKey, Signature)> = Vec::with_capacity(raw.len());
            for (protected, signature) in raw {
                let key = read_protected(protected, T::CONTENT)?;
                if signatures.last().is_some_and(|(before, _)| *before >= key) {
                    return Err(CborError::message("signatures stand in the ascending order of their keys, each once"));
                }
                signatures.push((key, signature));
            }
            Ok((payload, signatures))
        };
        let (payload, signatures) =
            read().map_err(|e| fail(e.position().unwrap_or(0), DecodeReason::Value(e.to_string())))?;
        let record: T = cbor::decode(payload, name, T::BYTES_MAX)?;
        record.check()?;
        let link = Link::of(&bytes);
        Ok(Self { record, signatures, bytes, link })
    }

    /// The signatures to check.
    pub fn signature_checks(&self) -> Vec<SignatureCheck> {
        let payload = cbor::encode(&self.record);
        let check = |(key, signature): &(PublicKey, Signature)| SignatureCheck {
            key: *key,
            message: signed_bytes(T::CONTENT, key, &payload),
            signature: *signature,
        };
        self.signatures.iter().map(check).collect()
    }

    /// The record.
    pub fn record(&self) -> &T {
        &self.record
    }

    /// Who signed, in ascending order.
    pub fn signers(&self) -> impl Iterator<Item = &PublicKey> {
        self.signatures.iter().map(|(key, _)| key)
    }

    /// The envelope's exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The BLAKE3 of the envelope's exact bytes.
    pub fn link(&self) -> Link {
        self.link
    }
}

/// One signature on a payload that several sign.
pub fn cosign(content: ContentType, payload: &[u8], key: &SigningKey) -> (PublicKey, Signature) {
    let public = PublicKey::of(key);
    (public, keys::sign(key, &signed_bytes(content, &public, payload)))
}

/// The bytes that one signature covers: `["Signature", h'', protected, h'', payload]` (RFC 9052 §4.4).
pub fn signed_bytes(content: ContentType, key: &PublicKey, payload: &[u8]) -> Vec<u8> {
    let protected = protected_header(content, key);
    written(|e| {
        e.array(5)?.str("Signature")?.bytes(&[])?.bytes(&protected)?;
        e.bytes(&[])?.bytes(payload)?.ok()
    })
}

/// A COSE_Sign of a payload and of signatures with their protected headers.
pub(crate) fn write_cose_sign(payload: &[u8], signatures: &[(Vec<u8>, Signature)]) -> Vec<u8> {
    written(|e| {
        e.tag(Tag::new(98))?.array(4)?.bytes(&[])?.map(0)?.bytes(payload)?;
        e.array(signatures.len() as u64)?;
        for (protected, signature) in signatures {
            e.array(3)?.bytes(protected)?.map(0)?.bytes(&signature.0)?;
        }
        Ok(())
    })
}

/// A signature with its protected header.
pub(crate) type RawSignature<'b> = (&'b [u8], Signature);

/// Reads a COSE_Sign; its protected headers are the caller's to read.
pub(crate) fn read_cose_sign(bytes: &[u8], signatures_max: usize) -> Result<(&[u8], Vec<RawSignature<'_>>), CborError> {
    let mut d = Decoder::new(bytes);
    let tagged = d.tag()?.as_u64() == 98 && d.array()? == Some(4);
    if !tagged || !d.bytes()?.is_empty() || d.map()? != Some(0) {
        return Err(CborError::message("not a tagged COSE_Sign with empty body headers"));
    }
    let payload = d.bytes()?;
    let count = d.array()?.unwrap_or(0);
    if count > signatures_max as u64 {
        return Err(CborError::message(format!("more than {signatures_max} signatures")));
    }
    let mut signatures = Vec::new();
    for _ in 0..count {
        if d.array()? != Some(3) {
            return Err(CborError::message("a signature has three parts"));
        }
        let protected = d.bytes()?;
        if d.map()? != Some(0) {
            return Err(CborError::message("the unprotected header must be empty"));
        }
        signatures.push((protected, Signature(fixed_bytes::<64>(&mut d)?)));
    }
    Ok((payload, signatures))
}
