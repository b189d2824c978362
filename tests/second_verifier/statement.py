"""The statement and the tree that a quote commits to (docs/formats.md, Statement and Tree)."""

import re
from dataclasses import dataclass

from wire import Malformed, Reader, Refused, sha256

MAGIC = b"sealwright/statement/v1"
MAX_STATEMENT = 2048
MAX_LEAVES = 1024
QUOTE_DOMAIN = b"sealwright/quote/v1"
PURPOSES = {1: "serve", 2: "issue", 3: "release", 4: "node"}


@dataclass(frozen=True)
class Statement:
    purpose: str
    audience: str  # "" anonymous, "key:<hex>" or a SPIFFE id
    nonce: bytes
    request: bytes
    ak_name: bytes
    node: str
    enclave: bytes  # 16 bytes, or empty
    incarnation: int
    owner: bytes
    version: bytes
    instance: bytes
    facade: bytes
    agent: bytes
    spki: bytes
    certificate: bytes  # 32 bytes, or empty
    channel: bytes  # 32 bytes, or empty
    channel_reason: int
    log_count: int
    agent_time: int


def _either(field, reason_size):
    """`0 | reason` or `1 | 32 bytes`."""
    if len(field) == 33 and field[0] == 1:
        return field[1:], 0
    if len(field) == 1 + reason_size and field[0] == 0:
        return b"", field[1] if reason_size else 0
    raise Malformed("neither none nor a value")


def _length(field, *allowed):
    if len(field) not in allowed:
        raise Malformed("a field has a wrong length")
    return field


LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
SPIFFE = re.compile(rf"spiffe://(?=[^/]{{1,255}}/){LABEL}(\.{LABEL})*/((node|part)/{LABEL}|enclave/[0-9a-f]{{32}})")


def _spiffe(field):
    try:
        text = field.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed("not a SPIFFE id") from error
    if not SPIFFE.fullmatch(text):
        raise Malformed("not a SPIFFE id")
    return text


def _audience(field):
    """Empty: anonymous; 1 and SHA-256 of a key; 2 and the SPIFFE id of a service."""
    if not field:
        return ""
    if field[0] == 1 and len(field) == 33:
        return f"key:{field[1:].hex()}"
    if field[0] == 2:
        return _spiffe(field[1:])
    raise Malformed("unknown kind of audience")


def parse(data):
    if len(data) > MAX_STATEMENT:
        raise Malformed("statement too long")
    reader = Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise Malformed("no statement")
    fields = [reader.sized(2) for _ in range(18)]
    reader.end()
    if _length(fields[0], 2) != b"\x00\x01":
        raise Malformed("unknown suite")
    purpose = PURPOSES.get(_length(fields[1], 1)[0])
    if purpose is None:
        raise Malformed("unknown purpose")
    identity = _length(fields[7], 0, 24)
    certificate, _ = _either(fields[14], 0)
    channel, reason = _either(fields[15], 1)
    if not channel and reason not in (1, 2):
        raise Malformed("unknown reason for no channel")
    return Statement(
        purpose=purpose,
        audience=_audience(fields[2]),
        nonce=_length(fields[3], 32),
        request=_length(fields[4], 0, 32),
        ak_name=_length(fields[5], 34),
        node=_spiffe(fields[6]),
        enclave=identity[:16],
        incarnation=int.from_bytes(identity[16:], "big"),
        owner=_length(fields[8], 0, 32),
        version=_length(fields[9], 0, 32),
        instance=_length(fields[10], 0, 32),
        facade=_length(fields[11], 0, 32),
        agent=_length(fields[12], 32),
        spki=_length(fields[13], 0, 32),
        certificate=certificate,
        channel=channel,
        channel_reason=reason,
        log_count=int.from_bytes(_length(fields[16], 8), "big"),
        agent_time=int.from_bytes(_length(fields[17], 8), "big"),
    )


def check_consistent(statement):
    """What a statement must hold depends on its purpose."""
    about_enclave = (
        statement.enclave, statement.owner, statement.version, statement.instance, statement.facade, statement.spki,
    )  # fmt: skip
    if any(about_enclave) != all(about_enclave):
        raise Refused("statement_inconsistent")
    shape = (all(about_enclave), bool(statement.request), bool(statement.certificate))
    fits = {
        "serve": shape == (True, False, True),
        "issue": shape == (True, True, False) and not statement.channel,
        "release": shape == (True, True, True),
        "node": shape == (False, False, False) and not statement.channel,
    }
    if not fits[statement.purpose]:
        raise Refused("statement_inconsistent")


def leaf(statement_bytes):
    return sha256(b"\x00", statement_bytes)


def root_of(leaf_hash, index, count, path):
    """RFC 9162 2.1.3.2 with the exact path length that (index, count) implies."""
    if not 1 <= count <= MAX_LEAVES or not 0 <= index < count:
        raise Malformed("impossible position")
    node, last, value = index, count - 1, leaf_hash
    for sibling in path:
        if last == 0:
            raise Malformed("path too long")
        if node & 1 or node == last:
            value = sha256(b"\x01", sibling, value)
            while node and not node & 1:
                node >>= 1
                last >>= 1
        else:
            value = sha256(b"\x01", value, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise Malformed("path too short")
    return value


def tree_root(leaves):
    """RFC 6962 2.1, for the vectors."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01", tree_root(leaves[:split]), tree_root(leaves[split:]))


def quote_data(count, root):
    return sha256(QUOTE_DOMAIN, count.to_bytes(4, "big"), root)
