#!/usr/bin/env python3
"""Verifies a Stemma account bundle against a genesis file; a second implementation, written from chain-format/spec alone.

    stemma_verify.py GENESIS BUNDLE

Prints `verified`, `refuted` or `unreadable` with the reason, and exits with 0, 1 or 3 (2 for wrong usage). Comments name the
numbered steps of the specification's pages.
"""

import sys

from stemma_encoding import (
    AMOUNT_MAX, H, HOLDINGS_MAX, ZERO, Broken, array, decode, encode, h32, issuer, keyed, need, octets, parts, record,
    same, u32,
)  # fmt: skip
from stemma_block import (
    CHAIN, GOVERNANCE, ISSUANCE, LISTING, OPENING, SERVICING, SETTLEMENT, Entry, certified_header, prove_present,
    state_proof, verify_checkpoint,
)  # fmt: skip
from stemma_dealing import debited_key, order_is_met, settlement_is_due, touched_key, waiting_key
from stemma_governance import Registry
from stemma_records import (
    BANK, BIND_KEY, CLOSE, CLOSED, CURRENCY, FREEZE, FROZEN, INSTITUTION, OPEN, ORDERED, RECLAIM, REVOKE_KEY, REWARD,
    REWARDED, SET_CREDIT, UNFREEZE, WAITING, WITHDRAW, Signed, account_state, credit, position,
)  # fmt: skip

# --- account.md, dealing.md: leaves --------------------------------------------------------------------------------


def state_bytes(state):
    """The value of an account's leaf."""
    return encode(keyed({**state, "credit": keyed(state["credit"])}))


def position_bytes(held):
    """The value of a position's leaf."""
    kind, fields = held["state"]
    return encode(keyed({**held, "state": [kind, keyed(fields)]}))


# --- validation.md -------------------------------------------------------------------------------------------------


OWN_CREDIT = {"level": 0, "rules": 0, "lines": {}}


def opened(account, bank, key, terms):
    """The state of an account at the start (account.md)."""
    return {
        "account": account, "bank": bank, "key": key, "sequence": 0, "head": account, "counter": 0, "holdings": {},
        "credits_received": 0, "credits_absorbed": 0, "credits_digest": ZERO, "status": OPEN, "credit": terms,
        "positions": 0,
    }  # fmt: skip


def add(held, name, units):
    total = held.get(name, 0) + units
    need(abs(total) <= AMOUNT_MAX, "range", f"holdings.{name}", "at most 2^96", total)
    held.pop(name, None)
    if total:
        held[name] = total
    need(len(held) <= HOLDINGS_MAX, "range", "holdings", "at most 512 instruments", len(held))


def bounded_sum(amounts, rule, place):
    total = 0
    for units in amounts:
        total += units
        need(abs(total) <= AMOUNT_MAX, rule, place, "sums of at most 2^96", total)
    return total


def validate_entry(entry, registry):
    """An entry by itself: every rule, then every signature."""
    validate_rules(entry, registry)
    for stage in entry.stages:
        stage.check_signature()


def validate_rules(entry, registry):
    if entry.kind == CHAIN:
        validate_chain(*entry.stages, registry)
    elif entry.kind == SERVICING:
        validate_servicing(*entry.stages[::-1], registry=registry)
    else:
        (stage,) = entry.stages
        same("network", f"{stage.place}.network", registry.network, stage["network"])
        if entry.kind == LISTING:
            role = BANK if stage["kind"] == CURRENCY else INSTITUTION
            registry.require(f"{stage.place}.signer", issuer(stage["instrument"]), role, stage.key)
        elif entry.kind == SETTLEMENT:
            validate_settlement(stage, registry)
        elif entry.kind != GOVERNANCE:
            signing = stage["bank" if entry.kind == OPENING else "issuer"]
            registry.require(f"{stage.place}.signer", signing, BANK, stage.key)


def validate_chain(req, end, exe, registry):
    """A chain by itself, steps 1 to 16."""
    validate_request(req, registry)
    validate_endorsement(req, end, registry)
    same("network", f"{exe.place}.network", registry.network, exe["network"])
    same("link", f"{exe.place}.endorsement", end.link, exe["endorsement"])
    for field in ("institution", "account"):
        same("agreement", f"{exe.place}.{field}", req[field], exe[field])
    registry.require(f"{exe.place}.signer", exe["institution"], INSTITUTION, exe.key)
    position = {debited_key(registry.network, req, exe)}
    money_holds(end, exe, registry.own_accounts(exe["institution"]) | {exe["account"]} | position)
    rewards_hold(req, end, exe, registry)


