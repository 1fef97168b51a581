"""Entries, blocks, roots and certificates of Stemma: block.md of chain-format/spec."""

from stemma_encoding import (
    H, ZERO, array, decode, encode, enumeration, h32, keyed, member_id, merkle_root, need, octets, parts, record, same,
    signature64, u32, u64, verifies,
)  # fmt: skip
from stemma_governance import Cosigned
from stemma_records import Signed, signed_bytes

# The stages that an entry of each kind may have.
ENTRY_STAGES = [
    [("request", "endorsement", "execution")], [("opening",)], [("issuance",)], [("listing",)],
    [("servicing",), ("instruction", "servicing")], [("settlement",)], [("governance",)],
]  # fmt: skip
CHAIN, OPENING, ISSUANCE, LISTING, SERVICING, SETTLEMENT, GOVERNANCE = range(7)

header = record(
    network=h32, height=u64, parent=h32, time_ms=u64, proposer=member_id, entries_root=h32, accounts_root=h32,
    registry_root=h32,
)  # fmt: skip
certificate = record(height=u64, round=u32, block=h32, signatures=array(parts(member_id, signature64)))
certified_header = parts(header, certificate)
block = record(header=header, entries=array(h32))
vote = record(network=h32, kind=enumeration(2), height=u64, round=u32, block_opt=h32, validator=member_id)
state_proof = record(siblings=array(h32), other_opt=parts(h32, h32))


class Entry:
    def __init__(self, data, place):
        read = parts(enumeration(len(ENTRY_STAGES)), array(octets))
        self.kind, stages = decode(data, read, place, 200 * 1024)
        kinds = next((kinds for kinds in ENTRY_STAGES[self.kind] if len(kinds) == len(stages)), None)
        need(kinds, "encoding", f"{place}.stages", "as many as an entry of its kind has", len(stages))
        self.stages = [read_stage(stage, kind, f"{place}.{kind}") for stage, kind in zip(stages, kinds)]
        self.id, self.place, self.stage_bytes = self.stages[-1].link, place, sum(map(len, stages))


def read_stage(data, kind, place):
    return Cosigned(data, place) if kind == "governance" else Signed(data, kind, place)


def read_block(data):
    found = decode(data, block, "block", 344_096)
    need(len(found["entries"]) <= 10_000, "block", "block.entries", "at most 10000", len(found["entries"]))
    root = merkle_root([H(b"\0", entry) for entry in found["entries"]])
    same("block", "header.entries_root", root, found["header"]["entries_root"])
    return found


def prove_present(proof, root, key, value):
    need(proof["other"] is None, "proof", "proof.other", "nothing", "a leaf")
    lead(proof, root, key, H(b"\2", key, H(value)))


def prove_absent(proof, root, key):
    if proof["other"] is None:
        return lead(proof, root, key, ZERO)
    other, value_hash = proof["other"]
    length = len(proof["siblings"])
    shared = length <= 256 and int.from_bytes(other) >> 256 - length == int.from_bytes(key) >> 256 - length
    need(shared and other != key, "proof", "proof.other", "another key on the same path", other)
    return lead(proof, root, key, H(b"\2", other, value_hash))


def lead(proof, root, key, found):
    need(len(proof["siblings"]) <= 256, "proof", "proof.siblings", "at most 256", len(proof["siblings"]))
    for depth, sibling in reversed(list(enumerate(proof["siblings"]))):
        right = key[depth // 8] >> (7 - depth % 8) & 1
        found = H(b"\3", sibling, found) if right else H(b"\3", found, sibling)
    same("proof", "proof.root", root, found)


def verify_checkpoint(head, cert, registry):
    """Certificate, steps 1 to 4; gives the power that signed and the total."""
    same("certificate", "certificate.height", head["height"], cert["height"])
    same("certificate", "certificate.block", H(encode(keyed(head))), cert["block"])
    need(len(cert["signatures"]) <= 256, "certificate", "certificate.signatures", "at most 256")
    previous, power = "", 0
    for validator, _ in cert["signatures"]:
        known = registry.validators.get(validator)
        need(known, "certificate", f"certificate.{validator}", "a validator", "none")
        need(previous < validator, "certificate", f"certificate.{validator}", "ids in ascending order", previous)
        previous, power = validator, power + known["power"]
    for validator, signature in cert["signatures"]:
        key = registry.validators[validator]["validator_key"]
        vote = {0: head["network"], 1: 1, 2: cert["height"], 3: cert["round"], 4: cert["block"], 5: validator}
        holds = verifies(key, signed_bytes("vote", key, encode(vote)), signature)
        need(holds, "certificate", f"certificate.{validator}", "a signature on this block", "none")
    total = sum(v["power"] for v in registry.validators.values())
    need(3 * power > 2 * total, "certificate", "certificate.power", f"more than two thirds of {total}", power)
    return power, total
