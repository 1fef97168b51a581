//! One configuration from flags, environment, file and defaults, in this order: what is given earlier decides.
//!
//! The commented default file names every setting there is ([`with_examples`]). Whatever is named otherwise is refused,
//! with the nearest name that there is.

use std::ops::Range;

use stemma_node_api::config::{NodeConfig, with_examples};
use toml::{Table, Value};

/// How the names of variables begin that stand for settings: `STEMMA_NODE__HTTP__LISTEN` is `http.listen`.
pub const VARIABLE_PREFIX: &str = "STEMMA_NODE__";
/// Between the parts of a variable's name; a single underscore belongs to a setting's own name.
const VARIABLE_SEPARATOR: &str = "__";
/// Tables whose keys are the operator's own: codes of instruments and currencies.
const FREE: [&str; 5] = [
    "institution.conditions.position_max",
    "institution.conditions.order_amount_max",
    "institution.rewards.budget",
    "institution.rewards.promoter_max",
    "institution.rewards.promoter_day_max",
];
/// A name this much unlike what was written is no suggestion.
const LIKENESS_MIN: f64 = 0.75;

/// A setting that was given otherwise than in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The setting, such as `http.listen`.
    pub name: String,
    /// Its value, as text.
    pub value: String,
    /// Whether a flag gave it, and not a variable.
    pub is_flag: bool,
}

/// Why settings do not make a configuration.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It is not TOML, or a setting is not of its type; the parser says where.
    #[error("it is not TOML of this form")]
    Toml(#[source] Box<toml::de::Error>),
    /// There is no such setting.
    #[error("{place}: there is no setting {name}{}", suggested(.suggestion.as_deref()))]
    Unknown {
        /// Where it was given.
        place: String,
        /// Its name.
        name: String,
        /// What was perhaps meant, as it would be written there.
        suggestion: Option<String>,
    },
    /// An override is not `name=value`.
    #[error("--set {0:?} is not NAME=VALUE, such as http.listen=127.0.0.1:8200")]
    NoPair(String),
    /// A value cannot be read.
    #[error("{place}: {value:?} is no value of {name}: texts are written as they are, everything else as TOML")]
    Value {
        /// Where it was given.
        place: String,
        /// The setting.
        name: String,
        /// The value.
        value: String,
        /// The cause.
        #[source]
        source: Option<Box<toml::de::Error>>,
    },
}

fn suggested(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

impl Override {
    /// Reads the value of a `--set` flag.
    ///
    /// # Errors
    /// It is not `name=value`.
    pub fn of_flag(text: &str) -> Result<Self, LayerError> {
        let (name, value) = text.split_once('=').ok_or_else(|| LayerError::NoPair(text.to_owned()))?;
        Ok(Self { name: name.trim().to_owned(), value: value.to_owned(), is_flag: true })
    }

    /// The settings among variables, such as those of the environment.
    pub fn of_variables(variables: impl Iterator<Item = (String, String)>) -> Vec<Self> {
        let of_variable = |(variable, value): (String, String)| {
            let name = variable.strip_prefix(VARIABLE_PREFIX)?;
            let name = name.split(VARIABLE_SEPARATOR).map(str::to_lowercase).collect::<Vec<_>>().join(".");
            Some(Self { name, value, is_flag: false })
        };
        let mut found: Vec<Self> = variables.filter_map(of_variable).collect();
        // The environment has no order; errors and results should have one.
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    fn written(&self, name: &str) -> String {
        if self.is_flag { format!("--set {name}") } else { variable(name) }
    }
}

fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.to_uppercase().replace('.', VARIABLE_SEPARATOR))
}

