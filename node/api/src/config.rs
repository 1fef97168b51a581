//! The node's configuration file (TOML). Relative paths are relative to the folder of the file.
//!
//! [`DEFAULT_FILE`] is the file that `stemma-node init` writes: every setting with what it means and its default.

mod default_file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use default_file::{DEFAULT_FILE, with_defaults, with_examples};

/// Everything that a node is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The member that this node belongs to.
    pub member: String,
    /// The genesis file.
    pub genesis: PathBuf,
    /// The folder of the node's store; made where it is missing.
    pub data: PathBuf,
    /// For a member that joins: a file with the governance record that admits it, until the ledger here knows of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub join: Option<PathBuf>,
    /// Key files.
    pub keys: KeyFiles,
    /// The HTTP API.
    pub http: HttpConfig,
    /// The network among members.
    pub network: NetworkConfig,
    /// How a node without blocks begins.
    #[serde(default)]
    pub sync: SyncConfig,
    /// How much history is kept.
    #[serde(default)]
    pub history: HistoryConfig,
    /// Time-outs of consensus.
    #[serde(default)]
    pub consensus: ConsensusConfig,
    /// What is written to standard error.
    #[serde(default)]
    pub log: LogConfig,
    /// Traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// For a bank.
    #[serde(default)]
    pub bank: BankConfig,
    /// For an institution.
    #[serde(default)]
    pub institution: InstitutionConfig,
}

/// Encrypted PKCS#8 PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFiles {
    /// Signs the member's records.
    pub member: PathBuf,
    /// The node's identity on the network.
    pub network: PathBuf,
    /// Signs votes; for members with a vote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validator: Option<PathBuf>,
    /// The member key to come: from the height on at which a governance record makes it the member's, the node signs with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_member: Option<PathBuf>,
    /// The network key to come.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_network: Option<PathBuf>,
    /// The validator key to come.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_validator: Option<PathBuf>,
    /// A file with the passphrase of all of them. Without it, `STEMMA_PASSPHRASE` is read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub passphrase_file: Option<PathBuf>,
}

impl KeyFiles {
    /// The key files that are named, each with its field.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let Self { member, network, validator, next_member, next_network, next_validator, passphrase_file: _ } = self;
        let files = [
            ("member", Some(member)),
            ("network", Some(network)),
            ("validator", validator.as_ref()),
            ("next_member", next_member.as_ref()),
            ("next_network", next_network.as_ref()),
            ("next_validator", next_validator.as_ref()),
        ];
        files.into_iter().filter_map(|(field, file)| Some((field, file?)))
    }

    /// The same, to be changed.
    pub fn named_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        let Self { member, network, validator, next_member, next_network, next_validator, passphrase_file: _ } = self;
        let files = [
            ("member", Some(member)),
            ("network", Some(network)),
            ("validator", validator.as_mut()),
            ("next_member", next_member.as_mut()),
            ("next_network", next_network.as_mut()),
            ("next_validator", next_validator.as_mut()),
        ];
        files.into_iter().filter_map(|(field, file)| Some((field, file?)))
    }
}

/// The HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port. Only a loopback address is accepted: put a TLS proxy in front for the outside.
    pub listen: std::net::SocketAddr,
    /// A file with the token that operators' calls carry (`Authorization: Bearer …`).
    pub operator_token_file: PathBuf,
}

/// The network among members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Multiaddresses to listen on, such as `/ip4/127.0.0.1/tcp/4001` and `/ip4/127.0.0.1/udp/4001/quic-v1`.
    pub listen: Vec<String>,
    /// The addresses of `listen` as others reach them; told to the other members. By default those of `listen` that name one machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announce: Vec<String>,
    /// Where the other members are. One that is reached is enough: it tells where the others are.
    #[serde(default)]
    pub peers: Vec<PeerAddresses>,
    /// Further addresses at which this member takes trades: over another network, another transport, through a relay. Banks
    /// measure each all the time and send each chain by the best. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathConfig>,
    /// Carry other members' trades between addresses that cannot reach each other. Default false.
    #[serde(default)]
    pub relay: bool,
    /// How long an address may be silent before trades go by another, in milliseconds. Default 1,000.
    #[serde(default = "path_timeout_ms")]
    pub path_timeout_ms: u64,
}

