//! Ed25519 keys and signatures, with one verdict everywhere.
//!
//! The rule for everything that consensus and audit decide is ZIP 215 (<https://zips.z.cash/zip-0215>): the cofactored
//! equation `[8][S]B = [8]R + [8][k]A`, `S` canonical, any encoding of points accepted. It is the one rule under which a
//! batch and a single check can never differ, so no two nodes can disagree about a signature. Where a key or a request
//! enters from outside, [`PublicKey::admit`] and [`verify_strict`] are asked as well, so that honest records verify
//! with every Ed25519 library.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey};
use ed25519_zebra::VerificationKeyBytes;
use ed25519_zebra::batch::{self, Item};
use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};

use crate::canonical::{Canonical, Reader};
use crate::hash::fixed_bytes;

/// An Ed25519 public key as encoded (RFC 8032 §5.1.2); its validity is judged when it is used or admitted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature as encoded (RFC 8032 §5.1.6): `R`, then `S`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature(pub [u8; 64]);

/// Why a key or a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The signature does not verify under the key.
    #[error("the signature does not verify under the named public key")]
    BadSignature,
    /// The bytes are no point of the curve, or not its canonical encoding.
    #[error("the public key is not the canonical encoding of a point")]
    NotCanonical,
    /// A key with a part of small order: a signature may verify for many messages, or not with every library.
    #[error("the public key is weak (it has a part of small order)")]
    Weak,
    /// A text that is not 64 lowercase hexadecimal digits.
    #[error("a public key is written as 64 lowercase hexadecimal digits")]
    Text,
}

/// One signature to check: what was signed, by which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureCheck {
    /// The key named in the protected header.
    pub key: PublicKey,
    /// The bytes that were signed (for stages: the COSE Sig_structure).
    pub message: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

impl PublicKey {
    /// The public half of a signing key.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }

    /// Judges a key that enters from outside: it must be the canonical encoding of a point of the prime-order subgroup, so
    /// that what its holder signs verifies under every library's rule.
    ///
    /// # Errors
    /// [`KeyError::NotCanonical`] or [`KeyError::Weak`].
    pub fn admit(&self) -> Result<(), KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotCanonical)?;
        if key.is_weak() || !key.to_edwards().is_torsion_free() {
            return Err(KeyError::Weak);
        }
        // Decompression keeps the bytes as given, so a non-canonical encoding shows only when encoded again.
        if key.to_edwards().compress().to_bytes() != self.0 {
            return Err(KeyError::NotCanonical);
        }
        Ok(())
    }
}

/// Signs bytes with a key (RFC 8032, deterministic).
pub fn sign(key: &SigningKey, message: &[u8]) -> Signature {
    Signature(key.sign(message).to_bytes())
}

/// Checks one signature under the ZIP 215 rule.
///
/// # Errors
/// [`KeyError::BadSignature`].
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
    let key = ed25519_zebra::VerificationKey::try_from(VerificationKeyBytes::from(key.0))
        .map_err(|_| KeyError::BadSignature)?;
    key.verify(&signature.0.into(), message).map_err(|_| KeyError::BadSignature)
}

/// Checks a signature the way the strictest libraries do; asked in addition to [`verify`] at the door.
///
/// # Errors
/// [`KeyError::NotCanonical`] or [`KeyError::BadSignature`].
pub fn verify_strict(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key.0).map_err(|_| KeyError::NotCanonical)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
    key.verify_strict(message, &signature).map_err(|_| KeyError::BadSignature)
}

/// Checks many signatures at once and returns the verdict on each, the same that [`verify`] gives.
pub fn verify_batch(checks: &[SignatureCheck]) -> Vec<Result<(), KeyError>> {
    let mut batch = SignatureBatch::of(checks.len());
    checks.iter().for_each(|check| batch.add(check));
    batch.verify()
}

/// Signatures to check at once. Whoever collects them does little: messages are hashed where the batch is verified.
#[derive(Debug, Default)]
pub struct SignatureBatch {
    due: Vec<Due>,
    /// The messages, one behind the other.
    messages: Vec<u8>,
}

/// One signature, with the BLAKE3 of something that determines its key, its message and itself.
#[derive(Debug)]
struct Due {
    key: PublicKey,
    signature: Signature,
    digest: [u8; 32],
    /// Where its message ends.
    end: usize,
}

