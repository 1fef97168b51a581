//! From a configuration file to what a node is told: keys opened, genesis verified. Whose node it is, and with which of the keys, the
//! registry says.

mod keys;
mod layers;

use std::path::{Path, PathBuf};

use stemma_chain_format::amount::{Amount, parse_decimal};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::governance::{Governance, PROTOCOL_VERSION_MAX};
use stemma_chain_format::limits::{DECIMALS_MAX, RISK_CLASS_MAX};
use stemma_chain_format::member::{MemberId, MemberIdError};
use stemma_keystore::{Passphrase, Purpose, ReadError};
use stemma_node_api::config::{
    BackOfficeConfig, BackOfficeKind, ConditionsConfig, NodeConfig, PriceSource, PricesConfig, RewardsConfig,
};
use zeroize::Zeroizing;

pub use keys::Keys;
pub use layers::{LayerError, Override, VARIABLE_PREFIX};

/// Longest pause between two looks at a source of prices, in seconds.
const POLL_S_MAX: u64 = 3_600;
/// The fewest blocks that may be kept: each time some are forgotten, what every account holds is written anew.
const KEEP_BLOCKS_MIN: u64 = 10;
/// Longest time for a call of the back office, in milliseconds.
const CALL_MS_MAX: u64 = 60_000;
/// Longest time without calls of a back office that failed too often, in seconds.
const COOLDOWN_S_MAX: u64 = 3_600;

/// Everything a node is told, checked by itself.
pub struct Told {
    /// The configuration, its paths made absolute.
    pub config: NodeConfig,
    /// The genesis.
    pub genesis: GenesisFile,
    /// The member that the configuration names.
    pub member: MemberId,
    /// The opened keys.
    pub keys: Keys,
    /// What operators' calls must carry.
    pub operator_token: Zeroizing<String>,
}

/// Why a node was not configured. Each says which file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file and what was given beside it are no configuration.
    #[error("{path} is not a node's configuration")]
    Layers {
        /// The file.
        path: PathBuf,
        /// The cause, with the place.
        #[source]
        source: LayerError,
    },
    /// The genesis does not hold.
    #[error("the genesis file {path} does not hold")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// The rule.
        #[source]
        source: Violation,
    },
    /// The network knows no such member.
    #[error(
        "{member} is no member of the network; members: {known}. To join, name the governance record that admits it under `join`"
    )]
    NoMember {
        /// The member configured.
        member: String,
        /// The members there are.
        known: String,
    },
    /// A key file cannot be opened.
    #[error("cannot open the {purpose} key")]
    Key {
        /// Which.
        purpose: Purpose,
        /// The cause.
        #[source]
        source: ReadError,
    },
    /// The record that admits a member cannot be read.
    #[error("{path} is not the record that admits the member (join)")]
    Join {
        /// The file.
        path: PathBuf,
        /// The rule.
        #[source]
        source: Violation,
    },
    /// No configured key is the one that the network knows.
    #[error(
        "the {purpose} key is {found}, but the network names {expected} for {member}: name the key's file under keys.{purpose}, or \
         under keys.next_{purpose} while it is to come"
    )]
    OtherKey {
        /// Which.
        purpose: Purpose,
        /// The member.
        member: String,
        /// The key that the network names.
        expected: String,
        /// The keys in the files.
        found: String,
    },
    /// There is no passphrase.
    #[error(
        "cannot get the passphrase of the keys: set keys.passphrase_file or STEMMA_PASSPHRASE, or give systemd's \
         credential `passphrase`"
    )]
    Passphrase(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// A setting is out of its range.
    #[error("{field}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// Reads a configuration file, with what is given otherwise; its paths become relative to where the process is.
///
/// # Errors
/// [`ConfigError`].
pub fn read(path: &Path, overrides: &[Override]) -> Result<NodeConfig, ConfigError> {
    let text = read_text(path)?;
    let layered = layers::layered(&text, overrides);
    let mut config = layered.map_err(|source| ConfigError::Layers { path: path.to_owned(), source })?;
    make_absolute(&mut config, path.parent().unwrap_or_else(|| Path::new(".")));
    check(&config)?;
    Ok(config)
}

/// Requires that a text is a configuration.
///
/// # Errors
/// [`ConfigError`].
pub fn check_text(text: &str) -> Result<(), ConfigError> {
    let layered = layers::layered(text, &[]);
    check(&layered.map_err(|source| ConfigError::Layers { path: PathBuf::from("the text"), source })?)
}

impl Told {
    /// Takes a configuration, and reads all that it names.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn of(config: NodeConfig) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(&config.genesis)
            .map_err(|source| ConfigError::Read { path: config.genesis.clone(), source })?;
        let genesis = GenesisFile::decode(bytes)
            .map_err(|source| ConfigError::Genesis { path: config.genesis.clone(), source })?;
        let member = config.member.parse().map_err(|e: MemberIdError| ConfigError::Setting {
            field: "member",
            expected: "the member's id".to_owned(),
            found: e.to_string(),
        })?;
        let keys = Keys::open(&config.keys, &passphrase(&config)?)?;
        let operator_token = Zeroizing::new(read_text(&config.http.operator_token_file)?.trim().to_owned());
        let long_enough = operator_token.len() >= 16;
        if !long_enough {
            let expected = "a token of at least 16 characters".to_owned();
            let found = format!("{} characters", operator_token.len());
            return Err(ConfigError::Setting { field: "http.operator_token_file", expected, found });
        }
        Ok(Self { config, genesis, member, keys, operator_token })
    }
}

