#!/usr/bin/env python3
"""Verifies a Stemma bundle against a genesis file; a second implementation, written from chain-format/spec alone.

    stemma_verify.py GENESIS BUNDLE

Prints `verified` with what is proved, or `refuted` or `unreadable` with the reason, and exits with 0, 1 or 3 (2 for wrong
usage). The bundle is read item by item, as it may be larger than the memory.
"""

import sys

from stemma_encoding import Broken
from stemma_block import ENTRY_STAGES, Entry
from stemma_bundle import (
    ABSENCE, BLOCK, CONFLICT, ENDORSEMENTS, ENTRY, EXECUTIONS, FROM_ANCHOR, HOLDINGS, LEDGER, Unreadable, verify_bundle,
)  # fmt: skip
from stemma_governance import Registry
from stemma_records import WAITING, Signed
from stemma_replay import block_id


def read_genesis(path):
    try:
        with open(path, "rb") as file:
            return Registry(file.read())
    except Broken as broken:
        raise Unreadable(broken) from None


def described(claim):
    """What a claim says, in one line; the lines that follow on it."""
    kind, *claimed = claim
    if kind == ABSENCE:
        return f"no account {claimed[0].hex()}", []
    if kind == ENTRY:
        entry = Entry(claimed[0], "entry")
        stages = ", ".join(ENTRY_STAGES[entry.kind][0])
        return f"entry {entry.id.hex()} ({stages}) in the block", []
    if kind in (BLOCK, LEDGER):
        return ("block with its entries", "whole ledger")[kind == LEDGER], []
    if kind == CONFLICT:
        return f"final as well, and in conflict: block {block_id(claimed[0][0]).hex()}", []
    if kind in (ENDORSEMENTS, EXECUTIONS):
        name = "endorsement" if kind == ENDORSEMENTS else "execution"
        first = Signed(claimed[0], name, name)
        member = first["bank" if kind == ENDORSEMENTS else "institution"]
        return f"{member} signed two {name}s for one parent", []
    leaf, _, positions = claimed[0].values()
    lines = [history(leaf, 0, 0, "whole lineage")]
    if kind == HOLDINGS:
        lines = ["holdings alone"]
    elif kind == FROM_ANCHOR:
        (anchor, _), held, _ = claimed[1].values()
        before = held["account"]
        since = f"lineage from height {anchor['height']} on"
        lines = [history(leaf, before["sequence"], before["credits_absorbed"], since)]
    lines += [f"{units} {name}" for name, units in leaf["holdings"].items()]
    return f"account {leaf['account'].hex()} of {leaf['bank']}", lines + [line(held["position"]) for held in positions]


def history(leaf, sequence, received, since):
    waiting = leaf["credits_received"] - leaf["credits_absorbed"]
    acts, credits = leaf["sequence"] - sequence, leaf["credits_received"] - received
    return f"{since}: {acts} chains and acts, {credits} credits, {waiting} waiting"


def line(held):
    """A position."""
    kind, fields = held["state"]
    if kind == WAITING:
        reserved = held["instrument" if fields["side"] else "cash"]
        return f"waiting order in {held['instrument']}: {fields['reserved']} {reserved} reserved"
    return f"future: {fields['quantity']} {held['instrument']}, margin {fields['margin']} {held['cash']}"


def main(arguments):
    if len(arguments) != 2:
        print("usage: stemma_verify.py GENESIS BUNDLE", file=sys.stderr)
        return 2
    try:
        registry = read_genesis(arguments[0])
        with open(arguments[1], "rb") as file:
            claim, header, power, total = verify_bundle(file, registry)
    except (OSError, Unreadable) as error:
        print(f"unreadable: {error}")
        return 3
    except Broken as error:
        print(f"refuted: {error}")
        return 1
    said, lines = described(claim)
    print(f"verified: {said} at height {header['height']}, power {power} of {total}")
    for told in lines:
        print(f"  {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
