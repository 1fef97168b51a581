"""A block with its entries, the ledger replayed, and evidence: the claims of bundle.md, of chain-format/spec, without an account."""

from stemma_encoding import H, encode, keyed, merkle_root, need, same
from stemma_block import Entry, verify_checkpoint
from stemma_ledger import Ledger
from stemma_records import BANK, INSTITUTION, Signed
from stemma_validation import validate_entry, validate_rules

ENTRIES_MAX, STAGE_BYTES_MAX = 10_000, 8_388_608


def entries_root(entries):
    return merkle_root([H(b"\0", entry.id) for entry in entries])


def block_id(header):
    return H(encode(keyed(header)))


class WholeBlock:
    """The entries of one block, in order."""

    def __init__(self, trust, checkpoint):
        self.registry, self.root, self.entries = trust.at(checkpoint["height"]), checkpoint["entries_root"], []

    def take(self, _kind, place, data):
        need(len(self.entries) < ENTRIES_MAX, "block", place, f"at most {ENTRIES_MAX} entries", "one more")
        entry = Entry(data, place)
        validate_entry(entry, self.registry)
        self.entries.append(entry)

    def end(self):
        same("block", "header.entries_root", self.root, entries_root(self.entries))


class Replay:
    """The ledger from the genesis to a checkpoint, block by block; then what it came to is compared with what is stated."""

    def __init__(self, trust, checkpoint, genesis):
        self.trust, self.checkpoint, self.ledger = trust, checkpoint, Ledger(genesis)
        self.ledger.time_ms, self.last = genesis.created_ms, genesis.network
        self.header, self.left, self.entries, self.stage_bytes = None, 0, [], 0
        self.stated = self.positions = None  # what is still to be stated

    def take(self, kind, place, *content):
        {5: self.block, 6: self.entry, 7: self.account, 8: self.position}[kind](place, *content)

    def block(self, place, header, count):
        need(not self.left, "block", place, "all entries of the block before it", f"{self.left} too few")
        last = self.checkpoint["height"]
        need(self.ledger.height < last, "block", place, f"no block above the checkpoint's {last}")
        need(count <= ENTRIES_MAX, "block", f"{place}.entries", f"at most {ENTRIES_MAX}", count)
        self.header, self.left, self.entries, self.stage_bytes = header, count, [], 0
        if not count:
            self.end_block(place)

    def entry(self, place, data):
        need(self.left, "block", place, "a block, or an account, before another entry", "an entry of no block")
        entry = Entry(data, place)
        validate_entry(entry, self.trust.at(self.header["height"]))
        self.entries.append(entry)
        self.stage_bytes += entry.stage_bytes
        fits = self.stage_bytes <= STAGE_BYTES_MAX
        need(fits, "block", place, f"stages of at most {STAGE_BYTES_MAX} bytes in all", self.stage_bytes)
        self.left -= 1
        if not self.left:
            self.end_block(place)

    def end_block(self, place):
        """block.md: a block on the ledger that it extends."""
        header, ledger, registry = self.header, self.ledger, self.ledger.registry
        same("block", f"{place}.network", registry.network, header["network"])
        same("block", f"{place}.height", ledger.height + 1, header["height"])
        same("block", f"{place}.parent", self.last, header["parent"])
        need(header["time_ms"] > ledger.time_ms, "block", f"{place}.time_ms", f"above {ledger.time_ms}", header["time_ms"])
        same("block", f"{place}.entries_root", header["entries_root"], entries_root(self.entries))
        most = registry.parameters["block_entries_max"]
        need(len(self.entries) <= most, "block", f"{place}.entries", f"at most {most}", len(self.entries))
        for entry in self.entries:
            validate_rules(entry, ledger.registry)
            ledger = ledger.after(entry, header["time_ms"])
        ledger.end_block(header["height"], header["time_ms"])
        same("block", f"{place}.accounts_root", header["accounts_root"], ledger.root())
        same("block", f"{place}.registry_root", header["registry_root"], ledger.registry.root)
        self.ledger, self.last = ledger, block_id(header)
        if ledger.height == self.checkpoint["height"]:
            same("certificate", place, block_id(self.checkpoint), self.last)

    def state(self):
        """What the ledger came to, once."""
        if self.stated is not None:
            return
        need(not self.left, "block", "blocks", "all entries of the block", f"{self.left} too few")
        last = self.checkpoint["height"]
        same("block", "blocks", last, self.ledger.height)
        self.stated = iter(sorted(self.ledger.accounts.items()))

    def account(self, place, stated):
        self.state()
        need(self.positions is None, "holdings", place, "all accounts before the first position", "one after it")
        found = next(self.stated, None)
        need(found, "holdings", place, "no further account", stated["account"])
        same("holdings", f"{place}.account", found[0], stated["account"])
        for name, value in found[1].items():
            same("holdings", f"{place}.{name}", value, stated[name])

    def position(self, place, key, stated):
        self.state()
        self.all_accounts(place)
        found = next(self.positions, None)
        need(found, "holdings", place, "no further position", key)
        same("holdings", place, found, (key, stated))

    def all_accounts(self, place):
        if self.positions is None:
            need(next(self.stated, None) is None, "holdings", place, "a further account", "none")
            self.positions = iter(sorted(self.ledger.positions.items()))

    def end(self):
        self.state()
        self.all_accounts("accounts")
        need(next(self.positions, None) is None, "holdings", "positions", "a further position", "none")


# --- Evidence ------------------------------------------------------------------------------------------------------


def conflict_stands(trust, checkpoint, other):
    """Another block is final as well, and can't be."""
    header, certificate = other
    same("network", "other.network", trust.at(0).network, header["network"])
    verify_checkpoint(header, certificate, trust.at(header["height"]))
    ours = block_id(checkpoint)
    beside = header["height"] == checkpoint["height"] and block_id(header) != ours
    above = header["height"] == checkpoint["height"] + 1 and header["parent"] != ours
    need(beside or above, "agreement", "other.header", "a block that can't stand beside the checkpoint's")


def endorsements_stand(trust, height, two):
    """A bank signed two endorsements for one head of one account."""
    first, second = read_two(trust, "endorsement", two)
    for name in ("bank", "account", "parent"):
        same("agreement", f"second.{name}", first[name], second[name])
    signed_by(trust, height, first["bank"], BANK, (first, second))
    return first["bank"], first["parent"]


def executions_stand(trust, height, two):
    """An institution signed two executions of one endorsement."""
    first, second = read_two(trust, "execution", two)
    for name in ("institution", "endorsement"):
        same("agreement", f"second.{name}", first[name], second[name])
    signed_by(trust, height, first["institution"], INSTITUTION, (first, second))
    return first["institution"], first["endorsement"]


def read_two(trust, kind, two):
    found = []
    for place, data in zip(("first", "second"), two):
        found.append(Signed(data, kind, place))
        same("network", f"{place}.network", trust.at(0).network, found[-1]["network"])
    need(found[0].link < found[1].link, "agreement", "second", "another record, of a higher link", found[1].link)
    need(found[0].payload != found[1].payload, "agreement", "second", "another record", "the same one again")
    return found


def signed_by(trust, height, member, role, records):
    known = [registry.members.get(member) for since, registry in trust.registries if since <= height]
    keys = {found["member_key"] for found in known if found and found["role"] == role}
    for signed in records:
        need(signed.key in keys, "signer", f"{signed.place}.signer", f"a key of {member}", signed.key)
        signed.check_signature()
