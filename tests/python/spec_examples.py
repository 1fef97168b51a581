#!/usr/bin/env python3
"""Keeps the worked examples of chain-format/spec equal to the golden vectors.

    spec_examples.py [--write]

A fence ```` ```hex accept/NAME.json ```` holds the vector's bytes, annotated by the names of stemma.cddl; a fence
```` ```values accept/NAME.json ```` holds what the vector says beside its bytes. Exits with 1 where a page differs;
`--write` writes the fences anew.
"""

import json
import re
import sys
from pathlib import Path

import cbor2

CHAIN_FORMAT = Path(__file__).parents[2] / "chain-format"
FENCE = re.compile(r"^```(hex|values) (\S+\.json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (?:\? )?(\d+) => (.+?),\s*; (\w+)", re.MULTILINE)
STAGES = {
    "opening", "request", "endorsement", "execution", "instruction", "servicing", "issuance", "listing", "refusal",
    "announcement", "promotion", "referral", "settlement",
}  # fmt: skip
ROOTS = {"block": "block", "vote": "vote", "sparse-proof": "state-proof", "account-state": "account-state", "position": "position"}


def rules():
    """The fields of each map in the CDDL: name and type by key."""
    text = (CHAIN_FORMAT / "spec" / "stemma.cddl").read_text()
    maps = re.findall(r"^([\w-]+) = \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return {name: {int(key): (field, kind) for key, kind, field in FIELD.findall(body)} for name, body in maps}


class Annotator:
    def __init__(self):
        self.rules, self.lines = rules(), []

    def line(self, depth, parts, comment):
        shown = "  " * depth + " ".join(part.hex() for part in parts if part)
        self.lines.append(f"{shown}  ; {comment}" if comment else shown)

    def item(self, data, at, depth, kind, prefix, name):
        """Annotates one item and gives the place after it."""
        end, head = item_end(data, at), head_end(data, at)
        major, shown = data[at] >> 5, " ".join(filter(None, [name, described(data[at:end])]))
        if major in (4, 5):
            self.line(depth, [prefix, data[at:head]], name or kind)
            at, inner = head, self.element(kind)
            while at < end:
                at = self.pair(data, at, depth + 1, inner) if major == 5 else self.item(data, at, depth + 1, inner, b"", "")
        elif end - at <= 34:
            self.line(depth, [prefix, data[at:head], data[head:end]], shown)
        else:
            self.line(depth, [prefix, data[at:head]], shown)
            for start in range(head, end, 32):
                self.line(depth + 1, [data[start : min(start + 32, end)]], "")
        return end

    def pair(self, data, at, depth, kind):
        end = item_end(data, at)
        key = cbor2.loads(data[at:end])
        name, value_kind = self.rules.get(kind, {}).get(key, ("" if isinstance(key, int) else key, ""))
        return self.item(data, end, depth, value_kind, data[at:end], name)

    def element(self, kind):
        """The rule of what a map or array holds."""
        listed = re.fullmatch(r"\[ (?:[\d*]+ )?([\w-]+) \]", kind or "")
        return listed.group(1) if listed else kind

    def stage(self, data, kind):
        """An envelope, with the record inside."""
        self.line(0, [data[:1]], "COSE_Sign1")
        self.line(0, [data[1:2]], "")
        at = 2
        for name, rule in (("protected header", "labels"), ("", None), ("payload", kind), ("signature", None)):
            head = head_end(data, at)
            if rule:
                end = item_end(data, at)
                self.line(1, [data[at:head]], f"{name}, {end - head} bytes")
                self.item(data, head, 2, rule, b"", "")
                at = end
            else:
                at = self.item(data, at, 1, "", b"", name or "unprotected header, empty")


def head_end(data, at):
    return at + 1 + {24: 1, 25: 2, 26: 4, 27: 8}.get(data[at] & 31, 0)


def item_end(data, at):
    """The place after an item; the bytes are known to be well formed."""
    major, head = data[at] >> 5, head_end(data, at)
    count = data[at] & 31 if head == at + 1 else int.from_bytes(data[at + 1 : head], "big")
    if major in (0, 1, 7):
        return head
    if major in (2, 3):
        return head + count
    for _ in range({4: count, 5: 2 * count, 6: 1}[major]):
        head = item_end(data, head)
    return head


def described(data):
    value = cbor2.loads(data)
    if isinstance(value, (int, str)):
        return json.dumps(value)
    return f"{len(value)} bytes" if isinstance(value, bytes) and len(value) != 32 else ""


def fence(kind, path):
    vector = json.loads((CHAIN_FORMAT / "vectors" / path).read_text())
    if kind == "values":
        beside = {"id": vector["id"], **vector.get("with", {}), "bytes": vector["hex"]}
        beside = {name: value for name, value in beside.items() if len(value) <= 128}
        width = max(map(len, beside))
        return "".join(f"{name:{width}}  {value}\n" for name, value in beside.items())
    annotator, data = Annotator(), bytes.fromhex(vector["hex"])
    annotator.rules["labels"] = {1: ("algorithm", ""), 3: ("content type", ""), 4: ("key", "")}
    if vector["record"] in STAGES:
        annotator.stage(data, vector["record"])
    else:
        annotator.item(data, 0, 0, ROOTS[vector["record"]], b"", "")
    found = "".join(re.sub(r"\s", "", line.split(";")[0]) for line in annotator.lines)
    assert found == vector["hex"], path
    return "\n".join(annotator.lines) + "\n"


def main(arguments):
    write, differing, seen = "--write" in arguments, 0, 0
    for page in sorted((CHAIN_FORMAT / "spec").glob("*.md")):
        text = page.read_text()
        renewed = FENCE.sub(lambda m: f"```{m[1]} {m[2]}\n{fence(m[1], m[2])}```", text)
        seen += len(FENCE.findall(text))
        if renewed != text:
            differing += 1
            print(f"{page.name} {'was written' if write else 'differs from the vectors'}")
            if write:
                page.write_text(renewed)
    print(f"{seen} examples")
    return 1 if differing and not write else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
