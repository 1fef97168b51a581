"""Envelopes, the genesis and the signed records of Stemma: envelope.md, genesis.md, account.md, stages.md,
servicing.md, issuance-listing.md, refusal.md and announcement.md of chain-format/spec."""

import re

import cbor2

from stemma_encoding import (
    AMOUNT_MAX, H, admitted, amount, array, decode, derived, empty_map, encode, enumeration, exactly, h32,
    holdings, instrument, issuer, member_id, merkle_root, need, octets, parts, price, record, same, signature64,
    size, text, u16, u32, u64, u8, variants, verifies,
)

# --- envelope.md ---------------------------------------------------------------------------------------------------


def content_type(kind):
    return f"application/vnd.stemma.{kind}+cbor"


def protected_header(kind, key):
    return encode({1: -8, 3: content_type(kind), 4: key})


def signed_bytes(kind, key, payload):
    return encode(["Signature1", protected_header(kind, key), b"", payload])


class Signed:
    """A record with its envelope; its signature is checked by `check_signature`."""

    def __init__(self, data, kind, place):
        read, check, bytes_max = RECORDS[kind]
        payload, self.signature, self.key = decode(data, envelope(kind), place, bytes_max)
        self.record = decode(payload, read, place, bytes_max)
        check(self.record, place)
        self.kind, self.payload, self.link, self.place = kind, payload, H(data), place

    def __getitem__(self, field):
        return self.record[field]

    def check_signature(self):
        holds = verifies(self.key, signed_bytes(self.kind, self.key, self.payload), self.signature)
        need(holds, "signature", f"{self.place}.signature", f"a signature by {self.key.hex()}", "none")


def envelope(kind):
    def read(value, place):
        tagged = isinstance(value, cbor2.CBORTag) and value.tag == 18
        need(tagged, "encoding", place, "a tagged COSE_Sign1", "otherwise")
        protected, _, payload, signature = parts(octets, empty_map, octets, signature64)(value.value, place)
        return payload, signature, signer(protected, kind, place)

    return read


def signer(protected, kind, place):
    """The header is fixed but for its last 32 bytes, the key."""
    key = protected[-32:]
    holds = len(key) == 32 and protected == protected_header(kind, key)
    need(holds, "encoding", place, f"the protected header of {content_type(kind)}", protected)
    return key


# --- genesis.md ----------------------------------------------------------------------------------------------------

BANK, INSTITUTION, AUDITOR = range(3)
OWN_PURPOSES = ("settlement", "promotion", "fees")

member = record(
    id=member_id, role=enumeration(3), name=text, member_key=h32, network_key=h32, validator_key_opt=h32, power=u64
)
parameters = record(block_entries_max=u32, clock_drift_ms_max=u64, expiry_blocks_max=u64, approval_percent=u8)
genesis_record = record(format=u32, name=text, created_ms=u64, members=array(member), parameters=parameters)


def utf8_length(value):
    return len(value.encode())


def cose_sign(signatures_max):
    def read(value, place):
        tagged = isinstance(value, cbor2.CBORTag) and value.tag == 98
        need(tagged, "encoding", place, "a tagged COSE_Sign", "otherwise")
        signature = parts(octets, empty_map, signature64)
        _, _, payload, signatures = parts(exactly(0), empty_map, octets, array(signature))(value.value, place)
        count = len(signatures)
        need(count <= signatures_max, "encoding", place, f"at most {signatures_max} signatures", count)
        return payload, signatures

    return read


def check_genesis(genesis):
    """Steps 3 to 5."""
    same("genesis", "genesis.format", 1, genesis["format"])
    need(1 <= utf8_length(genesis["name"]) <= 256, "genesis", "genesis.name", "1 to 256 bytes")
    need(1 <= len(genesis["members"]) <= 256, "genesis", "genesis.members", "1 to 256 members")
    previous, keys, power = "", set(), 0
    for m in genesis["members"]:
        place = f"genesis.members.{m['id']}"
        check_member(m, place)
        own = [m[name] for name in ("member_key", "network_key", "validator_key") if m[name] is not None]
        need(previous < m["id"], "genesis", place, "ids in ascending order", previous)
        for key in own:
            need(key not in keys, "genesis", place, "each key once", key)
            keys.add(key)
        previous, power = m["id"], power + m["power"]
    need(1 <= power < 2**32, "genesis", "genesis.members", "a total power of 1 to 2^32 - 1", power)
    check_parameters(genesis["parameters"], "genesis")


