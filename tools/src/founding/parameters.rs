//! The parameters of a network by name.
//!
//! One more is one more row of [`PARAMETERS`]: drafts, `genesis draft --set`, `genesis show` and the list in the help follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stemma_chain_format::genesis::Parameters;

use crate::error::CliError;

/// A parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, as in the format's specification.
    pub name: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    get: fn(&Parameters) -> u64,
    /// `None` for what its type can't hold; what the format allows is judged with the whole genesis.
    set: fn(&mut Parameters, u64) -> Option<()>,
}

impl Parameter {
    /// Its value.
    #[must_use]
    pub fn value(&self, parameters: &Parameters) -> u64 {
        (self.get)(parameters)
    }
}

/// Every parameter.
pub const PARAMETERS: [Parameter; 4] = [
    Parameter {
        name: "block_entries_max",
        meaning: "most entries in a block, 1 to 10000",
        get: |p| p.block_entries_max.into(),
        set: |p, value| u32::try_from(value).ok().map(|value| p.block_entries_max = value),
    },
    Parameter {
        name: "clock_drift_ms_max",
        meaning: "how far a block's time may lie ahead of a validator's clock, in milliseconds",
        get: |p| p.clock_drift_ms_max,
        set: |p, value| {
            p.clock_drift_ms_max = value;
            Some(())
        },
    },
    Parameter {
        name: "expiry_blocks_max",
        meaning: "how many blocks ahead an expiry may lie, 1 to 1000000",
        get: |p| p.expiry_blocks_max,
        set: |p, value| {
            p.expiry_blocks_max = value;
            Some(())
        },
    },
    Parameter {
        name: "approval_percent",
        meaning: "how much of the voting power must sign a governance record, 51 to 100",
        get: |p| p.approval_percent.into(),
        set: |p, value| u8::try_from(value).ok().map(|value| p.approval_percent = value),
    },
];

/// Parameters as JSON: a number for each name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParametersJson(pub BTreeMap<String, u64>);

impl ParametersJson {
    /// All parameters by name.
    #[must_use]
    pub fn of(parameters: &Parameters) -> Self {
        Self(PARAMETERS.iter().map(|known| (known.name.to_owned(), (known.get)(parameters))).collect())
    }

    /// The parameters, of which each must be there.
    ///
    /// # Errors
    /// Names one that is missing, unknown, or too large for its type.
    pub fn parse(&self) -> Result<Parameters, String> {
        let mut parameters = Parameters::default();
        for (name, value) in &self.0 {
            set(&mut parameters, name, *value)?;
        }
        match PARAMETERS.iter().find(|known| !self.0.contains_key(known.name)) {
            Some(missing) => Err(format!("the parameter {} is missing", missing.name)),
            None => Ok(parameters),
        }
    }
}

/// Parameters with these changes, each `NAME=VALUE`.
///
/// # Errors
/// Names the change that can't be made.
pub fn with_changes(mut parameters: Parameters, changes: &[String]) -> Result<Parameters, CliError> {
    for change in changes {
        let failed = |message: String| {
            CliError::usage(message).help(format!("parameters are set by --set NAME=NUMBER: {}", names()))
        };
        let (name, value) = change.split_once('=').ok_or_else(|| failed(format!("{change:?} is no NAME=NUMBER")))?;
        let number = value.trim().parse().map_err(|_| failed(format!("{value:?} is no number for {name}")))?;
        set(&mut parameters, name.trim(), number).map_err(failed)?;
    }
    Ok(parameters)
}

/// The list in the help.
#[must_use]
pub fn help() -> String {
    let defaults = Parameters::default();
    let line =
        |known: &Parameter| format!("  {:<20} {} [default: {}]\n", known.name, known.meaning, (known.get)(&defaults));
    PARAMETERS.iter().map(line).collect()
}

fn set(parameters: &mut Parameters, name: &str, value: u64) -> Result<(), String> {
    // Hyphens, as in flags, are as good as the underscores of the format.
    let name = name.replace('-', "_");
    let known = PARAMETERS.iter().find(|known| known.name == name);
    let known = known.ok_or_else(|| format!("there is no parameter {name:?}"))?;
    (known.set)(parameters, value).ok_or_else(|| format!("{value} is too large for the parameter {name}"))
}

fn names() -> String {
    PARAMETERS.map(|known| known.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parameter that the format has and this table lacks would be lost in a draft: then this does not compile, or fails.
    #[test]
    fn no_parameter_is_forgotten() {
        let Parameters { block_entries_max: _, clock_drift_ms_max: _, expiry_blocks_max: _, approval_percent: _ } =
            Parameters::default();
        for known in &PARAMETERS {
            let mut changed = Parameters::default();
            let value = (known.get)(&changed) + 1;
            set(&mut changed, known.name, value).unwrap();
            assert_ne!(changed, Parameters::default(), "{}", known.name);
            assert_eq!(ParametersJson::of(&changed).parse().unwrap(), changed);
        }
    }

    #[test]
    fn changes_are_read_or_named() {
        let changes = ["block-entries-max=7".to_owned(), "expiry_blocks_max = 9".to_owned()];
        let changed = with_changes(Parameters::default(), &changes).unwrap();
        assert_eq!((changed.block_entries_max, changed.expiry_blocks_max), (7, 9));
        for (bad, said) in [
            ("block_entries_max", "no NAME=NUMBER"),
            ("block_entries_max=many", "no number"),
            ("block_entries=1", "no parameter"),
            ("block_entries_max=4294967296", "too large"),
        ] {
            let error = with_changes(Parameters::default(), &[bad.to_owned()]).unwrap_err();
            assert!(error.message().contains(said), "{bad}: {}", error.message());
        }
        let mut lacking = ParametersJson::of(&Parameters::default());
        lacking.0.remove("expiry_blocks_max");
        assert!(lacking.parse().unwrap_err().contains("expiry_blocks_max is missing"));
    }
}