const fn path_timeout_ms() -> u64 {
    1_000
}

impl NetworkConfig {
    /// Listens on these addresses, with everything else as by default.
    #[must_use]
    pub fn new(listen: Vec<String>, peers: Vec<PeerAddresses>) -> Self {
        Self {
            listen,
            announce: Vec::new(),
            peers,
            paths: Vec::new(),
            relay: false,
            path_timeout_ms: path_timeout_ms(),
        }
    }
}

/// One further address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathConfig {
    /// What it is called: lowercase letters, digits and hyphens.
    pub name: String,
    /// Where to listen, such as `/ip4/0.0.0.0/tcp/4101`, `/ip4/0.0.0.0/udp/4101/quic-v1` or `/ip4/0.0.0.0/tcp/4102/ws`;
    /// with a relay, the relay's own path address.
    pub listen: String,
    /// The address as others reach it, where that is another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub announce: Option<String>,
    /// The member that relays.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub relay: Option<String>,
}

/// Where a member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerAddresses {
    /// The member.
    pub member: String,
    /// Its multiaddresses.
    pub addresses: Vec<String>,
}

/// How a node without blocks begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncConfig {
    /// `blocks`: with all blocks from the genesis on, so that it can prove every lineage; or `snapshot`: with a peer's snapshot of the
    /// state, verified against the genesis, and the blocks since. Default `blocks`.
    pub begin: SyncBegin,
}

/// What a node without blocks begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncBegin {
    /// All blocks.
    #[default]
    Blocks,
    /// A snapshot.
    Snapshot,
}

/// How much history is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// How many blocks are kept at least with their entries; 0 keeps all. Default 0.
    pub keep_blocks: u64,
}

/// Time-outs of consensus, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusConfig {
    /// How long to wait for a proposal before voting for none. Default 1,000.
    pub propose_ms: u64,
    /// How long to wait for more prevotes after a quorum that disagrees. Default 500.
    pub prevote_ms: u64,
    /// The same for precommits. Default 500.
    pub precommit_ms: u64,
    /// By how much each round's time-outs exceed the round's before. Default 300.
    pub delta_ms: u64,
    /// How long without work before an empty block is made. Default 5,000.
    pub idle_ms: u64,
    /// The highest version of the protocol in which the node takes part; it stops before the first height of a higher one. Default, and
    /// at most, the highest that it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_max: Option<u32>,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self {
            propose_ms: 1_000,
            prevote_ms: 500,
            precommit_ms: 500,
            delta_ms: 300,
            idle_ms: 5_000,
            protocol_max: None,
        }
    }
}

/// What a node writes to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` or `json`. Default `text`.
    pub format: LogFormat,
    /// A filter of `tracing`. Default `warn`, and `info` of the node's own modules.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        let filter = "warn,stemma=info,stemma_node=info,stemma_consensus=info".to_owned();
        Self { format: LogFormat::Text, filter }
    }
}

/// How a node's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One object a line.
    Json,
}

/// Traces for OpenTelemetry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The collector's address for OTLP over HTTP. Default none: nothing is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
}

/// Rules of a bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BankConfig {
    /// How many blocks an endorsement stays open. Default 200.
    pub expiry_blocks: u64,
    /// The credit level given to every customer. Default 1.
    pub credit_level: u8,
    /// The version of the rules that gave it. Default 1.
    pub rules_version: u32,
    /// Most orders that are not final at once; more are refused as busy. Default 10,000.
    pub waiting_max: u64,
    /// Most second chains to one institution that are sent and not answered; others wait in its queue. Default 512.
    pub window: u64,
    /// By how much activity may bring a second chain forward in the queue, in milliseconds. Default 10,000.
    pub activity_advance_ms: u64,
    /// Longest time for which a referral holds, in blocks from when it is asked for. Default 1,000,000.
    pub referral_blocks_max: u64,
    /// A file of identity rules (TOML): CAs, demands by account and amount, limits for failures. Without it, any one
    /// enrolled identity will do, the account's key among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
}

impl Default for BankConfig {
    fn default() -> Self {
        Self {
            expiry_blocks: 200,
            credit_level: 1,
            rules_version: 1,
            waiting_max: 10_000,
            window: 512,
            activity_advance_ms: 10_000,
            referral_blocks_max: 1_000_000,
            identity: None,
        }
    }
}