def check_member(m, place):
    """What a member keeps by itself."""
    need(1 <= utf8_length(m["name"]) <= 256, "member", place, "a name of 1 to 256 bytes")
    need((m["validator_key"] is not None) == (m["power"] > 0), "member", place, "a validator key with power")
    need(m["role"] != AUDITOR or m["power"] == 0, "member", place, "no power for an auditor", m["power"])
    own = [m[name] for name in ("member_key", "network_key", "validator_key") if m[name] is not None]
    need(all(map(admitted, own)), "member", place, "keys that are admitted")


def check_parameters(limits, rule):
    need(1 <= limits["block_entries_max"] <= 10_000, rule, "parameters.block_entries_max", "1 to 10000")
    need(1 <= limits["expiry_blocks_max"] <= 1_000_000, rule, "parameters.expiry_blocks_max", "1 to 1000000")
    need(51 <= limits["approval_percent"] <= 100, rule, "parameters.approval_percent", "51 to 100")


# --- the other pages: the records and their own ranges -------------------------------------------------------------

credit_terms = record(level=u8, rules=u32, lines=holdings)


def isin(value, place):
    """ISO 6166: letters stand for 10 to 35, every second digit from the right is doubled, the sum is a multiple of 10."""
    formed = type(value) is str and re.fullmatch("[A-Z]{2}[A-Z0-9]{9}[0-9]", value, re.ASCII)
    need(formed, "encoding", place, "an ISIN", value)
    digits = [int(digit) for digit in "".join(str(int(char, 36)) for char in value)]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    need(total % 10 == 0, "encoding", place, "an ISIN with the right check digit", value)
    return value


