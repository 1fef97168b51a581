//! The JSON types of the catalogue: instruments, their terms, and how an operator lists and changes them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A listed instrument, on the terms in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstrumentView {
    /// `issuer/CODE`.
    pub instrument: String,
    /// currency, fund, stock, future or trust.
    pub kind: String,
    /// Decimal places of one whole unit.
    pub decimals: u8,
    /// The name people know it by.
    pub name: String,
    /// The currency its prices are in; absent for a currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quoted_in: Option<String>,
    /// Its number by ISO 6166.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub isin: Option<String>,
    /// open, suspended or closed.
    pub status: String,
    /// On what terms it is traded; absent for a currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub terms: Option<TermsView>,
    /// The link of the listing record in force.
    pub listing: String,
}

/// On what terms an instrument is traded. Quantities are decimal strings of its smallest units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TermsView {
    /// A trade's quantity is a multiple of this; only a sale of all that is held need not be. Default 1.
    pub lot: String,
    /// The least quantity of a trade; only a sale of all that is held may be less. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_min: Option<String>,
    /// The largest quantity of a trade. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_max: Option<String>,
    /// The fee of a purchase, in basis points of its cost, rounded up. Default 0.
    pub fee_buy_basis_points: u16,
    /// The fee of a sale, in basis points of its proceeds, rounded up. Default 0.
    pub fee_sell_basis_points: u16,
    /// The least fee of a trade, in smallest units of the cash that pays it. Default 0.
    pub fee_least: String,
    /// When it is traded. Default always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<HoursView>,
    /// The lowest credit level that may buy it. Default 0.
    pub credit_level_min: u8,
    /// The product's class of risk, 1 (lowest) to 7. Default 1.
    pub risk_class: u8,
    /// For so many days after a purchase what was bought is not sold. Default 0.
    pub lock_up_days: u16,
    /// How it is dealt in: `spot`, at once and in full; `forward`, at the next price; `margin`, for futures. Never changes. Default
    /// spot.
    pub dealing: String,
    /// What a futures position puts up; there exactly for `margin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<MarginView>,
}

/// What a futures position must put up, in basis points of its value, rounded up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarginView {
    /// When it is opened or grows, and to end a call; 1 to 10,000.
    pub initial_basis_points: u16,
    /// Below this at a mark, more is called for; 1 to the initial.
    pub maintenance_basis_points: u16,
    /// How long a call stands before the position may be closed out, in seconds, at most 30 days.
    pub call_s: u32,
}

impl Default for TermsView {
    fn default() -> Self {
        Self {
            lot: "1".to_owned(),
            quantity_min: None,
            quantity_max: None,
            fee_buy_basis_points: 0,
            fee_sell_basis_points: 0,
            fee_least: "0".to_owned(),
            hours: None,
            credit_level_min: 0,
            risk_class: 1,
            lock_up_days: 0,
            dealing: "spot".to_owned(),
            margin: None,
        }
    }
}

/// Trading hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursView {
    /// The time zone by its name in the IANA database, such as `Europe/Zurich`.
    pub zone: String,
    /// The sessions of a week in local time, such as `mon-fri 09:00-17:30`.
    pub sessions: Vec<String>,
    /// Days without a session, such as `2026-12-25`.
    #[serde(default)]
    pub holidays: Vec<String>,
}

/// Lists an instrument (operator of its issuer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListInstrument {
    /// The code, unique to the issuer.
    pub code: String,
    /// currency (banks), fund, stock, future or trust (institutions).
    pub kind: String,
    /// Decimal places of one whole unit, at most 18.
    pub decimals: u8,
    /// The name people know it by.
    pub name: String,
    /// The currency its prices are in; absent for a currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quoted_in: Option<String>,
    /// Its number by ISO 6166, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub isin: Option<String>,
    /// On what terms it is traded; without them, the default of each. Absent for a currency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub terms: Option<TermsView>,
}

/// Changes a listed instrument (operator of its issuer). What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeListing {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another number by ISO 6166.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isin: Option<String>,
    /// open, suspended or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Other terms, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsView>,
}

/// Asks an institution how it would judge an order now (dry run). Nothing is signed, sent on or kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DryRun {
    /// The account that would trade.
    pub account: String,
    /// buy or sell.
    pub side: String,
    /// The instrument, written issuer/CODE.
    pub instrument: String,
    /// So many smallest units of it; or `amount`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantity: Option<String>,
    /// As much as so many smallest units of cash buy or sell for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub amount: Option<String>,
    /// The highest price to buy at, or the lowest to sell at, in whole units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<String>,
    /// The highest fee accepted, in smallest units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fee_max: Option<String>,
}

/// The verdict on an order that was only tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunView {
    /// Whether every rule holds now.
    pub would_execute: bool,
    /// `traded`, or `accepted` where it would wait for its price.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<String>,
    /// Smallest units that would change hands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantity: Option<String>,
    /// The price, in whole units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<String>,
    /// The cost without the fee, in smallest units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<String>,
    /// The fee, in smallest units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fee: Option<String>,
    /// What would be put up, or given back, as margin, in smallest units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub margin: Option<String>,
    /// The cash that pays or is received.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cash: Option<String>,
    /// Every rule that was judged, in order. Those that need a price are missing where there is none.
    pub rules: Vec<RuleView>,
}

/// One rule's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleView {
    /// The reason that a refusal would give.
    pub rule: String,
    /// Whether it holds.
    pub holds: bool,
    /// What it asks.
    pub expected: String,
    /// What was found.
    pub found: String,
}
