//! Instruments: what can be held.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};
use smol_str::SmolStr;

use crate::canonical::{Canonical, Reader};
use crate::hash::{AccountId, NetworkId};
use crate::limits::INSTRUMENT_CODE_CHARS_MAX;
use crate::member::{MemberId, is_member_id};

/// An instrument, written `issuer/CODE`, such as `bank-a/USD`. The same currency at two banks is two instruments.
///
/// Its order is that of its CBOR encoding: shorter texts first, then bytewise.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InstrumentId(SmolStr);

/// A text that is no instrument id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an instrument is written issuer/CODE, the code in capitals, digits, dots and hyphens (at most {INSTRUMENT_CODE_CHARS_MAX}); found {found:?}"
)]
pub struct InstrumentIdError {
    found: String,
}

impl InstrumentId {
    /// The instrument of an issuer under a code.
    ///
    /// # Errors
    /// [`InstrumentIdError`] where the code is none.
    pub fn new(issuer: &MemberId, code: &str) -> Result<Self, InstrumentIdError> {
        format!("{issuer}/{code}").parse()
    }

    /// The member that issues it, as text.
    pub fn issuer(&self) -> &str {
        self.0.split_once('/').map_or("", |(issuer, _)| issuer)
    }

    /// The code, unique to its issuer.
    pub fn code(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, code)| code)
    }

    /// Whether a member issues it.
    pub fn is_issued_by(&self, member: &MemberId) -> bool {
        self.issuer() == member.as_str()
    }

    /// The key of the instrument's leaf in the state tree; it lies among the account ids and never meets one.
    pub fn tree_key(&self, network: &NetworkId) -> AccountId {
        let mut hasher = blake3::Hasher::new_derive_key("stemma 2026 instrument leaf key");
        hasher.update(network.as_bytes());
        hasher.update(self.0.as_bytes());
        AccountId(hasher.finalize().into())
    }
}

impl FromStr for InstrumentId {
    type Err = InstrumentIdError;

    fn from_str(text: &str) -> Result<Self, InstrumentIdError> {
        let error = || InstrumentIdError { found: text.chars().take(80).collect() };
        let (issuer, code) = text.split_once('/').ok_or_else(error)?;
        let plain = |b: u8| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-');
        let code_holds = (1..=INSTRUMENT_CODE_CHARS_MAX).contains(&code.len())
            && code.bytes().all(plain)
            && !code.starts_with(['.', '-']);
        if !is_member_id(issuer) || !code_holds {
            return Err(error());
        }
        Ok(Self(SmolStr::new(text)))
    }
}

impl Ord for InstrumentId {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0.len(), self.0.as_str()).cmp(&(other.0.len(), other.0.as_str()))
    }
}

impl PartialOrd for InstrumentId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> minicbor::Encode<C> for InstrumentId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for InstrumentId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        let at = d.position();
        d.str()?.parse().map_err(|e: InstrumentIdError| CborError::message(e.to_string()).at(at))
    }
}

impl Canonical<'_> for InstrumentId {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.text()?.parse().ok()
    }
}

/// What kind of thing an instrument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum InstrumentKind {
    /// Cash: a claim on the bank that issued it.
    #[n(0)]
    Currency,
    /// Fund share.
    #[n(1)]
    Fund,
    /// Stock.
    #[n(2)]
    Stock,
    /// Futures contract.
    #[n(3)]
    Future,
    /// Trust unit.
    #[n(4)]
    Trust,
}

impl fmt::Display for InstrumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Currency => "currency",
            Self::Fund => "fund",
            Self::Stock => "stock",
            Self::Future => "future",
            Self::Trust => "trust",
        })
    }
}

impl FromStr for InstrumentKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Currency, Self::Fund, Self::Stock, Self::Future, Self::Trust]
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("a kind is currency, fund, stock, future or trust; found {text:?}"))
    }
}