def rewards_hold(req, end, exe, registry):
    """Step 16."""
    data, outcome, place = req["referral"], exe["referral"], f"{exe.place}.referral"
    need((data is None) == (outcome is None), "agreement", place, "an outcome exactly where there is a referral", outcome)
    paid = [p for p in exe["postings"] if p["purpose"] == REWARD]
    need(bool(paid) == (outcome == REWARDED), "referral", place, "rewarded exactly where rewards are paid", outcome)
    if not paid:
        return
    try:
        referral = Signed(data, "referral", "request.referral")
        same("network", "request.referral", registry.network, referral["network"])
        registry.require("request.referral", referral["bank"], BANK, referral.key)
        referral.check_signature()
    except Broken as error:
        raise Broken("referral", "request.referral", "a referral signed by its bank", error) from None
    (kind, trade), promoter = req["order"], referral["promoter"]
    same("referral", "request.referral", ORDERED, kind)
    matches = referral["instrument"] == trade["instrument"] and referral["side"] in (None, trade["side"])
    need(matches, "referral", "request.referral", "a referral for this trade", referral["instrument"])
    need(promoter != req["account"], "referral", "request.referral", "another promoter than the account", promoter)
    place, last = "request.referral.expires", referral["expires"]
    need(last >= end["expires"], "referral", place, f"at least {end['expires']}", last)
    payer, payees = registry.own_account(exe["institution"], "promotion"), (exe["account"], promoter)
    for p in paid:
        held = p["account"] in payees if p["amount"] > 0 else p["account"] == payer
        need(held, "referral", f"{exe.place}.postings.reward", "from the promotion account to those rewarded", p["account"])


def validate_servicing(done, asked=None, *, registry):
    """A servicing record by itself, steps 1 to 6."""
    same("network", f"{done.place}.network", registry.network, done["network"])
    registry.require(f"{done.place}.signer", done["bank"], BANK, done.key)
    if asked is None:
        same("link", f"{done.place}.instruction", None, done["instruction"])
        return
    same("network", f"{asked.place}.network", registry.network, asked["network"])
    same("link", f"{done.place}.instruction", asked.link, done["instruction"])
    for field in ("bank", "account", "act"):
        same("agreement", f"{done.place}.{field}", asked[field], done[field])


def validate_settlement(done, registry):
    """A settlement by itself, steps 1 to 5."""
    institution, place, postings = done["institution"], f"{done.place}.postings", done["postings"]
    registry.require(f"{done.place}.signer", institution, INSTITUTION, done.key)
    balanced(postings, place)
    parties = registry.own_accounts(institution) | {done["position"]}
    debits_are_own(postings, parties, place)
    for p in postings:
        known = p["amount"] < 0 or p["account"] in parties | {done["account"]}
        need(known, "terms", place, "the account, its position or the institution", p["account"])


def validate_request(req, registry):
    """Steps 1 and 2."""
    same("network", f"{req.place}.network", registry.network, req["network"])
    for field, role in (("bank", BANK), ("institution", INSTITUTION)):
        found = registry.members.get(req[field])
        need(found and found["role"] == role, "agreement", f"{req.place}.{field}", f"the role {role}", req[field])


def validate_endorsement(req, end, registry):
    """Steps 3 to 7."""
    same("network", f"{end.place}.network", registry.network, end["network"])
    same("link", f"{end.place}.request", req.link, end["request"])
    for field in ("bank", "account"):
        same("agreement", f"{end.place}.{field}", req[field], end[field])
    registry.require(f"{end.place}.signer", end["bank"], BANK, end.key)
    if req["expires"] is not None:
        need(end["expires"] <= req["expires"], "expiry", f"{end.place}.expires", req["expires"], end["expires"])


def balanced(postings, place):
    for name in dict.fromkeys(p["instrument"] for p in postings):
        total = bounded_sum((p["amount"] for p in postings if p["instrument"] == name), "balance", place)
        same("balance", f"{place}.{name}", 0, total)


def debits_are_own(postings, may, place):
    for p in postings:
        need(p["amount"] >= 0 or p["account"] in may, "debit", place, "an account that may be debited", p["account"])


