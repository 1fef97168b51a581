//! `sandbox.json`: what the sandbox remembers between runs. Holdings are not in it: they are the ledger's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::customers::Customer;
use super::products::ProductRow;
use super::promotion::Shown;
use crate::error::CliError;
use crate::files;
pub use crate::founding::home::Ports;

/// The version of the file.
const VERSION: u32 = 1;

/// What is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// The network's id.
    pub network: String,
    /// Ports of each member's node.
    pub ports: BTreeMap<String, Ports>,
    /// BLAKE3 of the price file.
    pub prices: String,
    /// Customers by name.
    pub customers: BTreeMap<String, CustomerState>,
    /// Whether everything is listed, opened and funded.
    pub is_set_up: bool,
    /// How far the orders were replayed.
    pub replay: ReplayState,
    /// The promotion that was shown.
    #[serde(default)]
    pub promotion: Option<Shown>,
    /// The orders for other kinds than stocks.
    #[serde(default)]
    pub products: Option<Vec<ProductRow>>,
}

/// A customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerState {
    /// The bank.
    pub bank: String,
    /// Cash to begin with, in smallest units.
    pub cash: String,
    /// The account, once it is open.
    pub account: Option<String>,
    /// The last counter used for an order.
    pub counter: u64,
    /// The counter of the last request that was committed; 0 before the first.
    pub accepted: u64,
}

/// How far the orders were replayed. Written after each day; within a day it is the ledger that knows, because the
/// same orders give the same requests, which count once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayState {
    /// BLAKE3 of the orders file; empty before the first replay.
    pub orders: String,
    /// The last day that was finished.
    pub day: Option<String>,
    /// Orders of the finished days.
    pub next: u64,
    /// Whether every day was.
    pub is_finished: bool,
    /// What happened in them.
    pub tally: Tally,
}

/// What happened to orders.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Orders that were committed.
    pub committed: u64,
    /// Orders that were not, by reason.
    pub refusals: BTreeMap<String, u64>,
    /// From sending an order until the client saw it committed, in microseconds.
    pub finality_us: Vec<u64>,
    /// What should not have happened.
    pub unexpected: Vec<String>,
}

impl State {
    /// The state of a new sandbox.
    pub fn new(network: String, ports: BTreeMap<String, Ports>, prices: String, customers: &[Customer]) -> Self {
        let customer = |customer: &Customer| {
            let Customer { name, bank, cash } = customer;
            let (bank, cash) = (bank.clone(), cash.to_string());
            (name.clone(), CustomerState { bank, cash, account: None, counter: 0, accepted: 0 })
        };
        let customers = customers.iter().map(customer).collect();
        let replay = ReplayState::default();
        Self {
            version: VERSION,
            network,
            ports,
            prices,
            customers,
            is_set_up: false,
            replay,
            promotion: None,
            products: None,
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// It can't be read, or is of another version.
    pub fn load(path: &Path) -> Result<Self, CliError> {
        let damaged = || CliError::files(format!("{} is not a sandbox's state", path.display()));
        let help = "choose another folder with --dir";
        let state: Self =
            serde_json::from_slice(&files::read(path)?).map_err(|error| damaged().caused_by(&error).help(help))?;
        if state.version != VERSION {
            return Err(damaged().help(help));
        }
        Ok(state)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub fn save(&self, path: &Path) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| CliError::files("cannot encode the sandbox's state").caused_by(&error))?;
        files::write(path, &text, files::MODE_PUBLIC, true)
    }
}

impl Tally {
    /// Adds another's counts.
    pub fn add(&mut self, other: Self) {
        self.committed = self.committed.saturating_add(other.committed);
        for (reason, count) in other.refusals {
            let sum = self.refusals.entry(reason).or_default();
            *sum = sum.saturating_add(count);
        }
        self.finality_us.extend(other.finality_us);
        self.unexpected.extend(other.unexpected);
    }

    /// Counts one order that was not committed.
    pub fn refuse(&mut self, reason: &str) {
        let count = self.refusals.entry(reason.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}
