//! BLAKE3 identifiers: links between stages, and the names of networks, accounts and blocks.
//!
//! A link is the BLAKE3 hash of the exact bytes of a stage, so `b3sum` checks it.

use std::fmt;
use std::str::FromStr;

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};

use crate::canonical::{Canonical, Reader};

/// A text that is not 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lowercase hexadecimal digits, found {found:?}")]
pub struct HashTextError {
    found: String,
}

macro_rules! hash_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = HashTextError;

            fn from_str(text: &str) -> Result<Self, HashTextError> {
                parse_hex(text).map(Self)
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
                fixed_bytes::<32>(d).map(Self)
            }
        }

        impl Canonical<'_> for $name {
            #[inline]
            fn read(from: &mut Reader<'_>) -> Option<Self> {
                from.fixed_bytes().map(Self)
            }
        }
    };
}

hash_newtype!(
    /// The BLAKE3 of a stage's exact bytes; the last stage's link names the whole entry.
    Link
);
hash_newtype!(
    /// The BLAKE3 of the genesis file: one network, one id.
    NetworkId
);
hash_newtype!(
    /// An account: the link of its opening record, or a member's own account (see [`crate::account`]).
    AccountId
);
hash_newtype!(
    /// The BLAKE3 of a block header's encoding.
    BlockId
);
hash_newtype!(
    /// A plain BLAKE3 digest: Merkle roots, commitments, digests of verifiers.
    Digest
);

impl Link {
    /// The link to a stage, given its exact bytes.
    pub fn of(stage: &[u8]) -> Self {
        Self(blake3::hash(stage).into())
    }
}

impl From<Link> for AccountId {
    /// An account is named by the link of its opening record.
    fn from(link: Link) -> Self {
        Self(link.0)
    }
}

impl From<AccountId> for Link {
    /// The head of an account without chains: its opening record.
    fn from(account: AccountId) -> Self {
        Self(account.0)
    }
}

impl Digest {
    /// The BLAKE3 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

fn parse_hex(text: &str) -> Result<[u8; 32], HashTextError> {
    let mut bytes = [0_u8; 32];
    let lowercase = !text.bytes().any(|b| b.is_ascii_uppercase());
    if lowercase && hex::decode_to_slice(text, &mut bytes).is_ok() {
        Ok(bytes)
    } else {
        let found = text.chars().take(80).collect();
        Err(HashTextError { found })
    }
}

/// Reads a byte string of exactly `N` bytes.
pub(crate) fn fixed_bytes<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], CborError> {
    let at = d.position();
    let bytes = d.bytes().or_else(|e| {
        d.set_position(at);
        let other = d.datatype()? != Type::Bytes;
        Err(if other { CborError::message(format!("expected a byte string of {N} bytes")).at(at) } else { e })
    })?;
    <[u8; N]>::try_from(bytes)
        .map_err(|_| CborError::message(format!("expected {N} bytes, found {}", bytes.len())).at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_refuses_all_else() {
        let link = Link::of(b"stage");
        assert_eq!(link.to_string().parse::<Link>().unwrap(), link);
        for bad in ["", "00", &link.to_string().to_uppercase(), &format!("{link}0")] {
            assert!(bad.parse::<Link>().is_err(), "{bad}");
        }
    }
}
