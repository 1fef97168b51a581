//! From one registry to the next: who must have signed a governance record, when it takes effect, and what must hold then.

use std::collections::BTreeSet;

use super::{Registry, Scheduled};
use crate::certificate::{is_quorum, total_power};
use crate::cosign::Cosigned;
use crate::error::{Rule, Violation, ensure, same};
use crate::governance::{Change, Governance, rotates_keys_of};
use crate::keys::PublicKey;
use crate::limits::{EFFECTIVE_BLOCKS_MAX, MEMBERS_MAX, ROTATION_BLOCKS_MAX, SCHEDULED_MAX};
use crate::member::{MemberId, MemberStatus};

impl Registry {
    /// This registry with a governance record scheduled that a block at `height` commits. The record's signatures verify already.
    ///
    /// # Errors
    /// It does not follow the record before, takes effect too soon or too late, too few approved it, a key that it brings did not sign, or
    /// it would break a rule: by itself, or together with what is scheduled.
    pub fn plan(&self, signed: &Cosigned<Governance>, height: u64) -> Result<Self, Violation> {
        let record = signed.record();
        self.follows(record, height)?;
        self.is_approved(record, &signed.signers().copied().collect(), height)?;
        let mut next = self.clone();
        (next.summary.number, next.summary.head) = (record.number, signed.link());
        next.schedule(record)?;
        next.clone().try_advance(u64::MAX)?;
        Ok(next)
    }

    /// Whether a record that a block at `height` commits would hold, once enough have signed it: for whoever drafts one.
    ///
    /// # Errors
    /// As [`Self::plan`], but for signatures.
    pub fn tries(&self, record: &Governance, height: u64) -> Result<(), Violation> {
        self.follows(record, height)?;
        let mut next = self.clone();
        next.schedule(record)?;
        next.try_advance(u64::MAX)
    }

    /// The record is the next one, and takes effect in time.
    fn follows(&self, record: &Governance, height: u64) -> Result<(), Violation> {
        same(Rule::Sequence, "governance.number", &self.summary.number.saturating_add(1), &record.number)?;
        same(Rule::Sequence, "governance.parent", &self.summary.head, &record.parent)?;
        let (first, last) = (height.saturating_add(1), height.saturating_add(EFFECTIVE_BLOCKS_MAX));
        let timely = (first..=last).contains(&record.effective);
        ensure(timely, Rule::Expiry, "governance.effective", format_args!("{first} to {last}"), record.effective)
    }

    /// The registry in force at a height: all that was scheduled up to it has taken effect.
    #[must_use]
    pub fn at(mut self, height: u64) -> Self {
        while let Some(due) = self.take_due(height) {
            let before = self.clone();
            // `plan` has tried all of it in this order; were it to fail, it would fail on every node alike.
            if self.take_effect(&due).is_err() {
                self = before;
            }
        }
        self
    }

    fn try_advance(mut self, height: u64) -> Result<(), Violation> {
        while let Some(due) = self.take_due(height) {
            self.take_effect(&due)?;
        }
        Ok(())
    }

    fn take_due(&mut self, height: u64) -> Option<Scheduled> {
        let is_due = self.scheduled.first().is_some_and(|first| first.effective <= height);
        is_due.then(|| self.scheduled.remove(0))
    }

    /// Puts a record among those that wait; what it withdraws leaves them at once.
    fn schedule(&mut self, record: &Governance) -> Result<(), Violation> {
        for (index, change) in record.changes.iter().enumerate() {
            if let Change::Withdraw(number) = change {
                let count = self.scheduled.len();
                self.scheduled.retain(|scheduled| scheduled.number != *number);
                let field = format!("governance.changes[{index}].withdraw");
                let expected = "a record that waits to take effect";
                ensure(self.scheduled.len() < count, Rule::Governance, &field, expected, number)?;
            }
            if let Change::Suspend(id) | Change::Remove(id) | Change::Revoke(id, ..) = change {
                // Who has a member's key, and should not, has nothing under way any more.
                self.scheduled.retain(|scheduled| rotates_keys_of(&scheduled.changes) != Some(id));
            }
        }
        let count = self.scheduled.len();
        ensure(count < SCHEDULED_MAX, Rule::Governance, "governance", "at most 64 records that wait", count)?;
        let Governance { number, effective, changes, .. } = record;
        let changes = changes.iter().filter(|change| !matches!(change, Change::Withdraw(_))).cloned().collect();
        self.scheduled.push(Scheduled { effective: *effective, number: *number, changes });
        self.scheduled.sort_by_key(|scheduled| (scheduled.effective, scheduled.number));
        Ok(())
    }

