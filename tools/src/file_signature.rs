//! Signatures on files: what `stemma key sign` writes and `stemma key verify` checks.
//!
//! A signature is a text of six lines beside the file:
//!
//! ```text
//! stemma file signature v1
//! purpose: member
//! public-key: 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1
//! size: 1234
//! blake3: 6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85
//! signature: 3045…
//! ```
//!
//! What is signed (Ed25519, RFC 8032) are the first five lines to the end of the fifth, byte for byte, each ended by a line feed. So a signature
//! on a file is none on anything else that a key of ours signs: records, votes and the genesis are signatures over CBOR arrays, whose
//! first byte is `84` or `85`; a node's handshake begins with `noise-libp2p-static-key:` or, with QUIC, `libp2p-tls-handshake:`; a
//! member's entry with `stemma member entry v1`; calls of a back office with `"@method"`. The first line here is constant, and none
//! of those. The purpose is named, so that a file that an account's key signed does not pass as one of its bank.
//!
//! The text has one form: fields in this order, lowercase digits, nothing before, between or after. It is checked by the strict rule
//! (chain-format/spec/keys.md), so that every library agrees.

use std::fmt::Write;
use std::io::Read;

use stemma_chain_format::keys::{PublicKey, Signature, verify_strict};
use stemma_keystore::{Purpose, SecretKey};

/// The first line.
pub const HEADING: &str = "stemma file signature v1";

/// A file, as far as a signature knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Its size in bytes.
    pub size: u64,
    /// The BLAKE3 of its content.
    pub blake3: [u8; 32],
}

/// A signature on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSignature {
    /// What the key is for.
    pub purpose: Purpose,
    /// Whose it is.
    pub key: PublicKey,
    /// What was signed.
    pub digest: Digest,
    /// The signature.
    pub signature: Signature,
}

/// What is not a signature on a file. Names the line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The first line is another.
    #[error("the first line is not {HEADING:?}")]
    Heading,
    /// A line is missing or malformed.
    #[error("line {line} is not `{expected}`")]
    Line {
        /// Its number.
        line: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// Something follows, or a line is not written in its one form.
    #[error("the text is not in its one form: six lines, each ended by a line feed, and nothing else")]
    Form,
}

/// Why a signature does not hold for a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refuted {
    /// Another key than the one that was asked for.
    #[error("it is signed by the key {found}, not by {expected}")]
    OtherKey {
        /// The key asked for.
        expected: PublicKey,
        /// The signer.
        found: PublicKey,
    },
    /// A key of another purpose.
    #[error("it is signed as {found}, not as {expected}")]
    OtherPurpose {
        /// The purpose asked for.
        expected: Purpose,
        /// The signer's.
        found: Purpose,
    },
    /// The file is another, or was changed.
    #[error("the file is another, or was changed after it was signed: its BLAKE3 or size differs")]
    OtherFile,
    /// The signature does not verify.
    #[error("the signature does not verify: it was forged, or the text was changed")]
    BadSignature,
}

impl Digest {
    /// Reads a stream to its end.
    ///
    /// # Errors
    /// The stream can't be read.
    pub fn of(stream: impl Read) -> std::io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(stream)?;
        Ok(Self { size: hasher.count(), blake3: hasher.finalize().into() })
    }
}

impl FileSignature {
    /// Signs a file's digest.
    #[must_use]
    pub fn sign(key: &SecretKey, digest: Digest) -> Self {
        let public = PublicKey(key.public_key());
        let signature = Signature(key.sign(signed_text(key.purpose(), &public, &digest).as_bytes()));
        Self { purpose: key.purpose(), key: public, digest, signature }
    }

    /// The text beside the file.
    #[must_use]
    pub fn text(&self) -> String {
        let signed = signed_text(self.purpose, &self.key, &self.digest);
        format!("{signed}signature: {}\n", hex::encode(self.signature.0))
    }

