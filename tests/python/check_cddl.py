#!/usr/bin/env python3
"""Validates the golden vectors of chain-format/vectors against the CDDL of chain-format/spec.

    check_cddl.py [CHAIN_FORMAT]

Every record that is to be accepted must match its rule. How many of the others do not match is told as well: CDDL sees shape and
range, not signatures or what relates records. Exits with 0 where all that must match do, else with 1.
"""

import json
import sys
from io import BytesIO
from pathlib import Path

from cddl_verifier import Validator
from stemma_bundle import HEAD_MAX, Items
from stemma_encoding import Broken

RULES = {
    "genesis": "genesis-file",
    "opening": "signed-opening",
    "request": "signed-request",
    "endorsement": "signed-endorsement",
    "execution": "signed-execution",
    "issuance": "signed-issuance",
    "listing": "signed-listing",
    "instruction": "signed-instruction",
    "servicing": "signed-servicing",
    "announcement": "signed-announcement",
    "promotion": "signed-promotion",
    "referral": "signed-referral",
    "refusal": "signed-refusal",
    "governance": "signed-governance",
    "entry": "entry",
    "block": "block",
    "vote": "vote",
    "certified-header": "certified-header",
    "account-state": "account-state",
    "settlement": "signed-settlement",
    "position": "position",
    "sparse-proof": "state-proof",
}


def records(folder):
    """Each record's name and verdict, and its items: rule and bytes."""
    for path in sorted(folder.glob("*/*.json")):
        vector = json.loads(path.read_text())
        name, verdict, data = path.stem, vector["verdict"], bytes.fromhex(vector["hex"])
        if vector["record"] == "bundle":
            yield name, verdict, bundle_items(data)
        elif rule := RULES.get(vector["record"]):
            yield name, verdict, [(rule, data)]
    for height, block in enumerate(json.loads((folder / "history.json").read_text())["blocks"], 1):
        yield f"history, block {height}", "accept", [("block", bytes.fromhex(block["block"]))]
        for index, entry in enumerate(block["entries"]):
            yield f"history, block {height}, entry {index}", "accept", [("entry", bytes.fromhex(entry))]


def bundle_items(data):
    """A head, then elements; what is left where no item can be told."""
    items, rule = Items(BytesIO(data)), "bundle-head"
    try:
        while item := items.next(rule, HEAD_MAX):
            yield rule, item
            data, rule = data[len(item) :], "bundle-element"
    except Broken:
        yield rule, data


def main(arguments):
    chain_format = Path(arguments[0]) if arguments else Path(__file__).parents[2] / "chain-format"
    texts = [(chain_format / "spec" / name).read_text() for name in ("stemma.cddl", "bundle.cddl")]
    validator = Validator("\n".join(texts))
    matched, wrong, refused, seen = 0, 0, 0, 0
    for name, verdict, items in records(chain_format / "vectors"):
        results = [validator.validate(data, root_type=rule) for rule, data in items]
        valid = all(result.valid for result in results)
        if verdict == "reject":
            refused, seen = refused + (not valid), seen + 1
        elif valid:
            matched += 1
        else:
            wrong += 1
            for diagnostic in (diagnostic for result in results for diagnostic in result.diagnostics):
                print(f"{name}: {diagnostic.path_text}: {diagnostic.message}")
    print(f"{matched} records match, {wrong} should and do not; {refused} of {seen} to reject do not match")
    return 1 if wrong or not matched else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