/// Rules of an institution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstitutionConfig {
    /// Where prices and net asset values come from, and how old they may be.
    pub prices: PricesConfig,
    /// The trading conditions, beside the terms of each listing.
    pub conditions: ConditionsConfig,
    /// What referrals earn.
    pub rewards: RewardsConfig,
    /// Who carries out what was judged.
    pub back_office: BackOfficeConfig,
}

/// Who carries out what an institution judged (`[institution.back_office]`). What is said over HTTP: `node/BACK_OFFICE.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackOfficeConfig {
    /// `embedded`, the node itself; or `http`, the institution's own system. Default `embedded`.
    pub kind: BackOfficeKind,
    /// For `http`: the address below which its calls lie, such as `https://office.example/stemma`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How long a call may take, in milliseconds, from 1 to 60,000. Default 5,000.
    pub timeout_ms: u64,
    /// How long after a call's first failure it is made again, in milliseconds, at least 1; each further pause is twice as long.
    /// Default 250.
    pub retry_first_ms: u64,
    /// The longest pause, in milliseconds, at least the first. Default 30,000.
    pub retry_max_ms: u64,
    /// After how many failures in a row no call is made for a while, and orders wait at their banks; at least 1. Default 5.
    pub breaker_failures: u32,
    /// For how long, in seconds, from 1 to 3,600; then one call tells whether it is over. Default 10.
    pub breaker_cooldown_s: u64,
}

impl Default for BackOfficeConfig {
    fn default() -> Self {
        Self {
            kind: BackOfficeKind::Embedded,
            url: None,
            timeout_ms: 5_000,
            retry_first_ms: 250,
            retry_max_ms: 30_000,
            breaker_failures: 5,
            breaker_cooldown_s: 10,
        }
    }
}

/// Where an institution executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackOfficeKind {
    /// In the node.
    Embedded,
    /// In its own system, called over HTTP.
    Http,
}

/// What referrals earn (`[institution.rewards]`), paid from the institution's promotion account. Amounts are decimals of whole units
/// of a currency, whatever bank's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardsConfig {
    /// What becomes of a trade whose referral is forged, expired, used up, for another trade or the customer's own: `continue`
    /// without a reward, or `refuse`. Default `continue`.
    pub invalid_referral: InvalidReferral,
    /// Whether an account's first trade at this institution alone is rewarded. Default false.
    pub first_trade_only: bool,
    /// The most that is paid in all, by the currency's code. Default without limit.
    pub budget: BTreeMap<String, String>,
    /// The most that one promoter is paid in all, by the currency's code. Default without limit.
    pub promoter_max: BTreeMap<String, String>,
    /// The most that one promoter is paid on one day (UTC), by the currency's code. Default without limit.
    pub promoter_day_max: BTreeMap<String, String>,
    /// The policies (`[[institution.rewards.policy]]`); the first that fits a trade decides. Default none: nothing is paid.
    #[serde(rename = "policy")]
    pub policies: Vec<RewardPolicy>,
}

/// What becomes of a trade with a bad referral.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidReferral {
    /// It goes on without a reward, and its third chain says why.
    #[default]
    Continue,
    /// It is refused.
    Refuse,
}

/// What is paid on some trades.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardPolicy {
    /// The codes of the instruments; empty: all.
    pub instruments: Vec<String>,
    /// `buy` or `sell`; absent: both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
    /// What the customer who trades is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<RewardAmount>,
    /// What the promoter is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoter: Option<RewardAmount>,
}

/// How much is paid: at the rate of the highest tier that the trade's cost reaches, else at the base rate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardAmount {
    /// The base rate.
    #[serde(flatten)]
    pub base: RewardRate,
    /// Other rates for larger trades.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<RewardTier>,
}

impl RewardAmount {
    /// One rate for all trades: a fixed amount, basis points of the cost, or both.
    pub fn flat(fixed: Option<&str>, basis_points: u16) -> Self {
        Self { base: RewardRate { fixed: fixed.map(str::to_owned), basis_points }, tiers: Vec::new() }
    }
}

/// The rate of larger trades.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardTier {
    /// The least cost.
    pub from: String,
    /// The rate.
    #[serde(flatten)]
    pub rate: RewardRate,
}

