//! The JSON types of the API.

mod health;
mod ledger;
mod promotion;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::positions::{AcceptedView, PositionView};
pub use health::{HealthView, VoteView};
pub use ledger::{BlockView, BundleClaim, ChainView};
pub use promotion::{PromotionView, ReferralView, SubmitPromotion};

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
    /// The least height of which the node has a block with its entries; above it, it proves lineages whole.
    #[serde(default)]
    pub history_from: u64,
    /// Verified entries that wait for a block.
    pub pool: u64,
    /// Entries committed since the first block.
    pub entries: u64,
    /// Trades committed since the first block.
    pub trades: u64,
    /// The node's version.
    pub version: String,
    /// How the institution's own system is, where it executes in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub back_office: Option<BackOfficeView>,
    /// Whether the node votes, where it has a validator's key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vote: Option<VoteView>,
    /// What keeps the node from being ready; empty where it is.
    #[serde(default)]
    pub not_ready: Vec<String>,
    /// By how much the node's clock is ahead of each member's, in milliseconds, a message's way included.
    #[serde(default)]
    pub clock_offsets_ms: BTreeMap<String, i64>,
}

/// How an institution's own system is, as its node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackOfficeView {
    /// Instructions and settlements that it has not yet acknowledged to the end.
    pub errands: u64,
    /// Calls that failed since the node started.
    pub failures: u64,
    /// The circuit breaker: `closed`; `open`, so that orders wait at their banks; or `probing`, one call tells.
    pub breaker: String,
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

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// Id.
    pub account: String,
    /// The bank that keeps it.
    pub bank: String,
    /// open, frozen or closed.
    pub status: String,
    /// The key that signs its requests; absent where it is revoked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// How far its bank trusts the customer.
    pub credit: CreditView,
    /// How many trades and acts of servicing its lineage has.
    pub sequence: u64,
    /// The last entry's id.
    pub head: String,
    /// The last committed request's or instruction's counter.
    pub counter: u64,
    /// What it holds, without the credits that wait.
    pub holdings: Amounts,
    /// Credits that wait for the next endorsement to absorb them.
    pub waiting: Amounts,
    /// Both together.
    pub total: Amounts,
    /// Orders that wait for their price, and futures.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub positions: Vec<PositionView>,
    /// The height that this is true at.
    pub height: u64,
}

/// A bank's judgement of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditView {
    /// Level, 0 the lowest.
    pub level: u8,
    /// The version of the bank's rules that gave the level.
    pub rules: u32,
    /// How far below zero the account may go, by currency of its bank.
    #[serde(default)]
    pub lines: Amounts,
}

/// What an operator of a bank does with an account. What takes something from the customer needs the customer's signed
/// instruction instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "act", deny_unknown_fields)]
pub enum ServiceAct {
    /// Nothing leaves the account until it is unfrozen.
    Freeze,
    /// The account is open again.
    Unfreeze,
    /// The account, which must hold nothing, is never used again.
    Close,
    /// No key signs for the account until another is bound.
    RevokeKey,
    /// Another key signs for the account; only where the old one is revoked.
    BindKey {
        /// The new public key, 64 hexadecimal digits.
        key: String,
    },
    /// The bank trusts the customer so far from now on.
    SetCredit(CreditView),
    /// What an order reserves that waited for its price too long comes back to the account.
    Reclaim {
        /// The request that asked for it, 64 hexadecimal digits.
        request: String,
    },
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
    /// The evidence of each identity that the request claims.
    pub evidence: Vec<Evidence>,
}

/// A customer's signed instruction with the evidence of identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitInstruction {
    /// The signed instruction, base64 of its exact bytes.
    pub instruction: String,
    /// The evidence of each identity that the instruction claims.
    pub evidence: Vec<Evidence>,
}

/// Evidence of identity. It never reaches the ledger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The type, as in the request.
    pub kind: String,
    /// The salt of the commitment, 64 hexadecimal digits.
    pub salt: String,
    /// The evidence itself, base64: for `account-key` the 32 bytes of the public key, for `password`, `national-id` and
    /// `totp` the text, for `image`, `audio` and `video` the file, for `x509` chain and signature in CBOR.
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
    /// Stored; it waits for what the account has before it.
    Received,
    /// The second chain is signed and stored; it waits for its turn to be sent.
    Endorsed,
    /// The second chain is on its way to the institution.
    Sent,
    /// The third chain, or the servicing record, is signed and given to the network.
    Executed,
    /// Final: the holdings have changed.
    Committed,
    /// Final: refused, nothing has changed.
    Refused,
    /// Final: not committed before its expiry, nothing has changed.
    Expired,
    /// Final: the bank signed the referral that a promotion asks for.
    Referred,
}

impl RequestState {
    /// Whether nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Committed | Self::Refused | Self::Expired | Self::Referred)
    }
}

/// What an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderKindView {
    /// A customer's request to trade.
    Trade,
    /// A customer's instruction.
    Instruction,
    /// An operator's act.
    Act,
    /// A customer's promotion.
    Promotion,
}

