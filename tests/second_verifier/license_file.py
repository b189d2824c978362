"""The licence file (docs/formats.md, 10), read by another hand: one form, Ed25519 over a prefixed text, then its content."""

import base64
import binascii
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from wire import Malformed, strict_json

BEGIN = "-----BEGIN LICENSE FILE-----\n"
END = "-----END LICENSE FILE-----\n"
PREFIX = "sealwright/license/v1."
FORMAT = "sealwright/license/v1"
MEMBERS = ["format", "kid", "license", "plan", "entitlements", "holder", "node", "issued", "expiry", "ttl"]
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
MAX_FILE, MAX_TTL, MAX_SKEW, MAX_KEYS, MAX_ENTITLEMENTS = 64 * 1024, 31 * 86_400, 60, 16, 512


class Refused(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def key_id(key):
    return hashlib.sha256(b"sealwright/license-key/v1" + key).hexdigest()[:16]


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def armour(data):
    text = base64.b64encode(data).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return BEGIN + "\n".join(lines) + "\n" + END


def _decode(text, code):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(code) from error
    if base64.b64encode(data).decode() != text:
        raise Refused(code)
    return data


def _object(data, members, code):
    """JSON with exactly these members in this order, and not a byte more than it needs."""
    try:
        value = strict_json(data)
    except Malformed as error:
        raise Refused(code) from error
    if not isinstance(value, dict) or list(value) != members or compact(value) != data:
        raise Refused(code)
    return value


def _is_hex(value, digits):
    return isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", value) is not None


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64


def _is_sound(content):
    holder, node, entitlements = content["holder"], content["node"], content["entitlements"]
    names = isinstance(entitlements, list) and all(
        isinstance(each, str) and (each == "*" or LABEL.fullmatch(each)) for each in entitlements
    )
    return (
        content["format"] == FORMAT
        and _is_hex(content["kid"], 16)
        and _is_hex(content["license"], 32)
        and isinstance(content["plan"], str)
        and LABEL.fullmatch(content["plan"]) is not None
        and names
        and 1 <= len(entitlements) <= MAX_ENTITLEMENTS
        and entitlements == sorted(set(entitlements))
        and isinstance(holder, dict)
        and list(holder) == ["user", "owner_key"]
        and _is_hex(holder["user"], 32)
        and _is_hex(holder["owner_key"], 64)
        and (node is None or (_is_hex(node, 68) and node.startswith("000b")))
        and all(_is_count(content[name]) for name in ("issued", "expiry", "ttl"))
        and 1 <= content["ttl"] <= MAX_TTL
        and content["issued"] + content["ttl"] == content["expiry"]
    )


def _signed_by(key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify(text, keys, now):
    """The content of a licence file that one of the keys signed and that is in force; or `Refused` with a code."""
    form = "license_file_form"
    if len(text.encode()) > MAX_FILE or not text.startswith(BEGIN) or not text.endswith("\n" + END):
        raise Refused(form)
    outer = _decode(text[len(BEGIN) : -len(END)].replace("\n", ""), form)
    if armour(outer) != text:
        raise Refused(form)
    sealed = _object(outer, ["enc", "sig", "alg"], form)
    if not all(isinstance(value, str) for value in sealed.values()):
        raise Refused(form)
    if sealed["alg"] != "base64+ed25519":
        raise Refused("license_file_algorithm")
    signature = _decode(sealed["sig"], form)
    if len(signature) != 64:
        raise Refused(form)
    payload = _decode(sealed["enc"], form)
    message = (PREFIX + sealed["enc"]).encode()
    signer = next((key for key in keys[:MAX_KEYS] if _signed_by(key, message, signature)), None)
    if signer is None:
        raise Refused("license_file_signature")
    content = _object(payload, MEMBERS, "license_file_content")
    if not _is_sound(content) or content["kid"] != key_id(signer):
        raise Refused("license_file_content")
    if content["issued"] > now + MAX_SKEW:
        raise Refused("license_file_future")
    if now >= content["expiry"]:
        raise Refused("license_file_expired")
    return content
