//! The signed envelope: COSE_Sign1 (RFC 9052 §4.2) with EdDSA over Ed25519 (RFC 9053 §2.2).
//!
//! The protected header is the map `{1: -8, 3: content type, 4: public key}`; the unprotected header is empty; the tag
//! 18 is always there. The content type says which record the payload is, so a signature on one kind of record is
//! none on another. Any COSE library checks a stage with the key named in it.

use ed25519_dalek::SigningKey;
use minicbor::Encoder;
use minicbor::data::Tag;
use minicbor::decode::Decoder;
use minicbor::encode::{Error as WriteError, Write};

use crate::cbor::{self, DecodeError, DecodeReason};
use crate::hash::fixed_bytes;
use crate::keys::{self, PublicKey, Signature, SignatureCheck};

/// EdDSA in the COSE algorithm registry.
const ALGORITHM_EDDSA: i8 = -8;

/// What a signed payload is; part of every signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentType {
    /// Account opening record.
    Opening,
    /// First chain.
    Request,
    /// Second chain.
    Endorsement,
    /// Third chain.
    Execution,
    /// Cash brought into being by its issuer.
    Issuance,
    /// Instrument listing.
    Listing,
    /// What a customer tells the bank to do with the account.
    Instruction,
    /// What a bank does with an account: freeze, withdraw, bind a key and the like.
    Servicing,
    /// What an institution does with a position.
    Settlement,
    /// The addresses at which a member is reached.
    Announcement,
    /// What a customer asks the bank for a referral by.
    Promotion,
    /// A bank's compact word about a promotion.
    Referral,
    /// Signed, typed no.
    Refusal,
    /// Genesis, signed by every founder.
    Genesis,
    /// What the members resolved about the network.
    Governance,
    /// Consensus vote.
    Vote,
    /// Consensus proposal.
    Proposal,
}

impl ContentType {
    /// The media type in the protected header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "application/vnd.stemma.opening+cbor",
            Self::Request => "application/vnd.stemma.request+cbor",
            Self::Endorsement => "application/vnd.stemma.endorsement+cbor",
            Self::Execution => "application/vnd.stemma.execution+cbor",
            Self::Issuance => "application/vnd.stemma.issuance+cbor",
            Self::Listing => "application/vnd.stemma.listing+cbor",
            Self::Instruction => "application/vnd.stemma.instruction+cbor",
            Self::Servicing => "application/vnd.stemma.servicing+cbor",
            Self::Settlement => "application/vnd.stemma.settlement+cbor",
            Self::Announcement => "application/vnd.stemma.announcement+cbor",
            Self::Promotion => "application/vnd.stemma.promotion+cbor",
            Self::Referral => "application/vnd.stemma.referral+cbor",
            Self::Refusal => "application/vnd.stemma.refusal+cbor",
            Self::Genesis => "application/vnd.stemma.genesis+cbor",
            Self::Governance => "application/vnd.stemma.governance+cbor",
            Self::Vote => "application/vnd.stemma.vote+cbor",
            Self::Proposal => "application/vnd.stemma.proposal+cbor",
        }
    }
}

/// A parsed envelope, borrowing the bytes it came from. Its signature is not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'b> {
    /// The signer named in the protected header.
    pub signer: PublicKey,
    /// The exact payload bytes.
    pub payload: &'b [u8],
    /// The signature.
    pub signature: Signature,
    /// The exact bytes of the protected header.
    pub protected: &'b [u8],
}

impl<'b> Envelope<'b> {
    /// Parses an envelope whose content must be of one type.
    ///
    /// # Errors
    /// [`DecodeError`] with offset and reason: not the one encoding, another content type, too large.
    pub fn parse(bytes: &'b [u8], content: ContentType, bytes_max: usize) -> Result<Self, DecodeError> {
        let record = content.as_str();
        let fail = |offset, reason| DecodeError { record, offset, reason };
        if bytes.len() > bytes_max {
            let reason = DecodeReason::TooLarge { found: bytes.len(), max: bytes_max };
            return Err(fail(0, reason));
        }
        // All that the reading leaves open is how long the heads are, so the shortest form is the one encoding.
        if let Ok(envelope) = Self::read(bytes, content)
            && bytes.len() == envelope.shortest_bytes()
        {
            return Ok(envelope);
        }
        cbor::scan(bytes).map_err(|(offset, reason)| fail(offset, reason))?;
        Self::read(bytes, content).map_err(|e| fail(e.position().unwrap_or(0), DecodeReason::Value(e.to_string())))
    }

