//! What the sandbox prints in the end.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use stemma_node_api::types::{AccountView, Amounts, RewardView, Status};

use super::checks::Bundle;
use super::plan::{BANKS, CURRENCY};
use super::products::ProductRow;
use super::promotion::Shown;
use super::state::Tally;
use crate::units::Units;

/// Digits of an id that people compare.
const SHORT_CHARS: usize = 12;

/// The result; its JSON is what `--json` prints. Amounts are smallest units.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Orders that were committed.
    pub trades_committed: u64,
    /// Orders of the file.
    pub orders: u64,
    /// Orders that were not committed, by reason.
    pub refusals: BTreeMap<String, u64>,
    /// From sending an order until the client saw it committed.
    pub finality_ms: Finality,
    /// The nodes.
    pub nodes: Vec<NodeRow>,
    /// The customers' accounts.
    pub accounts: Vec<AccountRow>,
    /// The audit bundles.
    pub bundles: Vec<Bundle>,
    /// A promotion with its QR code, and what it paid; absent where nothing had a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Shown>,
    /// Orders for a fund and a trust, with what came of them.
    pub products: Vec<ProductRow>,
    /// The genesis file.
    pub genesis: String,
    /// The sandbox's folder.
    pub dir: String,
    /// Everything that had to hold and did not.
    pub failures: Vec<String>,
}

/// Percentiles in milliseconds; absent where no order was committed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Finality {
    /// Half of the orders were faster.
    pub p50: Option<f64>,
    /// 99 of 100 orders were faster.
    pub p99: Option<f64>,
}

/// One node.
#[derive(Debug, Serialize)]
pub struct NodeRow {
    /// The member.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Height of its last block.
    pub height: u64,
    /// The last block.
    pub head: String,
    /// Root of all accounts after it.
    pub account_root: String,
    /// Address of its HTTP API.
    pub url: String,
}

/// One customer's account.
#[derive(Debug, Serialize)]
pub struct AccountRow {
    /// The customer.
    pub name: String,
    /// The account.
    pub account: String,
    /// Its bank.
    pub bank: String,
    /// Trades in its lineage.
    pub trades: u64,
    /// What it holds, credits that wait included.
    pub holdings: Amounts,
}

impl NodeRow {
    /// A node's status at an address.
    pub fn of(status: Status, url: &str) -> Self {
        let Status { member, role, height, head, account_root, .. } = status;
        Self { name: member, role, height, head, account_root, url: url.to_owned() }
    }
}

impl AccountRow {
    /// A customer's account.
    pub fn of(name: String, view: AccountView) -> Self {
        let AccountView { account, bank, sequence, total, .. } = view;
        Self { name, account, bank, trades: sequence, holdings: total }
    }
}

impl Finality {
    /// Of these durations in microseconds.
    pub fn of(tally: &Tally) -> Self {
        let mut sorted = tally.finality_us.clone();
        sorted.sort_unstable();
        Self { p50: milliseconds(percentile(&sorted, 50)), p99: milliseconds(percentile(&sorted, 99)) }
    }
}

