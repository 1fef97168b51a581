//! Recordings: audio and video, compared byte for byte by a digest under a salt.
//!
//! Stored is CBOR, a map of 0: the salt, 1: `BLAKE3 keyed(salt, file)`, 2: for images the hash of what it looks like,
//! or null. What is no file of a known container is refused.

use stemma_chain_format::cbor;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Context, IdentityType, Malformed, Match, Mismatch, Unfit, random};

#[derive(minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub(super) struct Stored {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    salt: [u8; 32],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    digest: [u8; 32],
    /// What an image looks like.
    #[n(2)]
    pub(super) look: Option<minicbor::bytes::ByteArray<32>>,
}

impl Stored {
    pub(super) fn of(file: &[u8], look: Option<[u8; 32]>) -> Result<Self, Unfit> {
        let salt = random()?;
        Ok(Self { salt, digest: blake3::keyed_hash(&salt, file).into(), look: look.map(Into::into) })
    }

    /// What nothing matches.
    pub(super) fn nobody(look: Option<[u8; 32]>) -> Self {
        Self { salt: [0; 32], digest: [0; 32], look: look.map(Into::into) }
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::encode(self))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Mismatch> {
        cbor::decode(bytes, "media verifier", 256).map_err(|_| Mismatch::Damaged)
    }

    pub(super) fn is(&self, file: &[u8]) -> bool {
        let digest: [u8; 32] = blake3::keyed_hash(&self.salt, file).into();
        digest.ct_eq(&self.digest).into()
    }
}

/// A container: what stands at an offset, and what else further on.
struct Container(&'static [(usize, &'static [u8])]);

const OGG: Container = Container(&[(0, b"OggS")]);
const ISO: Container = Container(&[(4, b"ftyp")]);
const MATROSKA: Container = Container(&[(0, &[0x1a, 0x45, 0xdf, 0xa3])]);

const AUDIO: &[Container] = &[
    Container(&[(0, b"RIFF"), (8, b"WAVE")]),
    Container(&[(0, b"fLaC")]),
    Container(&[(0, b"ID3")]),
    // MPEG layer 3 without a tag: a frame's sync, versions 1, 2 and 2.5.
    Container(&[(0, &[0xff, 0xfb])]),
    Container(&[(0, &[0xff, 0xfa])]),
    Container(&[(0, &[0xff, 0xf3])]),
    Container(&[(0, &[0xff, 0xe3])]),
    // AAC in ADTS frames, MPEG-4 and MPEG-2.
    Container(&[(0, &[0xff, 0xf1])]),
    Container(&[(0, &[0xff, 0xf9])]),
    Container(&[(0, b"FORM"), (8, b"AIFF")]),
    OGG,
    ISO,
    MATROSKA,
];
const VIDEO: &[Container] = &[Container(&[(0, b"RIFF"), (8, b"AVI ")]), OGG, ISO, MATROSKA];

/// The types `audio` and `video`.
pub(super) struct Media {
    kind: &'static str,
    bytes_max: usize,
    containers: &'static [Container],
    expected: &'static str,
}

impl Media {
    pub(super) fn audio() -> Self {
        let expected = "a file in WAV, FLAC, MP3, AAC, AIFF, Ogg, MP4 or WebM";
        Self { kind: "audio", bytes_max: 16 * 1024 * 1024, containers: AUDIO, expected }
    }

    pub(super) fn video() -> Self {
        let expected = "a file in MP4, QuickTime, WebM, Matroska, Ogg or AVI";
        Self { kind: "video", bytes_max: 32 * 1024 * 1024, containers: VIDEO, expected }
    }

    fn is_contained(&self, file: &[u8]) -> bool {
        let stands = |(at, word): &(usize, &[u8])| file.get(*at..).is_some_and(|rest| rest.starts_with(word));
        self.containers.iter().any(|container| container.0.iter().all(stands))
    }
}

impl IdentityType for Media {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn evidence_bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn well_formed(&self, evidence: &[u8], _: &Context<'_>) -> Result<(), Malformed> {
        if self.is_contained(evidence) { Ok(()) } else { Err(Malformed { expected: self.expected }) }
    }

    fn enrol(&self, material: &[u8], _: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        if !self.is_contained(material) {
            return Err(Unfit::Material(self.expected));
        }
        Stored::of(material, None).map(|stored| stored.encode())
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], _: &Context<'_>) -> Result<Match, Mismatch> {
        if Stored::decode(stored)?.is(evidence) { Ok(Match::default()) } else { Err(Mismatch::Differs) }
    }

    fn dummy(&self, evidence: &[u8], context: &Context<'_>) {
        let _never_matches = self.verify(&Stored::nobody(None).encode(), evidence, context);
    }
}
