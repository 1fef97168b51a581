//! Members: the organisations of a network, their roles and their keys.

use std::fmt;
use std::str::FromStr;

use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};
use smol_str::SmolStr;

use crate::canonical::{Canonical, Reader};
use crate::error::{Rule, Violation};
use crate::keys::PublicKey;
use crate::limits::{MEMBER_ID_CHARS_MAX, TEXT_BYTES_MAX};

/// A member's short name, unique in its network: a lowercase letter, then letters, digits and hyphens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(SmolStr);

/// A text that is no member id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a member id is a lowercase letter, then up to {} lowercase letters, digits and hyphens; found {found:?}",
    MEMBER_ID_CHARS_MAX - 1
)]
pub struct MemberIdError {
    found: String,
}

impl MemberId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is a member id.
pub(crate) fn is_member_id(text: &str) -> bool {
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let starts = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    starts && text.len() <= MEMBER_ID_CHARS_MAX && text.bytes().all(plain)
}

impl FromStr for MemberId {
    type Err = MemberIdError;

    fn from_str(text: &str) -> Result<Self, MemberIdError> {
        if is_member_id(text) {
            Ok(Self(SmolStr::new(text)))
        } else {
            Err(MemberIdError { found: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<C> minicbor::Encode<C> for MemberId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for MemberId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        let at = d.position();
        d.str()?.parse().map_err(|e: MemberIdError| CborError::message(e.to_string()).at(at))
    }
}

impl Canonical<'_> for MemberId {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.text()?.parse().ok()
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Opens accounts, vouches for customers, issues cash, endorses.
    #[n(0)]
    Bank,
    /// Lists instruments, judges conditions, executes.
    #[n(1)]
    Institution,
    /// Follows and verifies, without a vote.
    #[n(2)]
    Auditor,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bank => "bank",
            Self::Institution => "institution",
            Self::Auditor => "auditor",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "bank" => Ok(Self::Bank),
            "institution" => Ok(Self::Institution),
            "auditor" => Ok(Self::Auditor),
            _ => Err(format!("a role is bank, institution or auditor; found {text:?}")),
        }
    }
}

/// How a member stands in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum MemberStatus {
    /// It may act, by its role.
    #[n(0)]
    Active,
    /// It follows, and may not act: no vote, no record of its counts.
    #[n(1)]
    Suspended,
    /// It has left; its name is never given again.
    #[n(2)]
    Removed,
}

impl fmt::Display for MemberStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Removed => "removed",
        })
    }
}

/// What a member uses a key for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum KeyUse {
    /// Signs the member's records.
    #[n(0)]
    Member,
    /// Is the identity of its node's connections.
    #[n(1)]
    Network,
    /// Signs votes.
    #[n(2)]
    Validator,
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Member => "member",
            Self::Network => "network",
            Self::Validator => "validator",
        })
    }
}

impl FromStr for KeyUse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "member" => Ok(Self::Member),
            "network" => Ok(Self::Network),
            "validator" => Ok(Self::Validator),
            _ => Err(format!("a key is used as member, network or validator; found {text:?}")),
        }
    }
}

/// What a member's own account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnAccount {
    /// Takes the other side of trades, and issues.
    Settlement,
    /// Pays promotion rewards.
    Promotion,
    /// Collects fees.
    Fees,
}

impl OwnAccount {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Settlement, Self::Promotion, Self::Fees];

    /// The purpose as text; part of the account's id.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settlement => "settlement",
            Self::Promotion => "promotion",
            Self::Fees => "fees",
        }
    }
}

/// A member's entry in the registry.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Member {
    /// Short name, unique in the network.
    #[n(0)]
    pub id: MemberId,
    /// What it may do.
    #[n(1)]
    pub role: Role,
    /// The organisation's name as people know it, at most 256 bytes.
    #[n(2)]
    pub name: String,
    /// Signs the member's records: endorsements, executions, issuances, refusals, the genesis.
    #[n(3)]
    pub member_key: PublicKey,
    /// The node's libp2p identity.
    #[n(4)]
    pub network_key: PublicKey,
    /// Signs votes; present exactly where the voting power is above zero.
    #[n(5)]
    pub validator_key: Option<PublicKey>,
    /// Voting power in consensus; zero follows without a vote.
    #[n(6)]
    pub power: u64,
}

impl Member {
    /// The rules that an entry keeps by itself.
    ///
    /// # Errors
    /// A [`Violation`] naming the field.
    pub fn check(&self) -> Result<(), Violation> {
        let fail = |field, expected: &str, found: String| Err(Violation::new(Rule::Member, field, expected, found));
        if self.name.is_empty() || self.name.len() > TEXT_BYTES_MAX {
            return fail("name", "1 to 256 bytes", format!("{}: {} bytes", self.id, self.name.len()));
        }
        if self.validator_key.is_some() != (self.power > 0) {
            let found = format!("{}: power {}", self.id, self.power);
            return fail("validator_key", "a validator key exactly where the power is above zero", found);
        }
        if self.role == Role::Auditor && self.power > 0 {
            return fail("power", "0 for an auditor", format!("{}: {}", self.id, self.power));
        }
        for key in self.keys() {
            if let Err(e) = key.admit() {
                return fail("key", "a canonical Ed25519 key", format!("{}: {key}: {e}", self.id));
            }
        }
        Ok(())
    }

    /// The key of a use.
    pub fn key(&self, used: KeyUse) -> Option<&PublicKey> {
        match used {
            KeyUse::Member => Some(&self.member_key),
            KeyUse::Network => Some(&self.network_key),
            KeyUse::Validator => self.validator_key.as_ref(),
        }
    }

    /// All keys of the member.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        [&self.member_key, &self.network_key].into_iter().chain(self.validator_key.as_ref())
    }
}
