#!/usr/bin/env python3
"""Reads a referral's QR code from a picture, and verifies the referral offline.

    read_referral.py GENESIS PICTURE

Prints what the referral says as one JSON object. Exits with 0 where it verifies, with 1 where it does not, with 3 where no
referral can be read. The decoder is zxing-cpp, the library behind many scanners; the rest follows promotion.md.
"""

import base64
import json
import sys
from pathlib import Path

import zxingcpp
from PIL import Image
from stemma_encoding import Broken
from stemma_governance import Registry
from stemma_records import BANK, Signed

PREFIX = "STEMMA1:"


def text_in(picture):
    """What the code in a picture says."""
    found = zxingcpp.read_barcodes(Image.open(picture).convert("L"), formats=zxingcpp.BarcodeFormat.QRCode)
    texts = [code.text for code in found if code.text.startswith(PREFIX)]
    return texts[0] if texts else None


def envelope(text):
    letters = text.removeprefix(PREFIX)
    return base64.b32decode(letters + "=" * (-len(letters) % 8))


def verify_referral(data, registry):
    """Steps 1 to 4."""
    referral = Signed(data, "referral", "referral")
    if referral["network"] != registry.network:
        raise Broken("network", "referral.network", registry.network, referral["network"])
    registry.require("referral.signer", referral["bank"], BANK, referral.key)
    referral.check_signature()
    return referral


def main(arguments):
    genesis, picture = map(Path, arguments)
    text = text_in(picture)
    if text is None:
        print("no referral in", picture, file=sys.stderr)
        return 3
    try:
        referral = verify_referral(envelope(text), Registry(genesis.read_bytes()))
    except (Broken, ValueError) as broken:
        print(broken, file=sys.stderr)
        return 1
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in referral.record.items()}
    print(json.dumps({"text": text, **shown}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
