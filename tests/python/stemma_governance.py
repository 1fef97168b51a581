"""The registry of members and how governance records change it: genesis.md, governance.md and block.md's trust, of chain-format/spec."""

import copy

import cbor2

from stemma_encoding import (
    H, admitted, array, decode, derived, encode, enumeration, h32, keyed, member_id, merkle_root, need, octets, parts,
    record, same, text, u32, u64, variants, verifies,
)
from stemma_records import (
    AUDITOR, OWN_PURPOSES, check_genesis, check_member, check_parameters, cose_sign, genesis_record, member, parameters,
    protected_header, signer, utf8_length,
)  # fmt: skip

ADMIT, SUSPEND, REINSTATE, REMOVE, ASSIGN, ROTATE, REVOKE, SET, UPGRADE, WITHDRAW_RECORD = range(10)
ACTIVE, SUSPENDED, REMOVED = range(3)
KEY_FIELDS = ("member_key", "network_key", "validator_key")
MEMBER_KEY, NETWORK_KEY, VALIDATOR_KEY = range(3)

key_use = enumeration(3)
change = variants(
    (member,), (member_id,), (member_id,), (member_id,), (member_id, enumeration(3), u64), (member_id, key_use, h32),
    (member_id, key_use, h32), (parameters,), (u32,), (u64,),
)  # fmt: skip
governance = record(network=h32, number=u64, parent=h32, effective=u64, changes=array(change), note=text)


def covered(kind, protected, payload):
    """What one signature of several covers (envelope.md)."""
    return encode(["Signature", b"", protected, b"", payload])


class Cosigned:
    """A governance record with its signatures; `check_signature` checks them all."""

    def __init__(self, data, place):
        self.payload, signatures = decode(data, cose_sign(304), place, 64 * 1024)
        self.signatures = []
        for protected, _, signature in signatures:
            self.signatures.append((signer(protected, "governance", place), signature))
        keys = [key for key, _ in self.signatures]
        need(keys == sorted(set(keys)), "encoding", place, "signatures in the order of their keys, each once")
        self.record = decode(self.payload, governance, place, 64 * 1024)
        need(self["number"] > 0, "range", f"{place}.number", "1 or above", 0)
        need(1 <= len(self["changes"]) <= 16, "range", f"{place}.changes", "1 to 16", len(self["changes"]))
        need(utf8_length(self["note"]) <= 256, "range", f"{place}.note", "at most 256 bytes")
        self.link, self.place, self.keys = H(data), place, set(keys)

    def __getitem__(self, field):
        return self.record[field]

    def check_signature(self):
        for key, signature in self.signatures:
            protected = protected_header("governance", key)
            holds = verifies(key, covered("governance", protected, self.payload), signature)
            need(holds, "signature", f"{self.place}.{key.hex()}", "a signature that verifies", "none")


def raw_change(found):
    """A change as it is encoded."""
    return [keyed(part) if isinstance(part, dict) else part for part in found]


def rotates_keys_of(changes):
    """Whose keys some changes rotate, where they do nothing else and rotate nobody else's."""
    rotated = {found[1] if found[0] == ROTATE else None for found in changes}
    return rotated.pop() if len(rotated) == 1 else None


