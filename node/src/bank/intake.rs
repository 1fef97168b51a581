//! An order comes in: accepted and durable, or refused with a signed reason. What only reads the order is checked first,
//! then identities are verified, one order of an account at a time and in the order in which they came.

use std::collections::VecDeque;

use stemma_chain_format::account::{AccountState, AccountStatus};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::keys;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::Role;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::request::Request;

use super::asked::{Asked, Common};
use super::desk::{Holder, IdentityJob, IdentityOutcome, Shown, verifier_digest};
use super::identity::attempts::{Changes, Subject};
use super::identity::{Evidence, IdentityError, Verified};
use super::{Bank, No, OrderKind, OrderRow, OrderState, StoreError, no};
use crate::role::RoleEffect;

/// Most orders of one account whose identities wait to be verified.
const AT_THE_DOOR_MAX: usize = 64;

/// What a client hands in.
#[derive(Debug)]
pub struct HandedIn {
    /// A request to trade, an instruction, or a promotion.
    pub kind: OrderKind,
    /// Its signed bytes.
    pub bytes: Vec<u8>,
    /// The evidence of each identity that it claims.
    pub evidence: Vec<Evidence>,
    /// Where it comes from, such as an address.
    pub source: String,
    /// The client's own name for it.
    pub idempotency_key: Option<String>,
}

/// What became of an order at the door.
#[derive(Debug)]
pub enum Intake {
    /// It is known, or was accepted, or was refused for a reason that is stored: its row.
    Known(Box<OrderRow>),
    /// It was refused without being stored: nobody proved to be the account's holder.
    Turned(Box<OrderRow>),
    /// The bank is full; it may be handed in again after so many milliseconds.
    Full(Box<OrderRow>, u64),
    /// Its identity is being verified; [`RoleEffect::Admitted`] will tell.
    Identifying(Link),
}