def money_holds(end, exe, may):
    """Steps 12 to 15."""
    place, postings = f"{exe.place}.postings", exe["postings"]
    balanced(postings, place)
    debits_are_own(postings, may, place)
    held = dict(end["holdings"])
    for p in postings:
        if p["account"] == exe["account"]:
            add(held, p["instrument"], p["amount"])
    same("holdings", f"{exe.place}.holdings", held, exe["holdings"])
    lines = end["credit"]["lines"]
    for name, units in held.items():
        floor = min(-lines.get(name, 0), end["holdings"].get(name, 0))
        need(units >= floor, "overdraft", f"{exe.place}.holdings.{name}", f"at least {floor}", units)


def asked_by_the_holder(state, asked):
    """Steps 1 and 2 of a chain in its lineage, step 1 of a servicing record."""
    need(state["key"] is not None, "status", f"{asked.place}.signer", "an account with a key", "a revoked key")
    same("signer", f"{asked.place}.signer", state["key"], asked.key)
    need(asked["counter"] > state["counter"], "counter", asked.place, f"above {state['counter']}", asked["counter"])


def absorb(state, stage, inbox):
    """Steps 3 to 6 of a chain in its lineage, 2 to 5 of a servicing record; gives the holdings with its credits."""
    same("account", f"{stage.place}.account", state["account"], stage["account"])
    same("account", f"{stage.place}.bank", state["bank"], stage["bank"])
    same("sequence", f"{stage.place}.parent", state["head"], stage["parent"])
    same("sequence", f"{stage.place}.sequence", state["sequence"] + 1, stage["sequence"])
    held = dict(state["holdings"])
    for index, absorbed in enumerate(stage["absorbed"]):
        waiting = inbox[index] if index < len(inbox) else None
        same("credit", f"{stage.place}.absorbed[{index}]", waiting, absorbed)
    for absorbed in stage["absorbed"]:
        add(held, absorbed["instrument"], absorbed["amount"])
    return held


def follow(state, chain, inbox, listed, network, held):
    """A chain in its lineage, steps 1 to 10; gives the state after it, and the position's key and state where it touches one.

    `held` gives a position by its key."""
    req, end, exe = chain.stages
    asked_by_the_holder(state, req)
    same("holdings", f"{end.place}.holdings", absorb(state, end, inbox), end["holdings"])
    same("status", f"{end.place}.account", OPEN, state["status"])
    same("agreement", f"{end.place}.credit", state["credit"], end["credit"])
    same("listing", f"{exe.place}.listing", listed.link, exe["listing"])
    asked = req["order"][1]
    same("listing", f"{exe.place}.listing", asked["instrument"], listed["instrument"])
    key = touched_key(network, req, listed)
    before = held(key)
    left = order_is_met(network, req, end, exe, listed, before)
    count = state["credits_absorbed"] + len(end["absorbed"])
    after = {"sequence": end["sequence"], "head": exe.link, "counter": req["counter"], "credits_absorbed": count}
    after["positions"] = state["positions"] + (left is not None) - (before is not None)
    after = {**state, **after, "holdings": exe["holdings"]}
    if key is None:
        return after, None, None
    names = {"account": req["account"], "instrument": asked["instrument"], "cash": asked["cash"], "head": exe.link}
    return after, key, left and {**names, "state": left}


def settle(state, entry, listed, before):
    """A settlement of a position, steps 1 to 5; gives the account's state and the position after it."""
    (done,) = entry.stages
    place = done.place
    need(before is not None, "sequence", f"{place}.position", "a position there is", "none")
    same("account", f"{place}.account", before["account"], done["account"])
    same("signer", f"{place}.institution", issuer(before["instrument"]), done["institution"])
    same("sequence", f"{place}.parent", before["head"], done["parent"])
    same("listing", f"{place}.listing", listed.link, done["listing"])
    same("listing", f"{place}.listing", before["instrument"], listed["instrument"])
    left = settlement_is_due(done, before, listed)
    state = {**state, "positions": state["positions"] - (left is None)}
    return state, left and {**before, "head": entry.id, "state": left}