class Registry:
    """All that is in force at one height, and what is going to be."""

    def __init__(self, data):
        payload, signatures = decode(data, cose_sign(256), "genesis", 2**20)  # steps 1, 2
        genesis = decode(payload, genesis_record, "genesis", 2**20)
        check_genesis(genesis)
        members = genesis["members"]
        same("genesis", "genesis.signatures", len(members), len(signatures))  # step 6
        for m, (protected, _, signature) in zip(members, signatures):
            place, key = f"genesis.signatures.{m['id']}", m["member_key"]
            same("genesis", place, protected_header("genesis", key), protected)
            holds = verifies(key, covered("genesis", protected, payload), signature)
            need(holds, "genesis", place, "a signature that verifies", "none")
        self.network, self.parameters, self.created_ms = H(data), genesis["parameters"], genesis["created_ms"]
        self.version, self.epoch, self.number, self.head = 1, 0, 0, self.network
        self.everyone = {m["id"]: [m, ACTIVE] for m in members}
        self.scheduled, self.retired = [], {}

    @property
    def members(self):
        """Those that may act."""
        return {name: m for name, (m, status) in self.everyone.items() if status == ACTIVE}

    @property
    def validators(self):
        return {name: m for name, m in self.members.items() if m["validator_key"] is not None and m["power"] > 0}

    @property
    def power(self):
        return sum(m["power"] for m in self.validators.values())

    @property
    def root(self):
        leaves = [[0, [keyed(self.parameters), self.version, self.epoch, self.number, self.head]]]
        leaves += [[1, [keyed(m), status]] for _, (m, status) in sorted(self.everyone.items())]
        leaves += [[2, [due, number, list(map(raw_change, changes))]] for due, number, changes in self.scheduled]
        leaves += [[3, [key, *self.retired[key]]] for key in sorted(self.retired)]
        return merkle_root([H(b"\0", encode(leaf)) for leaf in leaves])

    def own_account(self, name, purpose):
        return derived("stemma 2026 member account id", self.network + f"{purpose}/{name}".encode())

    def own_accounts(self, name):
        return {self.own_account(name, purpose) for purpose in OWN_PURPOSES}

    def own_account_openings(self):
        """Each own account that banks and institutions have: its id, whose it is, and the key that its leaf names."""
        for name, (m, _) in self.everyone.items():
            for purpose in OWN_PURPOSES if m["role"] != AUDITOR else ():
                yield self.own_account(name, purpose), name, m["member_key"]

    def require(self, place, name, role, key):
        found = self.members.get(name)
        need(found, "signer", place, "an active member of this network", name)
        same("signer", place, role, found["role"])
        same("signer", place, found["member_key"], key)

    # --- governance.md: to plan a record ---------------------------------------------------------------------------

    def plan(self, signed, height):
        """This registry with a record scheduled that a block at a height commits."""
        number, effective = self.number + 1, signed["effective"]
        same("sequence", "governance.number", number, signed["number"])  # step 1
        same("sequence", "governance.parent", self.head, signed["parent"])  # step 2
        last = height + 10_000_000
        need(height < effective <= last, "expiry", "governance.effective", f"{height + 1} to {last}", effective)  # step 3
        self.is_approved(signed, height)  # steps 4 to 6
        planned = copy.deepcopy(self)
        planned.number, planned.head = number, signed.link
        for found in signed["changes"]:  # step 7
            if found[0] == WITHDRAW_RECORD:
                left = [waits for waits in planned.scheduled if waits[1] != found[1]]
                need(len(left) < len(planned.scheduled), "governance", "changes.withdraw", "a record that waits", found[1])
                planned.scheduled = left
            if found[0] in (SUSPEND, REMOVE, REVOKE):
                planned.scheduled = [waits for waits in planned.scheduled if rotates_keys_of(waits[2]) != found[1]]
        need(len(planned.scheduled) < 64, "governance", "governance", "at most 64 records that wait")  # step 8
        kept = [found for found in signed["changes"] if found[0] != WITHDRAW_RECORD]
        planned.scheduled.append([effective, number, kept])
        planned.scheduled.sort(key=lambda waits: waits[:2])
        planned.at(2**64)  # step 9
        return planned

    def is_approved(self, signed, height):
        brought = set()
        for kind, *given in signed["changes"]:
            if kind == ADMIT:
                brought |= {given[0][field] for field in KEY_FIELDS} - {None}
            elif kind == ROTATE:
                brought.add(given[2])
        need(brought <= signed.keys, "governance", "signatures", "one by each new key", "fewer")  # step 4
        alone = rotates_keys_of(signed["changes"])
        power, by_itself = 0, False
        for key in signed.keys - brought:  # step 5
            m = next((m for m in self.members.values() if m["member_key"] == key), None)
            counts = m and (m["id"] == alone or m["validator_key"] is not None)
            need(counts, "governance", "signatures", "signatures of members with a vote and of new keys", key)
            power, by_itself = power + m["power"], by_itself or m["id"] == alone
        enough = 100 * power >= self.parameters["approval_percent"] * self.power
        need(by_itself or enough, "governance", "approval", f"{self.parameters['approval_percent']} percent", power)  # step 6
        if not enough:
            need(signed["effective"] <= height + 10_000, "expiry", "governance.effective", f"at most {height + 10_000}")
            waits = [waits for waits in self.scheduled if rotates_keys_of(waits[2]) == alone]
            need(not waits, "governance", "changes", "no rotation of the member's that waits", waits)

    # --- governance.md: what takes effect --------------------------------------------------------------------------

    def at(self, height):
        """The registry in force at a height."""
        found = copy.deepcopy(self)
        while found.scheduled and found.scheduled[0][0] <= height:
            found.take_effect(*found.scheduled.pop(0))
        return found

    def take_effect(self, effective, number, changes):
        before = set(self.validators)
        for kind, *given in changes:
            CHANGES[kind](self, effective, *given)
        self.epoch += 1
        place = f"governance {number}"
        need(len(self.everyone) <= 256, "governance", place, "at most 256 members")
        check_parameters(self.parameters, "governance")
        keys = []
        for m in (m for m, status in self.everyone.values() if status != REMOVED):
            check_member(m, place)
            keys += [m[field] for field in KEY_FIELDS if m[field] is not None]
        same("governance", place, len(keys), len(set(keys)))
        need(1 <= self.power < 2**32, "governance", place, "a total power of 1 to 2^32 - 1", self.power)
        staying = sum(m["power"] for name, m in self.validators.items() if name in before)
        need(3 * staying > 2 * self.power, "governance", place, "a quorum of those who have a vote already", staying)

    def admit(self, effective, m):
        need(m["id"] not in self.everyone, "governance", "admit", "a name that no member has or had", m["id"])
        check_member(m, "admit")
        for field in KEY_FIELDS:
            if m[field] is not None:
                self.is_fresh(m[field])
        self.everyone[m["id"]] = [dict(m), ACTIVE]

    def suspend(self, effective, name):
        self.turn(name, ACTIVE, SUSPENDED)

    def reinstate(self, effective, name):
        need(self.known(name)[0]["member_key"] not in self.retired, "governance", name, "a member key that counts")
        self.turn(name, SUSPENDED, ACTIVE)

    def turn(self, name, before, after):
        same("governance", name, before, self.known(name)[1])
        self.everyone[name][1] = after

    def remove(self, effective, name):
        m, _ = self.known(name)
        self.everyone[name][1] = REMOVED
        for used, field in enumerate(KEY_FIELDS):
            if m[field] is not None:
                self.retired.setdefault(m[field], [name, used, effective, False])

    def assign(self, effective, name, role, power):
        m, _ = self.known(name)
        m["role"], m["power"] = role, power
        if power == 0:
            self.retire(m["validator_key"], name, VALIDATOR_KEY, effective, False)
            m["validator_key"] = None

    def rotate(self, effective, name, used, key):
        self.is_fresh(key)
        m, _ = self.known(name)
        self.retire(m[KEY_FIELDS[used]], name, used, effective, False)
        m[KEY_FIELDS[used]] = key

    def revoke(self, effective, name, used, key):
        m, _ = self.known(name)
        same("governance", name, m[KEY_FIELDS[used]], key)
        need(key not in self.retired, "governance", name, "a key that is not revoked yet", key)
        if used == MEMBER_KEY:
            self.everyone[name][1] = SUSPENDED
        elif used == VALIDATOR_KEY:
            m["validator_key"], m["power"] = None, 0
        self.retire(key, name, used, effective, True)

    def set(self, effective, limits):
        self.parameters = limits

    def upgrade(self, effective, version):
        need(version > self.version, "governance", "upgrade", f"above {self.version}", version)
        self.version = version

    def known(self, name):
        found = self.everyone.get(name)
        need(found and found[1] != REMOVED, "governance", name, "a member that has not left", name)
        return found

    def is_fresh(self, key):
        need(admitted(key), "governance", "key", "a key that is admitted", key)
        need(key not in self.retired, "governance", "key", "a key that was never in use", key)
        taken = any(key == m[field] for m, _ in self.everyone.values() for field in KEY_FIELDS)
        need(not taken, "governance", "key", "a key that no member has", key)

    def retire(self, key, name, used, effective, revoked):
        if key is not None:
            count = sum(old[0] == name for old in self.retired.values())
            need(count < 256, "governance", name, "at most 256 retired keys", count)
            self.retired.setdefault(key, [name, used, effective, revoked])


CHANGES = [
    Registry.admit, Registry.suspend, Registry.reinstate, Registry.remove, Registry.assign, Registry.rotate,
    Registry.revoke, Registry.set, Registry.upgrade,
]  # fmt: skip
