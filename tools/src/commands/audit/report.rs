//! What a verified bundle proves, for people and for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::bundle::{Conflict, Derived, Proved, ProvedBlock, ProvedClaim, Replayed, TwoAnswers};
use stemma_chain_format::chain::EntryKind;
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::member::MemberId;
use stemma_node_api::types::Amounts;

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
    accounts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_block: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accused: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<String>>,
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
    block_signers: Vec<String>,
}

/// Names and values, for people.
pub type Rows = Vec<(&'static str, String)>;

impl VerifiedReport {
    /// The report, and the same as names and values.
    pub fn of(proved: &Proved) -> (Self, Rows) {
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
            block_signers: checkpoint.signers.iter().map(ToString::to_string).collect(),
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
            ProvedClaim::Block(entries) => {
                report.claim = "block";
                report.entries = Some(*entries);
                rows.push(("Entries", format!("{entries}, all of the block")));
                Vec::new()
            }
            ProvedClaim::Ledger(replayed) => report.ledger(replayed, &mut rows),
            ProvedClaim::Conflict(conflict) => report.conflict(conflict, checkpoint, &mut rows),
            ProvedClaim::Endorsements(two) => report.two("endorsements", two, &mut rows),
            ProvedClaim::Executions(two) => report.two("executions", two, &mut rows),
        };
        report.checkpoint_rows(&mut rows);
        rows.extend(held);
        (report, rows)
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

    fn ledger(&mut self, replayed: &Replayed, rows: &mut Rows) -> Rows {
        let Replayed { blocks, entries, accounts, positions, held, listings } = replayed;
        self.claim = "ledger";
        let count = entries.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let trades = *entries.get(&EntryKind::Chain).unwrap_or(&0);
        (self.blocks, self.entries, self.chains) = (Some(*blocks), Some(count), Some(trades));
        (self.accounts, self.positions) = (Some(*accounts), Some(*positions));
        rows.push(("Replayed", format!("{blocks} blocks from the genesis on, every root recomputed")));
        rows.push(("Entries", format!("{count}, of them {trades} trades")));
        rows.push(("Compared", format!("every balance of {accounts} accounts, and {positions} positions")));
        let held: Amounts = held.iter().map(|(instrument, sum)| (instrument.to_string(), sum.to_string())).collect();
        let lines = Units::of_listings(listings).lines(&held);
        self.total = Some(held);
        lines.into_iter().map(|line| ("Customers hold", line)).collect()
    }

    fn conflict(&mut self, conflict: &Conflict, ours: &ProvedBlock, rows: &mut Rows) -> Rows {
        let Conflict { other, both } = conflict;
        self.claim = "conflict";
        self.other_block = Some(other.block.to_string());
        self.accused = Some(both.iter().map(|(member, _)| member.to_string()).collect());
        let power = both.iter().fold(0_u64, |sum, (_, power)| sum.saturating_add(*power));
        let (signed, total) = other.power;
        rows.push(("Conflict", format!("two blocks are final that can't both be, at height {}", ours.height)));
        rows.push(("Other block", format!("{}, height {}", other.block, other.height)));
        rows.push(("Its power", format!("{signed} of {total} voting power signed it")));
        let named = |(member, power): &(MemberId, u64)| ("Signed both", format!("{member}, voting power {power}"));
        rows.extend(both.iter().map(named));
        let what_follows = format!("{power} of {} voting power signed both: whoever did, lied", ours.power.1);
        vec![("What follows", what_follows)]
    }

    fn two(&mut self, claim: &'static str, two: &TwoAnswers, rows: &mut Rows) -> Rows {
        let TwoAnswers { member, parent, records } = two;
        self.claim = claim;
        self.accused = Some(vec![member.to_string()]);
        self.parent = Some(parent.to_string());
        self.records = Some(records.iter().map(ToString::to_string).collect());
        rows.push(("Signed both", member.to_string()));
        rows.push(("Both answer", parent.to_string()));
        rows.extend(records.iter().map(|record| ("Record", record.to_string())));
        let what_follows = match claim {
            "executions" => "an honest institution answers one endorsement in one way",
            _ => "an honest bank endorses again on one head only what was refused or expired: it can show which",
        };
        vec![("What follows", what_follows.to_owned())]
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
        rows.push(("Signers", self.block_signers.join(", ")));
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
