//! Blocks, the entries in them, and what is proved of both.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// The ids of its entries; none where the node does not keep them any more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entries: Option<Vec<String>>,
}

/// What a bundle of an account proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundleClaim {
    /// What the account holds and why: its whole lineage, or that from where the node's history begins.
    #[default]
    Lineage,
    /// What the account holds; of an id that is no account, that it is none.
    Holdings,
}

/// A committed entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChainView {
    /// Id.
    pub id: String,
    /// chain, opening, issuance, listing, servicing or settlement.
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
