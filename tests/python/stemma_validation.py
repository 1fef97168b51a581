"""What makes an entry valid, by itself and in its lineage: validation.md of chain-format/spec, whose steps comments name."""

from stemma_encoding import (
    AMOUNT_MAX, HOLDINGS_MAX, ZERO, Broken, encode, issuer, keyed, need, same,
)  # fmt: skip
from stemma_block import CHAIN, GOVERNANCE, LISTING, OPENING, SERVICING, SETTLEMENT
from stemma_dealing import debited_key, order_is_met, settlement_is_due, touched_key, waiting_key
from stemma_records import (
    BANK, BIND_KEY, CLOSE, CLOSED, CURRENCY, FREEZE, FROZEN, INSTITUTION, OPEN, ORDERED, RECLAIM, REVOKE_KEY, REWARD,
    REWARDED, SET_CREDIT, UNFREEZE, WAITING, WITHDRAW, Signed,
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