/// When an order came to a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// The state.
    pub state: RequestState,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// A request, an instruction or an operator's act, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The link of what was asked.
    pub request: String,
    /// What it is.
    pub kind: OrderKindView,
    /// What an instruction or an act asks for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub act: Option<String>,
    /// The account.
    pub account: String,
    /// Where it stands.
    pub state: RequestState,
    /// Every state that it came to, with the time.
    pub steps: Vec<StepView>,
    /// When it was received, in Unix milliseconds.
    pub received_ms: u64,
    /// When it reached this state, in Unix milliseconds.
    pub changed_ms: u64,
    /// The committed entry's id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub chain: Option<String>,
    /// The height at which it was committed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub height: Option<u64>,
    /// What became of a committed order: `traded`, `accepted` to wait for its price, or `done` (cancelled, a margin paid).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<String>,
    /// At what it was traded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub executed: Option<ExecutedView>,
    /// How long it waits for its price, and what became of it then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accepted: Option<AcceptedView>,
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
    /// What became of the request's referral: `rewarded`, or why nothing was paid on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub referral: Option<String>,
    /// The rewards that were paid on it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rewards: Vec<RewardView>,
}

/// A reward that an execution paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RewardView {
    /// To whom.
    pub account: String,
    /// In what cash.
    pub instrument: String,
    /// How much, in its smallest units.
    pub amount: String,
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

/// One way to an institution, as a bank measures it (operator).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PathView {
    /// The member that it leads to.
    pub member: String,
    /// `main` for the connection that carries everything, else as the member announced it.
    pub name: String,
    /// The address.
    pub address: String,
    /// tcp, quic, websocket or relay.
    pub transport: String,
    /// connecting, up, suspect or down.
    pub state: String,
    /// Whether chains go by it now.
    pub best: bool,
    /// Smoothed round trip, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rtt_us: Option<u64>,
    /// Shortest round trip, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rtt_min_us: Option<u64>,
    /// How much round trips vary, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rtt_variance_us: Option<u64>,
    /// Throughput, in bytes per second.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub throughput: Option<u64>,
    /// The time in which a typical chain of 4 KiB should arrive, in microseconds: what paths are compared by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score_us: Option<u64>,
    /// Messages of chains sent by it.
    pub sent: u64,
    /// Of them, those that were lost with it.
    pub failed: u64,
    /// Messages sent by it that another path had lost.
    pub resent: u64,
    /// How often chains were moved to it.
    pub switches: u64,
    /// Since when it is in this state, in Unix milliseconds.
    pub since_ms: u64,
}

/// The paths of a bank to its institutions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PathPage {
    /// By member and name.
    pub paths: Vec<PathView>,
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

/// Enrols material as an identity of an account (operator of a bank). It is kept only as a verifier.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolIdentity {
    /// The material, base64: for `password` and `national-id` the text, for `totp` an `otpauth://` address, for `image`,
    /// `audio` and `video` the file, for `x509` the chain in CBOR.
    pub material: String,
    /// The number that the customer was asked to sign, for types that sign one.
    #[serde(default)]
    pub counter: u64,
}

impl std::fmt::Debug for EnrolIdentity {
    /// Leaves the material out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolIdentity").finish_non_exhaustive()
    }
}

/// An identity that is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityView {
    /// Its type.
    pub kind: String,
    /// The digest of its verifier, as endorsements state it.
    pub verifier: String,
    /// When it was enrolled, in Unix milliseconds.
    pub enrolled_ms: u64,
}

/// The identities of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityPage {
    /// In the order of their types; `account-key`, which every account has, is not listed.
    pub identities: Vec<IdentityView>,
    /// The types that this bank verifies.
    pub kinds: Vec<String>,
    /// What this bank demands, in words.
    pub demands: Vec<String>,
}

/// A line of the log of enrolments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentView {
    /// enrolled, replaced, removed or unlocked.
    pub what: String,
    /// Whose identity.
    pub account: String,
    /// Its type.
    pub kind: String,
    /// The digest of the verifier afterwards; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verifier: Option<String>,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// The log of enrolments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentPage {
    /// The newest first.
    pub enrolments: Vec<EnrolmentView>,
}

/// What waits at a bank (operator).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// Orders that are not final.
    pub open: u64,
    /// The queue of each institution for which something waits or is unanswered.
    pub institutions: Vec<InstitutionQueue>,
}

/// The second chains for one institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstitutionQueue {
    /// The institution.
    pub institution: String,
    /// Sent and not answered.
    pub sent: u64,
    /// How many wait.
    pub waiting: u64,
    /// The next of them, in the order in which they will be sent.
    pub next: Vec<QueuedView>,
}

/// A second chain that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuedView {
    /// The order.
    pub request: String,
    /// The account.
    pub account: String,
    /// When the order came, in Unix milliseconds.
    pub received_ms: u64,
    /// The account's activity now, in trades: the sum over its committed trades, each halved with every hour.
    pub activity: String,
}