/// Reads the record that admits a member. What it is worth, the other members decide: they let in whom the ledger admits.
///
/// # Errors
/// [`ConfigError::Read`], [`ConfigError::Join`].
pub fn read_join(path: &Path) -> Result<Governance, ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let failed = |source| ConfigError::Join { path: path.to_owned(), source };
    match Entry::decode(&bytes).map_err(failed)? {
        Entry::Governance(signed) => Ok(signed.record().clone()),
        other => {
            let found = other.kind().as_str();
            Err(failed(Violation::new(Rule::Governance, "kind", "a governance record", found)))
        }
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn make_absolute(config: &mut NodeConfig, folder: &Path) {
    let files = [
        Some(&mut config.genesis),
        Some(&mut config.data),
        config.join.as_mut(),
        Some(&mut config.http.operator_token_file),
        config.institution.prices.file.as_mut(),
        config.bank.identity.as_mut(),
    ];
    files.into_iter().flatten().for_each(|file| *file = folder.join(&file));
    config.keys.named_mut().for_each(|(_, file)| *file = folder.join(&file));
    config.keys.passphrase_file.iter_mut().for_each(|file| *file = folder.join(&file));
}

fn check(config: &NodeConfig) -> Result<(), ConfigError> {
    let setting = |field, expected: &str, found: String| {
        Err(ConfigError::Setting { field, expected: expected.to_owned(), found })
    };
    if !config.http.listen.ip().is_loopback() {
        let found = config.http.listen.to_string();
        return setting("http.listen", "a loopback address; put a TLS proxy in front for the outside", found);
    }
    if config.network.listen.is_empty() {
        return setting("network.listen", "at least one address", "none".to_owned());
    }
    let c = &config.consensus;
    if [c.propose_ms, c.prevote_ms, c.precommit_ms, c.idle_ms].contains(&0) {
        return setting("consensus", "time-outs above 0 ms", "0".to_owned());
    }
    if let Some(version) = c.protocol_max.filter(|version| !(1..=PROTOCOL_VERSION_MAX).contains(version)) {
        return setting("consensus.protocol_max", &format!("1 to {PROTOCOL_VERSION_MAX}"), version.to_string());
    }
    if config.bank.expiry_blocks == 0 {
        return setting("bank.expiry_blocks", "above 0", "0".to_owned());
    }
    if config.bank.window == 0 {
        return setting("bank.window", "above 0", "0".to_owned());
    }
    if let Some(otlp) = config.telemetry.otlp.as_ref().filter(|otlp| !is_address(otlp)) {
        return setting("telemetry.otlp", "an http:// or https:// address", format!("{otlp:?}"));
    }
    let kept = config.history.keep_blocks;
    if kept != 0 && kept < KEEP_BLOCKS_MIN {
        return setting("history.keep_blocks", "0, or at least 10", kept.to_string());
    }
    check_conditions(&config.institution.conditions)?;
    check_prices(&config.institution.prices)?;
    check_rewards(&config.institution.rewards)?;
    check_back_office(&config.institution.back_office)
}

fn check_conditions(conditions: &ConditionsConfig) -> Result<(), ConfigError> {
    let setting = |field, expected: &str, found: String| {
        Err(ConfigError::Setting { field, expected: expected.to_owned(), found })
    };
    if !(1..=30).contains(&conditions.wait_days) {
        return setting("institution.conditions.wait_days", "1 to 30 days", conditions.wait_days.to_string());
    }
    let classes = conditions.level_by_risk.len();
    if classes != usize::from(RISK_CLASS_MAX) {
        return setting("institution.conditions.level_by_risk", "seven levels", classes.to_string());
    }
    let percents = &conditions.credit_line_percent;
    if percents.is_empty() || percents.iter().any(|percent| *percent > 100) {
        let found = format!("{percents:?}");
        return setting("institution.conditions.credit_line_percent", "percentages of at most 100", found);
    }
    let maxima = [
        ("institution.conditions.position_max", &conditions.position_max),
        ("institution.conditions.order_amount_max", &conditions.order_amount_max),
    ];
    for (field, by_code) in maxima {
        let holds = |text: &str| parse_decimal(text, DECIMALS_MAX).is_ok_and(Amount::is_positive);
        if let Some((code, text)) = by_code.iter().find(|(_, text)| !holds(text)) {
            return setting(field, "decimal numbers above 0, such as 1000.00", format!("{text:?} for {code}"));
        }
    }
    Ok(())
}

fn check_prices(prices: &PricesConfig) -> Result<(), ConfigError> {
    let setting =
        |field, expected: String, found: &str| Err(ConfigError::Setting { field, expected, found: found.to_owned() });
    let source = prices.source;
    let given = |is_given: bool| if is_given { "one" } else { "none" };
    // A replay without a file is an institution that does not trade.
    let (file, needs_file) = (prices.file.is_some(), source == PriceSource::Csv);
    if (needs_file && !file) || (file && !needs_file && source != PriceSource::Replay) {
        let expected = format!("{} with the source {source}", if needs_file { "a file" } else { "no file" });
        return setting("institution.prices.file", expected, given(file));
    }
    match (&prices.url, source) {
        (Some(url), PriceSource::Http) if is_address(url) => {}
        (_, PriceSource::Http) => {
            let found = given(prices.url.is_some());
            return setting("institution.prices.url", "an http:// or https:// address".to_owned(), found);
        }
        (None, _) => {}
        (Some(_), _) => {
            return setting("institution.prices.url", format!("no address with the source {source}"), "one");
        }
    }
    if !(1..=POLL_S_MAX).contains(&prices.poll_s) {
        let expected = format!("1 to {POLL_S_MAX} s");
        return setting("institution.prices.poll_s", expected, &prices.poll_s.to_string());
    }
    if prices.stale_after_s == Some(0) {
        return setting("institution.prices.stale_after_s", "above 0".to_owned(), "0");
    }
    Ok(())
}

fn is_address(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn check_back_office(office: &BackOfficeConfig) -> Result<(), ConfigError> {
    let setting = |field, expected: String, found: String| Err(ConfigError::Setting { field, expected, found });
    let given = |is_given: bool| if is_given { "one" } else { "none" }.to_owned();
    match (&office.url, office.kind) {
        (Some(url), BackOfficeKind::Http) if is_address(url) => {}
        (None, BackOfficeKind::Embedded) => {}
        (url, BackOfficeKind::Http) => {
            let expected = "an http:// or https:// address".to_owned();
            return setting("institution.back_office.url", expected, given(url.is_some()));
        }
        (Some(_), BackOfficeKind::Embedded) => {
            let expected = "no address with the kind embedded".to_owned();
            return setting("institution.back_office.url", expected, given(true));
        }
    }
    if !(1..=CALL_MS_MAX).contains(&office.timeout_ms) {
        let (expected, found) = (format!("1 to {CALL_MS_MAX} ms"), office.timeout_ms.to_string());
        return setting("institution.back_office.timeout_ms", expected, found);
    }
    if office.retry_first_ms == 0 {
        return setting("institution.back_office.retry_first_ms", "above 0".to_owned(), "0".to_owned());
    }
    if office.retry_max_ms < office.retry_first_ms {
        let expected = format!("at least retry_first_ms, {}", office.retry_first_ms);
        return setting("institution.back_office.retry_max_ms", expected, office.retry_max_ms.to_string());
    }
    if office.breaker_failures == 0 {
        return setting("institution.back_office.breaker_failures", "above 0".to_owned(), "0".to_owned());
    }
    if !(1..=COOLDOWN_S_MAX).contains(&office.breaker_cooldown_s) {
        let (expected, found) = (format!("1 to {COOLDOWN_S_MAX} s"), office.breaker_cooldown_s.to_string());
        return setting("institution.back_office.breaker_cooldown_s", expected, found);
    }
    Ok(())
}

fn check_rewards(rewards: &RewardsConfig) -> Result<(), ConfigError> {
    let setting = |field, expected: &str, found: String| {
        Err(ConfigError::Setting { field, expected: expected.to_owned(), found })
    };
    let is_amount = |text: &String| parse_decimal(text, DECIMALS_MAX).is_ok_and(|amount| !amount.is_negative());
    let limits = [&rewards.budget, &rewards.promoter_max, &rewards.promoter_day_max];
    let policies = &rewards.policies;
    let amounts = policies.iter().flat_map(|policy| policy.customer.iter().chain(&policy.promoter));
    let rates = amounts.flat_map(|amount| {
        let tiers = amount.tiers.iter();
        amount.base.fixed.iter().chain(tiers.flat_map(|tier| [&tier.from].into_iter().chain(&tier.rate.fixed)))
    });
    if let Some(text) = limits.into_iter().flat_map(|limit| limit.values()).chain(rates).find(|text| !is_amount(text)) {
        return setting("institution.rewards", "decimal numbers, such as 10.00, for amounts", format!("{text:?}"));
    }
    let sides = policies.iter().filter_map(|policy| policy.side.as_ref());
    if let Some(side) = sides.into_iter().find(|side| *side != "buy" && *side != "sell") {
        return setting("institution.rewards.policy.side", "buy or sell", format!("{side:?}"));
    }
    Ok(())
}

/// The passphrase of the keys, from where the configuration, the environment or systemd has it.
///
/// # Errors
/// [`ConfigError::Passphrase`].
pub fn passphrase(config: &NodeConfig) -> Result<Passphrase, ConfigError> {
    use stemma_keystore::passphrase;
    if let Some(path) = &config.keys.passphrase_file {
        let from_file = passphrase::from_file(path).map_err(|e| ConfigError::Passphrase(Some(Box::new(e))))?;
        return Ok(from_file.passphrase);
    }
    let from_environment = passphrase::from_environment().map_err(|e| ConfigError::Passphrase(Some(Box::new(e))))?;
    if let Some(given) = from_environment {
        return Ok(given);
    }
    // What systemd hands over by `LoadCredential=passphrase:…`: readable by this service alone.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join("passphrase"));
    match credentials.filter(|path| path.exists()) {
        Some(path) => {
            let from_file = passphrase::from_file(&path).map_err(|e| ConfigError::Passphrase(Some(Box::new(e))))?;
            Ok(from_file.passphrase)
        }
        None => Err(ConfigError::Passphrase(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(text: &str) -> Result<PricesConfig, String> {
        let prices: PricesConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        check_prices(&prices).map(|()| prices).map_err(|e| e.to_string())
    }

    #[test]
    fn a_source_of_prices_has_what_it_needs() {
        let default = prices("").unwrap();
        assert_eq!((default.poll_s, default.stale_after_ms()), (5, None));
        assert_eq!(prices("file = 'p.csv'").unwrap(), PricesConfig::replay("p.csv".into()));
        assert_eq!(prices("source = 'push'").unwrap().stale_after_ms(), Some(900_000));
        prices("source = 'csv'\nfile = 'p.csv'\nstale_after_s = 5").unwrap();
        prices("source = 'http'\nurl = 'https://feed.example/prices'\npoll_s = 1").unwrap();
        for (text, said) in [
            ("source = 'ftp'", "unknown variant"),
            ("source = 'csv'", "institution.prices.file: expected a file with the source csv, found none"),
            (
                "source = 'push'\nfile = 'p.csv'",
                "institution.prices.file: expected no file with the source push, found one",
            ),
            ("source = 'http'", "institution.prices.url: expected an http:// or https:// address, found none"),
            (
                "source = 'http'\nurl = 'ftp://key@x'",
                "institution.prices.url: expected an http:// or https:// address, found one",
            ),
            ("url = 'http://x'", "institution.prices.url: expected no address with the source replay, found one"),
            ("poll_s = 0", "institution.prices.poll_s: expected 1 to 3600 s, found 0"),
            ("poll_s = 3601", "institution.prices.poll_s: expected 1 to 3600 s, found 3601"),
            ("stale_after_s = 0", "institution.prices.stale_after_s: expected above 0, found 0"),
            ("stale = 1", "unknown field"),
        ] {
            let e = prices(text).unwrap_err();
            assert!(e.contains(said), "{text}: {e}");
        }
    }

    fn back_office(text: &str) -> Result<BackOfficeConfig, String> {
        let office: BackOfficeConfig = toml::from_str(text).map_err(|e| e.to_string())?;
        check_back_office(&office).map(|()| office).map_err(|e| e.to_string())
    }

    #[test]
    fn a_back_office_has_what_it_needs() {
        assert_eq!(back_office("").unwrap(), BackOfficeConfig::default());
        back_office("kind = 'http'\nurl = 'https://office.example/stemma'\ntimeout_ms = 60000").unwrap();
        for (text, said) in [
            ("kind = 'fax'", "unknown variant"),
            ("kind = 'http'", "institution.back_office.url: expected an http:// or https:// address, found none"),
            (
                "kind = 'http'\nurl = 'ftp://key@x'",
                "institution.back_office.url: expected an http:// or https:// address, found one",
            ),
            ("url = 'http://x'", "institution.back_office.url: expected no address with the kind embedded, found one"),
            ("timeout_ms = 0", "institution.back_office.timeout_ms: expected 1 to 60000 ms, found 0"),
            ("timeout_ms = 60001", "institution.back_office.timeout_ms: expected 1 to 60000 ms, found 60001"),
            ("retry_first_ms = 0", "institution.back_office.retry_first_ms: expected above 0, found 0"),
            (
                "retry_max_ms = 10",
                "institution.back_office.retry_max_ms: expected at least retry_first_ms, 250, found 10",
            ),
            ("breaker_failures = 0", "institution.back_office.breaker_failures: expected above 0, found 0"),
            ("breaker_cooldown_s = 0", "institution.back_office.breaker_cooldown_s: expected 1 to 3600 s, found 0"),
            ("token = 'x'", "unknown field"),
        ] {
            let e = back_office(text).unwrap_err();
            assert!(e.contains(said), "{text}: {e}");
        }
    }
}