/// Why an order could not even be refused.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// It is no request, no instruction, or no promotion.
    #[error("not a signed {0}")]
    Malformed(&'static str, #[source] Violation),
    /// The client gave the same name to another order.
    #[error("the idempotency key was used for another order, {0}")]
    KeyReused(Link),
    /// The bank's store failed.
    #[error("the bank's store failed")]
    Store(#[source] StoreError),
    /// The refusal, or the referral, could not be signed.
    #[error("the bank's answer could not be signed")]
    Sign(#[source] Violation),
}

/// An order whose identity is to be verified.
#[derive(Debug)]
pub(super) struct AtTheDoor {
    asked: Asked,
    row: OrderRow,
    evidence: Vec<Evidence>,
    source: String,
}

impl Bank {
    /// Takes an order in.
    ///
    /// # Errors
    /// [`IntakeError`]; a refusal is no error.
    pub fn intake(
        &mut self,
        handed_in: HandedIn,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<Intake, IntakeError> {
        let HandedIn { kind, bytes, evidence, source, idempotency_key } = handed_in;
        let what = match kind {
            OrderKind::Trade => "request",
            OrderKind::Promotion => "promotion",
            OrderKind::Instruction | OrderKind::Act => "instruction",
        };
        let asked = Asked::decode(kind, bytes).map_err(|e| IntakeError::Malformed(what, e))?;
        let (link, account) = (asked.link(), asked.common().account);
        if let Some(row) = self.order(&link).map_err(IntakeError::Store)? {
            return Ok(Intake::Known(Box::new(row)));
        }
        if self.identifying.get(&account).is_some_and(|line| line.iter().any(|door| door.row.link == link)) {
            return Ok(Intake::Identifying(link));
        }
        let mut row = OrderRow::received(0, asked.kind(), link, account, asked.bytes().to_vec(), now_ms);
        row.institution = asked.trade().map(|request| request.institution.clone());
        if let Err(no) = self.admit(&asked, ledger) {
            row.number = self.next_turned;
            self.next_turned = self.next_turned.saturating_add(1);
            let row = self.refused(row, no, now_ms)?;
            effects.push(RoleEffect::KeepTurnedAway(Box::new(row.clone())));
            return Ok(Intake::Turned(Box::new(row)));
        }
        if let Some(key) = &idempotency_key
            && let Some(other) = self.named(&account, key).map_err(IntakeError::Store)?
        {
            return Err(IntakeError::KeyReused(other));
        }
        row.idempotency_key = idempotency_key;
        if let Some(retry_ms) = self.is_full(&account, now_ms) {
            let expected = format!("fewer than {} orders waiting", self.config.waiting_max);
            let no = no(Why::Busy, expected, format!("{}; try again in {retry_ms} ms", self.open.len()));
            return self.refused(row, no, now_ms).map(|row| Intake::Full(Box::new(row), retry_ms));
        }
        let line = self.identifying.entry(account).or_default();
        line.push_back(AtTheDoor { asked, row, evidence, source });
        if line.len() > 1 {
            return Ok(Intake::Identifying(link));
        }
        Ok(match self.at_the_door(&account, ledger, now_ms, effects)? {
            Some(row) => Intake::Known(Box::new(row)),
            None => Intake::Identifying(link),
        })
    }

    /// The account's order that a client gave a name to, also where it is not durable yet.
    fn named(&self, account: &AccountId, key: &str) -> Result<Option<Link>, StoreError> {
        let mut doors = self.identifying.get(account).into_iter().flatten();
        let at_the_door = doors.find(|door| door.row.idempotency_key.as_deref() == Some(key));
        let known = at_the_door.map(|door| door.row.link);
        match known.or_else(|| self.fresh_keys.get(&(*account, key.to_owned())).copied()) {
            Some(link) => Ok(Some(link)),
            None => Ok(self.store.order_by_key(account, key)?.map(|row| row.link)),
        }
    }

    /// Takes up the verdicts on an order's identities, and then the account's next order at the door.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub fn identified(
        &mut self,
        outcome: IdentityOutcome,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), IntakeError> {
        let account = outcome.account;
        let row = self.take_up(outcome, ledger, now_ms, effects)?;
        effects.extend(row.map(|row| RoleEffect::Admitted(Box::new(row))));
        while self.identifying.contains_key(&account) {
            match self.at_the_door(&account, ledger, now_ms, effects)? {
                Some(row) => effects.push(RoleEffect::Admitted(Box::new(row))),
                None => break,
            }
        }
        Ok(())
    }

    /// Judges the first order at an account's door: refuses it, or has its identity verified. Small work is done at once.
    fn at_the_door(
        &mut self,
        account: &AccountId,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<Option<OrderRow>, IntakeError> {
        let verdict = match self.identifying.get(account).and_then(VecDeque::front) {
            Some(door) => self.judge(door, ledger, now_ms),
            None => return Ok(None),
        };
        if let Err(no) = verdict {
            return self.turn_away(account, no, now_ms, effects);
        }
        let Some(job) = self.identity_job(account, ledger, now_ms).map_err(IntakeError::Store)? else {
            return Ok(None);
        };
        if job.is_small() {
            let outcome = job.run(&self.desk);
            return self.take_up(outcome, ledger, now_ms, effects);
        }
        self.jobs.push_back(job);
        effects.push(RoleEffect::Identify);
        Ok(None)
    }

    /// The next identities to verify; [`Self::identified`] takes up the verdicts.
    pub fn take_job(&mut self) -> Option<IdentityJob> {
        self.jobs.pop_front()
    }

    fn identity_job(
        &mut self,
        account: &AccountId,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Option<IdentityJob>, StoreError> {
        let key = ledger.account(account).and_then(|account| account.state.key);
        let Some((key, door)) = key.zip(self.identifying.get_mut(account).and_then(VecDeque::front_mut)) else {
            return Ok(None);
        };
        let Common { network, account, counter, identities, .. } = door.asked.common();
        let holder = Holder { network, account, key, counter, now_s: now_ms / 1_000 };
        let mut evidence = std::mem::take(&mut door.evidence);
        let mut shown = Vec::with_capacity(identities.len());
        for claim in identities {
            let at = evidence.iter().position(|evidence| evidence.kind == claim.kind);
            let stored = match self.used_up.get(&(account, claim.kind.clone())) {
                Some(stored) => Some(stored.clone()),
                None => self.store.verifier(&account, &claim.kind)?.map(|row| row.stored.into()),
            };
            shown.push(Shown { stored, evidence: at.map(|at| evidence.swap_remove(at)), claim: claim.clone() });
        }
        Ok(Some(IdentityJob { link: door.row.link, holder, shown }))
    }

    /// Accepts or refuses the first order at the account's door, by the verdicts on its identities.
    fn take_up(
        &mut self,
        outcome: IdentityOutcome,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<Option<OrderRow>, IntakeError> {
        let IdentityOutcome { link, account, verdicts } = outcome;
        let Some(door) = self.identifying.get(&account).and_then(VecDeque::front).filter(|d| d.row.link == link) else {
            return Ok(None);
        };
        let source = door.source.clone();
        let mut verified: Vec<Verified> = Vec::with_capacity(verdicts.len());
        let mut refused = None;
        for (kind, verdict) in verdicts {
            match verdict {
                Ok(one) => {
                    if let Some(stored) = &one.stored {
                        let (kind, stored) = (kind.clone(), stored.clone());
                        self.used_up.insert((account, kind.clone()), stored.clone());
                        effects.push(RoleEffect::UseUpVerifier { account, kind, stored });
                    }
                    let changes = self.attempts.succeeded(account, &kind);
                    effects.extend(stored_attempts(changes));
                    verified.push(one);
                }
                Err(e) => {
                    if e == IdentityError::Mismatch {
                        let changes = self.attempts.failed(account, &kind, &source, now_ms);
                        effects.extend(stored_attempts(changes));
                    }
                    if refused.is_none() {
                        refused = Some(identity_no(&e, &kind, link));
                    }
                }
            }
        }
        if let Some(no) = refused {
            return self.turn_away(&account, no, now_ms, effects);
        }
        let Some(AtTheDoor { asked, mut row, .. }) = self.leave_the_door(&account) else { return Ok(None) };
        row.verifier = verifier_digest(&verified);
        row.number = self.take_number();
        let counter = asked.common().counter;
        self.counters.insert(account, counter);
        effects.push(RoleEffect::StoreCounter(account, counter));
        if let Some(promotion) = asked.promotion() {
            return self.refer(link, promotion, row, now_ms, effects).map(Some);
        }
        effects.push(RoleEffect::StoreOrder(Box::new(row.clone())));
        effects.push(RoleEffect::Changed(link));
        if let (OrderKind::Instruction, Some(expires)) = (row.kind, asked.common().expires) {
            self.expiries.entry(expires).or_default().push(link);
        }
        self.open.insert(link, row.clone());
        self.lines.join(account, link);
        self.advance(&account, ledger, now_ms, effects);
        // The endorsement may have followed at once; the caller sees where the order stands now.
        Ok(Some(self.open.get(&link).cloned().unwrap_or(row)))
    }

    /// Refuses the first order at the account's door, and stores that.
    fn turn_away(
        &mut self,
        account: &AccountId,
        no: No,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<Option<OrderRow>, IntakeError> {
        let Some(AtTheDoor { mut row, .. }) = self.leave_the_door(account) else { return Ok(None) };
        row.number = self.take_number();
        let row = self.refused(row, no, now_ms)?;
        effects.push(RoleEffect::StoreOrder(Box::new(row.clone())));
        effects.push(RoleEffect::Changed(row.link));
        Ok(Some(row))
    }

    fn leave_the_door(&mut self, account: &AccountId) -> Option<AtTheDoor> {
        let line = self.identifying.get_mut(account)?;
        let door = line.pop_front();
        if line.is_empty() {
            self.identifying.remove(account);
        }
        if let Some((key, link)) =
            door.as_ref().and_then(|door| Some((door.row.idempotency_key.clone()?, door.row.link)))
        {
            self.fresh_keys.insert((*account, key), link);
        }
        door
    }

    pub(super) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        number
    }

    fn refused(&self, mut row: OrderRow, no: No, now_ms: u64) -> Result<OrderRow, IntakeError> {
        let refusal = self.refusal(row.link, no, now_ms).map_err(IntakeError::Sign)?;
        row.move_to(OrderState::Refused, now_ms);
        row.refusal = Some(refusal.bytes().to_vec().into());
        Ok(row)
    }

    /// How long to wait, in milliseconds, where the bank can take no more orders.
    fn is_full(&self, account: &AccountId, now_ms: u64) -> Option<u64> {
        let at_the_door = self.identifying.get(account).map_or(0, VecDeque::len);
        let open = self.open.len().saturating_add(self.identifying.len()) as u64;
        let full = open >= self.config.waiting_max || at_the_door >= AT_THE_DOOR_MAX;
        full.then(|| self.pace.retry_ms(self.config.waiting_max, now_ms))
    }

    /// The highest counter this bank has accepted, or the ledger has committed, from an account.
    fn counter_of(&self, account: &AccountId, state: &AccountState) -> Result<u64, StoreError> {
        let accepted = match self.counters.get(account) {
            Some(counter) => *counter,
            None => self.store.counter(account)?,
        };
        Ok(accepted.max(state.counter))
    }

    /// Whether the order is for this bank, of one of its accounts, and signed by the account's key.
    fn admit(&self, asked: &Asked, ledger: &Ledger) -> Result<(), No> {
        let common = asked.common();
        if common.network != self.network {
            return Err(no(Why::WrongAddressee, format!("network {}", self.network), common.network));
        }
        if *common.bank != self.id {
            return Err(no(Why::WrongAddressee, format!("bank {}", self.id), common.bank));
        }
        let account = ledger.account(&common.account).filter(|account| account.state.bank == self.id);
        let Some(account) = account.filter(|account| ledger.own_account_of(&account.state.account).is_none()) else {
            return Err(no(Why::UnknownAccount, format!("an account at {}", self.id), common.account));
        };
        let check = asked.signature_check();
        let key = account.state.key.ok_or_else(|| no(Why::KeyRevoked, "an account with a key", "a revoked key"))?;
        if check.key != key {
            return Err(no(Why::BadSignature, format!("the account's key {key}"), check.key));
        }
        // The strict rule in addition to the ledger's: what enters here verifies with every library.
        keys::verify(&check.key, &check.message, &check.signature)
            .and_then(|()| keys::verify_strict(&check.key, &check.message, &check.signature))
            .map_err(|e| no(Why::BadSignature, format!("a signature by {}", check.key), e))
    }

    /// What can be said before identities are verified: status, counter, expiry, institution, demands, failures.
    fn judge(&self, door: &AtTheDoor, ledger: &Ledger, now_ms: u64) -> Result<(), No> {
        let Common { account, counter, identities, expires, .. } = door.asked.common();
        let state = ledger.account(&account).map(|account| &account.state);
        let state = state.ok_or_else(|| no(Why::UnknownAccount, "an open account", account))?;
        let promotion = door.asked.promotion();
        is_open(state, door.asked.trade().is_some() || promotion.is_some())?;
        let used = self.counter_of(&account, state);
        let used = used.map_err(|_| no(Why::Busy, "the bank's store", "a failure; try again later"))?;
        if counter <= used {
            return Err(no(Why::RepeatedCounter, format!("above {used}"), counter));
        }
        let next = ledger.head().height.saturating_add(1);
        if let Some(last) = expires.filter(|last| *last < next) {
            return Err(no(Why::Expired, format!("an expiry of at least {next}"), last));
        }
        if let Some(request) = door.asked.trade() {
            institution_holds(request, ledger)?;
        }
        if let Some(promotion) = promotion {
            self.promotion_holds(promotion, ledger)?;
        }
        let offered: Vec<&str> = identities.iter().map(|claim| claim.kind.as_str()).collect();
        // Whether what is offered is enrolled at all, only its verification tells.
        let amount = door.asked.amount(ledger);
        let demanded = self.desk.policy().demanded(&account, amount, &offered, &offered);
        demanded.map_err(|demand| no(Why::IdentityRequired, demand, offered.join(", ")))?;
        for kind in offered {
            self.attempts.check(account, kind, &door.source, now_ms).map_err(|wait| {
                let left_s = wait.until_ms.saturating_sub(now_ms).div_ceil(1_000);
                let found = if wait.locked { "locked" } else { "delayed" };
                no(Why::IdentityLocked, format!("no attempt for {left_s} s"), format!("{kind} {found} after failures"))
            })?;
        }
        Ok(())
    }

    /// Forgets failures that are long ago.
    pub(super) fn forget_failures(&mut self, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        let changes = self.attempts.forget(now_ms);
        effects.extend(stored_attempts(changes));
    }

    /// Forgets an identity's failures, as its enrolment or an operator asks.
    pub fn unlock(&mut self, account: AccountId, kind: &str, effects: &mut Vec<RoleEffect>) {
        let changes = self.attempts.succeeded(account, kind);
        effects.extend(stored_attempts(changes));
    }
}

fn stored_attempts(changes: Changes) -> impl Iterator<Item = RoleEffect> {
    let key = |subject: &Subject| hex::encode(stemma_chain_format::cbor::encode(subject));
    let put = changes.put.into_iter().map(move |row| (key(&row.subject), Some(row.encode())));
    let gone = changes.gone.into_iter().map(move |subject| (key(&subject), None));
    put.chain(gone).map(|(subject, row)| RoleEffect::StoreAttempts(subject, row))
}

fn identity_no(e: &IdentityError, kind: &str, link: Link) -> No {
    match e {
        IdentityError::UnknownType { kind, known } => no(Why::UnknownIdentityType, known, kind),
        IdentityError::Mismatch => no(Why::IdentityMismatch, "the enrolled evidence", "other evidence"),
        IdentityError::TooLarge { .. } | IdentityError::Malformed { .. } => {
            no(Why::IdentityMismatch, e, format!("evidence of another form for {kind}"))
        }
        IdentityError::Damaged { .. } => {
            tracing::error!(order = %link, error = %e, "a stored verifier cannot be used");
            no(Why::Busy, format!("a verifier of the type {kind}"), "one that the bank cannot open; ask the bank")
        }
    }
}

/// Whether the account may trade, or be serviced.
pub(super) fn is_open(state: &AccountState, trades: bool) -> Result<(), No> {
    match state.status {
        AccountStatus::Closed => Err(no(Why::AccountClosed, "an open account", state.status)),
        AccountStatus::Frozen if trades => Err(no(Why::AccountFrozen, "an open account", state.status)),
        AccountStatus::Open | AccountStatus::Frozen => Ok(()),
    }
}

/// The institution is a member with that role at this height, and lists the instrument and the cash is listed.
pub(super) fn institution_holds(record: &Request, ledger: &Ledger) -> Result<(), No> {
    let institution = &record.institution;
    let role = ledger.registry().member(institution).map(|member| member.role);
    if role != Some(Role::Institution) {
        let found = role.map_or_else(|| format!("{institution}, no member"), |role| format!("{institution}, {role}"));
        return Err(no(Why::UnknownInstitution, "an institution of this network", found));
    }
    for instrument in [record.order.instrument(), record.order.cash()] {
        if ledger.listing(instrument).is_none() {
            return Err(no(Why::UnknownInstrument, "a listed instrument", instrument));
        }
    }
    Ok(())
}

/// How fast orders become final: counted over the present and the last stretch of time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    stretch: u64,
    now: u64,
    before: u64,
}

/// A stretch, in milliseconds.
const STRETCH_MS: u64 = 5_000;
/// Shortest and longest time that a client is told to wait, in milliseconds.
const RETRY_MS: (u64, u64) = (1_000, 60_000);

impl Pace {
    pub(super) fn count(&mut self, now_ms: u64) {
        let stretch = now_ms / STRETCH_MS;
        if stretch != self.stretch {
            self.before = if stretch == self.stretch.saturating_add(1) { self.now } else { 0 };
            (self.stretch, self.now) = (stretch, 0);
        }
        self.now = self.now.saturating_add(1);
    }

    /// When a tenth of a full bank will have become final, at the present pace.
    fn retry_ms(&self, waiting_max: u64, now_ms: u64) -> u64 {
        let recent = now_ms / STRETCH_MS <= self.stretch.saturating_add(1);
        let done = if recent { self.now.max(self.before) } else { 0 };
        let tenth_ms = (waiting_max / 10).saturating_mul(STRETCH_MS).checked_div(done).unwrap_or(u64::MAX);
        tenth_ms.clamp(RETRY_MS.0, RETRY_MS.1)
    }
}
