//! The form of a vector file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stemma_chain_format::error::{Rule, Violation};

/// One vector, one verdict; `vectors/README.md` describes the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    #[serde(skip)]
    pub name: String,
    pub about: String,
    pub record: String,
    pub step: String,
    pub verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, String>,
    pub hex: String,
}

impl Vector {
    fn new(name: &str, (step, record): (&str, &str), about: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            about: about.to_owned(),
            record: record.to_owned(),
            step: step.to_owned(),
            verdict: String::new(),
            id: None,
            rule: None,
            field: None,
            reason: None,
            with: BTreeMap::new(),
            hex: hex::encode(bytes),
        }
    }

    /// A vector that a step accepts, with the id that it gives.
    pub fn accept(name: &str, judged: (&str, &str), about: &str, id: impl ToString, bytes: &[u8]) -> Self {
        let verdict = "accept".to_owned();
        Self { verdict, id: Some(id.to_string()), ..Self::new(name, judged, about, bytes) }
    }

    /// A vector that a step refuses: the rule and the field that it names.
    pub fn reject(name: &str, judged: (&str, &str), about: &str, broken: (Rule, &str), bytes: &[u8]) -> Self {
        let (rule, field) = (Some(broken.0.to_string()), Some(broken.1.to_owned()));
        Self { verdict: "reject".to_owned(), rule, field, ..Self::new(name, judged, about, bytes) }
    }

    /// A vector that cannot be read: the reason why. Where reading stops is not part of the format.
    pub fn unreadable(name: &str, record: &str, about: &str, reason: &str, bytes: &[u8]) -> Self {
        let (rule, reason) = (Some(Rule::Encoding.to_string()), Some(reason.to_owned()));
        Self { verdict: "reject".to_owned(), rule, reason, ..Self::new(name, ("decode", record), about, bytes) }
    }

    /// The same with something that the step needs beside the bytes.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.with.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        hex::decode(&self.hex).unwrap()
    }

    /// The file's path below `vectors/`.
    pub fn path(&self) -> String {
        format!("{}/{}.json", self.verdict, self.name)
    }

    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap() + "\n"
    }

    pub fn parse(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), ..serde_json::from_str(text).unwrap() }
    }

    /// Whether a verdict is the one that the vector names.
    pub fn holds(&self, verdict: &Result<String, Violation>) -> Result<(), String> {
        // A reason stands somewhere in the text: where reading stopped may stand around it.
        let named = |v: &Violation| self.reason.clone().filter(|reason| v.found.contains(reason.as_str()));
        let found = match verdict {
            Ok(id) => (Some(id.clone()), None, None, None),
            Err(v) if self.reason.is_some() => (None, Some(v.rule.to_string()), None, named(v)),
            Err(v) => (None, Some(v.rule.to_string()), Some(v.field.clone()), None),
        };
        let expected = (self.id.clone(), self.rule.clone(), self.field.clone(), self.reason.clone());
        if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {verdict:?}")) }
    }
}
