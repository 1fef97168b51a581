//! Which identities a bank demands, by account and amount: rules as data.
//!
//! ```toml
//! [[rule]]                        # for every account, from a million smallest units of cash
//! amount_from = "1000000"
//! all_of = ["password", "totp"]
//!
//! [[rule]]                        # for one account, whatever the amount
//! account = "…64 hexadecimal digits…"
//! any_of = ["x509", "national-id"]
//! ```
//!
//! Every rule that applies must be kept: the strictest wins, the order of rules means nothing, and no rule loosens
//! another. A rule asks for all of `all_of` and, where `any_of` is not empty, for one of it. A request whose amount of
//! cash is not known beforehand meets the rules of every amount. Where no rule applies, any one enrolled type will do;
//! `account-key` always counts as enrolled.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use stemma_chain_format::amount::Amount;
use stemma_chain_format::hash::AccountId;

use super::account_key;

/// A bank's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The rules; their order means nothing.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// What is demanded of some requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// From this amount of cash on, in smallest units, as decimal digits; of every amount where left out.
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub amount_from: Option<Amount>,
    /// For this account; for every account where left out.
    #[serde(with = "text", skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Each of these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<String>,
    /// One of these types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<String>,
}

/// Why a policy is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A rule names a type that there is not.
    #[error("rule {index} demands {kind}, which is no identity type; known: {known}")]
    UnknownType {
        /// Which rule, from 1.
        index: usize,
        /// The type.
        kind: String,
        /// The types there are.
        known: String,
    },
    /// A rule demands nothing.
    #[error("rule {index} demands nothing: it has neither all_of nor any_of")]
    Empty {
        /// Which rule, from 1.
        index: usize,
    },
    /// A rule is for amounts below nothing.
    #[error("rule {index} is for amounts from {amount}, but amounts begin at 0")]
    Negative {
        /// Which rule, from 1.
        index: usize,
        /// From where.
        amount: Amount,
    },
}

/// What a request's identities lack; its text is fit for the customer, and says nothing of what is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Demand {
    /// Each rule that is not kept; none where one enrolled type would do.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Checks a policy when it is read, so that a slip of the pen does not lock every customer out.
    ///
    /// # Errors
    /// [`PolicyError`], of the first rule that is wrong.
    pub fn check(&self, known: &[&str]) -> Result<(), PolicyError> {
        for (at, rule) in self.rules.iter().enumerate() {
            let index = at.saturating_add(1);
            if rule.all_of.is_empty() && rule.any_of.is_empty() {
                return Err(PolicyError::Empty { index });
            }
            if let Some(amount) = rule.amount_from.filter(|amount| amount.is_negative()) {
                return Err(PolicyError::Negative { index, amount });
            }
            let mut kinds = rule.all_of.iter().chain(&rule.any_of);
            if let Some(kind) = kinds.find(|kind| !known.contains(&kind.as_str())) {
                return Err(PolicyError::UnknownType { index, kind: kind.clone(), known: known.join(", ") });
            }
        }
        Ok(())
    }

    /// Whether the types that a request offers, each verified, are what the bank demands of it.
    ///
    /// # Errors
    /// [`Demand`] says what is demanded.
    pub fn demanded(
        &self,
        account: &AccountId,
        amount: Option<Amount>,
        offered: &[&str],
        enrolled: &[&str],
    ) -> Result<(), Demand> {
        let has = |kind: &str| offered.contains(&kind) && (kind == account_key::KIND || enrolled.contains(&kind));
        let mut rules = self.rules.iter().filter(|rule| rule.applies(account, amount)).peekable();
        if rules.peek().is_none() {
            let one = offered.iter().any(|kind| has(kind));
            return if one { Ok(()) } else { Err(Demand { rules: Vec::new() }) };
        }
        let unkept: Vec<Rule> = rules.filter(|rule| !rule.is_kept(has)).cloned().collect();
        if unkept.is_empty() { Ok(()) } else { Err(Demand { rules: unkept }) }
    }
}

impl Rule {
    fn applies(&self, account: &AccountId, amount: Option<Amount>) -> bool {
        let of_account = self.account.is_none_or(|own| own == *account);
        let of_amount = self.amount_from.zip(amount).is_none_or(|(from, amount)| amount >= from);
        of_account && of_amount
    }

    fn is_kept(&self, has: impl Fn(&str) -> bool) -> bool {
        let all = self.all_of.iter().all(|kind| has(kind));
        all && (self.any_of.is_empty() || self.any_of.iter().any(|kind| has(kind)))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.all_of.join(" and "))?;
        match self.any_of.as_slice() {
            [] => {}
            any if self.all_of.is_empty() => f.write_str(&any.join(" or "))?,
            [one] => write!(f, " and {one}")?,
            any => write!(f, " and one of {}", any.join(", "))?,
        }
        if self.account.is_some() {
            f.write_str(" for this account")?;
        }
        self.amount_from.map_or(Ok(()), |from| write!(f, " for amounts from {from}"))
    }
}

impl fmt::Display for Demand {
    /// Such as `password and totp for amounts from 1000000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.is_empty() {
            return f.write_str("one enrolled identity");
        }
        let rules: Vec<String> = self.rules.iter().map(Rule::to_string).collect();
        f.write_str(&rules.join("; "))
    }
}

/// A value as text, for amounts beyond 64 bits and for ids.
mod text {
    use super::*;

    pub(super) fn serialize<T: fmt::Display, S: Serializer>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T, D>(d: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: fmt::Display>,
        D: Deserializer<'de>,
    {
        let text: Option<String> = Option::deserialize(d)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}