opening = record(network=h32, bank=member_id, key=h32, nonce=exactly(16), credit=credit_terms)
credit = record(source=h32, index=u32, instrument=instrument, amount=amount)
account_state = record(
    account=h32, bank=member_id, key_opt=h32, sequence=u64, head=h32, counter=u64, holdings=holdings,
    credits_received=u64, credits_absorbed=u64, credits_digest=h32, status=enumeration(3), credit=credit_terms,
    positions=u64,
)  # fmt: skip
trade = record(side=enumeration(2), instrument=instrument, size=size, cash=instrument, limit_opt=price, fee_max_opt=amount)
cancel = record(request=h32, instrument=instrument, cash=instrument)
margin_payment = record(instrument=instrument, cash=instrument, amount=amount)
order = variants((trade,), (cancel,), (margin_payment,))
ORDERED, CANCEL, MARGIN_PAYMENT = range(3)
ORDER_NAMES = ("trade", "cancel", "margin")
identities = array(record(kind=text, commitment=h32))
request = record(
    network=h32, account=h32, counter=u64, bank=member_id, institution=member_id, order=order,
    identities=identities, expires_opt=u64, referral_opt=octets,
)  # fmt: skip
endorsement = record(
    network=h32, request=h32, bank=member_id, account=h32, parent=h32, sequence=u64, absorbed=array(credit),
    holdings=holdings, credit=credit_terms, verifier=h32, expires=u64,
)  # fmt: skip
posting = record(account=h32, instrument=instrument, amount=amount, purpose=enumeration(6))
deal = record(quantity=amount, price=price, fee=amount)
acceptance = record(cut_off_ms_opt=u64, reclaim_ms=u64)
outcome = variants((deal,), (acceptance,), ())
TRADED, ACCEPTED, DONE = range(3)
execution = record(
    network=h32, endorsement=h32, institution=member_id, account=h32, listing=h32, outcome=outcome,
    postings=array(posting), holdings=holdings, executed_ms=u64, referral_opt=enumeration(10),
)  # fmt: skip
waiting = record(
    request=h32, side=enumeration(2), reserved=amount, limit_opt=price, fee_max_opt=amount, accepted_ms=u64,
    cut_off_ms_opt=u64, reclaim_ms=u64,
)  # fmt: skip
margin = record(quantity=amount, mark=price, margin=amount, marked_ms=u64, called_ms_opt=u64)
WAITING, MARGIN = range(2)
position = record(
    account=h32, instrument=instrument, cash=instrument, head=h32, state=variants((waiting,), (margin,))
)
FILL, RELEASE, MARK, CLOSE_OUT = range(4)
CALLED, EXHAUSTED, EXPIRED = range(3)
settlement_act = variants((deal, u64), (enumeration(5),), (price, u64), (price, u64, enumeration(3)))
settlement = record(
    network=h32, institution=member_id, position=h32, account=h32, parent=h32, listing=h32, act=settlement_act,
    postings=array(posting), settled_ms=u64,
)  # fmt: skip
FREEZE, UNFREEZE, CLOSE, WITHDRAW, BIND_KEY, REVOKE_KEY, SET_CREDIT, RECLAIM = range(8)
act = variants((), (), (), (instrument, amount), (h32,), (), (credit_terms,), (h32, instrument, amount))
instruction = record(
    network=h32, account=h32, counter=u64, bank=member_id, act=act, identities=identities, expires_opt=u64
)
promotion = record(
    network=h32, account=h32, counter=u64, bank=member_id, side_opt=enumeration(2), instrument=instrument, uses=u32,
    expires=u64, identities=identities,
)  # fmt: skip
referral = record(
    network=h32, bank=member_id, promoter=h32, side_opt=enumeration(2), instrument=instrument, expires=u64, uses=u32,
    material=h32,
)  # fmt: skip
servicing = record(
    network=h32, bank=member_id, account=h32, instruction_opt=h32, parent=h32, sequence=u64, absorbed=array(credit),
    act=act, holdings=holdings,
)  # fmt: skip
trading_hours = record(zone=text, sessions=array(parts(u8, u16, u16)), holidays=array(u32))
SPOT, FORWARD, ON_MARGIN = range(3)
margin_terms = record(initial_basis_points=u16, maintenance_basis_points=u16, call_s=u32)
fee_schedule = record(buy_basis_points=u16, sell_basis_points=u16, least=amount)
trade_terms = record(
    lot=amount, quantity_min_opt=amount, quantity_max_opt=amount, fees=fee_schedule, hours_opt=trading_hours,
    credit_level_min=u8, risk_class=u8, lock_up_days=u16, dealing=variants((), (), (margin_terms,)),
)  # fmt: skip
listing = record(
    network=h32, instrument=instrument, kind=enumeration(5), decimals=u8, name=text, quoted_in_opt=text, isin_opt=isin,
    status=enumeration(3), terms_opt=trade_terms, replaces_opt=h32,
)  # fmt: skip
issuance = record(
    network=h32, issuer=member_id, parent=h32, sequence=u64, instrument=instrument, credits=array(parts(h32, amount))
)
refusal = record(
    network=h32, member=member_id, refused=h32, reason=enumeration(41), expected=text, found=text, refused_ms=u64
)
announcement = record(network=h32, member=member_id, serial=u64, paths=array(parts(text, text)), addresses=array(text))
OPEN, FROZEN, CLOSED = range(3)
BUY, SELL = range(2)
TRADE, FEE, REWARD, RESERVE, TO_MARGIN, VARIATION = range(6)
REWARDED = 0
LISTED_OPEN, SUSPENDED, LISTED_CLOSED = range(3)
CURRENCY, FUND, STOCK, FUTURE, TRUST = range(5)


def in_range(holds, place, expected):
    need(holds, "range", place, expected)


def price_in_range(value, place):
    mantissa, scale = value
    formed = mantissa > 0 and scale <= 12 and (scale == 0 or mantissa % 10 != 0)
    in_range(formed, place, "a price above 0 in its one form")


