"""How instruments are dealt in: what an order or a settlement moves, and on what terms (dealing.md of chain-format/spec)."""

from stemma_encoding import AMOUNT_MAX, derived, need, same
from stemma_records import (
    ACCEPTED, BUY, CANCEL, DONE, EXHAUSTED, EXPIRED, FEE, FILL, FORWARD, LISTED_CLOSED, LISTED_OPEN, MARGIN,
    MARGIN_PAYMENT, MARK, ON_MARGIN, ORDERED, ORDER_NAMES, RELEASE, RESERVE, REWARD, SELL, SPOT, SUSPENDED, TO_MARGIN, TRADE,
    TRADED, VARIATION, WAITING,
)  # fmt: skip


def waiting_key(network, request):
    return derived("stemma 2026 waiting order key", network + request)


def margin_key(network, account, name):
    return derived("stemma 2026 futures position key", network + account + name.encode())


def own_account(network, institution, purpose):
    return derived("stemma 2026 member account id", network + f"{purpose}/{institution}".encode())


def touched_key(network, req, listed):
    """The position that an order touches; None where its instrument is dealt in at once."""
    kind, asked = req["order"]
    dealing = listed["terms"]["dealing"][0] if listed["terms"] else SPOT
    if kind == CANCEL:
        return waiting_key(network, asked["request"])
    if kind == MARGIN_PAYMENT or dealing == ON_MARGIN:
        return margin_key(network, req["account"], asked["instrument"])
    return waiting_key(network, req.link) if dealing == FORWARD else None


def debited_key(network, req, exe):
    """The only position that a chain may debit."""
    kind, asked = req["order"]
    if kind == CANCEL:
        return waiting_key(network, asked["request"])
    if kind == MARGIN_PAYMENT or exe["outcome"][0] == TRADED:
        return margin_key(network, req["account"], asked["instrument"])
    return None


# --- amounts -------------------------------------------------------------------------------------------------------


def bounded(units, place):
    need(abs(units) <= AMOUNT_MAX, "terms", place, "an amount of at most 2^96", units)
    return units


def cost_of(quantity, price, decimals, place):
    """quantity × mantissa ÷ 10^(scale + decimals), half to even."""
    mantissa, scale = price
    product, divisor = quantity * mantissa, 10 ** (scale + decimals)
    need(product < 2**127, "terms", place, "a cost in range", product)
    cost, rest = divmod(product, divisor)
    cost += 2 * rest > divisor or (2 * rest == divisor and cost % 2 == 1)
    return bounded(cost, place)