/// The smallest value that so many per cent of the sorted values do not exceed (nearest rank).
pub fn percentile(sorted: &[u64], per_cent: usize) -> Option<u64> {
    let rank = sorted.len().saturating_mul(per_cent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn milliseconds(microseconds: Option<u64>) -> Option<f64> {
    // Tenths of a millisecond: what lies below is noise.
    microseconds.and_then(|us| u32::try_from(us / 100).ok()).map(|tenths| f64::from(tenths) / 10.0)
}

impl Report {
    /// The report for people.
    pub fn text(&self, units: &Units) -> String {
        let ms = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} ms"));
        let refused: u64 = self.refusals.values().fold(0, |sum, count| sum.saturating_add(*count));
        let mut text = format!(
            "Trades committed: {} of {} orders\nFinality:         p50 {}, p99 {}\nOrders refused:   {refused}\n",
            self.trades_committed,
            self.orders,
            ms(self.finality_ms.p50),
            ms(self.finality_ms.p99),
        );
        for (reason, count) in &self.refusals {
            text.push_str(&format!("{count:>6}  {reason}\n"));
        }
        text.push_str(&format!("\nHoldings\n{}\n", self.holdings_table(units)));
        text.push_str(&format!("\nNodes\n{}\n", self.nodes_table()));
        text.push_str(&format!(
            "\nAudit bundles, each verified against {} alone\n{}\n",
            self.genesis,
            self.bundles_table()
        ));
        if !self.products.is_empty() {
            text.push_str("\nOther kinds than stocks\n");
        }
        for ProductRow { instrument, kind, order, outcome, quantity, gain } in &self.products {
            let moved = quantity.as_ref().map(|quantity| format!(", {} units", units.show(instrument, quantity)));
            let [_, bank] = BANKS;
            let cash = format!("{bank}/{CURRENCY}");
            let gain = gain.as_ref().map(|gain| format!(", {} into the margin", units.show(&cash, gain)));
            let more = moved.or(gain).unwrap_or_default();
            text.push_str(&format!("  {order} of {kind} {instrument}: {outcome}{more}\n"));
        }
        if let Some(promotion) = &self.promotion {
            text.push_str(&format!("\n{}", promotion_text(promotion, units)));
        }
        if self.failures.is_empty() {
            text.push_str("\nEverything held.\n");
        } else {
            text.push_str("\nDid not hold:\n");
            self.failures.iter().for_each(|failure| text.push_str(&format!("  {failure}\n")));
        }
        text
    }

    /// One column for each instrument; cash by its code alone, since each account holds its own bank's.
    fn holdings_table(&self, units: &Units) -> Table {
        let column = |instrument: &str| match instrument.split_once('/') {
            Some((issuer, code)) if issuer.starts_with("bank") => code.to_owned(),
            _ => instrument.to_owned(),
        };
        let mut columns: Vec<String> = Vec::new();
        for instrument in self.accounts.iter().flat_map(|account| account.holdings.keys()) {
            if !columns.contains(&column(instrument)) {
                columns.push(column(instrument));
            }
        }
        columns.sort_by_key(|name| (name.contains('/'), name.clone()));
        let mut header = vec!["Account".to_owned(), "Bank".to_owned(), "Trades".to_owned()];
        header.extend(columns.iter().cloned());
        let mut table = table(header);
        for account in &self.accounts {
            let AccountRow { name, account: id, bank, trades, holdings } = account;
            let mut row = vec![format!("{name} {}", short(id)), bank.clone(), trades.to_string()];
            row.extend(columns.iter().map(|wanted| {
                let held = holdings.iter().find(|(instrument, _)| column(instrument) == *wanted);
                held.map_or(String::new(), |(instrument, amount)| units.show(instrument, amount))
            }));
            table.add_row(row);
        }
        for at in 2..columns.len().saturating_add(3) {
            if let Some(column) = table.column_mut(at) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    fn nodes_table(&self) -> Table {
        let mut table = table(["Node", "Role", "Height", "Head", "Account root"].map(ToOwned::to_owned).to_vec());
        for NodeRow { name, role, height, head, account_root, .. } in &self.nodes {
            table.add_row([name.clone(), role.clone(), height.to_string(), short(head), short(account_root)]);
        }
        table
    }

    fn bundles_table(&self) -> Table {
        let mut table = table(["Account", "File", "Verdict"].map(ToOwned::to_owned).to_vec());
        for Bundle { name, file, verdict, .. } in &self.bundles {
            table.add_row([name, file, verdict]);
        }
        table
    }
}

fn promotion_text(promotion: &Shown, units: &Units) -> String {
    let Shown { qr, instrument, promoter, promoter_bank, customer, customer_bank, outcome, rewards, .. } = promotion;
    let mut text = format!(
        "Promotion of {instrument} by {} at {promoter_bank}, used by {} at {customer_bank}: {outcome}\n  {}\n",
        short(promoter),
        short(customer),
        qr.display()
    );
    for RewardView { account, instrument, amount } in rewards {
        let who = if account == promoter { "promoter" } else { "customer" };
        text.push_str(&format!("  {} {instrument} to the {who}\n", units.show(instrument, amount)));
    }
    text
}

fn table(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

fn short(id: &str) -> String {
    id.chars().take(SHORT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (Some(50), Some(99)));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99)), (Some(7), Some(7)));
        assert_eq!(percentile(&[1, 2, 3], 50), Some(2));
        assert_eq!(percentile(&[], 50), None);
        let tally = Tally { finality_us: vec![12_340, 56_789], ..Tally::default() };
        assert_eq!(Finality::of(&tally), Finality { p50: Some(12.3), p99: Some(56.7) });
    }
}