    /// Reads such a text. The signature is not checked yet.
    ///
    /// # Errors
    /// [`FormatError`], with the line.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut lines = text.lines().zip(1..);
        if lines.next().is_none_or(|(heading, _)| heading != HEADING) {
            return Err(FormatError::Heading);
        }
        let mut field = |name: &str, expected: &'static str| {
            let (line, number) = lines.next().unwrap_or_default();
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            value.map(|value| (value, number)).ok_or(FormatError::Line { line: number, expected })
        };
        let of = |expected: &'static str| move |line: usize| FormatError::Line { line, expected };
        let purpose = "purpose: validator, member, network or account";
        let (value, line) = field("purpose", purpose)?;
        let purpose = value.parse().map_err(|_| of(purpose)(line))?;
        let key = "public-key: 64 lowercase hexadecimal digits";
        let (value, line) = field("public-key", key)?;
        let key = value.parse().map_err(|_| of(key)(line))?;
        let size = "size: a number of bytes";
        let (value, line) = field("size", size)?;
        let size = value.parse().map_err(|_| of(size)(line))?;
        let digest = "blake3: 64 lowercase hexadecimal digits";
        let (value, line) = field("blake3", digest)?;
        let blake3 = digits(value).ok_or_else(|| of(digest)(line))?;
        let signature = "signature: 128 lowercase hexadecimal digits";
        let (value, line) = field("signature", signature)?;
        let signature = Signature(digits(value).ok_or_else(|| of(signature)(line))?);
        let parsed = Self { purpose, key, digest: Digest { size, blake3 }, signature };
        if parsed.text() == text { Ok(parsed) } else { Err(FormatError::Form) }
    }

    /// Checks the signature on a file.
    ///
    /// # Errors
    /// [`Refuted`], with the reason.
    pub fn verify(&self, digest: Digest, key: PublicKey, purpose: Option<Purpose>) -> Result<(), Refuted> {
        if self.key != key {
            return Err(Refuted::OtherKey { expected: key, found: self.key });
        }
        if let Some(expected) = purpose.filter(|expected| *expected != self.purpose) {
            return Err(Refuted::OtherPurpose { expected, found: self.purpose });
        }
        let signed = signed_text(self.purpose, &self.key, &self.digest);
        self.key.admit().map_err(|_| Refuted::BadSignature)?;
        verify_strict(&self.key, signed.as_bytes(), &self.signature).map_err(|_| Refuted::BadSignature)?;
        if self.digest == digest { Ok(()) } else { Err(Refuted::OtherFile) }
    }
}

fn signed_text(purpose: Purpose, key: &PublicKey, digest: &Digest) -> String {
    let mut text = format!("{HEADING}\npurpose: {purpose}\npublic-key: {key}\n");
    // Writing into a text can't fail.
    let _infallible = write!(text, "size: {}\nblake3: {}\n", digest.size, hex::encode(digest.blake3));
    text
}

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::cose::{self, ContentType, Envelope};
    use stemma_chain_format::keys;

    use super::*;

    fn signed() -> (SecretKey, FileSignature) {
        let key = SecretKey::from_seed(&[7; 32], Purpose::Member);
        let signature = FileSignature::sign(&key, Digest::of(&b"a file"[..]).unwrap());
        (key, signature)
    }

    #[test]
    fn a_changed_text_never_verifies() {
        let (key, signature) = signed();
        let (key, digest) = (PublicKey(key.public_key()), signature.digest);
        let text = signature.text();
        FileSignature::parse(&text).unwrap().verify(digest, key, Some(Purpose::Member)).unwrap();
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                let verdict = FileSignature::parse(&changed).map(|parsed| parsed.verify(digest, key, None));
                assert!(!matches!(verdict, Ok(Ok(()))), "byte {at}, bit {bit}: {changed}");
            }
        }
        for changed in [text.replace('\n', "\r\n"), format!("{text}\n"), text.trim_end().to_owned(), format!(" {text}")]
        {
            assert!(FileSignature::parse(&changed).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let (key, signature) = signed();
        let (key, digest) = (PublicKey(key.public_key()), signature.digest);
        let other = PublicKey(SecretKey::from_seed(&[8; 32], Purpose::Member).public_key());
        let refuted = signature.verify(digest, other, None).unwrap_err();
        assert!(matches!(refuted, Refuted::OtherKey { .. }));
        let refuted = signature.verify(digest, key, Some(Purpose::Account)).unwrap_err();
        assert!(matches!(refuted, Refuted::OtherPurpose { found: Purpose::Member, .. }));
        let changed = Digest::of(&b"a fine"[..]).unwrap();
        assert_eq!(signature.verify(changed, key, None), Err(Refuted::OtherFile));
        let moved = FileSignature { digest: changed, ..signature };
        assert_eq!(moved.verify(changed, key, None), Err(Refuted::BadSignature));
    }

    /// Whatever is signed elsewhere begins otherwise, so that no signature is good for two things.
    #[test]
    fn it_passes_for_nothing_else_and_nothing_else_for_it() {
        let (key, signature) = signed();
        let public = PublicKey(key.public_key());
        let text = signed_text(Purpose::Member, &public, &signature.digest);
        for content in [ContentType::Request, ContentType::Vote, ContentType::Genesis, ContentType::Listing] {
            let record = cose::sign(content, key.signing_key(), text.as_bytes());
            let of_record = Envelope::parse(&record, content, 4096).unwrap().check();
            assert!(!of_record.message.starts_with(HEADING.as_bytes()));
            let borrowed = FileSignature { signature: of_record.signature, ..signature.clone() };
            assert_eq!(borrowed.verify(signature.digest, public, None), Err(Refuted::BadSignature));
            let vote = cose::check_detached(content, public, text.as_bytes(), signature.signature);
            assert!(keys::verify(&vote.key, &vote.message, &vote.signature).is_err());
        }
        for other in ["noise-libp2p-static-key:", "libp2p-tls-handshake:", "stemma member entry v1", "\"@method\""] {
            assert!(!HEADING.starts_with(other) && !other.starts_with(HEADING), "{other}");
        }
    }
}
