//! The JSON types of the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Instruments and amounts; amounts are decimal strings of smallest units.
pub type Amounts = BTreeMap<String, String>;

/// State of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The member that the node belongs to.
    pub member: String,
    /// Its role: bank, institution or auditor.
    pub role: String,
    /// The network's id.
    pub network: String,
    /// Height of the last committed block; 0 before the first.
    pub height: u64,
    /// Id of the last committed block.
    pub head: String,
    /// Root of the state tree after it.
    pub account_root: String,
    /// Its time, in Unix milliseconds.
    pub time_ms: u64,
    /// Members connected now.
    pub peers: Vec<String>,
    /// Verified entries that wait for a block.
    pub pool: u64,
    /// Entries committed since the first block.
    pub entries: u64,
    /// Trades committed since the first block.
    pub trades: u64,
    /// The node's version.
    pub version: String,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Short name.
    pub id: String,
    /// bank, institution or auditor.
    pub role: String,
    /// The organisation's name.
    pub name: String,
    /// Its record-signing key.
    pub member_key: String,
    /// Its node's network key.
    pub network_key: String,
    /// Its vote-signing key, where it has a vote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validator_key: Option<String>,
    /// Its voting power.
    pub power: u64,
    /// Its own accounts by purpose.
    pub accounts: BTreeMap<String, String>,
}

/// A listed instrument.
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
    /// The link of the listing record.
    pub listing: String,
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockView {
    /// Height.
    pub height: u64,
    /// Id.
    pub block: String,
    /// The block before.
    pub parent: String,
    /// Agreed time, in Unix milliseconds.
    pub time_ms: u64,
    /// Who proposed it.
    pub proposer: String,
    /// Root over its entries.
    pub entries_root: String,
    /// Root of the state tree after it.
    pub account_root: String,
    /// Root of the member registry.
    pub registry_root: String,
    /// The round in which it was decided.
    pub round: u32,
    /// Who signed its certificate.
    pub signers: Vec<String>,
    /// The ids of its entries.
    pub entries: Vec<String>,
}

/// A committed entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainView {
    /// Id.
    pub id: String,
    /// chain, opening, issuance or listing.
    pub kind: String,
    /// The height at which it was committed.
    pub height: u64,
    /// Its place in the block, from 0.
    pub index: u32,
    /// The exact bytes of its stages, base64; their BLAKE3 hashes are the links.
    pub stages: Vec<String>,
    /// Who signed each stage (public keys).
    pub signers: Vec<String>,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// Id.
    pub account: String,
    /// The bank that keeps it.
    pub bank: String,
    /// The key that signs its requests.
    pub key: String,
    /// How many trades its lineage has.
    pub sequence: u64,
    /// The last chain's id.
    pub head: String,
    /// The last committed request's counter.
    pub counter: u64,
    /// What it holds, without the credits that wait.
    pub holdings: Amounts,
    /// Credits that wait for the next endorsement to absorb them.
    pub waiting: Amounts,
    /// Both together.
    pub total: Amounts,
    /// The height that this is true at.
    pub height: u64,
}

/// A page of account ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountPage {
    /// Ids in ascending order.
    pub accounts: Vec<String>,
    /// Give it as `after` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Opens an account (operator of a bank).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAccount {
    /// The customer's public key, 64 hexadecimal digits.
    pub key: String,
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
    #[serde(default)]
    pub quoted_in: Option<String>,
}

/// Credits accounts with cash of this bank (operator).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueCash {
    /// The currency's code.
    pub code: String,
    /// Amounts by account: decimal strings of smallest units, each above zero.
    pub credits: BTreeMap<String, String>,
}

/// The answer to an operator's record: its id, once it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Committed {
    /// The entry's id; of an opening, the account's id.
    pub id: String,
    /// The height at which it was committed.
    pub height: u64,
}

/// A customer's signed request with the evidence of identity, which goes to the bank alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The signed first chain, base64 of its exact bytes.
    pub request: String,
    /// The evidence that the request's commitment is to.
    pub evidence: Evidence,
}

/// Evidence of identity. It never reaches the ledger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The type, as in the request.
    pub kind: String,
    /// The salt of the commitment, 64 hexadecimal digits.
    pub salt: String,
    /// The evidence itself, base64; for `account-key`, the 32 bytes of the public key.
    pub value: String,
}

impl std::fmt::Debug for Evidence {
    /// Shows the type alone: evidence stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evidence").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Where a request stands; it is in exactly one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// Stored; it waits for the account's chain before.
    Received,
    /// The second chain is signed and stored, and is on its way to the institution.
    Endorsed,
    /// The third chain is here and given to the network.
    Executed,
    /// Final: the holdings have changed.
    Committed,
    /// Final: refused, nothing has changed.
    Refused,
    /// Final: not committed before its expiry, nothing has changed.
    Expired,
}

impl RequestState {
    /// Whether nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Committed | Self::Refused | Self::Expired)
    }
}

/// A request and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The request's link.
    pub request: String,
    /// The account.
    pub account: String,
    /// Where it stands.
    pub state: RequestState,
    /// When it was received, in Unix milliseconds.
    pub received_ms: u64,
    /// When it reached this state, in Unix milliseconds.
    pub changed_ms: u64,
    /// The committed chain's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chain: Option<String>,
    /// The height at which it was committed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u64>,
    /// What was executed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub executed: Option<ExecutedView>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refusal: Option<RefusalView>,
}

/// What was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutedView {
    /// Smallest units that changed hands.
    pub quantity: String,
    /// The price: smallest units of cash for one whole unit.
    pub price: String,
    /// The fee, in smallest units of cash.
    pub fee: String,
}

/// A signed refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalView {
    /// Who refused.
    pub member: String,
    /// Why: one of the stable reasons of the specification.
    pub reason: String,
    /// What the rule asks.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// What to do.
    pub advice: String,
    /// The signed refusal, base64 of its exact bytes.
    pub signed: String,
}

/// The requests of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestPage {
    /// The newest first.
    pub requests: Vec<RequestView>,
}

/// The trading day of an institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Market {
    /// The day, as in the price file; absent before the first.
    pub day: Option<String>,
    /// Prices of that day by instrument code, as quoted.
    pub prices: BTreeMap<String, String>,
}

/// Moves the trading day (operator of an institution).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveDay {
    /// A day of the price file.
    pub day: String,
}
