//! The JSON types of positions: orders that wait for their price, and futures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something of an account that is neither in its hands nor with the institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PositionView {
    /// Its key.
    pub position: String,
    /// The instrument.
    pub instrument: String,
    /// The cash that pays, is received, or is the margin.
    pub cash: String,
    /// What it is.
    #[serde(flatten)]
    pub state: PositionStateView,
}

/// What a position is. Amounts are decimal strings of smallest units; prices are smallest units of cash for a whole unit; times are
/// RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PositionStateView {
    /// An order that waits for its price.
    Waiting {
        /// Its request.
        request: String,
        /// buy or sell.
        side: String,
        /// What is reserved: of the cash to buy, of the instrument to sell.
        reserved: String,
        /// The highest price to buy at, or the lowest to sell at.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        limit: Option<String>,
        /// The highest fee accepted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        fee_max: Option<String>,
        /// When it was taken.
        accepted: String,
        /// Until when it can be cancelled; absent: until it is executed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cut_off: Option<String>,
        /// From when on the bank may take back what is reserved.
        reclaim: String,
    },
    /// Futures contracts with their margin.
    Margin {
        /// How many; below zero the position is short.
        quantity: String,
        /// The price up to which gains and losses are paid.
        mark: String,
        /// The cash put up.
        margin: String,
        /// When it was traded or marked last.
        marked: String,
        /// Since when more margin is called for.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        called: Option<String>,
    },
}

/// How long an order waits that was taken for the next price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedView {
    /// Until when it can be cancelled, RFC 3339; absent: until it is executed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cut_off: Option<String>,
    /// From when on the bank may take back what is reserved, RFC 3339.
    pub reclaim: String,
    /// What became of it; absent while it waits, or where it was cancelled or taken back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settled: Option<SettledView>,
}

/// What became of an order that waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettledView {
    /// The settlement's id, where the node keeps it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub settlement: Option<String>,
    /// The height at which it was committed.
    pub height: u64,
    /// fill or release; `not kept` where the node does not keep the settlement any more.
    pub act: String,
    /// Smallest units of the instrument that changed hands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantity: Option<String>,
    /// The price, in smallest units of cash for a whole unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<String>,
    /// The fee, in smallest units of cash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fee: Option<String>,
    /// Why it was not executed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}
