//! What all signed records share: their content type, their size limit, and how they are signed and read.

use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};

use crate::cbor;
use crate::cose::{self, ContentType, Envelope};
use crate::error::Violation;
use crate::hash::{Link, NetworkId};
use crate::keys::{PublicKey, Signature, SignatureBatch, SignatureCheck};

/// A record that travels in a signed envelope.
pub trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// Its content type, part of every signature on it.
    const CONTENT: ContentType;
    /// Largest envelope, in bytes.
    const BYTES_MAX: usize;

    /// The network it belongs to.
    fn network(&self) -> NetworkId;

    /// The rules it keeps by itself: ranges, order, signs.
    ///
    /// # Errors
    /// A [`Violation`] naming the field.
    fn check(&self) -> Result<(), Violation>;
}

/// Where the protected header stands: behind the heads of tag, array and byte string, the last of two bytes.
const PROTECTED_AT: usize = 4;
/// An Ed25519 signature's size.
const SIGNATURE_BYTES: usize = 64;

/// A record with its envelope: well formed, its own rules kept, its signature **not yet** checked.
///
/// [`crate::validate`] turns it into a verified stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    record: T,
    signer: PublicKey,
    bytes: Vec<u8>,
    protected_bytes: usize,
    payload_bytes: usize,
    link: Link,
}

impl<T: Record> Signed<T> {
    /// Signs a record.
    ///
    /// # Errors
    /// The record's own rules, and its size, are checked before anything is signed.
    pub fn sign(record: T, key: &SigningKey) -> Result<Self, Violation> {
        record.check()?;
        let payload = cbor::encode(&record);
        let bytes = cose::sign(T::CONTENT, key, &payload);
        // Reading back enforces the size limit in the one place that knows it.
        let envelope = Envelope::parse(&bytes, T::CONTENT, T::BYTES_MAX)?;
        let (signer, protected_bytes, payload_bytes) =
            (envelope.signer, envelope.protected.len(), envelope.payload.len());
        let link = Link::of(&bytes);
        Ok(Self { record, signer, bytes, protected_bytes, payload_bytes, link })
    }

    /// Reads a record from its envelope.
    ///
    /// # Errors
    /// Not the one encoding, another record, too large, or a rule of the record itself.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Violation> {
        let envelope = Envelope::parse(&bytes, T::CONTENT, T::BYTES_MAX)?;
        let record: T = cbor::decode_record(envelope.payload, T::CONTENT.as_str(), T::BYTES_MAX)?;
        record.check()?;
        let (signer, protected_bytes, payload_bytes) =
            (envelope.signer, envelope.protected.len(), envelope.payload.len());
        let link = Link::of(&bytes);
        Ok(Self { record, signer, bytes, protected_bytes, payload_bytes, link })
    }

    /// The signature to check.
    pub fn signature_check(&self) -> SignatureCheck {
        // An envelope ends with its payload, two bytes of head, and the signature.
        let protected = self.bytes.get(PROTECTED_AT..).unwrap_or_default();
        let protected = protected.get(..self.protected_bytes).unwrap_or_default();
        let (rest, signature) = self.bytes.split_at(self.bytes.len().saturating_sub(SIGNATURE_BYTES));
        let payload_end = rest.len().saturating_sub(2);
        let payload = rest.get(payload_end.saturating_sub(self.payload_bytes)..payload_end).unwrap_or_default();
        let signature = Signature(signature.try_into().unwrap_or([0; SIGNATURE_BYTES]));
        SignatureCheck { key: self.signer, message: cose::sig_structure(protected, payload), signature }
    }

    /// Adds the signature to those to check. The link is that of all its envelope's bytes, so it determines key, message and signature.
    pub(crate) fn add_signature(&self, batch: &mut SignatureBatch) {
        batch.add_known(&self.signature_check(), self.link.0);
    }

    /// The record.
    pub fn record(&self) -> &T {
        &self.record
    }

    /// The signer named in the protected header.
    pub fn signer(&self) -> PublicKey {
        self.signer
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