def serve(state, entry, inbox, network, held):
    """A servicing record in its lineage, steps 1 to 9; gives the state after it, and the key of the position that it ends."""
    done, asked = entry.stages[-1], entry.stages[0] if len(entry.stages) == 2 else None
    if asked:
        asked_by_the_holder(state, asked)
    holdings = absorb(state, done, inbox)
    consent_is_given(state, done, asked)
    after = {
        **state, "sequence": done["sequence"], "head": done.link, "holdings": holdings,
        "counter": asked["counter"] if asked else state["counter"],
        "credits_absorbed": state["credits_absorbed"] + len(done["absorbed"]),
    }  # fmt: skip
    place, (kind, *given) = f"{done.place}.act", done["act"]
    perform(after, done["act"], place)
    key = None
    if kind == RECLAIM:
        request, name, units = given
        key = waiting_key(network, request)
        reclaim(after, held(key), name, units, place)
    same("holdings", f"{done.place}.holdings", after["holdings"], done["holdings"])
    return after, key


def reclaim(state, waits, name, units, place):
    known = waits is not None and waits["account"] == state["account"] and waits["state"][0] == WAITING
    need(known, "status", place, "an order of this account that waits", "none")
    fields = waits["state"][1]
    reserved = fields["reserved"] if name == waits["instrument" if fields["side"] else "cash"] else 0
    same("status", place, reserved, units)
    add(state["holdings"], name, units)
    state["positions"] -= 1


def consent_is_given(state, done, asked):
    """Step 6."""
    kind, keyed_still = done["act"][0], state["key"] is not None
    needed = kind == WITHDRAW or (kind == BIND_KEY and keyed_still)
    allowed = kind in (CLOSE, WITHDRAW, BIND_KEY, REVOKE_KEY)
    need(allowed if asked else not needed, "signer", f"{done.place}.instruction", "the customer's say as the act asks")


def perform(state, act, place):
    """Steps 7 and 8: changes the state."""
    kind, *given = act
    status, key, held = state["status"], state["key"], state["holdings"]
    need(status != CLOSED, "status", place, "an account that is not closed", status)
    if kind == FREEZE:
        same("status", place, OPEN, status)
        state["status"] = FROZEN
    elif kind == UNFREEZE:
        same("status", place, FROZEN, status)
        state["status"] = OPEN
    elif kind == CLOSE:
        waiting = state["credits_received"] - state["credits_absorbed"]
        empty = not held and waiting == 0 and state["positions"] == 0
        need(empty, "status", place, "an account that holds nothing", held)
        state["status"] = CLOSED
    elif kind == WITHDRAW:
        name, units = given
        same("status", place, OPEN, status)
        add(held, name, -units)
        need(held.get(name, 0) >= 0, "overdraft", f"{place}.{name}", "at least 0", held.get(name, 0))
    elif kind == BIND_KEY:
        need(key != given[0], "status", place, "another key than before", key)
        state["key"] = given[0]
    elif kind == REVOKE_KEY:
        need(key is not None, "status", place, "an account with a key", "a revoked key")
        state["key"] = None
    elif kind == SET_CREDIT:
        state["credit"] = given[0]


# --- bundle.md -----------------------------------------------------------------------------------------------------

held_position = record(key=h32, position=position, proof=state_proof)
account_bundle = record(
    version=u32, network=h32, checkpoint=certified_header, account=account_state, proof=state_proof,
    lineage=array(octets), credits=array(credit), sources=array(octets), listings=array(octets),
    settlements=array(octets), positions=array(held_position), trust=array(parts(array(octets), certified_header)),
)  # fmt: skip


def read_bundle(data):
    """Step 0."""
    bundle = decode(data, account_bundle, "bundle", 2**30)
    same("encoding", "bundle.version", 2, bundle["version"])
    return bundle


