#!/usr/bin/env python3
"""Writes testdata/licenses/vectors.json: one licence file, and what must become of it when one thing is changed.

The key is made from the text `sealwright test key`, so the file comes out the same each time; nobody trusts it.
"""

import base64
import hashlib
import json
import pathlib

import license_file
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OUT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "licenses" / "vectors.json"
NOW = 1_800_000_000
KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"sealwright test key").digest())
OTHER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"another sealwright test key").digest())


def public(key):
    return key.public_key().public_bytes_raw()


def content(**changes):
    return {
        "format": license_file.FORMAT,
        "kid": license_file.key_id(public(KEY)),
        "license": "07" * 16,
        "plan": "team",
        "entitlements": ["hello", "notes"],
        "holder": {"user": "01" * 16, "owner_key": hashlib.sha256(b"owner").hexdigest()},
        "node": "000b" + "11" * 32,
        "issued": NOW,
        "expiry": NOW + 86_400,
        "ttl": 86_400,
    } | changes


def sign(enc, key=KEY, prefix=license_file.PREFIX):
    return base64.b64encode(key.sign((prefix + enc).encode())).decode()


def sealed(payload, key=KEY, prefix=license_file.PREFIX, **changes):
    enc = base64.b64encode(payload).decode()
    return {"enc": enc, "sig": sign(enc, key, prefix), "alg": "base64+ed25519"} | changes


def block(outer):
    return license_file.armour(license_file.compact(outer))


def of(payload, **how):
    return block(sealed(payload, **how))


def made(**changes):
    return of(license_file.compact(content(**changes)))


def cases():
    good = license_file.compact(content())
    file = of(good)
    enc = base64.b64encode(good).decode()
    shorter = base64.b64encode(license_file.compact(content(entitlements=["*"]))).decode()
    signature = KEY.sign((license_file.PREFIX + enc).encode())
    order = 2**252 + 27742317777372353535851937790883648493
    high = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    without_node = {name: value for name, value in content().items() if name != "node"}
    reordered = dict(reversed(content().items()))
    form, signed, inner = "license_file_form", "license_file_signature", "license_file_content"
    return [
        ("as made", file, NOW, "ok"),
        ("in its last second", file, NOW + 86_399, "ok"),
        ("not locked to a node", made(node=None), NOW, "ok"),
        ("every app", made(entitlements=["*"]), NOW, "ok"),
        ("the longest life", made(ttl=31 * 86_400, expiry=NOW + 31 * 86_400), NOW, "ok"),
        ("a clock that runs a minute ahead", made(issued=NOW + 60, expiry=NOW + 86_460), NOW, "ok"),
        ("expired", file, NOW + 86_400, "license_file_expired"),
        ("of the future", made(issued=NOW + 61, expiry=NOW + 86_461), NOW, "license_file_future"),
        ("by another key", of(good, key=OTHER), NOW, signed),
        ("signed without the prefix", of(good, prefix=""), NOW, signed),
        ("signed for something else", of(good, prefix="sealwright/machine/v1."), NOW, signed),
        ("more entitlements under an old signature", block(sealed(good) | {"enc": shorter}), NOW, signed),
        ("a signature with a high s", block(sealed(good) | {"sig": base64.b64encode(high).decode()}), NOW, signed),
        ("a signature of zeros", block(sealed(good) | {"sig": base64.b64encode(bytes(64)).decode()}), NOW, signed),
        ("a short signature", block(sealed(good) | {"sig": base64.b64encode(bytes(63)).decode()}), NOW, form),
        ("another algorithm", block(sealed(good, alg="aes-256-gcm+ed25519")), NOW, "license_file_algorithm"),
        ("no algorithm", block(sealed(good, alg="none")), NOW, "license_file_algorithm"),
        ("a member more outside", block(sealed(good) | {"kid": "x"}), NOW, form),
        ("members in another order outside", block(dict(reversed(sealed(good).items()))), NOW, form),
        ("white space outside", license_file.armour(json.dumps(sealed(good)).encode()), NOW, form),
        ("a member twice outside", license_file.armour(license_file.compact(sealed(good))[:-1] + b',"alg":"none"}'), NOW, form),
        ("a line more at the end", file + "\n", NOW, form),
        ("a space before", " " + file, NOW, form),
        ("carriage returns", file.replace("\n", "\r\n"), NOW, form),
        ("one long line", license_file.BEGIN + base64.b64encode(license_file.compact(sealed(good))).decode() + "\n" + license_file.END, NOW, form),
        ("cut off", file[:-1], NOW, form),
        ("two files", file + file, NOW, form),
        ("empty", "", NOW, form),
        ("base64 of another spelling", block(sealed(good) | {"sig": sign(enc)[:-3] + "B=="}), NOW, form),
        ("a member more inside", of(license_file.compact(content() | {"seats": 5})), NOW, inner),
        ("a member less inside", of(license_file.compact(without_node)), NOW, inner),
        ("members in another order inside", of(license_file.compact(reordered)), NOW, inner),
        ("white space inside", of(json.dumps(content()).encode()), NOW, inner),
        ("bytes after the content", of(good + b" "), NOW, inner),
        ("a member twice inside", of(good[:-1] + b',"ttl":86400}'), NOW, inner),
        ("a time as text", made(expiry=str(NOW + 86_400)), NOW, inner),
        ("a time as a float", of(good.replace(b'"ttl":86400', b'"ttl":86400.0')), NOW, inner),
        ("a negative time", made(issued=-1, expiry=86_399), NOW, inner),
        ("a life that does not add up", made(expiry=NOW + 86_401), NOW, inner),
        ("a life that is too long", made(ttl=31 * 86_400 + 1, expiry=NOW + 31 * 86_400 + 1), NOW, inner),
        ("no life", made(ttl=0, expiry=NOW), NOW, inner),
        ("unsorted entitlements", made(entitlements=["notes", "hello"]), NOW, inner),
        ("an entitlement twice", made(entitlements=["hello", "hello"]), NOW, inner),
        ("no entitlement", made(entitlements=[]), NOW, inner),
        ("an entitlement that is no name", made(entitlements=["Hello"]), NOW, inner),
        ("a node's name of another hash", made(node="0004" + "11" * 32), NOW, inner),
        ("a node's name in upper case", made(node="000B" + "11" * 32), NOW, inner),
        ("another format", made(format="sealwright/license/v2"), NOW, inner),
        ("the id of another key", made(kid=license_file.key_id(public(OTHER))), NOW, inner),
        ("a user that is no id", made(holder={"user": "alice", "owner_key": "00" * 32}), NOW, inner),
        ("not JSON", of(b"license"), NOW, inner),
    ]


def main():
    good = base64.b64encode(license_file.compact(content())).decode()
    document = {
        "keys": [public(KEY).hex()],
        "signed": license_file.PREFIX + good,
        "content": content(),
        "cases": [{"name": name, "file": file, "now": now, "expect": expect} for name, file, now, expect in cases()],
    }
    OUT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