/// The configuration that a file and overrides make; a later override replaces an earlier one.
///
/// # Errors
/// [`LayerError`].
pub fn layered(text: &str, overrides: &[Override]) -> Result<NodeConfig, LayerError> {
    let toml_failed = |source: toml::de::Error| LayerError::Toml(Box::new(source));
    let known = known().map_err(toml_failed)?;
    let parsed = toml::de::DeTable::parse(text).map_err(toml_failed)?;
    check_table(text, parsed.get_ref(), &known, "")?;
    if overrides.is_empty() {
        // Straight from the text, so that an error says in which line it is.
        return toml::from_str(text).map_err(toml_failed);
    }
    let mut table: Table = text.parse().map_err(toml_failed)?;
    for given in overrides {
        let value = value_of(given, &known)?;
        put(&mut table, &given.name, value);
    }
    table.try_into().map_err(toml_failed)
}

/// Every setting that there is, with a value of its type.
fn known() -> Result<Table, toml::de::Error> {
    with_examples().parse()
}

fn check_table(text: &str, table: &toml::de::DeTable<'_>, known: &Table, place: &str) -> Result<(), LayerError> {
    for (key, value) in table {
        let name = joined(place, key.get_ref());
        let Some(of_known) = known.get(key.get_ref().as_ref()) else {
            let suggestion = nearest(key.get_ref(), known.keys().map(String::as_str));
            return Err(LayerError::Unknown {
                place: line_of(text, &key.span()),
                name,
                suggestion: suggestion.map(|key| joined(place, key)),
            });
        };
        if FREE.contains(&name.as_str()) {
            continue;
        }
        check_value(text, value.get_ref(), of_known, &name)?;
    }
    Ok(())
}

fn check_value(text: &str, value: &toml::de::DeValue<'_>, known: &Value, place: &str) -> Result<(), LayerError> {
    match (value, known) {
        (toml::de::DeValue::Table(table), Value::Table(known)) => check_table(text, table, known, place),
        (toml::de::DeValue::Array(items), Value::Array(known)) => {
            let Some(known) = known.first() else { return Ok(()) };
            items.iter().try_for_each(|item| check_value(text, item.get_ref(), known, place))
        }
        // A wrong type is told by whoever reads the whole.
        _ => Ok(()),
    }
}

fn line_of(text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or_default();
    format!("line {}", before.matches('\n').count().saturating_add(1))
}

fn joined(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

fn value_of(given: &Override, known: &Table) -> Result<Value, LayerError> {
    let place = given.written(&given.name);
    let Some(of_known) = lookup(known, &given.name) else {
        let mut names = Vec::new();
        all_names(known, "", &mut names);
        let suggestion = nearest(&given.name, names.iter().map(String::as_str));
        let suggestion = suggestion.map(|name| if given.is_flag { name.to_owned() } else { variable(name) });
        return Err(LayerError::Unknown { place, name: given.name.clone(), suggestion });
    };
    if of_known.is_str() {
        return Ok(Value::String(given.value.clone()));
    }
    let refused = |source| LayerError::Value {
        place: place.clone(),
        name: given.name.clone(),
        value: given.value.clone(),
        source,
    };
    let table: Table = format!("value = {}", given.value).parse().map_err(|source| refused(Some(Box::new(source))))?;
    // A line break could smuggle in further settings.
    let only = (table.len() == 1).then(|| table.get("value").cloned()).flatten();
    only.ok_or_else(|| refused(None))
}

fn lookup<'t>(known: &'t Table, name: &str) -> Option<&'t Value> {
    let (table, key) = match name.rsplit_once('.') {
        Some((place, _)) if FREE.contains(&place) => return lookup(known, place)?.as_table()?.values().next(),
        Some((place, key)) => (lookup(known, place)?.as_table()?, key),
        None => (known, name),
    };
    table.get(key)
}

fn all_names(table: &Table, place: &str, names: &mut Vec<String>) {
    for (key, value) in table {
        let name = joined(place, key);
        if let Value::Table(inner) = value {
            all_names(inner, &name, names);
        }
        names.push(name);
    }
}

fn put(table: &mut Table, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        table.insert(name.to_owned(), value);
        return;
    };
    let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Some(inner) = inner.as_table_mut() {
        put(inner, rest, value);
    }
}

/// The name most like another, if one is like it.
fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |name: &&str| strsim::jaro_winkler(written, name);
    let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= LIKENESS_MIN).then_some(best)
}