def verify_bundle(bundle, registry):
    """Steps 1 to 6; gives what is proved."""
    head, cert = bundle["checkpoint"]
    same("network", "bundle.network", registry.network, bundle["network"])  # step 1
    same("network", "checkpoint.network", registry.network, head["network"])
    trust = Trust(registry)  # step 2
    for index, (records, (step, _)) in enumerate(bundle["trust"]):
        late = step["height"] > head["height"]
        need(not late, "certificate", f"trust[{index}]", f"at most {head['height']}", step["height"])
        trust.follow(records, *bundle["trust"][index][1], f"trust[{index}]")
    power, total = trust.certify(head, cert, "checkpoint")
    leaf = bundle["account"]
    prove_present(bundle["proof"], head["accounts_root"], leaf["account"], state_bytes(leaf))  # step 3
    names = ("lineage", "sources", "listings", "settlements")
    lists = {name: verified_entries(bundle[name], name, trust, head["height"]) for name in names}
    credits_hold(bundle["credits"], lists["sources"], lists["settlements"], leaf)  # step 5
    left = Derivation(registry.network, lists, bundle["credits"], leaf).run()  # step 6
    same("holdings", "positions", left, [(held["key"], held["position"]) for held in bundle["positions"]])
    for index, held in enumerate(bundle["positions"]):
        key, found, proof = held.values()
        prove_present(proof, head["accounts_root"], key, position_bytes(found))
    waiting = len(bundle["credits"]) - leaf["credits_absorbed"]
    return leaf, waiting, head, power, total


class Trust:
    """The registries in force from the genesis on, each with the height from which on it is."""

    def __init__(self, registry):
        self.registries, self.followed = [(0, registry)], 0

    def at(self, height):
        return next(registry for since, registry in reversed(self.registries) if since <= height)

    def certify(self, head, cert, place):
        """A header that is final by the registry of its height, and commits to the one that follows."""
        same("network", f"{place}.network", self.at(0).network, head["network"])
        power = verify_checkpoint(head, cert, self.at(head["height"]))
        same("certificate", f"{place}.registry_root", self.at(head["height"] + 1).root, head["registry_root"])
        return power

    def follow(self, records, head, cert, place):
        """One block with governance records."""
        height = head["height"]
        need(height > self.followed, "certificate", f"{place}.height", f"above {self.followed}", height)
        same("network", f"{place}.network", self.at(0).network, head["network"])
        verify_checkpoint(head, cert, self.at(height))
        need(records, "governance", f"{place}.records", "governance records", "none")
        registry = self.at(height)
        for data in records:
            entry = Entry(data, place)
            validate_entry(entry, registry)
            same("governance", place, GOVERNANCE, entry.kind)
            registry = registry.plan(entry.stages[0], height)
        self.followed = height
        self.registries = [known for known in self.registries if known[0] <= height]
        self.registries.append((height + 1, registry.at(height + 1)))
        while waiting := self.registries[-1][1].scheduled:
            since = waiting[0][0]
            self.registries.append((since, self.registries[-1][1].at(since)))
        same("certificate", f"{place}.registry_root", self.at(height + 1).root, head["registry_root"])


def verified_entries(raw, place, trust, last):
    """Step 4."""
    entries = [Entry(data, f"{place}[{i}]") for i, data in enumerate(raw)]
    known, since = [registry for height, registry in trust.registries if height <= last], 0
    for entry in entries:
        found = validate_under(entry, known, since)
        since = found if place in ("lineage", "settlements") else 0
    return entries


def validate_under(entry, known, since):
    """Validates an entry under the first registry from a place on under which its rules hold, else under the last; gives the place."""
    for at in range(since, len(known)):
        try:
            validate_rules(entry, known[at])
            break
        except Broken:
            if at + 1 == len(known):
                raise
    for stage in entry.stages:
        stage.check_signature()
    return at


def credits_hold(credits, sources, settlements, leaf):
    """Step 5."""
    own = {entry.id: entry for entry in settlements}
    by_id, used, digest = {source.id: source for source in sources} | own, {}, ZERO
    for index, given in enumerate(credits):
        source = by_id.get(given["source"])
        need(source, "credit", f"credits[{index}]", "its source in the bundle", given["source"])
        expected = given_by(source, given["index"], leaf["account"])
        same("credit", f"credits[{index}]", expected, (given["instrument"], given["amount"]))
        if given["source"] not in own:
            used[given["source"]] = True
        digest = H(digest, encode(keyed(given)))
    in_order = list(used) == [source.id for source in sources]
    need(in_order, "credit", "sources", "each credit's source once, in the order of first use")
    same("credit", "account.credits_digest", leaf["credits_digest"], digest)
    same("credit", "account.credits_received", leaf["credits_received"], len(credits))


def given_by(entry, index, account):
    last = entry.stages[-1]
    if entry.kind in (CHAIN, SETTLEMENT) and index < len(last["postings"]):
        p = last["postings"][index]
        return (p["instrument"], p["amount"]) if p["account"] == account and p["amount"] > 0 else None
    if entry.kind == ISSUANCE and index < len(last["credits"]):
        credited, units = last["credits"][index]
        return (last["instrument"], units) if credited == account else None
    return None