    /// Enough of the voting power signed, and every key that is new; nobody else did. What rotates the keys of one member alone, that
    /// member may sign alone.
    fn is_approved(&self, record: &Governance, signers: &BTreeSet<PublicKey>, height: u64) -> Result<(), Violation> {
        let brought: BTreeSet<PublicKey> = record.changes.iter().flat_map(Change::new_keys).collect();
        for key in &brought {
            let signed = signers.contains(key);
            ensure(
                signed,
                Rule::Governance,
                "governance.signatures",
                format_args!("one by the new key {key}"),
                "none",
            )?;
        }
        let alone = record.rotates_keys_of();
        let mut by_itself = false;
        let mut power = 0_u64;
        for key in signers.iter().filter(|key| !brought.contains(key)) {
            let member = self.members().find(|member| member.member_key == *key);
            let is_alone = member.is_some_and(|member| Some(&member.id) == alone);
            by_itself |= is_alone;
            let counted = member.filter(|member| is_alone || member.validator_key.is_some());
            let expected = "signatures by members with a vote and by the keys that are new";
            let member = counted.ok_or_else(|| {
                let found = self.described(key);
                Violation::new(Rule::Governance, "governance.signatures", expected, found)
            })?;
            power = power.saturating_add(member.power);
        }
        let enough = self.is_enough(power);
        let (percent, total) = (self.summary.parameters.approval_percent, self.total_power());
        let expected = format!("{percent} percent of the voting power of {total}");
        ensure(by_itself || enough, Rule::Governance, "governance.approval", expected, power)?;
        if enough { Ok(()) } else { self.is_modest(record, height) }
    }

    /// What one member resolves alone waits not for long, and by itself: governance is everybody's.
    fn is_modest(&self, record: &Governance, height: u64) -> Result<(), Violation> {
        let last = height.saturating_add(ROTATION_BLOCKS_MAX);
        let soon = record.effective <= last;
        let expected = format!("at most {last}, where others do not approve");
        ensure(soon, Rule::Expiry, "governance.effective", expected, record.effective)?;
        let alone = record.rotates_keys_of();
        let waits = self.scheduled.iter().find(|scheduled| rotates_keys_of(&scheduled.changes) == alone);
        let found = waits.map_or(String::new(), |scheduled| format!("record {}", scheduled.number));
        let expected = "no rotation of the member's that waits, where others do not approve";
        ensure(waits.is_none(), Rule::Governance, "governance.changes", expected, found)
    }

    /// A signer, as a message shows it.
    fn described(&self, key: &PublicKey) -> String {
        match self.retired.get(key) {
            Some(old) => format!("{key}, a key of {} that does not count from height {} on", old.member, old.from),
            None => match self.registrations().find(|r| r.member.member_key == *key) {
                Some(known) => format!("{key} of {}, {}, power {}", known.member.id, known.status, known.member.power),
                None => key.to_string(),
            },
        }
    }

    /// The voting power of all validators.
    pub fn total_power(&self) -> u64 {
        total_power(&self.validators())
    }

    /// Whether so much voting power approves a governance record.
    pub fn is_enough(&self, power: u64) -> bool {
        let percent = self.summary.parameters.approval_percent;
        u128::from(power).saturating_mul(100) >= u128::from(self.total_power()).saturating_mul(percent.into())
    }

    /// All changes of one record at once, and what must hold then.
    fn take_effect(&mut self, due: &Scheduled) -> Result<(), Violation> {
        let before: BTreeSet<MemberId> = self.validators().into_iter().map(|v| v.id).collect();
        for (index, change) in due.changes.iter().enumerate() {
            let place = format!("governance {}.changes[{index}]", due.number);
            self.apply(change, due.effective).map_err(|violation| violation.within(&place))?;
        }
        self.summary.epoch = self.summary.epoch.saturating_add(1);
        self.holds(&before).map_err(|violation| violation.within(format!("governance {}", due.number)))
    }

    /// The registry's own rules, and that the network can decide: those who had a vote before are a quorum without those who are new, since
    /// a new validator may be away, or have yet to catch up.
    fn holds(&self, before: &BTreeSet<MemberId>) -> Result<(), Violation> {
        let rule = Rule::Governance;
        let count = self.members.len();
        ensure(count <= MEMBERS_MAX, rule, "members", "at most 256, with those that left", count)?;
        self.summary.parameters.check(rule)?;
        let mut keys = BTreeSet::new();
        for registration in self.registrations().filter(|r| r.status != MemberStatus::Removed) {
            let member = &registration.member;
            member.check()?;
            for key in member.keys() {
                ensure(
                    keys.insert(*key),
                    rule,
                    "members",
                    "each key once",
                    format_args!("{}: {key} again", member.id),
                )?;
            }
        }
        let total = self.total_power();
        let in_range = (1..=u64::from(u32::MAX)).contains(&total);
        ensure(in_range, rule, "power", "a total voting power of 1 to 2^32 - 1", total)?;
        let staying = total_power(self.validators().iter().filter(|v| before.contains(&v.id)));
        let expected = format!("more than two thirds of {total} with those who have a vote already");
        ensure(is_quorum(staying, total), rule, "power", expected, staying)
    }
}