def check_opening(r, place):
    in_range(admitted(r["key"]), f"{place}.key", "a key that is admitted")
    credit_terms_in_range(r["credit"], r["bank"], f"{place}.credit")


def credit_terms_in_range(terms, bank, place):
    for name, line in terms["lines"].items():
        in_range(line > 0, f"{place}.lines.{name}", "above 0")
        in_range(issuer(name) == bank, f"{place}.lines.{name}", "an instrument of the bank")


def absorbed_in_range(absorbed, place):
    in_range(len(absorbed) <= 512, place, "at most 512")
    in_range(all(c["amount"] > 0 for c in absorbed), place, "amounts above 0")


def plain_name(value):
    return re.fullmatch("[a-z0-9-]{1,32}", value, re.ASCII)


def identities_in_range(claims, place):
    in_range(1 <= len(claims) <= 4, place, "1 to 4")
    kinds = [claim["kind"].encode() for claim in claims]
    in_range(all(plain_name(claim["kind"]) for claim in claims), place, "lowercase letters, digits, hyphens")
    in_range(all(a < b for a, b in zip(kinds, kinds[1:])), place, "kinds in strictly ascending order")


def check_request(r, place):
    kind, asked = r["order"]
    name = ORDER_NAMES[kind]
    in_range(r["counter"] > 0, f"{place}.counter", "above 0")
    if kind == ORDERED:
        in_range(asked["size"][1] > 0, f"{place}.trade.size", "above 0")
        if asked["limit"] is not None:
            price_in_range(asked["limit"], f"{place}.trade.limit")
        in_range((asked["fee_max"] or 0) >= 0, f"{place}.trade.fee_max", "0 or above")
    if kind == MARGIN_PAYMENT:
        in_range(asked["amount"] != 0, f"{place}.margin.amount", "not 0")
    in_range(issuer(asked["instrument"]) == r["institution"], f"{place}.{name}.instrument", "the institution's")
    in_range(issuer(asked["cash"]) == r["bank"], f"{place}.{name}.cash", "the bank's")
    identities_in_range(r["identities"], f"{place}.identities")
    in_range(len(r["referral"] or b"") <= 1024, f"{place}.referral", "at most 1024 bytes")
    in_range(r["referral"] is None or kind == ORDERED, f"{place}.referral", "none but for a trade")


def check_endorsement(r, place):
    in_range(r["sequence"] > 0, f"{place}.sequence", "above 0")
    absorbed_in_range(r["absorbed"], f"{place}.absorbed")
    credit_terms_in_range(r["credit"], r["bank"], f"{place}.credit")


def check_execution(r, place):
    kind, *given = r["outcome"]
    if kind == TRADED:
        deal_in_range(given[0], place)
    elif kind == ACCEPTED:
        taken_ms, (cut_off_ms, reclaim_ms) = r["executed_ms"], given[0].values()
        cut_off_ms = taken_ms if cut_off_ms is None else cut_off_ms
        in_range(cut_off_ms >= taken_ms, f"{place}.cut_off_ms", "at or after the acceptance")
        in_range(cut_off_ms <= reclaim_ms <= taken_ms + 31 * 86_400_000, f"{place}.reclaim_ms", "at most 31 days")
    in_range(len(r["postings"]) > 0, f"{place}.postings", "at least 1")
    postings_in_range(r["postings"], place)


def deal_in_range(deal, place):
    in_range(deal["quantity"] > 0, f"{place}.quantity", "above 0")
    in_range(deal["fee"] >= 0, f"{place}.fee", "0 or above")
    price_in_range(deal["price"], f"{place}.price")


def postings_in_range(postings, place):
    in_range(len(postings) <= 64, f"{place}.postings", "at most 64")
    in_range(all(p["amount"] != 0 for p in postings), f"{place}.postings", "amounts other than 0")