    fn read(bytes: &'b [u8], content: ContentType) -> Result<Self, minicbor::decode::Error> {
        let mut d = Decoder::new(bytes);
        let shaped = d.tag()?.as_u64() == 18 && d.array()? == Some(4);
        if !shaped {
            return Err(minicbor::decode::Error::message("not a tagged COSE_Sign1 of four parts"));
        }
        let protected = d.bytes()?;
        if d.map()? != Some(0) {
            return Err(minicbor::decode::Error::message("the unprotected header must be empty"));
        }
        let payload = d.bytes()?;
        let signature = Signature(fixed_bytes::<64>(&mut d)?);
        let signer = read_protected(protected, content)?;
        Ok(Self { signer, payload, signature, protected })
    }

    /// The size of its one encoding.
    fn shortest_bytes(&self) -> usize {
        let part = |bytes: &[u8]| cbor::head_bytes(bytes.len()).saturating_add(bytes.len());
        // The tag, the array and the unprotected header are a byte each.
        let parts = [part(self.protected), part(self.payload), part(&self.signature.0), 3];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// The signature to check, alone or in a batch.
    pub fn check(&self) -> SignatureCheck {
        SignatureCheck {
            key: self.signer,
            message: sig_structure(self.protected, self.payload),
            signature: self.signature,
        }
    }
}

pub(crate) fn read_protected(protected: &[u8], content: ContentType) -> Result<PublicKey, minicbor::decode::Error> {
    use minicbor::decode::Error;
    // The header ends with the key, and all before it is known.
    if let Some(key) = protected.last_chunk()
        && cbor::is_written(protected, |e| write_protected(e, content, &PublicKey(*key)))
    {
        return Ok(PublicKey(*key));
    }
    let mut d = Decoder::new(protected);
    if d.map()? != Some(3) || d.u8()? != 1 || d.i8()? != ALGORITHM_EDDSA || d.u8()? != 3 {
        return Err(Error::message("the protected header must be {1: -8, 3: type, 4: key}"));
    }
    let found = d.str()?;
    if found != content.as_str() {
        return Err(Error::message(format!("expected {}, found {found:?}", content.as_str())));
    }
    if d.u8()? != 4 {
        return Err(Error::message("the protected header must name the signer's key (label 4)"));
    }
    fixed_bytes::<32>(&mut d)?;
    // The typed reads above leave integer widths open; the one encoding does not.
    Err(Error::message("the protected header is not in its one encoding"))
}

/// The protected header's bytes for a content type and a signer.
pub fn protected_header(content: ContentType, signer: &PublicKey) -> Vec<u8> {
    written(|e| write_protected(e, content, signer))
}

fn write_protected<W: Write>(
    e: &mut Encoder<W>,
    content: ContentType,
    signer: &PublicKey,
) -> Result<(), WriteError<W::Error>> {
    e.map(3)?.u8(1)?.i8(ALGORITHM_EDDSA)?;
    e.u8(3)?.str(content.as_str())?;
    e.u8(4)?.bytes(&signer.0)?.ok()
}

fn write_envelope<W: Write>(
    e: &mut Encoder<W>,
    protected: &[u8],
    payload: &[u8],
    signature: &Signature,
) -> Result<(), WriteError<W::Error>> {
    e.tag(Tag::new(18))?.array(4)?.bytes(protected)?.map(0)?;
    e.bytes(payload)?.bytes(&signature.0)?.ok()
}

/// The bytes that a signature covers: `["Signature1", protected, h'', payload]` (RFC 9052 §4.4).
pub fn sig_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    // The word and five heads.
    const REST_BYTES: usize = 10 + 5 * 9;
    let bytes_max = REST_BYTES.saturating_add(protected.len()).saturating_add(payload.len());
    let mut bytes = Vec::with_capacity(bytes_max);
    let write = |e: &mut Encoder<&mut Vec<u8>>| {
        e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(&[])?.bytes(payload)?.ok()
    };
    let _infallible: Written = write(&mut Encoder::new(&mut bytes));
    bytes
}

