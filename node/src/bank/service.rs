//! Servicing: freeze, unfreeze and close an account, pay cash out, bind or revoke a key, change the credit level. A signed
//! record in the account's lineage, after everything that the account has under way.

use std::sync::Arc;

use stemma_chain_format::cbor;
use stemma_chain_format::chain::{Entry, Service};
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::ABSORBED_MAX;
use stemma_chain_format::lineage::absorbed_into;
use stemma_chain_format::position::waiting_key;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::servicing::{Act, Servicing};
use stemma_chain_format::validate::{self, VerifiedEntry};

use super::endorse::beyond;
use super::{Bank, No, OrderKind, OrderRow, OrderState, no};
use crate::role::RoleEffect;

/// Largest encoding of an operator's act, in bytes.
const ACT_BYTES_MAX: usize = 64 * 1024;

/// Why an operator's act is not even tried.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The bank keeps no such account.
    #[error("{0} is no customer's account of this bank")]
    UnknownAccount(AccountId),
    /// The customer must ask for it.
    #[error("{0} needs the customer's signed instruction")]
    NeedsInstruction(&'static str),
    /// The act breaks a rule of its own.
    #[error("the act cannot be recorded")]
    Violation(#[source] Violation),
}

/// An operator's act as it is stored: its link names the order.
#[derive(minicbor::Encode, minicbor::Decode)]
struct Asked {
    #[n(0)]
    account: AccountId,
    #[n(1)]
    act: Act,
    #[n(2)]
    number: u64,
    #[n(3)]
    asked_ms: u64,
}

impl Bank {
    /// Takes an operator's act in; it goes before whatever of the account waits. Returns the order's row.
    ///
    /// # Errors
    /// [`ActError`].
    pub fn act(
        &mut self,
        account: AccountId,
        act: Act,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<OrderRow, ActError> {
        let known = ledger.account(&account).filter(|account| account.state.bank == self.id);
        let known = known.filter(|_| ledger.own_account_of(&account).is_none());
        let state = known.map(|account| &account.state).ok_or(ActError::UnknownAccount(account))?;
        if act.consent().is_required(state.key.is_some()) {
            return Err(ActError::NeedsInstruction(act.as_str()));
        }
        let number = self.take_number();
        let asked = cbor::encode(&Asked { account, act, number, asked_ms: now_ms });
        let link = Link::of(&asked);
        let row = OrderRow::received(number, OrderKind::Act, link, account, asked, now_ms);
        effects.push(RoleEffect::StoreOrder(Box::new(row.clone())));
        effects.push(RoleEffect::Changed(link));
        self.open.insert(link, row.clone());
        self.lines.jump(account, link);
        self.advance(&account, ledger, now_ms, effects);
        Ok(self.open.get(&link).cloned().unwrap_or(row))
    }

    /// Signs the record of an order whose turn it is, and gives it to the network.
    pub(super) fn service(
        &mut self,
        link: &Link,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), No> {
        let Some(row) = self.open.get(link) else { return Ok(()) };
        let entry = self.servicing(row, ledger, now_ms)?;
        let Entry::Servicing(service) = entry.entry() else { return Ok(()) };
        let bytes = service.servicing.bytes().to_vec();
        let Some(row) = self.open.get_mut(link) else { return Ok(()) };
        row.execution = Some(bytes.into());
        row.move_to(OrderState::Executed, now_ms);
        effects.push(RoleEffect::StoreOrder(Box::new(row.clone())));
        self.executed.insert(entry.id(), *link);
        effects.push(RoleEffect::Propose(Arc::new(entry)));
        effects.push(RoleEffect::Changed(*link));
        Ok(())
    }

    /// Acts whose signed records can never commit, because what others do on the account came first (the order to take back from was
    /// settled, or a credit came to the account that was to be closed), or because the key that signed them was retired. The account must not wait for them.
    pub(super) fn overtaken(&self, ledger: &Ledger) -> Vec<Link> {
        let signed = self.executed.values().filter_map(|link| self.open.get(link));
        let acts = signed.filter(|row| matches!(row.kind, OrderKind::Instruction | OrderKind::Act));
        acts.filter(|row| self.is_overtaken(row, ledger)).map(|row| row.link).collect()
    }

    fn is_overtaken(&self, row: &OrderRow, ledger: &Ledger) -> bool {
        let Some(Ok(signed)) = row.execution.as_ref().map(|bytes| Signed::<Servicing>::decode(bytes.to_vec())) else {
            return false;
        };
        // What a retired key signed commits never again.
        if ledger.registry().retirement(&signed.signer()).is_some() {
            return true;
        }
        let record = signed.record();
        match &record.act {
            Act::Reclaim(request, ..) => ledger.position(&waiting_key(&self.network, request)).is_none(),
            Act::Close => ledger.account(&row.account).is_some_and(|account| {
                account.state.head == record.parent && account.inbox.len() > record.absorbed.len()
            }),
            _ => false,
        }
    }

    fn servicing(&self, row: &OrderRow, ledger: &Ledger, now_ms: u64) -> Result<VerifiedEntry, No> {
        let account = ledger.account(&row.account);
        let account = account.ok_or_else(|| no(Why::UnknownAccount, "an open account", row.account))?;
        let (act, instruction) = asked(row).map_err(beyond)?;
        let absorbed: Vec<Credit> = account.inbox.iter().take(ABSORBED_MAX).cloned().collect();
        let mut holdings = absorbed_into(&account.state.holdings, &absorbed).map_err(beyond)?;
        if let Act::Withdraw(instrument, amount) = &act {
            holdings.add(instrument, amount.negated()).map_err(beyond)?;
        }
        if let Act::Reclaim(_, instrument, amount) = &act {
            holdings.add(instrument, *amount).map_err(beyond)?;
        }
        let record = Servicing {
            network: self.network,
            bank: self.id.clone(),
            account: row.account,
            instruction: instruction.as_ref().map(Signed::link),
            parent: account.state.head,
            sequence: account.state.sequence.saturating_add(1),
            absorbed,
            act,
            holdings,
        };
        let servicing = Signed::sign(record, &self.key).map_err(beyond)?;
        let entry = Entry::Servicing(Box::new(Service { instruction, servicing }));
        let entry = validate::verify_entry(entry, ledger.registry()).map_err(not_possible)?;
        ledger.admits(&entry, now_ms).map_err(not_possible)?;
        Ok(entry)
    }
}

/// What an order asks for, with the customer's instruction where it is one.
pub(super) fn asked(row: &OrderRow) -> Result<(Act, Option<Signed<Instruction>>), Violation> {
    if row.kind == OrderKind::Instruction {
        let instruction: Signed<Instruction> = Signed::decode(row.request.to_vec())?;
        return Ok((instruction.record().act.clone(), Some(instruction)));
    }
    let asked: Asked = cbor::decode(&row.request, "act", ACT_BYTES_MAX)?;
    Ok((asked.act, None))
}

/// What the order asks for, in words; none for a trade or a promotion.
pub fn act_of(row: &OrderRow) -> Option<Act> {
    match row.kind {
        OrderKind::Trade | OrderKind::Promotion => None,
        OrderKind::Instruction | OrderKind::Act => asked(row).ok().map(|(act, _)| act),
    }
}

fn not_possible(violation: Violation) -> No {
    let reason = match violation.rule {
        Rule::Overdraft => Why::InsufficientCash,
        Rule::Expiry => Why::Expired,
        Rule::Counter => Why::RepeatedCounter,
        _ => Why::ActNotPossible,
    };
    no(reason, violation.expected, format!("{}: {}", violation.field, violation.found))
}
