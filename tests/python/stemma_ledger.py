"""The ledger of Stemma: validation.md's *entries in the ledger*, and block.md's state tree, of chain-format/spec."""

import copy

from stemma_encoding import H, ZERO, derived, encode, keyed, need, same
from stemma_dealing import waiting_key
from stemma_records import CLOSED, ORDER_NAMES, RECLAIM, WAITING, WITHDRAW
from stemma_block import CHAIN, GOVERNANCE, ISSUANCE, LISTING, OPENING, SERVICING, SETTLEMENT
from stemma_validation import OWN_CREDIT, add, follow, opened, position_bytes, serve, settle, state_bytes


class Ledger:
    """Accounts with their inboxes, positions, listings, and height and time of the last block."""

    def __init__(self, registry):
        self.registry, self.height, self.time_ms = registry, 0, 0
        self.accounts, self.inboxes, self.positions, self.listings, self.own = {}, {}, {}, {}, {}
        self.open_own_accounts()

    def open_own_accounts(self):
        """Those of new members are opened, those of a member that signs with another key say so."""
        for account, member, key in self.registry.own_account_openings():
            self.own[account] = member
            state = self.accounts.setdefault(account, opened(account, member, key, OWN_CREDIT))
            state["key"] = key

    def end_block(self, height, time_ms):
        """The registry of the next block is in force."""
        self.height, self.time_ms, self.registry = height, time_ms, self.registry.at(height + 1)
        self.open_own_accounts()

    def after(self, entry, time_ms):
        """The ledger after an entry that is valid by itself, in a block of a time; this one stays as it is."""
        after = copy.copy(self)
        after.accounts, after.inboxes = copy.deepcopy(self.accounts), copy.deepcopy(self.inboxes)
        after.listings, after.positions, after.block_ms = dict(self.listings), dict(self.positions), time_ms
        effects = {
            CHAIN: after.chain, OPENING: after.opening, ISSUANCE: after.issuance, LISTING: after.listing,
            SERVICING: after.servicing, SETTLEMENT: after.settlement, GOVERNANCE: after.governance,
        }  # fmt: skip
        effects[entry.kind](entry)
        return after

    def governance(self, entry):
        self.registry = self.registry.plan(entry.stages[0], self.height + 1)

    def opening(self, entry):
        need(entry.id not in self.accounts, "duplicate", "opening", "an account not yet open", entry.id)
        (record,) = entry.stages
        self.accounts[entry.id] = opened(entry.id, record["bank"], record["key"], record["credit"])

    def listing(self, entry):
        (record,) = entry.stages
        before, replaces = self.listings.get(record["instrument"]), record["replaces"]
        if before is None or replaces is None:
            need(before is None, "duplicate", "listing.instrument", "an instrument not yet listed", record["instrument"])
            need(replaces is None, "listing", "listing.replaces", "nothing", replaces)
        else:
            same("link", "listing.replaces", before.link, replaces)
            for field in ("kind", "decimals", "quoted_in"):
                same("agreement", f"listing.{field}", before[field], record[field])
            dealings = [listing["terms"] and listing["terms"]["dealing"][0] for listing in (before, record)]
            same("agreement", "listing.terms.dealing", *dealings)
        self.listings[record["instrument"]] = record

    def chain(self, entry):
        request, endorsement, execution = entry.stages
        height, last = self.height + 1, self.height + 1 + self.registry.parameters["expiry_blocks_max"]
        expires = endorsement["expires"]
        need(height <= expires <= last, "expiry", "endorsement.expires", f"{height} to {last}", expires)
        kind, asked = request["order"]
        listed, cash, name = self.listings.get(asked["instrument"]), asked["cash"], ORDER_NAMES[kind]
        need(listed, "listing", f"request.{name}.instrument", "a listed instrument")
        need(cash in self.listings, "listing", f"request.{name}.cash", "listed cash", cash)
        account = endorsement["account"]
        state = self.open_account(account)
        found = follow(state, entry, self.waiting(state), listed, self.registry.network, self.positions.get)
        self.accounts[account], key, left = found
        self.put(key, left)
        self.post(entry, execution["postings"], {account, key}, [account])

    def settlement(self, entry):
        (record,) = entry.stages
        earliest, latest = self.block_ms - 600_000, self.block_ms + self.registry.parameters["clock_drift_ms_max"]
        settled_ms, key = record["settled_ms"], record["position"]
        timely = earliest <= settled_ms <= latest
        need(timely, "expiry", "settlement.settled_ms", f"{earliest} to {latest}", settled_ms)
        before = self.positions.get(key)
        need(before is not None, "sequence", "settlement.position", "a position there is", "none")
        listed = self.listings[before["instrument"]]
        state = self.open_account(record["account"])
        self.accounts[record["account"]], left = settle(state, entry, listed, before)
        self.put(key, left)
        self.post(entry, record["postings"], {key}, [])

    def put(self, key, left):
        self.positions.pop(key, None)
        if left is not None:
            self.positions[key] = left

    def post(self, entry, postings, but, touched):
        """Postings on all accounts but some; then no member owes what it does not issue."""
        for index, posting in enumerate(postings):
            other, name, units = posting["account"], posting["instrument"], posting["amount"]
            if other in but:
                continue
            if units > 0:
                self.credit(other, {"source": entry.id, "index": index, "instrument": name, "amount": units})
            else:
                add(self.open_account(other)["holdings"], name, units)
            touched.append(other)
        for other in touched:
            for name, units in self.accounts[other]["holdings"].items() if other in self.own else ():
                issued = name.split("/")[0] == self.own[other]
                need(units >= 0 or issued, "overdraft", f"postings.{name}", "0 or above", units)

    def issuance(self, entry):
        (record,) = entry.stages
        name = record["instrument"]
        need(name in self.listings, "listing", "issuance.instrument", "a listed instrument", name)
        state = self.open_account(self.registry.own_account(record["issuer"], "settlement"))
        same("sequence", "issuance.parent", state["head"], record["parent"])
        same("sequence", "issuance.sequence", state["sequence"] + 1, record["sequence"])
        add(state["holdings"], name, -sum(units for _, units in record["credits"]))
        state["head"], state["sequence"] = entry.id, record["sequence"]
        for index, (account, units) in enumerate(record["credits"]):
            self.credit(account, {"source": entry.id, "index": index, "instrument": name, "amount": units})

    def servicing(self, entry):
        record = entry.stages[-1]
        account, (kind, *given) = record["account"], record["act"]
        need(account not in self.own, "account", "servicing.account", "a customer's account", account)
        if len(entry.stages) == 2 and (last := entry.stages[0]["expires"]) is not None:
            need(last >= self.height + 1, "expiry", "instruction.expires", f"at least {self.height + 1}", last)
        if kind == RECLAIM:
            waits = self.positions.get(waiting_key(self.registry.network, given[0]))
            from_ms = waits["state"][1]["reclaim_ms"] if waits and waits["state"][0] == WAITING else 0
            need(self.block_ms >= from_ms, "status", "servicing.act.reclaim", f"at least {from_ms}", self.block_ms)
        state = self.open_account(account)
        found = serve(state, entry, self.waiting(state), self.registry.network, self.positions.get)
        self.accounts[account], key = found
        self.put(key, None)
        if kind == WITHDRAW:
            credit = {"source": entry.id, "index": 0, "instrument": given[0], "amount": given[1]}
            self.credit(self.registry.own_account(record["bank"], "settlement"), credit)

    def waiting(self, state):
        return self.inboxes.get(state["account"], [])[state["credits_absorbed"] :]

    def open_account(self, account):
        need(account in self.accounts, "account", "account", "an open account", account)
        return self.accounts[account]

    def credit(self, account, credit):
        state = self.open_account(account)
        if account in self.own:
            add(state["holdings"], credit["instrument"], credit["amount"])
            return
        need(state["status"] != CLOSED, "status", "credit.account", "an account that is not closed", account)
        self.inboxes.setdefault(account, []).append(credit)
        state["credits_received"] += 1
        state["credits_digest"] = H(state["credits_digest"], encode(keyed(credit)))

    def root(self):
        leaves = {account: state_bytes(state) for account, state in self.accounts.items()}
        leaves |= {key: position_bytes(held) for key, held in self.positions.items()}
        for name, record in self.listings.items():
            key = derived("stemma 2026 instrument leaf key", self.registry.network + name.encode())
            leaves[key] = encode(record.link)
        return tree_root([(key, H(b"\2", key, H(value))) for key, value in leaves.items()])


def tree_root(leaves, depth=0):
    """The state tree, over pairs of key and leaf hash."""
    if len(leaves) < 2:
        return leaves[0][1] if leaves else ZERO
    sides = ([], [])
    for leaf in leaves:
        sides[leaf[0][depth // 8] >> (7 - depth % 8) & 1].append(leaf)
    left, right = (tree_root(side, depth + 1) for side in sides)
    return H(b"\3", left, right)