def part_of(value, basis_points):
    """Basis points of a value, rounded up."""
    return -(-value * basis_points // 10_000)


def fee_of(fees, buying, cost):
    return max(part_of(cost, fees["buy_basis_points" if buying else "sell_basis_points"]), fees["least"])


def largest_quantity(terms, buying, cash, price, decimals, place):
    """The most lots, counted up from what is surely too few, whose cost, with the fee to buy, is at most the cash."""
    (mantissa, scale), lot, most = price, terms["lot"], terms["quantity_max"]
    bound = (cash + 1) * 10 ** (scale + decimals) // mantissa
    need(bound <= AMOUNT_MAX, "terms", place, "a quantity of at most 2^96", bound)
    lots = (bound if most is None else min(bound, most)) // lot

    def fits(lots):
        cost = cost_of(lots * lot, price, decimals, place)
        return cost + (fee_of(terms["fees"], buying, cost) if buying else 0) <= cash

    low = 0
    while low < lots:
        middle = (low + lots + 1) // 2
        low, lots = (middle, lots) if fits(middle) else (low, middle - 1)
    return low * lot


def admits(buying, limit, price):
    (mantissa, scale) = price
    found, bound = mantissa * 10 ** limit[1], limit[0] * 10**scale
    return found <= bound if buying else found >= bound


def bounds_hold(terms, quantity, is_all, place):
    """Lot and least, which a sale of all need not keep, and the largest."""
    least, most = terms["quantity_min"] or 0, terms["quantity_max"]
    need(is_all or quantity % terms["lot"] == 0, "terms", place, f"a multiple of {terms['lot']}", quantity)
    need(is_all or quantity >= least, "terms", place, f"at least {least}", quantity)
    need(most is None or quantity <= most, "terms", place, f"at most {most}", quantity)


# --- what is moved -------------------------------------------------------------------------------------------------


def transfer(to, source, name, units, purpose):
    """The two postings by which units go from one account to another; none of zero."""
    pair = ((to, units), (source, -units)) if units else ()
    return [{"account": a, "instrument": name, "amount": n, "purpose": purpose} for a, n in pair]


def order_is_met(network, req, end, exe, listed, before):
    """Step 10 of a chain in its lineage; gives the state of the position that it leaves, if any."""
    (kind, asked), (outcome, *given), place = req["order"], exe["outcome"], exe.place
    same("terms", f"request.{ORDER_NAMES[kind]}.cash", listed["quoted_in"], asked["cash"].split("/")[1])
    need(listed["terms"] is not None, "listing", "request.instrument", "an instrument with terms")
    settlement, fees = (own_account(network, req["institution"], purpose) for purpose in ("settlement", "fees"))
    parties, (dealing, *margins) = (req["account"], settlement, fees), listed["terms"]["dealing"]
    due = {SPOT: TRADED, ON_MARGIN: TRADED, FORWARD: ACCEPTED}[dealing] if kind == ORDERED else DONE
    same("terms", "request.margin.instrument", ON_MARGIN, dealing if kind == MARGIN_PAYMENT else ON_MARGIN)
    same("terms", f"{place}.outcome", due, outcome)
    if before is not None or kind != ORDERED:
        position_agrees(before, req["account"], kind, asked)
    key, level = touched_key(network, req, listed), end["credit"]["level"]
    if kind == CANCEL:
        moved, left = given_back(key, before, parties), None
        last_ms = before["state"][1]["cut_off_ms"]
        in_time = last_ms is None or exe["executed_ms"] <= last_ms
        need(in_time, "terms", f"{place}.executed_ms", last_ms, exe["executed_ms"])
    elif kind == MARGIN_PAYMENT:
        moved, left = margin_paid(key, asked, before["state"][1], margins[0], listed, parties)
    elif dealing == SPOT:
        moved, left = spot_trade(asked, given[0], end, listed, parties, place), None
    elif dealing == FORWARD:
        moved, left = accepted(key, req, asked, given[0], end, exe, listed, parties)
    else:
        held = before["state"][1] if before else None
        moved, left = future_trade(key, asked, given[0], held, margins[0], level, listed, exe, parties)
    found = [p for p in exe["postings"] if p["purpose"] != REWARD]
    same("terms", f"{place}.postings", moved, found)
    return left


def position_agrees(before, account, kind, asked):
    need(before is not None, "terms", "request", "a position of this account", "none")
    same("terms", "request", account, before["account"])
    for field in ("instrument", "cash"):
        same("agreement", f"request.{field}", before[field], asked[field])
    same("terms", "request", WAITING if kind == CANCEL else MARGIN, before["state"][0])


def limits_hold(asked, deal, place):
    buying = asked["side"] == BUY
    if asked["limit"] is not None:
        need(admits(buying, asked["limit"], deal["price"]), "terms", f"{place}.price", asked["limit"], deal["price"])
    if asked["fee_max"] is not None:
        need(deal["fee"] <= asked["fee_max"], "terms", f"{place}.fee", f"at most {asked['fee_max']}", deal["fee"])


def side_is_open(buying, listed, place):
    admitted = (LISTED_OPEN,) if buying else (LISTED_OPEN, LISTED_CLOSED)
    need(listed["status"] in admitted, "listing", place, "one open to this side", listed["status"])


def level_suffices(level, terms):
    least = terms["credit_level_min"]
    need(level >= least, "terms", "endorsement.credit.level", f"at least {least}", level)


def spot_trade(asked, deal, end, listed, parties, place):
    """At once, at the price of the moment."""
    terms, buying, decimals = listed["terms"], asked["side"] == BUY, listed["decimals"]
    quantity, price, fee = deal.values()
    cost = cost_of(quantity, price, decimals, f"{place}.quantity")
    limits_hold(asked, deal, place)
    side_is_open(buying, listed, "request.trade.instrument")
    if buying:
        level_suffices(end["credit"]["level"], terms)
    is_all = not buying and quantity == end["holdings"].get(asked["instrument"], 0)
    bounds_hold(terms, quantity, is_all, f"{place}.quantity")
    fee_max = fee_of(terms["fees"], buying, cost)
    need(fee <= fee_max, "terms", f"{place}.fee", f"at most {fee_max}", fee)
    in_cash, wanted = asked["size"]
    if in_cash:
        wanted = largest_quantity(terms, buying, wanted, price, decimals, f"{place}.quantity")
    same("terms", f"{place}.quantity", wanted, quantity)
    (account, settlement, fees), sign = parties, 1 if buying else -1
    units = transfer(account, settlement, asked["instrument"], sign * quantity, TRADE)
    money = transfer(account, settlement, asked["cash"], -sign * cost, TRADE)
    return units + money + transfer(fees, account, asked["cash"], fee, FEE)


# --- forward -------------------------------------------------------------------------------------------------------


def accepted(key, req, asked, acceptance, end, exe, listed, parties):
    """Taken now, with what it needs reserved."""
    terms, buying, (in_cash, units) = listed["terms"], asked["side"] == BUY, asked["size"]
    need(in_cash == buying, "terms", "request.trade.size", "cash to buy, a quantity to sell", asked["size"])
    side_is_open(buying, listed, "request.trade.instrument")
    if buying:
        level_suffices(end["credit"]["level"], terms)
    else:
        bounds_hold(terms, units, units == end["holdings"].get(asked["instrument"], 0), "request.trade.size")
    moved = transfer(key, parties[0], asked["cash" if buying else "instrument"], units, RESERVE)
    left = {
        "request": req.link, "side": asked["side"], "reserved": units, "limit": asked["limit"],
        "fee_max": asked["fee_max"], "accepted_ms": exe["executed_ms"], **acceptance,
    }  # fmt: skip
    return moved, [WAITING, left]


def given_back(key, before, parties):
    waits = before["state"][1]
    name = before["cash" if waits["side"] == BUY else "instrument"]
    return transfer(parties[0], key, name, waits["reserved"], RESERVE)


def filled(key, deal, before, listed, parties, place):
    waits, terms, decimals = before["state"][1], listed["terms"], listed["decimals"]
    buying, reserved = waits["side"] == BUY, waits["reserved"]
    quantity, price, fee = deal.values()
    need(waits["limit"] is None or admits(buying, waits["limit"], price), "terms", place, waits["limit"], price)
    most = largest_quantity(terms, True, reserved, price, decimals, place) if buying else reserved
    enough = most >= (terms["quantity_min"] or 1) if buying else True
    need(most > 0 and enough, "terms", place, "a quantity within the terms", most)
    same("terms", f"{place}.quantity", most, quantity)
    cost = cost_of(quantity, price, decimals, place)
    fee_max = fee_of(terms["fees"], buying, cost)
    due = (waits["fee_max"] is None or fee_max <= waits["fee_max"]) and (buying or fee_max <= cost)
    need(due, "terms", place, "a fee that the order accepts", fee_max)
    need(fee <= fee_max, "terms", f"{place}.fee", f"at most {fee_max}", fee)
    (account, settlement, fees), name, cash = parties, before["instrument"], before["cash"]
    if buying:
        moved = transfer(settlement, key, cash, cost, TRADE) + transfer(account, settlement, name, quantity, TRADE)
        return moved + transfer(fees, key, cash, fee, FEE) + transfer(account, key, cash, reserved - cost - fee, RESERVE)
    moved = transfer(settlement, key, name, quantity, TRADE)
    return moved + transfer(account, settlement, cash, cost - fee, TRADE) + transfer(fees, settlement, cash, fee, FEE)


# --- futures -------------------------------------------------------------------------------------------------------


def gain_of(held, price, decimals, place):
    """What a position gains from its mark to a price."""
    quantity = abs(held["quantity"])
    gain = cost_of(quantity, price, decimals, place) - cost_of(quantity, held["mark"], decimals, place)
    return bounded(-gain if held["quantity"] < 0 else gain, place)


def required(margins, quantity, price, decimals, place):
    value = cost_of(abs(quantity), price, decimals, place)
    return part_of(value, margins["initial_basis_points"]), part_of(value, margins["maintenance_basis_points"])


def future_trade(key, asked, deal, held, margins, level, listed, exe, parties):
    """The position is marked to the trade's price, then grows or shrinks."""
    place, terms, decimals = exe.place, listed["terms"], listed["decimals"]
    quantity, price, fee = deal.values()
    before = held["quantity"] if held else 0
    gain = gain_of(held, price, decimals, place) if held else 0
    marked = (held["margin"] if held else 0) + gain
    need(marked >= 0, "overdraft", f"{place}.outcome", "a margin that bears the loss", marked)
    signed = quantity if asked["side"] == BUY else -quantity
    after = bounded(before + signed, place)
    initial, _ = required(margins, after, price, decimals, place)
    grows = abs(after) > abs(before) or (after < 0) != (before < 0)
    paid_in = -marked if after == 0 else max(initial - marked, 0) if grows else min(initial - marked, 0)
    limits_hold(asked, deal, place)
    shrinks = after == 0 or not grows
    admitted = listed["status"] != SUSPENDED and (shrinks or listed["status"] == LISTED_OPEN)
    need(admitted, "listing", "request.trade.instrument", "one open to this trade", listed["status"])
    if not shrinks:
        level_suffices(level, terms)
    bounds_hold(terms, quantity, after == 0, f"{place}.quantity")
    cost = cost_of(quantity, price, decimals, f"{place}.quantity")
    fee_max = fee_of(terms["fees"], asked["side"] == BUY, cost)
    need(fee <= fee_max, "terms", f"{place}.fee", f"at most {fee_max}", fee)
    need(asked["size"][0] == 0, "terms", "request.trade.size", "a quantity", "cash")
    same("terms", f"{place}.quantity", asked["size"][1], quantity)
    (account, settlement, fees), cash = parties, asked["cash"]
    moved = transfer(key, settlement, asked["instrument"], signed, TRADE) + transfer(key, settlement, cash, gain, VARIATION)
    moved += transfer(key, account, cash, paid_in, TO_MARGIN) + transfer(fees, account, cash, fee, FEE)
    margin = marked + paid_in
    called_ms = held["called_ms"] if held and margin < initial else None
    marked_ms = held["marked_ms"] if held else exe["executed_ms"]
    left = {"quantity": after, "mark": price, "margin": margin, "marked_ms": marked_ms, "called_ms": called_ms}
    return moved, [MARGIN, left] if after else None


def margin_paid(key, asked, held, margins, listed, parties):
    margin = bounded(held["margin"] + asked["amount"], "request.margin.amount")
    initial, _ = required(margins, held["quantity"], held["mark"], listed["decimals"], "request.margin.amount")
    need(asked["amount"] > 0 or margin >= initial, "terms", "request.margin.amount", f"{initial} left", margin)
    called_ms = held["called_ms"] if margin < initial else None
    moved = transfer(key, parties[0], asked["cash"], asked["amount"], TO_MARGIN)
    return moved, [MARGIN, {**held, "margin": margin, "called_ms": called_ms}]


def settlement_is_due(done, before, listed):
    """Step 6 of a settlement; gives the state of the position that it leaves, if any."""
    (kind, held), (act, *given), place = before["state"], done["act"], f"{done.place}.act"
    need(listed["terms"] is not None, "listing", f"{done.place}.listing", "terms")
    parties = tuple([before["account"], *(own_account(done["network"], done["institution"], p) for p in ("settlement", "fees"))])
    key, decimals, (dealing, *margins) = done["position"], listed["decimals"], listed["terms"]["dealing"]
    same("terms", place, WAITING if act in (FILL, RELEASE) else MARGIN, kind)
    left = None
    if act == FILL:
        side_is_open(held["side"] == BUY, listed, f"{done.place}.listing")
        after_ms = held["accepted_ms"] if held["cut_off_ms"] is None else held["cut_off_ms"]
        need(given[1] > after_ms, "terms", f"{place}.priced_ms", f"later than {after_ms}", given[1])
        moved = filled(key, given[0], before, listed, parties, f"{place}.deal")
    elif act == RELEASE:
        moved = given_back(key, before, parties)
    else:
        same("terms", place, ON_MARGIN, dealing)
        price, gain = given[0], gain_of(held, given[0], decimals, place)
        marked = held["margin"] + gain
        initial, maintenance = required(margins[0], held["quantity"], price, decimals, place)
        if act == MARK:
            need(marked >= 0, "overdraft", place, "a margin that bears the loss", marked)
            called_ms = held["called_ms"]
            if marked >= initial:
                called_ms = None
            elif called_ms is None and marked < maintenance:
                called_ms = done["settled_ms"]
            left = {**held, "mark": price, "margin": marked, "marked_ms": done["settled_ms"], "called_ms": called_ms}
            moved = transfer(key, parties[1], before["cash"], gain, VARIATION)
        else:
            close_is_due(given[2], held, margins[0], marked, initial, listed, done)
            moved = closed_out(key, before, max(gain, -held["margin"]), parties)
    same("terms", f"{done.place}.postings", moved, done["postings"])
    return left and [MARGIN, left]


def close_is_due(reason, held, margins, marked, initial, listed, done):
    place = f"{done.place}.act"
    if reason == EXHAUSTED:
        need(marked <= 0, "terms", place, "a margin that is used up", marked)
    elif reason == EXPIRED:
        same("terms", place, LISTED_CLOSED, listed["status"])
    else:
        need(held["called_ms"] is not None, "terms", place, "a margin call that stands", "none")
        from_ms = held["called_ms"] + 1000 * margins["call_s"]
        need(done["settled_ms"] >= from_ms, "terms", f"{done.place}.settled_ms", f"at least {from_ms}", done["settled_ms"])
        need(marked < initial, "terms", place, f"a margin below {initial}", marked)


def closed_out(key, before, gain, parties):
    account, settlement, _ = parties
    held, cash = before["state"][1], before["cash"]
    moved = transfer(settlement, key, before["instrument"], held["quantity"], TRADE)
    return moved + transfer(key, settlement, cash, gain, VARIATION) + transfer(account, key, cash, held["margin"] + gain, TO_MARGIN)
