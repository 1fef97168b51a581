#!/usr/bin/env python3
"""Judges the golden vectors of chain-format/vectors with the second implementation, and compares verdict, id and rule.

    check_vectors.py [VECTORS]

Exits with 0 where every verdict is the vector's, with 1 where one differs.
"""

import base64
import json
import sys
from io import BytesIO
from pathlib import Path

from stemma_encoding import H, Broken, decode, derived, encode, keyed, need, same, verifies
from stemma_governance import Cosigned, Registry
from stemma_ledger import Ledger
from stemma_records import AUDITOR, BANK, RECORDS, Signed, account_state, position, signed_bytes
from stemma_block import (
    Entry, certified_header, prove_absent, prove_present, read_block, state_proof, verify_checkpoint, vote,
)  # fmt: skip
from stemma_bundle import Bundle, verify_bundle
from stemma_validation import validate_endorsement, validate_entry, validate_request


class Judge:
    def __init__(self, folder):
        genesis = json.loads((folder / "accept" / "genesis.json").read_text())
        self.genesis = Registry(bytes.fromhex(genesis["hex"]))
        self.ledger = Ledger(self.genesis)
        for block in json.loads((folder / "history.json").read_text())["blocks"]:
            self.replay(read_block(bytes.fromhex(block["block"])), map(bytes.fromhex, block["entries"]))

    def replay(self, block, raw):
        entries = [Entry(data, "entry") for data in raw]
        same("block", "history.entries", block["entries"], [entry.id for entry in entries])
        head = block["header"]
        for entry in entries:
            validate_entry(entry, self.ledger.registry)
            self.ledger = self.ledger.after(entry, head["time_ms"])
        self.ledger.end_block(head["height"], head["time_ms"])
        same("block", "history.accounts_root", head["accounts_root"], self.ledger.root())
        same("block", "history.registry_root", head["registry_root"], self.ledger.registry.root)

    @property
    def registry(self):
        return self.ledger.registry

    def id_of(self, vector):
        """The id that a vector's step gives; Broken where it refuses."""
        data, step, kind = bytes.fromhex(vector["hex"]), vector["step"], vector["record"]
        given = vector.get("with", {})
        if step in ("present", "absent"):
            proof = decode(data, state_proof, "proof", 2**16)
            root, key = bytes.fromhex(given["root"]), bytes.fromhex(given["key"])
            if step == "present":
                prove_present(proof, root, key, bytes.fromhex(given["value"]))
            else:
                prove_absent(proof, root, key)
            return root
        if step == "include":
            return self.include(data, given)
        if kind == "bundle":
            return self.bundle(data, step)
        read, found = self.read(kind, data)
        if step == "verify":
            self.verify(kind, found, given)
        if step == "apply":
            validate_entry(found, self.registry)
            self.ledger.after(found, self.ledger.time_ms + 1_000)
        return read

    def read(self, kind, data):
        """The record's id, and the record."""
        if kind in RECORDS:
            stage = Signed(data, kind, kind)
            return stage.link, stage
        if kind == "genesis":
            registry = Registry(data)
            return registry.network, registry
        if kind == "governance":
            found = Cosigned(data, kind)
            return found.link, found
        if kind == "entry":
            entry = Entry(data, "entry")
            return entry.id, entry
        if kind == "block":
            block = read_block(data)
            return H(encode(keyed(block["header"]))), block
        if kind == "certified-header":
            found = decode(data, certified_header, "header", 2**20)
            return H(encode(keyed(found[0]))), found
        reader, bytes_max = {"account-state": (account_state, 82_432), "vote": (vote, 4096), "position": (position, 512)}[kind]
        decode(data, reader, kind, bytes_max)
        return H(data), data

    def verify(self, kind, found, given):
        if kind == "entry":
            validate_entry(found, self.registry)
        elif kind == "certified-header":
            verify_checkpoint(*found, self.registry)
        elif kind == "vote":
            key, signature = bytes.fromhex(given["key"]), bytes.fromhex(given["signature"])
            holds = verifies(key, signed_bytes("vote", key, found), signature)
            need(holds, "signature", "vote.signature", "a signature by the key", "none")
        elif kind == "refusal":
            same("network", "refusal.network", self.registry.network, found["network"])
            member = self.registry.members.get(found["member"])
            need(member, "signer", "refusal.member", "a member", found["member"])
            need(member["role"] != AUDITOR, "signer", "refusal.member", "a bank or an institution", found["member"])
            same("signer", "refusal.signer", member["member_key"], found.key)
            found.check_signature()
        elif kind == "announcement":
            same("network", "announcement.network", self.registry.network, found["network"])
            member = self.registry.members.get(found["member"])
            need(member, "signer", "announcement.member", "a member", found["member"])
            same("signer", "announcement.signer", member["member_key"], found.key)
            found.check_signature()
        elif kind == "referral":
            self.verify_referral(found, given)
        elif kind in ("instruction", "promotion"):
            same("network", f"{kind}.network", self.registry.network, found["network"])
            bank = self.registry.members.get(found["bank"])
            need(bank and bank["role"] == BANK, "agreement", f"{kind}.bank", "a bank", found["bank"])
            found.check_signature()
        else:
            request = found if kind == "request" else Signed(bytes.fromhex(given["request"]), "request", "request")
            validate_request(request, self.registry)
            if kind == "endorsement":
                validate_endorsement(request, found, self.registry)
                request.check_signature()
            found.check_signature()

    def verify_referral(self, found, given):
        """promotion.md; where it is accepted, its text and the promotion that it answers are given as well."""
        same("network", "referral.network", self.registry.network, found["network"])
        self.registry.require("referral.signer", found["bank"], BANK, found.key)
        found.check_signature()
        if "text" in given:
            prefix, _, letters = given["text"].partition(":")
            same("encoding", "referral.text", "STEMMA1", prefix)
            padded = letters + "=" * (-len(letters) % 8)
            same("encoding", "referral.text", found.link, H(base64.b32decode(padded)))
            asked = Signed(bytes.fromhex(given["promotion"]), "promotion", "promotion")
            claims = [{0: claim["kind"], 1: claim["commitment"]} for claim in asked["identities"]]
            same("agreement", "referral.material", derived("stemma 2026 referral material", encode(claims)), found["material"])
            same("agreement", "referral.promoter", asked["account"], found["promoter"])
            for field in ("network", "bank", "side", "instrument", "expires", "uses"):
                same("agreement", f"referral.{field}", asked[field], found[field])

    def include(self, path, given):
        """RFC 9162, section 2.1.3.2."""
        index, size = int(given["index"]), int(given["size"])
        root, found = bytes.fromhex(given["root"]), bytes.fromhex(given["leaf"])
        need(index < size, "proof", "merkle.path", "an index below the size", index)
        last = size - 1
        for at in range(0, len(path), 32):
            sibling = path[at : at + 32]
            need(last > 0, "proof", "merkle.path", "a path as long as the tree is high", "longer")
            if index % 2 or index == last:
                found = H(b"\1", sibling, found)
                while index % 2 == 0 and index:
                    index, last = index >> 1, last >> 1
            else:
                found = H(b"\1", found, sibling)
            index, last = index >> 1, last >> 1
        need(last == 0, "proof", "merkle.path", "a path as long as the tree is high", "shorter")
        same("proof", "merkle.path", root, found)
        return root

    def bundle(self, data, step):
        """Read to its end, or verified item by item."""
        if step == "verify":
            verify_bundle(BytesIO(data), self.genesis)
        else:
            for _ in Bundle(BytesIO(data)).elements():
                pass
        return H(data)


def main(arguments):
    folder = Path(arguments[0]) if arguments else Path(__file__).parents[2] / "chain-format" / "vectors"
    judge, counts, differing = Judge(folder), {"accept": 0, "reject": 0}, 0
    for path in sorted(folder.glob("*/*.json")):
        vector = json.loads(path.read_text())
        counts[vector["verdict"]] += 1
        try:
            found, shown = ("accept", judge.id_of(vector).hex()), "accepted"
        except Broken as broken:
            found, shown = ("reject", broken.rule), str(broken)
        expected = (vector["verdict"], vector.get("id", vector.get("rule")))
        if found != expected:
            differing += 1
            print(f"{path.parent.name}/{path.stem}: expected {expected}, found {found}: {shown}")
    print(f"{counts['accept']} to accept, {counts['reject']} to reject, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