impl SignatureBatch {
    /// Before the first of about so many signatures.
    pub fn of(signatures: usize) -> Self {
        // As long as the stages of a plain trade.
        const MESSAGE_BYTES: usize = 448;
        let messages = Vec::with_capacity(signatures.saturating_mul(MESSAGE_BYTES));
        Self { due: Vec::with_capacity(signatures), messages }
    }

    /// One more signature.
    pub fn add(&mut self, check: &SignatureCheck) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&check.key.0).update(&check.signature.0).update(blake3::hash(&check.message).as_bytes());
        self.add_known(check.key, hasher.finalize().into(), |messages| {
            messages.extend_from_slice(&check.message);
            check.signature
        });
    }

    /// One more signature, with the BLAKE3 of something that determines its key, its message and itself; the message is written behind
    /// others, and the signature on it given back.
    pub(crate) fn add_known(
        &mut self,
        key: PublicKey,
        digest: [u8; 32],
        write: impl FnOnce(&mut Vec<u8>) -> Signature,
    ) {
        let signature = write(&mut self.messages);
        self.due.push(Due { key, signature, digest, end: self.messages.len() });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// The verdict on each, the same that [`verify`] gives.
    ///
    /// Cost per signature falls to under a half from some 64 signatures on. Where one is bad, the batch is halved until it
    /// is found, so a few bad ones among many stay cheap.
    pub fn verify(&self) -> Vec<Result<(), KeyError>> {
        let mut start = 0;
        let hashed = self.due.iter().map(|Due { key, signature, digest, end }| {
            let message = self.messages.get(start..*end).unwrap_or_default();
            start = *end;
            (Item::from((VerificationKeyBytes::from(key.0), signature.0.into(), &message)), *digest)
        });
        let hashed: Vec<(Item, [u8; 32])> = hashed.collect();
        let mut verdicts = Vec::with_capacity(hashed.len());
        verify_halving(&hashed, &mut verdicts);
        verdicts
    }
}

fn verify_halving(signatures: &[(Item, [u8; 32])], verdicts: &mut Vec<Result<(), KeyError>>) {
    if let [(item, _)] = signatures {
        verdicts.push(item.clone().verify_single().map_err(|_| KeyError::BadSignature));
    } else if batch_holds(signatures) {
        verdicts.extend(signatures.iter().map(|_| Ok(())));
    } else {
        let (left, right) = signatures.split_at(signatures.len() / 2);
        verify_halving(left, verdicts);
        verify_halving(right, verdicts);
    }
}

fn batch_holds(signatures: &[(Item, [u8; 32])]) -> bool {
    let mut batch = batch::Verifier::new();
    let mut transcript = blake3::Hasher::new_derive_key("stemma 2026 signature batch coefficients");
    for (item, digest) in signatures {
        // Keys, messages and signatures all enter, so no author of a signature can steer the coefficients.
        transcript.update(digest);
        batch.queue(item.clone());
    }
    batch.verify(TranscriptRng(transcript.finalize_xof())).is_ok()
}

/// Coefficients of the batch equation, derived from everything in the batch (Fiat–Shamir) instead of a random
/// number generator: the format stays free of I/O, and the same batch always gets the same verdict.
struct TranscriptRng(blake3::OutputReader);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0_u8; 32];
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(KeyError::Text);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::Text)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}

impl<C> minicbor::Encode<C> for PublicKey {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for PublicKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        fixed_bytes::<32>(d).map(Self)
    }
}

impl Canonical<'_> for PublicKey {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.fixed_bytes().map(Self)
    }
}

impl<C> minicbor::Encode<C> for Signature {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Signature {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        fixed_bytes::<64>(d).map(Self)
    }
}

impl rand_core::TryRng for TranscriptRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0_u8; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0_u8; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for TranscriptRng {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_outside_the_prime_order_subgroup_are_not_admitted() {
        // Of mixed and of small order, from github.com/novifinancial/ed25519-speccheck, cases 4 and 0; and no point at all.
        let refused = [
            ("cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", KeyError::Weak),
            ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", KeyError::Weak),
            ("0200000000000000000000000000000000000000000000000000000000000000", KeyError::NotCanonical),
        ];
        for (text, error) in refused {
            assert_eq!(text.parse::<PublicKey>().unwrap().admit(), Err(error), "{text}");
        }
        assert_eq!(PublicKey::of(&SigningKey::from_bytes(&[7; 32])).admit(), Ok(()));
    }
}