def check_settlement(r, place):
    kind, *given = r["act"]
    if kind == FILL:
        deal_in_range(given[0], f"{place}.act.deal")
    elif kind != RELEASE:
        price_in_range(given[0], f"{place}.act.price")
    if kind != RELEASE:
        in_range(given[1] <= r["settled_ms"], f"{place}.act.priced_ms", "at most the settlement's time")
    postings_in_range(r["postings"], place)


def act_in_range(done, bank, place):
    kind, *given = done
    if kind == WITHDRAW:
        in_range(given[1] > 0, f"{place}.withdraw", "above 0")
        in_range(issuer(given[0]) == bank, f"{place}.withdraw", "the bank's cash")
    elif kind == BIND_KEY:
        in_range(admitted(given[0]), f"{place}.bind-key", "a key that is admitted")
    elif kind == SET_CREDIT:
        credit_terms_in_range(given[0], bank, f"{place}.set-credit")
    elif kind == RECLAIM:
        in_range(given[2] > 0, f"{place}.reclaim", "above 0")


def check_instruction(r, place):
    in_range(r["counter"] > 0, f"{place}.counter", "above 0")
    in_range(r["act"][0] in (CLOSE, WITHDRAW, BIND_KEY, REVOKE_KEY), f"{place}.act", "what a customer may ask for")
    act_in_range(r["act"], r["bank"], f"{place}.act")
    identities_in_range(r["identities"], f"{place}.identities")


def check_promotion(r, place):
    in_range(r["counter"] > 0, f"{place}.counter", "above 0")
    in_range(1 <= r["uses"] <= 1_000_000, f"{place}.uses", "1 to 1000000")
    identities_in_range(r["identities"], f"{place}.identities")


def check_referral(r, place):
    in_range(1 <= r["uses"] <= 1_000_000, f"{place}.uses", "1 to 1000000")


def check_servicing(r, place):
    in_range(r["sequence"] > 0, f"{place}.sequence", "above 0")
    absorbed_in_range(r["absorbed"], f"{place}.absorbed")
    act_in_range(r["act"], r["bank"], f"{place}.act")


def check_listing(r, place):
    in_range(r["decimals"] <= 18, f"{place}.decimals", "at most 18")
    in_range(1 <= utf8_length(r["name"]) <= 256, f"{place}.name", "1 to 256 bytes")
    quoted = r["quoted_in"]
    code = quoted is not None and re.fullmatch("[A-Z0-9]{1,24}", quoted, re.ASCII)
    holds = quoted is None if r["kind"] == CURRENCY else code
    in_range(holds, f"{place}.quoted_in", "a code, absent for a currency")
    currency, terms = r["kind"] == CURRENCY, r["terms"]
    in_range((terms is None) == currency, f"{place}.terms", "terms, none for a currency")
    in_range(r["status"] == LISTED_OPEN or not currency, f"{place}.status", "open for a currency")
    for field in ("isin", "replaces"):
        in_range(r[field] is None or not currency, f"{place}.{field}", "none for a currency")
    if terms is not None:
        trade_terms_in_range(terms, f"{place}.terms")
        suited = {SPOT: (FUND, STOCK, TRUST), FORWARD: (FUND, TRUST), ON_MARGIN: (FUTURE,)}[terms["dealing"][0]]
        in_range(r["kind"] in suited, f"{place}.terms.dealing", "a dealing that suits the kind")


def trade_terms_in_range(t, place):
    least, most, fees = t["quantity_min"], t["quantity_max"], t["fees"]
    in_range(t["lot"] > 0, f"{place}.lot", "above 0")
    in_range(least is None or least > 0, f"{place}.quantity_min", "above 0")
    in_range(most is None or most > 0, f"{place}.quantity_max", "above 0")
    in_range(None in (least, most) or least <= most, f"{place}.quantity_max", "at least the least")
    for side in ("buy", "sell"):
        in_range(fees[f"{side}_basis_points"] <= 10_000, f"{place}.fees.{side}_basis_points", "at most 10000")
    in_range(fees["least"] >= 0, f"{place}.fees.least", "0 or above")
    in_range(1 <= t["risk_class"] <= 7, f"{place}.risk_class", "1 to 7")
    in_range(t["lock_up_days"] <= 3660, f"{place}.lock_up_days", "at most 3660")
    kind, *given = t["dealing"]
    if kind == ON_MARGIN:
        initial, maintenance, call_s = given[0].values()
        in_range(1 <= initial <= 10_000, f"{place}.dealing.initial_basis_points", "1 to 10000")
        in_range(1 <= maintenance <= initial, f"{place}.dealing.maintenance_basis_points", "1 to the initial")
        in_range(call_s <= 2_592_000, f"{place}.dealing.call_s", "at most 30 days")
    if t["hours"] is not None:
        hours_in_range(t["hours"], f"{place}.hours")


