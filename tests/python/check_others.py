#!/usr/bin/env python3
"""Checks the golden records with programs that nobody here wrote: links with b3sum, signatures with pycose.

    check_others.py [VECTORS]

Of every record to be accepted, and of history.json: what `b3sum` prints for an envelope's bytes is its link, and that link is the
vector's id, the entry's id in its block, and what the next stage names; what it prints for a header is the id that the next block and
certificates name. Every signature holds under the key that its protected header names, and none any more where a bit of the header, the
payload or the signature is another. Exits with 0 where all that is so, else with 1.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cbor2
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm, ContentType
from pycose.keys import OKPKey
from pycose.messages import Sign1Message, SignMessage

SIGN1, SIGN = 18, 98
PRECOMMIT = 1
# The field by which a stage names the one before: of a chain's stages, of a servicing record.
NAMES_BEFORE = {0: 1, 4: 3}
RECORDS = {
    "opening", "request", "endorsement", "execution", "issuance", "listing", "instruction", "servicing", "settlement",
    "announcement", "promotion", "referral", "refusal", "governance", "genesis",
}  # fmt: skip
CONTENT = "application/vnd.stemma.{}+cbor"


class Check:
    def __init__(self):
        self.wrong, self.signatures, self.refused = [], 0, 0
        # What is to be hashed, and each hash that is expected of it with where.
        self.hashed = {}

    def need(self, condition, place, what):
        if not condition:
            self.wrong.append(f"{place}: {what}")

    def link(self, data, expected, place):
        self.hashed.setdefault(data, []).append((bytes(expected), place))

    def links(self):
        """Has b3sum hash everything, each in a file of its own; how many hashes were compared."""
        contents, compared = list(self.hashed), 0
        with tempfile.TemporaryDirectory() as folder:
            for index, data in enumerate(contents):
                (Path(folder) / str(index)).write_bytes(data)
            command = ["b3sum", "--no-names", *(str(index) for index in range(len(contents)))]
            printed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split()
        self.need(len(printed) == len(contents), "b3sum", f"{len(printed)} lines for {len(contents)} files")
        for data, line in zip(contents, printed):
            for expected, place in self.hashed[data]:
                compared += 1
                self.need(line == expected.hex(), place, f"b3sum prints {line}, but the link is {expected.hex()}")
        return compared

    def envelope(self, data, content, place):
        """The signatures of an envelope. Its array is handed over as lists and dictionaries, since pycose takes no others and cbor2
        gives tuples within a tag."""
        tagged = cbor2.loads(data)
        protected, unprotected, payload, last = tagged.value
        self.need(tagged.tag in (SIGN1, SIGN) and not unprotected, place, "not the envelope of the specification")
        if tagged.tag == SIGN1:
            self.signature(protected, payload, last, content, place)
        else:
            for index, (header, _, signature) in enumerate(last):
                self.signature(header, payload, signature, content, f"{place}, signature {index}", protected)

    def signature(self, header, payload, signature, content, place, body=None):
        """One signature: a COSE_Sign1, or one of a COSE_Sign with the body's protected header."""
        self.signatures += 1
        self.need(holds(header, payload, signature, content, body), place, "pycose refuses the signature")
        for name, changed in {
            "header": (flipped(header), payload, signature),
            "payload": (header, flipped(payload), signature),
            "signature": (header, payload, flipped(signature)),
            "first half of the signature": (header, payload, flipped(signature, 0)),
        }.items():
            self.refused += 1
            self.need(not holds(*changed, None, body), place, f"pycose accepts another {name}")

    def entry(self, data, expected, place):
        """An entry's id is the link of its last stage; every other stage is named by the one after it."""
        kind, stages = cbor2.loads(data)
        for index, stage in enumerate(stages):
            self.envelope(stage, None, f"{place}, stage {index}")
        for before, after in zip(stages, stages[1:]):
            named = cbor2.loads(cbor2.loads(after).value[2])[NAMES_BEFORE[kind]]
            self.link(before, named, f"{place}, the stage that is named")
        self.link(stages[-1], expected, f"{place}, its id")

    def certificate(self, header, certificate, keys, place):
        """A certificate's votes: detached signatures (block.md)."""
        encoded = cbor2.dumps(header, canonical=True)
        self.link(encoded, certificate[2], f"{place}, the certificate's block")
        for validator, signature in certificate[3]:
            vote = {0: header[0], 1: PRECOMMIT, 2: certificate[0], 3: certificate[1], 4: certificate[2], 5: validator}
            self.vote(cbor2.dumps(vote, canonical=True), keys[validator], signature, f"{place}, {validator}")

    def vote(self, payload, key, signature, place):
        content = CONTENT.format("vote")
        self.signature(cbor2.dumps({1: -8, 3: content, 4: key}, canonical=True), payload, signature, content, place)


def flipped(data, at=-1):
    """The bytes with one bit of one of them changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def holds(header, payload, signature, content, body):
    """What pycose says of a signature under the key that its header names."""
    if body is None:
        message = Sign1Message.from_cose_obj([header, {}, payload, signature], True)
    else:
        message = SignMessage.from_cose_obj([body, {}, payload, [[header, {}, signature]]], True).signers[0]
    named = message.phdr[Algorithm] is EdDSA and content in (None, message.phdr[ContentType])
    message.key = OKPKey(crv="ED25519", x=message.phdr[KID])
    return named and message.verify_signature()


def main(arguments):
    folder = Path(arguments[0]) if arguments else Path(__file__).parents[2] / "chain-format" / "vectors"
    check = Check()
    vectors = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "accept").glob("*.json"))}
    genesis = bytes.fromhex(vectors["genesis"]["hex"])
    members = cbor2.loads(cbor2.loads(genesis).value[2])[3]
    keys = {member[0]: member[5] for member in members if 5 in member}
    for name, vector in vectors.items():
        record, data, expected = vector["record"], bytes.fromhex(vector["hex"]), bytes.fromhex(vector["id"])
        if record in RECORDS:
            check.envelope(data, CONTENT.format(record), name)
            check.link(data, expected, f"{name}, its id")
        elif record == "entry":
            check.entry(data, expected, name)
        elif record == "vote":
            key, signature = (bytes.fromhex(vector["with"][part]) for part in ("key", "signature"))
            check.vote(data, key, signature, name)
        elif record == "certified-header":
            header, certificate = cbor2.loads(data)
            check.certificate(header, certificate, keys, name)
    history(check, folder, bytes.fromhex(vectors["genesis"]["id"]))
    compared = check.links()
    for line in check.wrong:
        print(line)
    print(
        f"{compared} links are what b3sum prints; {check.signatures} signatures hold for pycose, {check.refused} changed ones do not; "
        f"{len(check.wrong)} differ"
    )
    return 1 if check.wrong or not (compared and check.signatures) else 0


def history(check, folder, parent):
    """The blocks name their entries, and each header the one before; the first names the network."""
    before = None
    for block in json.loads((folder / "history.json").read_text())["blocks"]:
        header, ids = (cbor2.loads(bytes.fromhex(block["block"]))[key] for key in (0, 1))
        place = f"history, block {header[1]}"
        if before is None:
            check.need(header[2] == parent, place, "its parent is not the network")
        else:
            check.link(before, header[2], f"{place}, its parent")
        before = cbor2.dumps(header, canonical=True)
        check.need(len(ids) == len(block["entries"]), place, "other entries than it names")
        for index, (expected, data) in enumerate(zip(ids, block["entries"])):
            check.entry(bytes.fromhex(data), expected, f"{place}, entry {index}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
