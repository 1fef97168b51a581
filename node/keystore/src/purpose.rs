//! What a key is for.

use std::fmt;
use std::str::FromStr;

/// What a key is for. One key has one purpose: a signature made for one must never pass for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Signs proposals and votes of the consensus.
    Validator,
    /// Signs the records of a bank, an institution or an auditor.
    Member,
    /// Authenticates a node's connections.
    Network,
    /// Signs a customer's requests.
    Account,
}

impl Purpose {
    /// Every purpose, in the order in which they are listed to people.
    pub const ALL: [Self; 4] = [Self::Validator, Self::Member, Self::Network, Self::Account];

    /// The name in key files and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Member => "member",
            Self::Network => "network",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that is no purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown purpose {name:?}: one of validator, member, network, account")]
pub struct UnknownPurpose {
    /// What was found.
    pub name: String,
}

impl FromStr for Purpose {
    type Err = UnknownPurpose;

    fn from_str(name: &str) -> Result<Self, UnknownPurpose> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == name)
            .ok_or_else(|| UnknownPurpose { name: name.to_owned() })
    }
}
