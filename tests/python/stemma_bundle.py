"""Bundles of Stemma, read item by item: bundle.md, and the trust of governance.md, of chain-format/spec."""

from collections import namedtuple

from stemma_encoding import (
    H, ZERO, Broken, array, boolean, decode, encode, enumeration, h32, keyed, need, octets, parts, record, same, u32,
    variants,
)  # fmt: skip
from stemma_block import (
    CHAIN, GOVERNANCE, ISSUANCE, LISTING, OPENING, SERVICING, SETTLEMENT, Entry, certified_header, header, prove_absent,
    prove_present, state_proof, verify_checkpoint,
)  # fmt: skip
from stemma_records import WITHDRAW, account_state, credit, position
from stemma_replay import Replay, WholeBlock, conflict_stands, endorsements_stand, executions_stand
from stemma_validation import (
    follow, opened, position_bytes, serve, settle, state_bytes, validate_entry, validate_rules,
)  # fmt: skip

# --- Form ----------------------------------------------------------------------------------------------------------

HEAD_MAX, ELEMENT_MAX, FILE_MAX = 2**24, 204_864, 2**40
LINEAGE, FROM_ANCHOR, HOLDINGS, ABSENCE, ENTRY, BLOCK, LEDGER, CONFLICT, ENDORSEMENTS, EXECUTIONS = range(10)
ELEMENTS = ("listings", "sources", "lineage", "settlements", "waiting", "blocks", "entries", "accounts", "positions")
ELEMENTS_OF = {LINEAGE: range(5), FROM_ANCHOR: range(5), BLOCK: (6,), LEDGER: range(5, 9)}
STEPS_MAX = 64
LISTINGS_MAX, SOURCES_MAX = 2, 512  # that one element can need

held_position = record(key=h32, position=position, proof=state_proof)
holding = record(account=account_state, proof=state_proof, positions=array(held_position))
anchor = record(header=certified_header, holding=holding, before_waiting=h32)
path = array(parts(boolean, h32))
claim = variants(
    (holding,), (holding, anchor), (holding,), (h32, state_proof), (octets, path), (), (), (certified_header,),
    (octets, octets), (octets, octets),
)  # fmt: skip
element = variants(
    (octets,), (octets,), (octets,), (octets,), (credit,), (header, u32), (octets,), (account_state,), (h32, position)
)
bundle_head = record(
    version=u32, network=h32, trust=array(parts(array(octets), certified_header)), checkpoint=certified_header, claim=claim
)


class Unreadable(Broken):
    """An item that is not what it must be by its form."""

    def __init__(self, broken):
        Exception.__init__(self, str(broken))
        self.rule, self.place = broken.rule, broken.place


class Items:
    """The items of a CBOR sequence, one after the other; no more is read than the item is to have."""

    def __init__(self, file):
        self.file, self.left = file, FILE_MAX

    def next(self, place, bytes_max):
        """The bytes of the next item; nothing at the end of the file."""
        data, items, most = bytearray(), 1, min(bytes_max, self.left)
        while items:
            need(len(data) + items <= most, "encoding", place, f"an item of at most {most} bytes", "more")
            head = self.file.read(1)
            if not head and not data:
                return b""
            need(head, "encoding", place, "a whole item", "the end of the file")
            data += head
            major, short = head[0] >> 5, head[0] & 31
            need(short < 28, "encoding", place, "a definite length", short)
            length = 1 << short - 24 if short >= 24 else 0
            data += self.exactly(length, place)
            count = int.from_bytes(data[-length:]) if length else short
            if major in (2, 3):
                need(len(data) + count <= most, "encoding", place, f"an item of at most {most} bytes", "more")
                data += self.exactly(count, place)
            items += {4: count, 5: 2 * count, 6: 1}.get(major, 0) - 1
        self.left -= len(data)
        return bytes(data)

    def exactly(self, length, place):
        data = self.file.read(length)
        need(len(data) == length, "encoding", place, "a whole item", "the end of the file")
        return data


