//! What all signed records share: their content type, their size limit, and how they are signed and read.

use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};

use crate::canonical::Canonical;
use crate::cbor;
use crate::cose::{self, ContentType, Envelope};
use crate::error::Violation;
use crate::hash::{Link, NetworkId};
use crate::keys::{PublicKey, SignatureBatch, SignatureCheck};

/// A record that travels in a signed envelope.
pub trait Record: Encode<()> + for<'b> Decode<'b, ()> + for<'b> Canonical<'b> {
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

/// A record with its envelope: well formed, its own rules kept, its signature **not yet** checked.
///
/// [`crate::validate`] turns it into a verified stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    record: T,
    signer: PublicKey,
    bytes: Vec<u8>,
    /// How long the protected header is.
    protected_bytes: usize,
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
        let (signer, protected_bytes) = (envelope.signer, envelope.protected.len());
        let link = Link::of(&bytes);
        Ok(Self { record, signer, bytes, protected_bytes, link })
    }

    /// Reads a record from its envelope.
    ///
    /// # Errors
    /// Not the one encoding, another record, too large, or a rule of the record itself.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Violation> {
        let envelope = Envelope::parse(&bytes, T::CONTENT, T::BYTES_MAX)?;
        let record: T = cbor::decode_record(envelope.payload, T::CONTENT.as_str(), T::BYTES_MAX)?;
        record.check()?;
        let (signer, protected_bytes) = (envelope.signer, envelope.protected.len());
        let link = Link::of(&bytes);
        Ok(Self { record, signer, bytes, protected_bytes, link })
    }

    /// The signature to check.
    pub fn signature_check(&self) -> SignatureCheck {
        let mut message = Vec::new();
        let signature = cose::write_signed(&mut message, &self.bytes, self.protected_bytes);
        SignatureCheck { key: self.signer, message, signature }
    }

    /// Adds the signature to those to check. The link is that of all its envelope's bytes, so it determines key, message and signature.
    pub(crate) fn add_signature(&self, batch: &mut SignatureBatch) {
        batch.add_known(self.signer, self.link.0, |message| {
            cose::write_signed(message, &self.bytes, self.protected_bytes)
        });
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
