//! The commented file that a new node begins with. It is the documentation of every setting and the list of their names,
//! so it is held to the types by tests.

/// The file's text: what a node must be told as examples, everything else commented out.
pub const DEFAULT_FILE: &str = include_str!("default.toml");

/// What stands before a setting that is left at its default.
const DEFAULT: &str = "#";
/// What stands before an example of a setting without a default.
const EXAMPLE: &str = "#e.g. ";

/// The file with every default written out, and no examples.
#[must_use]
pub fn with_defaults() -> String {
    uncommented(false)
}

/// The file with every setting there is.
#[must_use]
pub fn with_examples() -> String {
    uncommented(true)
}

fn uncommented(with_examples: bool) -> String {
    let shown = |line: &'static str| {
        if let Some(example) = line.strip_prefix(EXAMPLE) {
            return if with_examples { example } else { line };
        }
        let setting = line.strip_prefix(DEFAULT).filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        setting.unwrap_or(line)
    };
    DEFAULT_FILE.lines().map(|line| format!("{}\n", shown(line))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{
        BankConfig, ConsensusConfig, InstitutionConfig, LogConfig, NetworkConfig, NodeConfig, TelemetryConfig,
    };

    fn parse(text: &str) -> NodeConfig {
        toml::from_str(text).unwrap()
    }

    /// Every name of a setting, with the tables around it.
    fn names(value: &toml::Value, place: &str, found: &mut BTreeSet<String>) {
        match value {
            toml::Value::Table(table) => table.iter().for_each(|(key, value)| {
                let place = format!("{place}.{key}");
                found.insert(place.clone());
                names(value, &place, found);
            }),
            toml::Value::Array(items) => items.iter().for_each(|item| names(item, place, found)),
            _ => {}
        }
    }

    #[test]
    fn what_is_written_out_is_exactly_the_defaults() {
        let (as_it_is, written_out) = (parse(DEFAULT_FILE), parse(&with_defaults()));
        assert_eq!(as_it_is, written_out);
        let network = NetworkConfig::new(written_out.network.listen.clone(), Vec::new());
        assert_eq!(written_out.network, network);
        assert_eq!(written_out.consensus, ConsensusConfig::default());
        assert_eq!(written_out.bank, BankConfig::default());
        assert_eq!(written_out.institution, InstitutionConfig::default());
        assert_eq!(written_out.log, LogConfig::default());
        assert_eq!(written_out.telemetry, TelemetryConfig::default());
    }

    #[test]
    fn every_default_is_there_and_every_setting_is_named() {
        let keys = |text: &str| {
            let mut found = BTreeSet::new();
            names(&toml::Value::Table(text.parse().unwrap()), "", &mut found);
            found
        };
        // What serde writes of the defaults is what has a default. Empty lists and maps are shown as examples.
        let serialised = |config: &NodeConfig| toml::to_string(config).unwrap();
        let (defaults, all) = (parse(&with_defaults()), parse(&with_examples()));
        let empty = [
            ".network.peers",
            ".institution.conditions.position_max",
            ".institution.conditions.order_amount_max",
            ".institution.rewards.budget",
            ".institution.rewards.policy",
            ".institution.rewards.promoter_max",
            ".institution.rewards.promoter_day_max",
            ".institution",
            ".telemetry",
        ];
        let mut expected = keys(&serialised(&defaults));
        let mut found = keys(&with_defaults());
        for name in empty {
            expected.remove(name);
            found.remove(name);
        }
        assert_eq!(found, expected);
        // No option is left out of the examples, so that serde writes every field there is.
        let shown = format!("{all:?}");
        assert!(!shown.contains("None") && !shown.contains("[]") && !shown.contains("{}"), "{shown}");
        assert_eq!(keys(&with_examples()), keys(&serialised(&all)));
    }

    #[test]
    fn every_setting_is_explained() {
        let lines: Vec<&str> = DEFAULT_FILE.lines().collect();
        for pair in lines.windows(2) {
            let is_setting = |line: &str| {
                let bare = line.strip_prefix(EXAMPLE).or(line.strip_prefix(DEFAULT)).unwrap_or(line);
                !line.starts_with("# ") && bare.contains(" = ")
            };
            // The two settings that say where a peer is are explained by the table's own comment.
            let explained =
                pair[0].starts_with("# ") || pair[0].contains("network.peers") || pair[0].contains("member = ");
            assert!(!is_setting(pair[1]) || explained, "{}", pair[1]);
        }
    }
}