class Bundle:
    """The head of a bundle, then its elements as they are asked for; Unreadable where one is not of its form."""

    def __init__(self, file):
        self.items, self.counts = Items(file), [0] * len(ELEMENTS)
        try:
            self.head = decode(self.items.next("bundle", HEAD_MAX), bundle_head, "bundle", HEAD_MAX)
            same("encoding", "bundle.version", 3, self.head["version"])
        except Broken as broken:
            raise Unreadable(broken) from None

    def elements(self):
        """Each element's kind and place, and what it holds."""
        while True:
            place = f"elements[{sum(self.counts)}]"
            try:
                data = self.items.next(place, ELEMENT_MAX)
                if not data:
                    return
                kind, *found = decode(data, element, place, ELEMENT_MAX)
                need(kind in ELEMENTS_OF.get(self.head["claim"][0], ()), "encoding", place, "an element of the claim", kind)
            except Broken as broken:
                raise Unreadable(broken) from None
            yield kind, f"{ELEMENTS[kind]}[{self.counts[kind]}]", *found
            self.counts[kind] += 1


# --- governance.md: trust ------------------------------------------------------------------------------------------


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


# --- To verify a bundle --------------------------------------------------------------------------------------------


def verify_bundle(file, registry):
    """Gives the claim, the checkpoint's header, the power that signed it and the total."""
    bundle = Bundle(file)  # step 1
    head, (checkpoint, certificate) = bundle.head, bundle.head["checkpoint"]
    same("network", "bundle.network", registry.network, head["network"])  # step 2
    same("network", "checkpoint.network", registry.network, checkpoint["network"])
    trust, height = Trust(registry), checkpoint["height"]
    for index, (records, certified) in enumerate(head["trust"]):  # step 3
        place, step = f"trust[{index}]", certified[0]["height"]
        need(step <= height, "certificate", f"{place}.height", f"at most {height}", step)
        trust.follow(records, *certified, place)
    power = trust.certify(checkpoint, certificate, "checkpoint")
    claim_stands(head["claim"], checkpoint, trust)  # step 4
    kind, *claimed = head["claim"]
    follower = None  # step 5; elements of a claim that has none are unreadable
    if kind in (LINEAGE, FROM_ANCHOR):
        follower = Derivation(trust, height, *claimed)
    elif kind == BLOCK:
        follower = WholeBlock(trust, checkpoint)
    elif kind == LEDGER:
        follower = Replay(trust, checkpoint, registry)
    for found in bundle.elements():
        follower.take(*found)
    if follower:
        follower.end()
    return head["claim"], checkpoint, *power


def claim_stands(claim, checkpoint, trust):
    """Step 4."""
    (kind, *claimed), root = claim, checkpoint["accounts_root"]
    if kind == ABSENCE:
        account, proof = claimed
        prove_absent(proof, root, account)
    elif kind == ENTRY:
        data, steps = claimed
        entry = Entry(data, "entry")
        validate_entry(entry, trust.at(checkpoint["height"]))
        entry_stands(entry.id, steps, checkpoint["entries_root"])
    elif kind == CONFLICT:
        conflict_stands(trust, checkpoint, claimed[0])
    elif kind == ENDORSEMENTS:
        endorsements_stand(trust, checkpoint["height"], claimed)
    elif kind == EXECUTIONS:
        executions_stand(trust, checkpoint["height"], claimed)
    elif kind in (LINEAGE, FROM_ANCHOR, HOLDINGS):
        holding_stands(claimed[0], root, "positions")
    if kind == FROM_ANCHOR:
        anchor_stands(claimed[1], claimed[0]["account"], checkpoint, trust)


def entry_stands(entry_id, steps, root):
    need(len(steps) <= STEPS_MAX, "proof", "merkle.path", f"at most {STEPS_MAX} steps", len(steps))
    found = H(b"\0", entry_id)
    for is_left, sibling in steps:
        found = H(b"\1", sibling, found) if is_left else H(b"\1", found, sibling)
    same("proof", "merkle.path", root, found)


def anchor_stands(anchor, claimed, checkpoint, trust):
    (header, certificate), found, before_waiting = anchor.values()
    last, account = checkpoint["height"], found["account"]
    need(header["height"] <= last, "certificate", "anchor.height", f"at most {last}", header["height"])
    trust.certify(header, certificate, "anchor")
    holding_stands(found, header["accounts_root"], "anchor.positions")
    same("account", "anchor.account", claimed["account"], account["account"])
    if account["credits_absorbed"] == account["credits_received"]:
        same("credit", "anchor.before_waiting", account["credits_digest"], before_waiting)


