//! The act of servicing with the customer's instruction.

use crate::chain::Service;
use crate::error::{Rule, Violation, ensure, same};
use crate::member::Role;
use crate::registry::Registry;
use crate::validate::belongs;

/// It is signed by the bank that it names; it links to its instruction and carries out just that. Whether the act needs an
/// instruction, and whether its key is the account's, the lineage tells.
pub(super) fn check(service: &Service, registry: &Registry) -> Result<(), Violation> {
    let Service { instruction, servicing } = service;
    belongs(servicing, registry, "servicing.network")?;
    let record = servicing.record();
    registry.require("servicing.signer", &record.bank, Role::Bank, &servicing.signer())?;
    let Some(instruction) = instruction else {
        let found = record.instruction.map(|link| link.to_string()).unwrap_or_default();
        return ensure(record.instruction.is_none(), Rule::Link, "servicing.instruction", "no link", found);
    };
    belongs(instruction, registry, "instruction.network")?;
    let found = record.instruction.map_or("none".to_owned(), |link| link.to_string());
    let linked = record.instruction == Some(instruction.link());
    ensure(linked, Rule::Link, "servicing.instruction", instruction.link(), found)?;
    let asked = instruction.record();
    same(Rule::Agreement, "servicing.bank", &asked.bank, &record.bank)?;
    same(Rule::Agreement, "servicing.account", &asked.account, &record.account)?;
    same(Rule::Agreement, "servicing.act", &asked.act, &record.act)
}
