//! What each change does.

use super::{Registration, Registry, RetiredKey};
use crate::error::{Rule, Violation, ensure};
use crate::genesis::Parameters;
use crate::governance::Change;
use crate::keys::PublicKey;
use crate::limits::RETIRED_KEYS_MAX;
use crate::member::{KeyUse, Member, MemberId, MemberStatus, Role};

impl Registry {
    /// Makes one change, which holds from a height on.
    pub(super) fn apply(&mut self, change: &Change, from: u64) -> Result<(), Violation> {
        match change {
            Change::Admit(member) => self.admit(member),
            Change::Suspend(id) => self.turn("suspend", id, MemberStatus::Active, MemberStatus::Suspended),
            Change::Reinstate(id) => self.reinstate(id),
            Change::Remove(id) => self.remove(id, from),
            Change::Assign(id, role, power) => self.assign(id, (*role, *power), from),
            Change::Rotate(id, used, key) => self.rotate(id, (*used, key), from),
            Change::Revoke(id, used, key) => self.revoke(id, (*used, key), from),
            Change::Set(parameters) => self.set(parameters),
            Change::Upgrade(version) => self.upgrade(*version),
            // Done when the record was committed.
            Change::Withdraw(_) => Ok(()),
        }
    }

    fn admit(&mut self, member: &Member) -> Result<(), Violation> {
        let known = self.members.contains_key(&member.id);
        ensure(!known, Rule::Governance, "admit.id", "a name that no member has or had", &member.id)?;
        member.check().map_err(|violation| violation.within("admit"))?;
        for key in member.keys() {
            self.is_fresh("admit.key", key)?;
        }
        self.register(Registration { member: member.clone(), status: MemberStatus::Active });
        Ok(())
    }

    fn turn(&mut self, field: &str, id: &MemberId, from: MemberStatus, to: MemberStatus) -> Result<(), Violation> {
        let registration = self.known(field, id)?;
        let found = format!("{id}, {}", registration.status);
        ensure(registration.status == from, Rule::Governance, field, format_args!("a member that is {from}"), found)?;
        registration.status = to;
        Ok(())
    }

    fn reinstate(&mut self, id: &MemberId) -> Result<(), Violation> {
        let key = self.known("reinstate", id)?.member.member_key;
        let revoked = self.retired.contains_key(&key);
        let found = format!("{id}, whose key {key} was revoked");
        ensure(!revoked, Rule::Governance, "reinstate", "a member with a member key that counts", found)?;
        self.turn("reinstate", id, MemberStatus::Suspended, MemberStatus::Active)
    }

    fn remove(&mut self, id: &MemberId, from: u64) -> Result<(), Violation> {
        let registration = self.known("remove", id)?;
        registration.status = MemberStatus::Removed;
        let member = registration.member.clone();
        for used in [KeyUse::Member, KeyUse::Network, KeyUse::Validator] {
            if let Some(key) = member.key(used) {
                // A member that goes may have as many retired keys as there can be: these are its last.
                self.retired.entry(*key).or_insert(retired(id, (used, *key), from, false));
            }
        }
        Ok(())
    }

    fn assign(&mut self, id: &MemberId, (role, power): (Role, u64), from: u64) -> Result<(), Violation> {
        let member = &mut self.known("assign", id)?.member;
        (member.role, member.power) = (role, power);
        let gone = if power == 0 { member.validator_key.take() } else { None };
        if let Some(key) = gone {
            self.retire(id, (KeyUse::Validator, key), from, false)?;
        }
        Ok(())
    }

    fn rotate(&mut self, id: &MemberId, (used, key): (KeyUse, &PublicKey), from: u64) -> Result<(), Violation> {
        self.is_fresh("rotate.key", key)?;
        let member = &mut self.known("rotate", id)?.member;
        let before = match used {
            KeyUse::Member => Some(std::mem::replace(&mut member.member_key, *key)),
            KeyUse::Network => Some(std::mem::replace(&mut member.network_key, *key)),
            KeyUse::Validator => member.validator_key.replace(*key),
        };
        if let Some(before) = before {
            self.retire(id, (used, before), from, false)?;
        }
        Ok(())
    }

    fn revoke(&mut self, id: &MemberId, (used, key): (KeyUse, &PublicKey), from: u64) -> Result<(), Violation> {
        let registration = self.known("revoke", id)?;
        let found = registration.member.key(used).copied();
        let shown = found.map_or("none".to_owned(), |key| key.to_string());
        ensure(
            found == Some(*key),
            Rule::Governance,
            "revoke.key",
            format_args!("the {used} key of {id}, {shown}"),
            key,
        )?;
        match used {
            KeyUse::Member => registration.status = MemberStatus::Suspended,
            KeyUse::Network => {}
            KeyUse::Validator => (registration.member.validator_key, registration.member.power) = (None, 0),
        }
        let again = self.retired.contains_key(key);
        ensure(!again, Rule::Governance, "revoke.key", "a key that is not revoked yet", key)?;
        self.retire(id, (used, *key), from, true)
    }

    fn set(&mut self, parameters: &Parameters) -> Result<(), Violation> {
        parameters.check(Rule::Governance).map_err(|violation| violation.within("set"))?;
        self.summary.parameters = parameters.clone();
        Ok(())
    }

    fn upgrade(&mut self, version: u32) -> Result<(), Violation> {
        let now = self.summary.version;
        ensure(version > now, Rule::Governance, "upgrade", format_args!("a version above {now}"), version)?;
        self.summary.version = version;
        Ok(())
    }

    /// A member that has not left.
    fn known(&mut self, field: &str, id: &MemberId) -> Result<&mut Registration, Violation> {
        let missing = || Violation::new(Rule::Governance, field, "a member of this network", id);
        let registration = self.members.get_mut(id).ok_or_else(missing)?;
        let gone = registration.status == MemberStatus::Removed;
        ensure(!gone, Rule::Governance, field, "a member that has not left", id)?;
        Ok(registration)
    }

    /// A key that nobody has or ever had.
    fn is_fresh(&self, field: &str, key: &PublicKey) -> Result<(), Violation> {
        let rule = Rule::Governance;
        key.admit().map_err(|e| Violation::new(rule, field, "a canonical Ed25519 key", format!("{key}: {e}")))?;
        if let Some(old) = self.retired.get(key) {
            let found = format!("{key}, once of {}", old.member);
            return Err(Violation::new(rule, field, "a key that was never in use", found));
        }
        let owner = self.registrations().find(|r| r.member.keys().any(|known| known == key));
        match owner {
            Some(owner) => {
                let found = format!("{key} of {}", owner.member.id);
                Err(Violation::new(rule, field, "a key that no member has", found))
            }
            None => Ok(()),
        }
    }

    fn retire(
        &mut self,
        id: &MemberId,
        (used, key): (KeyUse, PublicKey),
        from: u64,
        revoked: bool,
    ) -> Result<(), Violation> {
        let count = self.retired.values().filter(|old| old.member == *id).count();
        let expected = format!("at most {RETIRED_KEYS_MAX} retired keys of {id}");
        ensure(count < RETIRED_KEYS_MAX, Rule::Governance, "retired", expected, count)?;
        // A key that was revoked stays so when it is replaced.
        self.retired.entry(key).or_insert(retired(id, (used, key), from, revoked));
        Ok(())
    }
}

fn retired(id: &MemberId, (used, key): (KeyUse, PublicKey), from: u64, revoked: bool) -> RetiredKey {
    RetiredKey { key, member: id.clone(), used, from, revoked }
}
