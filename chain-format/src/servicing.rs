//! Servicing: what a bank does with an account beside trading. One link in the account's lineage, validated by everyone.

use crate::amount::Amount;
use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::endorsement::{Credit, CreditTerms, absorbed_hold};
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Link, NetworkId};
use crate::holdings::Holdings;
use crate::instrument::InstrumentId;
use crate::keys::PublicKey;
use crate::limits::SERVICING_BYTES_MAX;
use crate::member::MemberId;
use crate::record::Record;

/// The record by which a bank services an account; signed by the bank, after the customer's instruction where the act
/// needs one.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Servicing {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The bank; it signs.
    #[n(1)]
    pub bank: MemberId,
    /// The account.
    #[n(2)]
    pub account: AccountId,
    /// The customer's instruction that it carries out; see [`Act::consent`].
    #[n(3)]
    pub instruction: Option<Link>,
    /// The account's head.
    #[n(4)]
    pub parent: Link,
    /// One more than the account's sequence.
    #[n(5)]
    pub sequence: u64,
    /// The inbound credits absorbed since the entry before, the oldest first.
    #[n(6)]
    pub absorbed: Vec<Credit>,
    /// What is done.
    #[n(7)]
    pub act: Act,
    /// What the account holds afterwards.
    #[n(8)]
    pub holdings: Holdings,
}

/// What is done with an account.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(flat)]
pub enum Act {
    /// Nothing leaves the account until it is unfrozen.
    #[n(0)]
    Freeze,
    /// The account is open again.
    #[n(1)]
    Unfreeze,
    /// The account, which must hold nothing, is never used again.
    #[n(2)]
    Close,
    /// The bank pays cash out: the account's claim on it ends.
    #[n(3)]
    Withdraw(#[n(0)] InstrumentId, #[n(1)] Amount),
    /// Another key signs the account's requests from now on.
    #[n(4)]
    BindKey(#[n(0)] PublicKey),
    /// No key signs the account's requests until another is bound. What the old one signed before stays valid.
    #[n(5)]
    RevokeKey,
    /// The bank trusts the customer so far from now on.
    #[n(6)]
    SetCredit(#[n(0)] CreditTerms),
    /// The bank takes back what an order reserved that waited for its price too long: the order's request, and what comes back.
    #[n(7)]
    Reclaim(#[n(0)] Link, #[n(1)] InstrumentId, #[n(2)] Amount),
}

/// Whether an act needs the customer's signed instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// The bank alone decides.
    None,
    /// The bank alone, or the customer asks for it.
    Optional,
    /// The customer must ask for it.
    Required,
    /// The customer must ask for it while the account has a key; once the key is revoked, the bank alone decides.
    WhileKeyed,
}

impl Consent {
    /// Whether the customer must ask, on an account that has a key or none.
    pub const fn is_required(self, has_key: bool) -> bool {
        match self {
            Self::None | Self::Optional => false,
            Self::Required => true,
            Self::WhileKeyed => has_key,
        }
    }

    /// Whether the customer may ask.
    pub const fn is_allowed(self) -> bool {
        !matches!(self, Self::None)
    }
}

impl Act {
    /// The act's stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Close => "close",
            Self::Withdraw(..) => "withdraw",
            Self::BindKey(_) => "bind-key",
            Self::RevokeKey => "revoke-key",
            Self::SetCredit(_) => "set-credit",
            Self::Reclaim(..) => "reclaim",
        }
    }

    /// Whether it needs the customer's instruction.
    pub const fn consent(&self) -> Consent {
        match self {
            Self::Freeze | Self::Unfreeze | Self::SetCredit(_) | Self::Reclaim(..) => Consent::None,
            Self::Close | Self::RevokeKey => Consent::Optional,
            Self::Withdraw(..) => Consent::Required,
            Self::BindKey(_) => Consent::WhileKeyed,
        }
    }

    /// The act's own rules, at a bank.
    pub(crate) fn check(&self, bank: &MemberId, place: &str) -> Result<(), Violation> {
        match self {
            Self::Withdraw(instrument, amount) => {
                let field = format_args!("{place}.withdraw");
                ensure(amount.is_positive(), Rule::Range, field, "above 0", amount)?;
                let own = instrument.is_issued_by(bank);
                ensure(own, Rule::Range, field, format_args!("cash of {bank}"), instrument)
            }
            Self::BindKey(key) => key
                .admit()
                .map_err(|e| Violation::new(Rule::Range, format!("{place}.bind-key"), "a canonical Ed25519 key", e)),
            Self::SetCredit(terms) => terms.check(bank, &format!("{place}.set-credit")),
            Self::Reclaim(_, _, amount) => {
                ensure(amount.is_positive(), Rule::Range, format_args!("{place}.reclaim"), "above 0", amount)
            }
            Self::Freeze | Self::Unfreeze | Self::Close | Self::RevokeKey => Ok(()),
        }
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Withdraw(instrument, amount) => write!(f, "withdraw {amount} {instrument}"),
            Self::BindKey(key) => write!(f, "bind-key {key}"),
            Self::SetCredit(terms) => write!(f, "set-credit {terms}"),
            Self::Reclaim(request, instrument, amount) => write!(f, "reclaim {amount} {instrument} of order {request}"),
            act => f.write_str(act.as_str()),
        }
    }
}

impl Record for Servicing {
    const CONTENT: ContentType = ContentType::Servicing;
    const BYTES_MAX: usize = SERVICING_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        ensure(self.sequence > 0, Rule::Range, "servicing.sequence", "above 0", self.sequence)?;
        absorbed_hold(&self.absorbed, "servicing.absorbed")?;
        self.act.check(&self.bank, "servicing.act")
    }
}