#[cfg(test)]
mod tests {
    use stemma_node_api::config::{DEFAULT_FILE, LogFormat};

    use super::*;
    use crate::error::chain;

    fn flag(text: &str) -> Override {
        Override::of_flag(text).unwrap()
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<Override> {
        Override::of_variables(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_flag_comes_before_a_variable_before_the_file_before_the_default() {
        let text = DEFAULT_FILE.replace("#window = 512", "window = 1");
        assert_eq!(layered(&text, &[]).unwrap().bank.window, 1);
        assert_eq!(layered(&text, &[]).unwrap().bank.waiting_max, 10_000);
        let mut given = variables(&[("STEMMA_NODE__BANK__WINDOW", "2"), ("STEMMA_NODE", "http://x"), ("PATH", "")]);
        assert_eq!(layered(&text, &given).unwrap().bank.window, 2);
        given.push(flag("bank.window=3"));
        assert_eq!(layered(&text, &given).unwrap().bank.window, 3);
    }

    #[test]
    fn values_are_of_their_settings_types() {
        let given = [
            flag("http.listen=127.0.0.1:9"),
            flag("network.listen=['/ip4/127.0.0.1/tcp/1']"),
            flag("network.peers=[{member = 'b', addresses = ['/ip4/127.0.0.1/tcp/2']}]"),
            flag("log.format=json"),
            flag("telemetry.otlp=http://127.0.0.1:4318"),
            flag("keys.validator=v.pem"),
            flag("institution.rewards.budget.USD=5.00"),
            flag("network.relay=true"),
        ];
        let config = layered(DEFAULT_FILE, &given).unwrap();
        assert_eq!(config.http.listen.port(), 9);
        assert_eq!(config.network.listen, ["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(config.network.peers[0].member, "b");
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.telemetry.otlp.as_deref(), Some("http://127.0.0.1:4318"));
        assert_eq!(config.keys.validator, Some("v.pem".into()));
        assert_eq!(config.institution.rewards.budget["USD"], "5.00");
        assert!(config.network.relay);
    }

    #[test]
    fn what_is_no_setting_is_refused_with_the_nearest_that_is() {
        let said = |text: &str, given: &[Override]| chain(&layered(text, given).unwrap_err());
        let in_file = |from: &str, to: &str| said(&DEFAULT_FILE.replacen(from, to, 1), &[]);
        let line = DEFAULT_FILE.lines().position(|line| line == "#window = 512").unwrap() + 1;
        assert_eq!(
            in_file("#window", "windw"),
            format!("line {line}: there is no setting bank.windw; did you mean bank.window?")
        );
        assert!(in_file("[bank]", "[bnak]").contains("no setting bnak; did you mean bank?"));
        let paths = in_file("#e.g. [[network.paths]]", "[[network.paths]]\nnamme = 'x'");
        assert!(paths.contains("no setting network.paths.namme; did you mean network.paths.name?"), "{paths}");
        assert!(in_file("#window", "zzz").ends_with("there is no setting bank.zzz"));
        assert_eq!(
            said(DEFAULT_FILE, &variables(&[("STEMMA_NODE__HTTP__LISTN", "x")])),
            "STEMMA_NODE__HTTP__LISTN: there is no setting http.listn; did you mean STEMMA_NODE__HTTP__LISTEN?"
        );
        assert_eq!(
            said(DEFAULT_FILE, &[flag("bank.windo=1")]),
            "--set bank.windo: there is no setting bank.windo; did you mean bank.window?"
        );
        assert!(said(DEFAULT_FILE, &[flag("bank.window=many")]).contains("--set bank.window: \"many\" is no value"));
        assert!(said(DEFAULT_FILE, &[flag("bank.window=1\nrelay = 2")]).contains("is no value of bank.window"));
        assert!(said(DEFAULT_FILE, &[flag("http.listen=here")]).contains("invalid socket address"));
        assert!(Override::of_flag("bank.window").is_err());
    }
}
