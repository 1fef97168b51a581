//! The JSON types of an institution's prices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One price that an operator pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushedPrice {
    /// The instrument's code.
    pub symbol: String,
    /// What one whole unit costs in whole units of cash: a decimal, as text, above zero.
    pub price: String,
    /// Since when (RFC 3339).
    pub time: String,
}

/// Prices for an institution whose source is `push` (operator): all are taken, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushPrices {
    /// The prices, each symbol once.
    pub prices: Vec<PushedPrice>,
}

/// What an institution quotes now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PricePage {
    /// Where the prices come from: replay, csv, http or push.
    pub source: String,
    /// How old a price may be to trade at it, in milliseconds; absent where any age will do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stale_after_ms: Option<u64>,
    /// By symbol.
    pub prices: Vec<PriceView>,
}

/// A price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriceView {
    /// The instrument's code.
    pub symbol: String,
    /// The price, as it was given.
    pub price: String,
    /// Since when (RFC 3339, UTC); of a replay, when its day was set.
    pub time: String,
    /// Whether it is too old to trade at.
    pub stale: bool,
}
