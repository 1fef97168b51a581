//! Who takes part in the sandbox.

use stemma_chain_format::member::Role;

/// A member of the sandbox's network.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Short name.
    pub id: &'static str,
    /// What it may do.
    pub role: Role,
    /// The organisation's name.
    pub name: &'static str,
    /// Voting power.
    pub power: u64,
}

/// Every member, in the order of their ids.
pub const PARTS: [Part; 5] = [
    Part { id: "auditor", role: Role::Auditor, name: "Example Auditor", power: 0 },
    Part { id: "bank-a", role: Role::Bank, name: "Example Bank A", power: 1 },
    Part { id: "bank-b", role: Role::Bank, name: "Example Bank B", power: 1 },
    Part { id: "broker-a", role: Role::Institution, name: "Example Broker A", power: 1 },
    Part { id: "broker-b", role: Role::Institution, name: "Example Broker B", power: 1 },
];

/// The banks.
pub const BANKS: [&str; 2] = ["bank-a", "bank-b"];
/// The institutions.
pub const INSTITUTIONS: [&str; 2] = ["broker-a", "broker-b"];

/// The currency that both banks issue and all prices are quoted in.
pub const CURRENCY: &str = "USD";
/// Its decimals.
pub const CASH_DECIMALS: u8 = 2;
/// The cash of each bank that each institution begins with, so that it can pay for what it buys: 10,000,000.00.
pub const WORKING_CASH: u64 = 1_000_000_000;

/// Requests by a customer who isn't there are sent to this bank.
pub const STRANGERS_BANK: &str = "bank-a";