/// Writes the bytes that the signature of a parsed envelope covers, and gives it. Protected header and payload are in them just as they are
/// in the envelope, heads and all, so nothing is encoded again.
pub(crate) fn write_signed(message: &mut Vec<u8>, envelope: &[u8], protected_bytes: usize) -> Signature {
    /// An array of four, the first of them a text.
    const START: &[u8] = b"\x84\x6aSignature1";
    /// No bytes: the data from elsewhere that a signature may cover.
    const NONE: &[u8] = b"\x40";
    /// The heads of tag and array.
    const PROTECTED_AT: usize = 2;
    const SIGNATURE_BYTES: usize = 64;
    let (rest, signature) = envelope.split_at(envelope.len().saturating_sub(SIGNATURE_BYTES));
    let protected_end = PROTECTED_AT.saturating_add(cbor::head_bytes(protected_bytes)).saturating_add(protected_bytes);
    let protected = rest.get(PROTECTED_AT..protected_end).unwrap_or_default();
    // Between them is the unprotected header of one byte; the signature's head has two.
    let payload = rest.get(protected_end.saturating_add(1)..rest.len().saturating_sub(2)).unwrap_or_default();
    let parts = [START, protected, NONE, payload];
    message.reserve(parts.iter().map(|part| part.len()).fold(0, usize::saturating_add));
    parts.into_iter().for_each(|part| message.extend_from_slice(part));
    Signature(signature.try_into().unwrap_or([0; SIGNATURE_BYTES]))
}

/// Signs a payload and returns the envelope's bytes.
pub fn sign(content: ContentType, key: &SigningKey, payload: &[u8]) -> Vec<u8> {
    let signer = PublicKey::of(key);
    let protected = protected_header(content, &signer);
    let signature = keys::sign(key, &sig_structure(&protected, payload));
    written(|e| write_envelope(e, &protected, payload, &signature))
}

/// Signs a payload that travels elsewhere (votes, proposals): the signature alone.
pub fn sign_detached(content: ContentType, key: &SigningKey, payload: &[u8]) -> Signature {
    let protected = protected_header(content, &PublicKey::of(key));
    keys::sign(key, &sig_structure(&protected, payload))
}

/// The check of a detached signature.
pub fn check_detached(content: ContentType, signer: PublicKey, payload: &[u8], signature: Signature) -> SignatureCheck {
    let message = sig_structure(&protected_header(content, &signer), payload);
    SignatureCheck { key: signer, message, signature }
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

/// Writes into memory, which cannot fail.
pub(crate) fn written(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Written) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    let _infallible = write(&mut Encoder::new(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_binds_the_content_type() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let bytes = sign(ContentType::Request, &key, b"\x01");
        let envelope = Envelope::parse(&bytes, ContentType::Request, 1024).unwrap();
        let check = envelope.check();
        keys::verify(&check.key, &check.message, &check.signature).unwrap();
        let mut message = Vec::new();
        let signature = write_signed(&mut message, &bytes, envelope.protected.len());
        assert_eq!((message, signature), (check.message, check.signature));
        assert!(Envelope::parse(&bytes, ContentType::Execution, 1024).is_err());
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let bytes = sign(ContentType::Request, &key, b"\x18\x2a");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let verdict = Envelope::parse(&bad, ContentType::Request, 1024).map(|e| {
                    let c = e.check();
                    keys::verify(&c.key, &c.message, &c.signature)
                });
                assert!(!matches!(verdict, Ok(Ok(()))), "byte {at} bit {bit}");
            }
        }
    }
}
