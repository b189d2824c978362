"""Reading bytes and texts strictly: nothing is repaired, everything is bounded."""

import base64
import binascii
import hashlib
import json
import re

MAX_BUNDLE = 24 << 20


class Refused(Exception):
    """Evidence that is not accepted, with the reason code of docs/formats.md."""

    def __init__(self, code, detail=""):
        super().__init__(code if not detail else f"{code}: {detail}")
        self.code = code


class Malformed(Exception):
    """Bytes that are not what they should be; the caller knows which reason code that is."""


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


class Reader:
    """A cursor over bytes that never reads past their end."""

    def __init__(self, data):
        self.data = data
        self.position = 0

    def left(self):
        return len(self.data) - self.position

    def take(self, count):
        if count < 0 or count > self.left():
            raise Malformed("too short")
        start = self.position
        self.position += count
        return self.data[start:self.position]

    def number(self, size, order="big"):
        return int.from_bytes(self.take(size), order)

    def sized(self, size):
        """A big-endian length of `size` bytes, then that many bytes."""
        return self.take(self.number(size))

    def end(self):
        if self.left():
            raise Malformed("trailing bytes")


def unbase64(text):
    """Base64 with padding, in its one canonical form."""
    if not isinstance(text, str):
        raise Malformed("not a text")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64") from error
    if base64.b64encode(data).decode() != text:
        raise Malformed("not canonical base64")
    return data


def unbase64url(text):
    """Base64url without padding, in its one canonical form."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        raise Malformed("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise Malformed("not canonical base64url")
    return data


def unhex(text, size):
    """Lower-case hex of exactly `size` bytes."""
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", text):
        raise Malformed("not lower-case hex")
    return bytes.fromhex(text)


def strict_json(data):
    """JSON without repeated keys, floats or NaN."""

    def no_repeats(pairs):
        result = dict(pairs)
        if len(result) != len(pairs):
            raise Malformed("a key twice")
        return result

    def refuse(text):
        raise Malformed(f"number {text}")

    try:
        return json.loads(data, object_pairs_hook=no_repeats, parse_float=refuse, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error


def whole(value, limit=(1 << 64) - 1):
    """A number that is no boolean, not negative and not above the limit."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise Malformed("not a number in range")
    return value
