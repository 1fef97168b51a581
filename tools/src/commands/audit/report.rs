//! What a verified bundle proves, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::bundle::{Derived, Proved, ProvedBlock, ProvedClaim};
use stemma_chain_format::endorsement::Credit;
use stemma_node_api::types::Amounts;

use crate::output::pairs;
use crate::units::Units;

/// What `verify` prints when everything is proved. Amounts are smallest units. What a claim does not say is left out.
#[derive(Debug, Default, Serialize)]
pub struct VerifiedReport {
    verdict: &'static str,
    claim: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holdings: Option<Amounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Amounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Amounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signers: Option<Vec<String>>,
    height: u64,
    time_ms: u64,
    block: String,
    signatures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chains: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_height: Option<u64>,
    trust_steps: u64,
    power_signed: u64,
    power_total: u64,
}

type Rows = Vec<(&'static str, String)>;

impl VerifiedReport {
    /// The report, and the same as a text.
    pub fn of(proved: &Proved) -> (Self, String) {
        let Proved { claim, checkpoint, signatures, trust_steps } = proved;
        let mut report = Self {
            verdict: "verified",
            height: checkpoint.height,
            time_ms: checkpoint.time_ms,
            block: checkpoint.block.to_string(),
            signatures: *signatures,
            trust_steps: *trust_steps,
            power_signed: checkpoint.power.0,
            power_total: checkpoint.power.1,
            ..Self::default()
        };
        let mut rows: Rows = vec![("Verdict", "verified: everything that the bundle claims is proved".to_owned())];
        let held = match claim {
            ProvedClaim::Lineage(derived, from) => report.lineage(derived, from.as_ref(), &mut rows),
            ProvedClaim::Holdings(account, positions) => {
                report.claim = "holdings";
                report.account_of(account, &mut rows);
                let waiting = account.credits_received.saturating_sub(account.credits_absorbed);
                let count = positions.len() as u64;
                report.positions = Some(count);
                let mut held = report.sums(account, &[], &Units::of_listings(&[]));
                held.push(("Positions", count.to_string()));
                if waiting > 0 {
                    let credits = if waiting == 1 { "credit" } else { "credits" };
                    held.push(("Waiting", format!("{waiting} more {credits}, of which only a lineage tells how much")));
                }
                held
            }
            ProvedClaim::Absence(account) => {
                report.claim = "absence";
                report.account = Some(account.to_string());
                rows.push(("Absent", format!("there is no account {account}")));
                Vec::new()
            }
            ProvedClaim::Entry(entry) => {
                report.claim = "entry";
                let kind = entry.entry().kind().as_str();
                let signers: Vec<String> = entry.entry().signers().iter().map(ToString::to_string).collect();
                rows.push(("Entry", format!("{} ({kind})", entry.id())));
                rows.extend(signers.iter().map(|signer| ("Signed by", signer.clone())));
                (report.entry, report.kind, report.signers) = (Some(entry.id().to_string()), Some(kind), Some(signers));
                Vec::new()
            }
        };
        report.checkpoint_rows(&mut rows);
        rows.extend(held);
        let text = pairs(&rows);
        (report, text)
    }

    fn lineage(&mut self, derived: &Derived, from: Option<&ProvedBlock>, rows: &mut Rows) -> Rows {
        let Derived { account, waiting, positions, chains, listings } = derived;
        self.claim = if from.is_some() { "lineage-from" } else { "lineage" };
        self.account_of(account, rows);
        (self.chains, self.positions) = (Some(*chains), Some(positions.len() as u64));
        match from {
            None => rows.push(("Lineage", format!("{chains} trades, complete from the opening record"))),
            Some(ProvedBlock { height, power: (signed, total), .. }) => {
                self.from_height = Some(*height);
                let since = format!("{chains} trades since height {height}, complete from there");
                rows.push(("Lineage", since));
                let vouched =
                    format!("{signed} of {total} voting power signed what the account held at height {height}");
                rows.push(("Before that", vouched));
            }
        }
        self.sums(account, waiting, &Units::of_listings(listings))
    }

    fn account_of(&mut self, account: &AccountState, rows: &mut Rows) {
        let (id, bank) = (account.account.to_string(), account.bank.to_string());
        rows.push(("Account", id.clone()));
        rows.push(("Bank", bank.clone()));
        (self.account, self.bank) = (Some(id), Some(bank));
    }

    /// What is held and what waits; the rows that show it.
    fn sums(&mut self, account: &AccountState, credits: &[Credit], units: &Units) -> Rows {
        let (mut held, mut waiting, mut total) = (Sums::new(), Sums::new(), Sums::new());
        for (instrument, amount) in account.holdings.iter() {
            add(&mut held, instrument, amount);
            add(&mut total, instrument, amount);
        }
        for credit in credits {
            add(&mut waiting, &credit.instrument, credit.amount);
            add(&mut total, &credit.instrument, credit.amount);
        }
        let (waiting, total) = (shown(waiting), shown(total));
        let mut rows: Rows = units.lines(&total).into_iter().map(|line| ("Holds", line)).collect();
        if !waiting.is_empty() {
            rows.extend(units.lines(&waiting).into_iter().map(|line| ("Of it waiting", line)));
        }
        (self.holdings, self.waiting, self.total) = (Some(shown(held)), Some(waiting), Some(total));
        rows
    }

    fn checkpoint_rows(&self, rows: &mut Rows) {
        let signed = format!("{} of {} voting power signed the block", self.power_signed, self.power_total);
        rows.push(("Signatures", format!("{} checked", self.signatures)));
        if self.trust_steps > 0 {
            rows.push(("Members", format!("followed through {} changes from the genesis", self.trust_steps)));
        }
        rows.push(("Block", self.block.clone()));
        rows.push(("Height", format!("{}, {signed}", self.height)));
    }
}

type Sums = BTreeMap<String, i128>;

fn add(sums: &mut Sums, instrument: &impl ToString, amount: Amount) {
    // A verified lineage holds less than 2^96 of anything, so no sum here saturates.
    let sum = sums.entry(instrument.to_string()).or_default();
    *sum = sum.saturating_add(amount.units());
}

fn shown(sums: Sums) -> Amounts {
    sums.into_iter().map(|(instrument, units)| (instrument, units.to_string())).collect()
}