def holding_stands(found, root, place):
    """A holding stands under a root; where its positions are."""
    account, proof, positions = found.values()
    prove_present(proof, root, account["account"], state_bytes(account))
    same("holdings", place, account["positions"], len(positions))
    before = b""
    for index, held in enumerate(positions):
        need(before < held["key"], "holdings", f"{place}[{index}].key", "a key above the one before", held["key"])
        before = held["key"]
        same("account", f"{place}[{index}].account", account["account"], held["position"]["account"])
        prove_present(held["proof"], root, held["key"], position_bytes(held["position"]))


def validate_under(entry, known, since):
    """Validates an entry under the first registry from a place on that admits it, else under the last; gives the place."""
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


def given_by(entry, account):
    """What an entry gives an account: instrument and amount, by the index of the credit."""
    last, given = entry.stages[-1], []
    if entry.kind in (CHAIN, SETTLEMENT):
        given = [(p["account"], p["instrument"], p["amount"]) for p in last["postings"]]
    elif entry.kind == ISSUANCE:
        given = [(credited, last["instrument"], units) for credited, units in last["credits"]]
    return {i: (name, units) for i, (to, name, units) in enumerate(given) if to == account and units > 0}


Source = namedtuple("Source", "place id gives")


class Derivation:
    """A lineage, element by element. Kept are its state by then, the listings that it named, and what is yet to be used."""

    def __init__(self, trust, height, claimed, anchor=None):
        starts, self.registries = zip(*(known for known in trust.registries if known[0] <= height))
        self.network, self.leaf = self.registries[0].network, claimed["account"]
        self.left = position_pairs(claimed)
        self.state, self.positions, self.at_anchor, self.waits = None, {}, anchor is not None, False
        self.key = None  # of the position that the element before touched
        self.since, self.stands = 0, 0  # under which registry the lineage entry before was valid, and the element before
        self.received, self.digest, self.vouched, self.vouched_digest = 0, ZERO, 0, None
        self.listed, self.listings = {}, []  # needed before; not yet needed
        self.sources, self.last, self.settled = [], None, {}  # not yet used; used last; what settlements gave
        if anchor:
            (header, _), held, self.digest = anchor.values()
            account = held["account"]
            self.begin(account)
            self.positions = dict(position_pairs(held))
            self.since = self.stands = sum(start <= header["height"] + 1 for start in starts) - 1
            self.received, self.vouched = account["credits_absorbed"], account["credits_received"]
            self.vouched_digest = account["credits_digest"]

    def begin(self, state):
        self.state = {**state, **{name: self.leaf[name] for name in ("credits_received", "credits_digest")}}

    def take(self, kind, place, content):
        (self.listing, self.source, self.entry, self.settlement, self.waiting)[kind](content, place)

    # --- what stands before what needs it --------------------------------------------------------------------------

    def listing(self, data, place):
        entry = Entry(data, place)
        validate_under(entry, self.registries, 0)
        self.no_source()
        need(entry.kind == LISTING, "listing", place, "a listing")
        if len(self.listings) <= LISTINGS_MAX:
            self.listings.append(entry)

    def source(self, data, place):
        entry = Entry(data, place)
        validate_under(entry, self.registries, 0)
        if len(self.sources) <= SOURCES_MAX:
            self.sources.append(Source(place, entry.id, given_by(entry, self.leaf["account"])))

    def need_listings(self, place, *names):
        """Those with these links or, of cash, of these instruments: known, or exactly those that stand before, in order."""
        for name in names:
            if name not in self.listed:
                found = self.listings.pop(0).stages[0] if self.listings else None
                need(found and name in (found.link, found["instrument"]), "listing", place, "its listing before it", name)
                self.listed[found.link] = self.listed[found["instrument"]] = found
        self.no_listing()
        return [self.listed[name] for name in names]

    def no_listing(self):
        if self.listings:
            raise Broken("listing", self.listings[0].place, "what needs it behind it", "nothing")

    def no_source(self):
        if self.sources:
            raise Broken("credit", self.sources[0].place, "a credit that it gave behind it", "none")

    def receive(self, given, place):
        """A credit is received."""
        if self.received < self.vouched:
            self.last = None
        else:
            self.find_source(given, place)
            same("credit", place, self.last.gives.get(given["index"]), (given["instrument"], given["amount"]))
        self.digest, self.received = H(self.digest, encode(keyed(given))), self.received + 1
        if self.received == self.vouched:
            same("credit", place, self.vouched_digest, self.digest)

    def find_source(self, given, place):
        """A settlement, else the source of the credit before, else the next one."""
        source, index = given["source"], given["index"]
        if (source, index) in self.settled:
            self.last = Source(place, source, {index: self.settled.pop((source, index))})
        elif self.last is None or self.last.id != source:
            found = self.sources and self.sources[0].id == source
            need(found, "credit", place, "its source before it", source)
            self.last = self.sources.pop(0)

    def absorb(self, stage):
        for index, given in enumerate(stage["absorbed"]):
            self.receive(given, f"{stage.place}.absorbed[{index}]")
        self.no_source()

    # --- the lineage -----------------------------------------------------------------------------------------------

    def entry(self, data, place):
        entry = Entry(data, place)
        self.since = self.stands = validate_under(entry, self.registries, self.since)
        need(not self.waits, "sequence", place, "no waiting credit before it", "one")
        if self.state is None:
            self.open(entry)
            return
        need(entry.kind in (CHAIN, SERVICING), "sequence", place, "a chain or a servicing record")
        self.at_anchor = False
        found = self.chain(entry) if entry.kind == CHAIN else self.servicing(entry)
        self.state, self.key, left = found
        self.put(left)

    def open(self, entry):
        need(entry.kind == OPENING, "sequence", entry.place, "an opening record")
        same("account", entry.place, self.leaf["account"], entry.id)
        self.begin(opened(entry.id, *(entry.stages[0][name] for name in ("bank", "key", "credit"))))
        self.no_listing()
        self.no_source()

    def chain(self, entry):
        request, endorsement, execution = entry.stages
        listed, _ = self.need_listings(entry.place, execution["listing"], request["order"][1]["cash"])
        self.absorb(endorsement)
        return follow(self.state, entry, endorsement["absorbed"], listed, self.network, self.positions.get)

    def servicing(self, entry):
        done = entry.stages[-1]
        kind, *given = done["act"]
        self.need_listings(entry.place, *given[: kind == WITHDRAW])
        self.absorb(done)
        return *serve(self.state, entry, done["absorbed"], self.network, self.positions.get), None

    def settlement(self, data, place):
        entry = Entry(data, place)
        done = entry.stages[0]
        key = done["position"] if entry.kind == SETTLEMENT else None
        stands = self.stands if key == self.key else self.since
        self.stands = validate_under(entry, self.registries, stands)
        need(key, "sequence", place, "a settlement")
        before = self.positions.get(key)
        next_in_order = key == self.key or (self.at_anchor and (self.key is None or key > self.key))
        need(before and next_in_order, "sequence", place, "a settlement of the position that was left", key)
        same("sequence", f"{done.place}.parent", before["head"], done["parent"])
        (listed,) = self.need_listings(place, done["listing"])
        self.no_source()
        self.state, left = settle(self.state, entry, listed, before)
        self.key = key
        self.put(left)
        for index, given in given_by(entry, self.leaf["account"]).items():
            self.settled[entry.id, index] = given

    def put(self, left):
        """What is left of the position that was touched."""
        self.positions.pop(self.key, None)
        if left is not None:
            self.positions[self.key] = left

    def waiting(self, given, place):
        self.waits, self.at_anchor, self.key = True, False, None
        self.no_listing()
        self.receive(given, place)
        self.no_source()

    def end(self):
        need(self.state is not None, "sequence", "lineage", "an opening record", "nothing")
        self.no_listing()
        self.no_source()
        same("credit", "account.credits_received", self.leaf["credits_received"], self.received)
        same("credit", "account.credits_digest", self.leaf["credits_digest"], self.digest)
        same("holdings", "positions", sorted(self.positions.items()), self.left)
        for name, value in self.leaf.items():
            same("holdings", f"account.{name}", self.state[name], value)


def position_pairs(found):
    return [(held["key"], held["position"]) for held in found["positions"]]
