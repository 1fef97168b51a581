//! A request comes in: accepted and durable, or refused with a signed reason.

use stemma_chain_format::account::AccountState;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::Role;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::RefusalReason;
use stemma_chain_format::request::Request;
use stemma_chain_format::{keys, registry::Registry};

use super::identity::{Evidence, IdentityError};
use super::{Bank, StoreError, TradeRow, TradeState};
use crate::role::RoleEffect;

/// What became of a request at the door.
#[derive(Debug)]
pub enum Intake {
    /// It is known, or was accepted, or was refused for a reason that is stored: its row.
    Known(Box<TradeRow>),
    /// It was refused without being stored: nobody proved to be the account's holder, or the bank is full.
    Turned(Box<TradeRow>),
}

/// Why a request could not even be refused.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// It is no request.
    #[error("not a signed request")]
    Malformed(#[source] Violation),
    /// The bank's store failed.
    #[error("the bank's store failed")]
    Store(#[source] StoreError),
    /// The refusal could not be signed.
    #[error("the refusal could not be signed")]
    Sign(#[source] Violation),
}

/// A reason with what was asked and found.
struct No {
    reason: RefusalReason,
    expected: String,
    found: String,
}

fn no(reason: RefusalReason, expected: impl ToString, found: impl ToString) -> No {
    No { reason, expected: expected.to_string(), found: found.to_string() }
}

impl Bank {
    /// Takes a request in.
    ///
    /// # Errors
    /// [`IntakeError`]; a refusal is no error.
    pub fn intake(
        &mut self,
        bytes: Vec<u8>,
        evidence: &Evidence,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<Intake, IntakeError> {
        let request: Signed<Request> = Signed::decode(bytes).map_err(IntakeError::Malformed)?;
        let link = request.link();
        if let Some(row) = self.trade(&link).map_err(IntakeError::Store)? {
            return Ok(Intake::Known(Box::new(row)));
        }
        let mut row = TradeRow {
            number: self.next_number,
            link,
            account: request.record().account,
            state: TradeState::Received,
            received_ms: now_ms,
            changed_ms: now_ms,
            request: request.bytes().to_vec().into(),
            verifier: Digest([0; 32]),
            endorsement: None,
            execution: None,
            refusal: None,
            height: None,
        };
        let state = match self.admit(&request, ledger) {
            Ok(state) => state,
            Err(no) => return self.refuse(row, no, now_ms).map(|row| Intake::Turned(Box::new(row))),
        };
        let counter = match self.counter_of(&row.account, state) {
            Ok(counter) => counter,
            Err(e) => return Err(IntakeError::Store(e)),
        };
        let verdict = self.judge(&request, evidence, state, counter, ledger);
        self.next_number = self.next_number.saturating_add(1);
        match verdict {
            Ok(verifier) => {
                row.verifier = verifier;
                self.counters.insert(row.account, request.record().counter);
                effects.push(RoleEffect::StoreCounter(row.account, request.record().counter));
                effects.push(RoleEffect::StoreTrade(Box::new(row.clone())));
                self.open.insert(link, row.clone());
                self.lines.join(row.account, link);
                self.advance(&row.account.clone(), ledger, now_ms, effects);
            }
            Err(no) => {
                row = self.refuse(row, no, now_ms)?;
                effects.push(RoleEffect::StoreTrade(Box::new(row.clone())));
            }
        }
        // The endorsement may have followed at once; the caller sees where the request stands now.
        let row = self.open.get(&link).cloned().unwrap_or(row);
        Ok(Intake::Known(Box::new(row)))
    }

    fn refuse(&self, mut row: TradeRow, no: No, now_ms: u64) -> Result<TradeRow, IntakeError> {
        let refusal = self.refusal(row.link, no.reason, no.expected, no.found, now_ms).map_err(IntakeError::Sign)?;
        row.state = TradeState::Refused;
        row.refusal = Some(refusal.bytes().to_vec().into());
        Ok(row)
    }

    /// The highest counter this bank has accepted, or the ledger has committed, from an account.
    fn counter_of(
        &mut self,
        account: &stemma_chain_format::hash::AccountId,
        state: &AccountState,
    ) -> Result<u64, StoreError> {
        let accepted = match self.counters.get(account) {
            Some(counter) => *counter,
            None => self.store.counter(account)?,
        };
        let counter = accepted.max(state.counter);
        self.counters.insert(*account, counter);
        Ok(counter)
    }

    /// Whether the request is for this bank, of one of its accounts, and signed by the account's key.
    fn admit<'l>(&self, request: &Signed<Request>, ledger: &'l Ledger) -> Result<&'l AccountState, No> {
        use RefusalReason as Why;
        let record = request.record();
        if record.network != self.network {
            return Err(no(Why::WrongAddressee, format!("network {}", self.network), record.network));
        }
        if record.bank != self.id {
            return Err(no(Why::WrongAddressee, format!("bank {}", self.id), &record.bank));
        }
        let account = ledger.account(&record.account).filter(|account| account.state.bank == self.id);
        let Some(account) = account.filter(|account| ledger.own_account_of(&account.state.account).is_none()) else {
            return Err(no(Why::UnknownAccount, format!("an account at {}", self.id), record.account));
        };
        let check = request.signature_check();
        if check.key != account.state.key {
            return Err(no(Why::BadSignature, format!("the account's key {}", account.state.key), check.key));
        }
        // The strict rule in addition to the ledger's: what enters here verifies with every library.
        keys::verify(&check.key, &check.message, &check.signature)
            .and_then(|()| keys::verify_strict(&check.key, &check.message, &check.signature))
            .map_err(|e| no(Why::BadSignature, format!("a signature by {}", check.key), e))?;
        let waiting = self.open.len() as u64;
        if waiting >= self.config.waiting_max {
            let expected = format!("fewer than {} requests waiting", self.config.waiting_max);
            return Err(no(Why::Busy, expected, format!("{waiting}; try again in 1 s")));
        }
        Ok(&account.state)
    }

    /// Counter, expiry, identity, institution.
    fn judge(
        &self,
        request: &Signed<Request>,
        evidence: &Evidence,
        state: &AccountState,
        counter: u64,
        ledger: &Ledger,
    ) -> Result<Digest, No> {
        use RefusalReason as Why;
        let record = request.record();
        if record.counter <= counter {
            return Err(no(Why::RepeatedCounter, format!("above {counter}"), record.counter));
        }
        let next = ledger.head().height.saturating_add(1);
        if let Some(last) = record.expires.filter(|last| *last < next) {
            return Err(no(Why::Expired, format!("an expiry of at least {next}"), last));
        }
        let verifier = self.verifiers.verify(&record.identity, evidence, state).map_err(|e| match e {
            IdentityError::UnknownType { kind, known } => no(Why::UnknownIdentityType, known, kind),
            IdentityError::Mismatch => no(Why::IdentityMismatch, "the enrolled evidence", "other evidence"),
        })?;
        institution_holds(record, ledger.registry())?;
        Ok(verifier)
    }
}

fn institution_holds(record: &Request, registry: &Registry) -> Result<(), No> {
    let institution = &record.institution;
    let role = registry.member(institution).map(|member| member.role);
    if role == Some(Role::Institution) {
        return Ok(());
    }
    let found = role.map_or_else(|| format!("{institution}, no member"), |role| format!("{institution}, {role}"));
    Err(no(RefusalReason::UnknownInstitution, "an institution of this network", found))
}