/// A rate: a fixed amount, basis points of the cost (rounded down), or both together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardRate {
    /// A fixed amount. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<String>,
    /// Basis points of the cost. Default 0.
    #[serde(default)]
    pub basis_points: u16,
}

/// An institution's trading conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConditionsConfig {
    /// The lowest credit level that may buy a product of each class of risk, from class 1 to class 7. Default
    /// 0, 0, 1, 1, 2, 2, 3.
    pub level_by_risk: Vec<u8>,
    /// How much of a bank's credit line counts as cash, in percent, by credit level from 0 on; a higher level counts as the last.
    /// Default 100 for all.
    pub credit_line_percent: Vec<u8>,
    /// The largest position of one account, in whole units, by the instrument's code. Default none.
    pub position_max: BTreeMap<String, String>,
    /// The largest amount of one order, in whole units of cash, by the currency's code. Default none.
    pub order_amount_max: BTreeMap<String, String>,
    /// For so many seconds after a trade, an order of the account for the very same is refused as a repetition. Default 0: none is.
    pub duplicate_window_s: u64,
    /// An order that waits for its price may be taken back by its bank so many days after its cut-off, or after it was taken where
    /// it has none; from 1 to 30. Default 7.
    pub wait_days: u16,
}

impl Default for ConditionsConfig {
    fn default() -> Self {
        Self {
            level_by_risk: vec![0, 0, 1, 1, 2, 2, 3],
            credit_line_percent: vec![100],
            position_max: BTreeMap::new(),
            order_amount_max: BTreeMap::new(),
            duplicate_window_s: 0,
            wait_days: 7,
        }
    }
}

impl ConditionsConfig {
    /// The lowest credit level that may buy a product of a class of risk.
    pub fn level_for_risk(&self, class: u8) -> u8 {
        let index = usize::from(class).saturating_sub(1);
        self.level_by_risk.get(index).or(self.level_by_risk.last()).copied().unwrap_or_default()
    }

    /// How much of a credit line counts at a level, in percent.
    pub fn line_percent(&self, level: u8) -> u8 {
        let percent = self.credit_line_percent.get(usize::from(level)).or(self.credit_line_percent.last());
        percent.copied().unwrap_or(100)
    }
}

/// Where an institution's prices come from (`[institution.prices]`). Without a price nothing is traded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PricesConfig {
    /// `replay`, `csv`, `http` or `push`. Default `replay`.
    pub source: PriceSource,
    /// For `replay`, a CSV file with the columns date, symbol, close; for `csv`, one with symbol, price, time (RFC 3339). Others
    /// replace it by renaming a finished file over it. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// For `http`: what is fetched, an `http://` or `https://` address that answers
    /// `{"prices":[{"symbol":"AAPL","price":"189.10","time":"2026-11-26T09:30:00Z"}]}`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For `csv` and `http`: how often the source is asked, in seconds, from 1 to 3,600. Default 5.
    pub poll_s: u64,
    /// How old a price may be to trade at it, in seconds. Default 900; with `replay`, whose days are long past, without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_after_s: Option<u64>,
}

impl Default for PricesConfig {
    fn default() -> Self {
        Self { source: PriceSource::Replay, file: None, url: None, poll_s: 5, stale_after_s: None }
    }
}

impl PricesConfig {
    /// Prices of a file by days, the trading day moved by the operator.
    #[must_use]
    pub fn replay(file: PathBuf) -> Self {
        Self { file: Some(file), ..Self::default() }
    }

    /// How old a price may be, in milliseconds; nothing where any age will do.
    #[must_use]
    pub fn stale_after_ms(&self) -> Option<u64> {
        const DEFAULT_S: u64 = 900;
        let default = (self.source != PriceSource::Replay).then_some(DEFAULT_S);
        Some(self.stale_after_s.or(default)?.saturating_mul(1_000))
    }
}

/// Where prices come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriceSource {
    /// A CSV file of closing prices by day; the operator moves the trading day (`PUT /v1/market`).
    Replay,
    /// A CSV file that others write; it is read again when it changes.
    Csv,
    /// A feed that is fetched.
    Http,
    /// The operator (`PUT /v1/prices`).
    Push,
}

impl std::fmt::Display for PriceSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Replay => "replay",
            Self::Csv => "csv",
            Self::Http => "http",
            Self::Push => "push",
        })
    }
}