class Derivation:
    """Step 6: the lineage from its opening record, and after each entry the settlements that stand on what it left."""

    def __init__(self, network, lists, credits, leaf):
        for entry in lists["listings"]:
            need(entry.kind == LISTING, "listing", entry.place, "a listing")
        for entry in lists["settlements"]:
            need(entry.kind == SETTLEMENT, "sequence", entry.place, "a settlement")
        self.network, self.lineage, self.credits, self.leaf = network, lists["lineage"], credits, leaf
        self.listed = {entry.id: entry.stages[0] for entry in lists["listings"]}
        self.given = [entry.id for entry in lists["listings"]]
        self.links = {entry.stages[0]["instrument"]: entry.id for entry in lists["listings"]}
        self.settlements, self.positions, self.used = list(lists["settlements"]), {}, {}

    def run(self):
        """Gives the positions that are left, with their keys."""
        lineage, leaf = self.lineage, self.leaf
        need(lineage and lineage[0].kind == OPENING, "sequence", "lineage[0]", "an opening record")
        first = lineage[0]
        same("account", "lineage[0]", leaf["account"], first.id)
        self.state = opened(first.id, *(first.stages[0][name] for name in ("bank", "key", "credit")))
        self.state |= {name: leaf[name] for name in ("credits_received", "credits_digest")}
        for entry in lineage[1:]:
            self.settle_on(self.entry(entry))
        need(not self.settlements, "sequence", "settlements", "settlements of the account's positions", "others")
        in_order = list(self.used) == self.given
        need(in_order, "listing", "listings", "what the entries name, and the cash's, once, in the order of first use")
        same("holdings", "account", self.state, leaf)
        return sorted(self.positions.items())

    def entry(self, entry):
        """Gives the key of the position that the entry touched."""
        need(entry.kind in (CHAIN, SERVICING), "sequence", entry.place, "a chain or a servicing record")
        waiting = self.credits[self.state["credits_absorbed"] :]
        if entry.kind == CHAIN:
            asked = entry.stages[0]["order"][1]
            listed = self.need_listing(entry.stages[2]["listing"], entry)
            self.need_listing(self.links.get(asked["cash"]), entry)
            found = follow(self.state, entry, waiting, listed, self.network, self.positions.get)
            self.state, key, left = found
            self.put(key, left)
            return key
        kind, *given = entry.stages[-1]["act"]
        if kind == WITHDRAW:
            self.need_listing(self.links.get(given[0]), entry)
        self.state, key = serve(self.state, entry, waiting, self.network, self.positions.get)
        self.put(key, None)
        return key

    def settle_on(self, key):
        """The settlements of a position, one on the other."""
        while key in self.positions:
            before = self.positions[key]
            mine = (s for s in self.settlements if s.stages[0]["position"] == key)
            entry = next(mine, None)
            if entry is None or entry.stages[0]["parent"] != before["head"]:
                return
            self.settlements.remove(entry)
            listed = self.need_listing(entry.stages[0]["listing"], entry)
            self.state, left = settle(self.state, entry, listed, before)
            self.put(key, left)

    def put(self, key, left):
        self.positions.pop(key, None)
        if left is not None:
            self.positions[key] = left

    def need_listing(self, link, entry):
        need(link in self.listed, "listing", entry.place, "its listing in the bundle", link)
        self.used[link] = True
        return self.listed[link]


def main(arguments):
    if len(arguments) != 2:
        print("usage: stemma_verify.py GENESIS BUNDLE", file=sys.stderr)
        return 2
    try:
        genesis_data, data = (open(path, "rb").read() for path in arguments)
        registry = Registry(genesis_data)
        bundle = read_bundle(data)
    except (OSError, Broken) as error:
        print(f"unreadable: {error}")
        return 3
    try:
        leaf, waiting, head, power, total = verify_bundle(bundle, registry)
    except Broken as error:
        print(f"refuted: {error}")
        return 1
    print(f"verified: account {leaf['account'].hex()} of {leaf['bank']} at height {head['height']}")
    print(f"  {leaf['sequence']} chains and acts, {len(bundle['credits'])} credits, {waiting} waiting; power {power} of {total}")
    for name, units in leaf["holdings"].items():
        print(f"  {units} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
