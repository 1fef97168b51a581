"""Encoding, hashes and signatures of Stemma: encoding.md and keys.md of chain-format/spec."""

import re
from collections.abc import Mapping
from hashlib import sha512

import cbor2
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

AMOUNT_MAX, HOLDINGS_MAX, DEPTH_MAX = 2**96, 512, 12
ZERO = bytes(32)


def keyed(fields):
    """A record as the map that it was read from; records inside it must be maps already."""
    return {key: value for key, value in enumerate(fields.values()) if value is not None}


class Broken(Exception):
    """A broken rule: its name, where, what was expected, what was found."""

    def __init__(self, rule, place, expected, found):
        super().__init__(f"{rule}: {place}: expected {expected}, found {found}")
        self.rule, self.place = rule, place


def need(holds, rule, place, expected, found="otherwise"):
    if not holds:
        raise Broken(rule, place, expected, found.hex() if isinstance(found, bytes) else found)


def same(rule, place, expected, found):
    shown = expected.hex() if isinstance(expected, bytes) else expected
    need(expected == found, rule, place, shown, found)


def H(*parts):
    return blake3(b"".join(parts)).digest()


def derived(context, material):
    return blake3(material, derive_key_context=context).digest()


def merkle_root(leaves):
    """The tree of a list (block.md)."""
    if len(leaves) < 2:
        return leaves[0] if leaves else H(b"")
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return H(b"\1", merkle_root(leaves[:split]), merkle_root(leaves[split:]))


# --- encoding.md ---------------------------------------------------------------------------------------------------


def encode(value):
    return cbor2.dumps(value, canonical=True)


def decode(data, read, place, bytes_max):
    """How to read a record, steps 1 to 4. cbor2 is lenient; encoding again finds whatever it let pass."""
    need(len(data) <= bytes_max, "encoding", place, f"at most {bytes_max} bytes", len(data))
    try:
        value = cbor2.loads(data)
        need(shallow(value), "encoding", place, "at most 12 levels of nesting", "more")
        again = encode(value)
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise Broken("encoding", place, "deterministic CBOR", error) from None
    need(again == data, "encoding", place, "the one encoding", "another")
    return read(value, place)


def shallow(value, depth=0):
    if depth > DEPTH_MAX:
        return False
    if isinstance(value, cbor2.CBORTag):
        return shallow(value.value, depth + 1)
    if isinstance(value, (list, tuple)):
        return all(shallow(item, depth + 1) for item in value)
    if isinstance(value, Mapping):
        return all(shallow(k, depth + 1) and shallow(v, depth + 1) for k, v in value.items())
    return True


def unsigned(bits):
    def read(value, place):
        fits = type(value) is int and 0 <= value < 2**bits
        need(fits, "encoding", place, f"an unsigned integer of {bits} bits", value)
        return value

    return read


def enumeration(count):
    def read(value, place):
        need(type(value) is int and 0 <= value < count, "encoding", place, f"0 to {count - 1}", value)
        return value

    return read


def exactly(length):
    def read(value, place):
        need(type(value) is bytes and len(value) == length, "encoding", place, f"{length} bytes", value)
        return value

    return read


def octets(value, place):
    need(type(value) is bytes, "encoding", place, "a byte string", value)
    return value


def boolean(value, place):
    need(type(value) is bool, "encoding", place, "a boolean", value)
    return value


def text(value, place):
    need(type(value) is str, "encoding", place, "a text", value)
    return value


def matching(pattern, what):
    def read(value, place):
        holds = type(value) is str and re.fullmatch(pattern, value, re.ASCII)
        need(holds, "encoding", place, what, value)
        return value

    return read


def amount(value, place):
    need(type(value) is int and abs(value) <= AMOUNT_MAX, "encoding", place, "an amount of at most 2^96", value)
    return value


def array(read):
    def read_all(value, place):
        need(isinstance(value, (list, tuple)), "encoding", place, "an array", type(value).__name__)
        return [read(item, f"{place}[{i}]") for i, item in enumerate(value)]

    return read_all


def parts(*reads):
    def read_all(value, place):
        fixed = isinstance(value, (list, tuple)) and len(value) == len(reads)
        need(fixed, "encoding", place, f"an array of {len(reads)}", "another value")
        return [read(item, place) for read, item in zip(reads, value)]

    return read_all


def record(**fields):
    """A map with the keys 0, 1, … in the order given; a field whose name ends in `_opt` may be left out (None)."""

    def read(value, place):
        keyed = isinstance(value, Mapping) and all(type(key) is int for key in value)
        need(keyed, "encoding", place, "a record", type(value).__name__)
        found, known = {}, 0
        for key, (field, reader) in enumerate(fields.items()):
            name = field.removesuffix("_opt")
            if key in value:
                found[name], known = reader(value[key], f"{place}.{name}"), known + 1
            else:
                need(name != field, "encoding", place, f"the field {name}", "nothing")
                found[name] = None
        need(known == len(value), "encoding", place, "no unknown field", sorted(value))
        return found

    return read


def variants(*kinds):
    """An array that begins with the number of its variant; what follows is read by the variant's own readers."""

    def read(value, place):
        listed = isinstance(value, (list, tuple)) and len(value) > 0
        need(listed, "encoding", place, "an array that begins with a number", "another value")
        return parts(enumeration(len(kinds)), *kinds[enumeration(len(kinds))(value[0], place)])(value, place)

    return read


def empty_map(value, place):
    need(isinstance(value, Mapping) and not value, "encoding", place, "an empty map", value)
    return value


def holdings(value, place):
    need(isinstance(value, Mapping) and len(value) <= HOLDINGS_MAX, "encoding", place, "at most 512 holdings")
    for key, units in value.items():
        instrument(key, place)
        need(amount(units, place) != 0, "encoding", place, "no holding of zero", key)
    return dict(value)


u8, u16, u32, u64 = unsigned(8), unsigned(16), unsigned(32), unsigned(64)
h32, signature64 = exactly(32), exactly(64)
member_id = matching("[a-z][a-z0-9-]{0,31}", "a member id")
instrument = matching("[a-z][a-z0-9-]{0,31}/[A-Z0-9][A-Z0-9.-]{0,23}", "issuer/CODE")
price = parts(u64, u8)
size = parts(enumeration(2), amount)


def issuer(name):
    return name.split("/")[0]


# --- keys.md -------------------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1, 1, 0)


def point(data):
    """A point from any encoding, canonical or not, in extended coordinates; None where there is no such point."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % P
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        return None
    x = (P - x) % P if x % 2 != sign else x
    return (x, y, 1, x * y % P)


def plus(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, p):
    total = NEUTRAL
    while n:
        total = plus(total, p) if n & 1 else total
        p, n = plus(p, p), n >> 1
    return total


def is_neutral(p):
    return p[0] % P == 0 and (p[1] - p[2]) % P == 0


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def zip215(key, message, signature):
    """The rule, steps 1 to 3."""
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], 1, P - a[3])
    minus_r = (P - r[0], r[1], 1, P - r[3])
    return is_neutral(times(8, plus(plus(times(s, BASE), times(k, minus_a)), minus_r)))


def verifies(key, message, signature):
    """OpenSSL's rule is cofactorless: its yes is a yes under ZIP 215, its no is decided by the equation itself."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return zip215(key, message, signature)


def admitted(key):
    """A key that enters from outside: a point of the prime-order subgroup, in its canonical encoding."""
    a = point(key)
    if a is None or is_neutral(a) or not is_neutral(times(L, a)):
        return False
    return key == (a[1] | (a[0] % 2) << 255).to_bytes(32, "little")