def hours_in_range(h, place):
    zone, sessions, holidays = h["zone"], h["sessions"], h["holidays"]
    in_range(re.fullmatch("[A-Za-z0-9/_+-]{1,40}", zone, re.ASCII), f"{place}.zone", "a time zone's name")
    in_range(1 <= len(sessions) <= 28, f"{place}.sessions", "1 to 28")
    for index, (weekday, opens, closes) in enumerate(sessions):
        in_range(weekday < 7 and opens < closes <= 1440, f"{place}.sessions[{index}]", "a session within one day")
    spans = [(1440 * weekday + opens, 1440 * weekday + closes) for weekday, opens, closes in sessions]
    apart = all(before[1] <= after[0] for before, after in zip(spans, spans[1:]))
    in_range(apart, f"{place}.sessions", "in order, none overlapping")
    in_range(len(holidays) <= 128, f"{place}.holidays", "at most 128")
    in_range(all(a < b for a, b in zip(holidays, holidays[1:])), f"{place}.holidays", "each day once, ascending")


def check_issuance(r, place):
    in_range(r["sequence"] > 0, f"{place}.sequence", "above 0")
    in_range(issuer(r["instrument"]) == r["issuer"], f"{place}.instrument", "the issuer's")
    in_range(1 <= len(r["credits"]) <= 1024, f"{place}.credits", "1 to 1024")
    in_range(all(units > 0 for _, units in r["credits"]), f"{place}.credits", "amounts above 0")
    accounts = {account for account, _ in r["credits"]}
    in_range(len(accounts) == len(r["credits"]), f"{place}.credits", "each account once")
    in_range(sum(units for _, units in r["credits"]) <= AMOUNT_MAX, f"{place}.credits", "at most 2^96 in all")


def check_refusal(r, place):
    for field in ("expected", "found"):
        in_range(utf8_length(r[field]) <= 256, f"{place}.{field}", "at most 256 bytes")


def check_announcement(r, place):
    names = [name for name, _ in r["paths"]]
    in_range(len(names) <= 8, f"{place}.paths", "at most 8")
    in_range(all(map(plain_name, names)), f"{place}.paths.name", "lowercase letters, digits, hyphens")
    in_range(len(set(names)) == len(names), f"{place}.paths.name", "each name once")
    in_range(len(r["addresses"]) <= 8, f"{place}.addresses", "at most 8")
    told = [address for _, address in r["paths"]] + r["addresses"]
    in_range(all(1 <= utf8_length(address) <= 256 for address in told), f"{place}.addresses", "1 to 256 bytes")


RECORDS = {
    "opening": (opening, check_opening, 1024),
    "request": (request, check_request, 4096),
    "endorsement": (endorsement, check_endorsement, 96 * 1024),
    "execution": (execution, check_execution, 96 * 1024),
    "instruction": (instruction, check_instruction, 4096),
    "servicing": (servicing, check_servicing, 96 * 1024),
    "settlement": (settlement, check_settlement, 8 * 1024),
    "issuance": (issuance, check_issuance, 128 * 1024),
    "listing": (listing, check_listing, 4096),
    "promotion": (promotion, check_promotion, 4096),
    "referral": (referral, check_referral, 370),
    "refusal": (refusal, check_refusal, 4096),
    "announcement": (announcement, check_announcement, 4096),
}
