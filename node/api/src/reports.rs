//! The JSON types of an institution's reports. Their rows are the rows of the CSV tables too, field by field, with [`AsOf`] after
//! them. Amounts are decimal strings of smallest units, the decimals of their instrument beside them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The response header that says at which height a report is true.
pub const HEIGHT_HEADER: &str = "stemma-report-height";
/// The response header that says the time of that block (RFC 3339, UTC).
pub const TIME_HEADER: &str = "stemma-report-time";

/// A report as JSON.
pub trait Report: DeserializeOwned {
    /// Its name in the API's path.
    const NAME: &'static str;
    /// Its tables as CSV, the one that is given unless another is asked for first.
    const TABLES: &'static [&'static str];
}

/// Which days a report covers, both included; all days where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// The first day (UTC), such as `2026-11-26`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The last day (UTC).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
}

/// What every report says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportHead {
    /// holdings, trades, fees, rewards or reconciliation.
    pub report: String,
    /// Whose report it is.
    pub institution: String,
    /// The height of the last block that it knows of: all that it says is true at this one height.
    pub height: u64,
    /// The time of that block (RFC 3339, UTC).
    pub time: String,
    /// The first day that it covers (UTC); absent where it begins with the first trade.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// The last day that it covers (UTC); absent where it ends with the last trade.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
}

/// The last two columns of every CSV table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// The height that the report is true at.
    pub as_of_height: u64,
    /// The time of that block (RFC 3339, UTC).
    pub as_of_time: String,
}

/// Who holds what of this institution's instruments, by its own book: bought less sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldingsReport {
    /// What it is.
    #[serde(flatten)]
    pub head: ReportHead,
    /// By instrument and account; who has sold everything is left out.
    pub accounts: Vec<HoldingRow>,
    /// By instrument, those included who have sold everything.
    pub totals: Vec<HoldingTotal>,
}

/// What an account holds of an instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldingRow {
    /// The instrument.
    pub instrument: String,
    /// The account.
    pub account: String,
    /// The account's bank.
    pub bank: String,
    /// All that it ever bought.
    pub bought: String,
    /// All that it ever sold.
    pub sold: String,
    /// The difference.
    pub held: String,
    /// Decimal places of one whole unit of the instrument.
    pub decimals: u8,
}

/// What all accounts hold of an instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldingTotal {
    /// The instrument.
    pub instrument: String,
    /// How many accounts hold something.
    pub accounts: u64,
    /// All that was ever bought.
    pub bought: String,
    /// All that was ever sold.
    pub sold: String,
    /// The difference: what is outstanding.
    pub held: String,
    /// Decimal places of one whole unit of the instrument.
    pub decimals: u8,
}

/// Every trade, and their sums by day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TradesReport {
    /// What it is.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The trades in the order of the ledger.
    pub trades: Vec<TradeRow>,
    /// Their sums by day, instrument, side and cash.
    pub days: Vec<TradeDay>,
}

/// A trade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TradeRow {
    /// The day (UTC) of its block.
    pub day: String,
    /// The time of its block (RFC 3339, UTC).
    pub time: String,
    /// The height of its block.
    pub height: u64,
    /// Its place in the block.
    pub index: u32,
    /// Its chain's id.
    pub chain: String,
    /// The account.
    pub account: String,
    /// The account's bank.
    pub bank: String,
    /// buy or sell, by the customer.
    pub side: String,
    /// The instrument.
    pub instrument: String,
    /// Smallest units of it that changed hands.
    pub quantity: String,
    /// Decimal places of one whole unit of the instrument.
    pub decimals: u8,
    /// The price of one whole unit, in whole units of cash.
    pub price: String,
    /// The cash that paid.
    pub cash: String,
    /// The cost without the fee, in smallest units of cash.
    pub cost: String,
    /// The fee, in smallest units of cash.
    pub fee: String,
    /// Decimal places of one whole unit of the cash.
    pub cash_decimals: u8,
}

/// A day's trades of an instrument on one side for one cash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TradeDay {
    /// The day (UTC).
    pub day: String,
    /// The instrument.
    pub instrument: String,
    /// buy or sell, by the customers.
    pub side: String,
    /// The cash that paid.
    pub cash: String,
    /// How many trades.
    pub trades: u64,
    /// Smallest units of the instrument that changed hands.
    pub quantity: String,
    /// Decimal places of one whole unit of the instrument.
    pub decimals: u8,
    /// The cost without fees, in smallest units of cash.
    pub cost: String,
    /// The fees, in smallest units of cash.
    pub fee: String,
    /// Decimal places of one whole unit of the cash.
    pub cash_decimals: u8,
}

/// The fees taken, by day, cash and instrument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeesReport {
    /// What it is.
    #[serde(flatten)]
    pub head: ReportHead,
    /// By day, cash and instrument; trades without a fee are counted too.
    pub fees: Vec<FeeRow>,
}

/// A day's fees in one cash on one instrument.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeeRow {
    /// The day (UTC).
    pub day: String,
    /// The cash that the fees were paid in.
    pub cash: String,
    /// What was traded.
    pub instrument: String,
    /// How many trades.
    pub trades: u64,
    /// The fees.
    pub fee: String,
    /// Decimal places of one whole unit of the cash.
    pub decimals: u8,
}

/// The rewards paid, by who got them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewardsReport {
    /// What it is.
    #[serde(flatten)]
    pub head: ReportHead,
    /// By part, account and cash.
    pub rewards: Vec<RewardRow>,
}

/// The rewards of an account in one cash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewardRow {
    /// Which part the account had: promoter of others' trades, or the customer whose own trade it was.
    pub part: String,
    /// The account.
    pub account: String,
    /// What the rewards were paid in.
    pub cash: String,
    /// How many rewards.
    pub rewards: u64,
    /// Their sum.
    pub amount: String,
    /// Decimal places of one whole unit of the cash.
    pub decimals: u8,
}

/// The book against the ledger. It must have no differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconciliationReport {
    /// What it is.
    #[serde(flatten)]
    pub head: ReportHead,
    /// How many trades of the book were compared.
    pub trades: u64,
    /// How many accounts of the ledger were compared.
    pub accounts: u64,
    /// Whatever differs.
    pub differences: Vec<DifferenceRow>,
}

/// Something that book and ledger say differently.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DifferenceRow {
    /// What was compared: `issued` (units outstanding by the book; what the settlement account owes), `outstanding` (the same; what all
    /// other accounts have), `holding` (one account's position), `fees` (fees taken; what the fees account has).
    pub check: String,
    /// In what.
    pub instrument: String,
    /// The account; null for all of them.
    pub account: Option<String>,
    /// What the book gives.
    pub book: String,
    /// What the ledger has.
    pub ledger: String,
    /// Decimal places of one whole unit of the instrument.
    pub decimals: u8,
}

macro_rules! reports {
    ($($report:ident: $name:literal, $tables:expr;)*) => {$(
        impl Report for $report {
            const NAME: &'static str = $name;
            const TABLES: &'static [&'static str] = &$tables;
        }
    )*};
}

reports! {
    HoldingsReport: "holdings", ["accounts", "totals"];
    TradesReport: "trades", ["trades", "days"];
    FeesReport: "fees", ["fees"];
    RewardsReport: "rewards", ["rewards"];
    ReconciliationReport: "reconciliation", ["differences"];
}
