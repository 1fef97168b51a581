//! Accounts: the opening record, and the state that a lineage gives an account.

use crate::canonical::{Canonical, Reader};
use crate::cbor::{self, DecodeError};
use crate::cose::ContentType;
use crate::endorsement::CreditTerms;
use crate::error::{Rule, Violation};
use crate::hash::{AccountId, Digest, Link, NetworkId, fixed_bytes};
use crate::holdings::Holdings;
use crate::keys::PublicKey;
use crate::limits::{HOLDINGS_MAX, OPENING_BYTES_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// The record that opens an account and binds it to its customer's key; signed by the bank.
///
/// Its link is the account's id and the lineage's first head.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Opening {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The bank that keeps the account; it signs.
    #[n(1)]
    pub bank: MemberId,
    /// The key that signs the account's requests.
    #[n(2)]
    pub key: PublicKey,
    /// Random bytes, so that one customer's accounts cannot be told to be one's.
    #[n(3)]
    pub nonce: Nonce,
    /// How far the bank trusts the customer, until a servicing record says otherwise.
    #[n(4)]
    pub credit: CreditTerms,
}

/// Sixteen random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(pub [u8; 16]);

impl<C> minicbor::Encode<C> for Nonce {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Nonce {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        fixed_bytes::<16>(d).map(Self)
    }
}

impl Canonical<'_> for Nonce {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.fixed_bytes().map(Self)
    }
}

impl Record for Opening {
    const CONTENT: ContentType = ContentType::Opening;
    const BYTES_MAX: usize = OPENING_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        self.key.admit().map_err(|e| Violation::new(Rule::Range, "opening.key", "a canonical Ed25519 key", e))?;
        self.credit.check(&self.bank, "opening.credit")
    }
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum AccountStatus {
    /// It trades.
    #[n(0)]
    Open,
    /// Its bank has stopped it: it receives credits, and nothing leaves it.
    #[n(1)]
    Frozen,
    /// It holds nothing and is never used again.
    #[n(2)]
    Closed,
}

impl AccountStatus {
    /// The status' stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Frozen => "frozen",
            Self::Closed => "closed",
        }
    }
}

impl std::fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the ledger knows of an account after a block: the value of its leaf in the state tree.
///
/// The leaf holds sequence, head and a running digest of all credits, so that a lineage checked against it is complete
/// and not only correct.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct AccountState {
    /// The account.
    #[n(0)]
    pub account: AccountId,
    /// The bank that keeps it; for a member's own account, the member.
    #[n(1)]
    pub bank: MemberId,
    /// The key that signs its requests, none where it is revoked; for a member's own account, the member's key.
    #[n(2)]
    pub key: Option<PublicKey>,
    /// How many chains and servicing records the lineage has.
    #[n(3)]
    pub sequence: u64,
    /// The last entry's id; before the first, the account's id.
    #[n(4)]
    pub head: Link,
    /// The last committed request's or instruction's counter; before the first, zero.
    #[n(5)]
    pub counter: u64,
    /// What the account holds, without the credits that wait.
    #[n(6)]
    pub holdings: Holdings,
    /// How many inbound credits the account ever received.
    #[n(7)]
    pub credits_received: u64,
    /// How many of them its endorsements absorbed; the others wait in the inbox.
    #[n(8)]
    pub credits_absorbed: u64,
    /// Running digest over all credits received, see [`crate::endorsement::Credit::chained`].
    #[n(9)]
    pub credits_digest: Digest,
    /// Whether it may be used.
    #[n(10)]
    pub status: AccountStatus,
    /// How far the bank trusts the customer; every endorsement states the same.
    #[n(11)]
    pub credit: CreditTerms,
    /// How many positions it has: orders that wait for their price, and futures.
    #[n(12)]
    pub positions: u64,
}

impl AccountState {
    /// Largest encoding of an account's state, in bytes.
    pub const BYTES_MAX: usize = 512 + 2 * HOLDINGS_MAX * 80;

    /// An account without chains.
    pub fn opened(account: AccountId, bank: MemberId, key: PublicKey, credit: CreditTerms) -> Self {
        Self {
            account,
            bank,
            key: Some(key),
            sequence: 0,
            head: account.into(),
            counter: 0,
            holdings: Holdings::new(),
            credits_received: 0,
            credits_absorbed: 0,
            credits_digest: Digest([0; 32]),
            status: AccountStatus::Open,
            credit,
            positions: 0,
        }
    }

    /// The same state with other holdings.
    pub(crate) fn holding(&self, holdings: Holdings) -> Self {
        Self {
            account: self.account,
            bank: self.bank.clone(),
            key: self.key,
            sequence: self.sequence,
            head: self.head,
            counter: self.counter,
            holdings,
            credits_received: self.credits_received,
            credits_absorbed: self.credits_absorbed,
            credits_digest: self.credits_digest,
            status: self.status,
            credit: self.credit.clone(),
            positions: self.positions,
        }
    }

    /// Reads a leaf's value.
    ///
    /// # Errors
    /// Not the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, "account state", Self::BYTES_MAX)
    }
}
