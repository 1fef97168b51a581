"""An institution's own system, as the tests of its back office need one: a real HTTP server that fails, hangs, repeats itself and
answers late, and keeps a file of everything that it ever did.

    python back_office.py PORT FOLDER PUBLIC_KEY_HEX NETWORK MEMBER

The protocol is on the page node/BACK_OFFICE.md. The server carries out each key once, and whatever it is told once is in
FOLDER/ledger.jsonl before it is answered; started again, it goes on from there. What it does beside is told it by
`PUT /mood {"executions": MOOD, "conclusions": MOOD, "settlements": MOOD}`:

    ok         does what is asked, and answers
    fail       does nothing: HTTP 500
    busy       does nothing: HTTP 409
    hang       does nothing, and answers only when its mood changes
    mute       does what is asked, and answers only when its mood changes
    cut        does what is asked, and closes the connection without a word
    repeat     does what is asked, and answers twice
    late       does what is asked; the first call of each key is answered only when the next one has been
    garbage    does what is asked, and answers with what is no JSON
    otherwise  carries out one unit more than it was asked (executions)
    decline    declines (executions)
    forbid     does nothing: HTTP 403
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

BODY_BYTES_MAX = 64 * 1024
CLOCK_SKEW_S = 300
COVERED = ["@method", "@target-uri", "idempotency-key", "content-digest"]
PATH = re.compile(r"/office/(?:(executions|settlements)|executions/([0-9a-f]{64})/conclusion)")
INPUT = re.compile(
    r'stemma=(\(([^)]*)\);created=(\d+);keyid="([0-9a-f]{64})";alg="ed25519")'
)


class Turned(Exception):
    """A call that is turned away, with an HTTP status."""


class Office:
    """What was carried out, concluded, declined and settled, by key."""

    def __init__(self, folder):
        self.file = folder / "ledger.jsonl"
        self.lock = threading.Condition()
        self.moods = {"executions": "ok", "conclusions": "ok", "settlements": "ok"}
        self.executions, self.conclusions, self.settlements, self.calls = {}, {}, {}, {}
        if self.file.exists():
            for line in self.file.read_text().splitlines():
                self.take(json.loads(line))

    def take(self, event):
        kind = {"executed": self.executions, "declined": self.executions}
        kind |= {"concluded": self.conclusions, "settled": self.settlements}
        if event["event"] in kind:
            kind[event["event"]][event["key"]] = event

    def note(self, event):
        with self.file.open("a") as file:
            file.write(json.dumps(event) + "\n")
        self.take(event)

    def execute(self, body, mood):
        """Carries out an instruction, unless its key was decided before."""
        key = body["key"]
        before = self.executions.get(key)
        if before is None and key in self.conclusions:
            # Released before it came: it is never carried out.
            before = {"event": "declined", "key": key, "reason": "released before"}
            self.note(before)
        if before is None:
            if mood == "decline":
                before = {"event": "declined", "key": key, "reason": "no such shares today"}
            else:
                more = 1 if mood == "otherwise" else 0
                quantity = str(Decimal(body["quantity"]) + more)
                before = {"event": "executed", **body, "quantity": quantity}
            self.note(before)
        if before["event"] == "declined":
            return {"key": key, "status": "declined", "reason": before["reason"]}
        return {"key": key, "status": "filled", "quantity": before["quantity"], "price": before["price"]}

    def conclude(self, body):
        """Ends a key; what it was ended by never changes."""
        return self.take_over(body, "concluded", self.conclusions)

    def settle(self, body):
        """Takes a trade over that the ledger settled; what is said of it never changes."""
        return self.take_over(body, "settled", self.settlements)

    def take_over(self, body, event, known):
        key = body["key"]
        before = known.get(key)
        if before is None:
            self.note({"event": event, **body})
        elif {**before, "event": None} != {**body, "event": None}:
            raise Turned(422)
        return {"key": key, "status": event}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    office, key, network, member = None, None, None, None

    def log_message(self, *_):
        """Says nothing: what happened is in the file."""

    def body(self):
        length = int(self.headers.get("Content-Length", "0"))
        if length > BODY_BYTES_MAX:
            raise Turned(413)
        return self.rfile.read(length)

    def verify(self, body):
        """Checks the call's signature: RFC 9421, with the digest of RFC 9530."""
        digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"
        if self.headers.get("Content-Digest") != digest:
            raise Turned(401)
        given = INPUT.fullmatch(self.headers.get("Signature-Input", ""))
        signature = re.fullmatch(r"stemma=:([A-Za-z0-9+/=]+):", self.headers.get("Signature", ""))
        if not given or not signature:
            raise Turned(401)
        parameters, names, created, key_id = given.groups()
        if names.split(" ") != [f'"{name}"' for name in COVERED] or key_id != self.key.hex():
            raise Turned(401)
        if abs(time.time() - int(created)) > CLOCK_SKEW_S:
            raise Turned(401)
        values = {
            "@method": self.command,
            "@target-uri": f"http://{self.headers['Host']}{self.path}",
            "idempotency-key": self.headers.get("Idempotency-Key", ""),
            "content-digest": digest,
        }
        base = "".join(f'"{name}": {values[name]}\n' for name in COVERED)
        base += f'"@signature-params": {parameters}'
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(
                base64.b64decode(signature.group(1), validate=True), base.encode()
            )
        except (InvalidSignature, ValueError) as error:
            raise Turned(401) from error

    def told(self, body):
        """What a call says and of which kind it is, where it is one of this member's about the key that it names."""
        match = PATH.fullmatch(self.path)
        if not match:
            raise Turned(404)
        try:
            told = json.loads(body)
            caller = (told["network"], told["member"])
            key = told["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise Turned(400) from error
        kind, concluded = match.groups()
        named = self.headers.get("Idempotency-Key")
        expected = f'"{key}-conclusion"' if concluded else f'"{key}"'
        if caller != (self.network, self.member) or named != expected:
            raise Turned(400)
        if concluded not in (None, key):
            raise Turned(400)
        return told, kind or "conclusions"

    def do_POST(self):
        """A call of the institution's node."""
        try:
            body = self.body()
            self.verify(body)
            told, kind = self.told(body)
            self.act(told, kind)
        except Turned as turned:
            self.answer(turned.args[0], {"error": "turned away"})

    def act(self, told, kind):
        """Does what is asked, as the mood is."""
        office = self.office
        with office.lock:
            mood = office.moods[kind]
            calls = office.calls.setdefault((kind, told["key"]), 0) + 1
            office.calls[(kind, told["key"])] = calls
            answer = None
            if mood not in ("fail", "busy", "hang", "forbid"):
                if kind == "executions":
                    answer = office.execute(told, mood)
                else:
                    answer = office.conclude(told) if kind == "conclusions" else office.settle(told)
            office.lock.notify_all()
            if mood in ("hang", "mute"):
                office.lock.wait_for(lambda: office.moods[kind] != mood)
            elif mood == "late" and calls == 1:
                office.lock.wait_for(lambda: office.calls[(kind, told["key"])] > 1)
        if mood in ("hang", "cut", "mute"):
            self.close_connection = True
        elif mood in ("fail", "busy", "forbid"):
            self.answer({"fail": 500, "busy": 409, "forbid": 403}[mood], {"error": mood})
        elif mood == "garbage":
            self.answer(200, "<html>under maintenance</html>")
        else:
            self.answer(200, answer)
            if mood == "repeat":
                self.answer(200, answer)

    def do_PUT(self):
        """The test changes the mood; unsigned, for it is no part of the protocol."""
        with self.office.lock:
            self.office.moods.update(json.loads(self.body()))
            self.office.lock.notify_all()
        self.answer(200, {})

    def do_GET(self):
        """The test looks."""
        with self.office.lock:
            calls = {f"{kind} {key}": count for (kind, key), count in self.office.calls.items()}
        self.answer(200, {"calls": calls})

    def answer(self, status, body):
        encoded = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)
        except OSError:
            # Whoever called has gone.
            self.close_connection = True


def main():
    port, folder, key, network, member = sys.argv[1:]
    Handler.office = Office(Path(folder))
    Handler.key, Handler.network, Handler.member = bytes.fromhex(key), network, member
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
