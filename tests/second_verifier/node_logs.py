"""What the firmware and the kernel logged: TCG boot logs and IMA lists, replayed in the SHA-256 bank."""

import hashlib

from wire import Malformed, Reader, sha256

SHA1, SHA256, SHA384, SHA512 = 0x0004, 0x000B, 0x000C, 0x000D
SIZES = {SHA1: 20, SHA256: 32, SHA384: 48, SHA512: 64}
MAX_BOOT_LOG, MAX_EVENTS, MAX_EVENT_DATA, PCRS = 8 << 20, 65536, 1 << 20, 24
MAX_IMA_LIST, MAX_IMA_ENTRIES, MAX_PATH, MAX_EXTRA = 64 << 20, 1 << 20, 4095, 1 << 20
NO_ACTION = 3

# Types whose digest covers the data (PC Client Platform Firmware Profile 1.06, 10.4.1)
WHOLE = {0x4, 0x5, 0x8, 0x80000001, 0x80000006, 0x80000007, 0x8000000C}
VARIABLE_BOOT, VARIABLE_AUTHORITY = 0x80000002, 0x800000E0


class DataMismatch(Exception):
    """An event whose data is not what its digest covers."""


def _algorithms(data):
    reader = Reader(data)
    reader.take(4)
    _minor, major, _errata, word = reader.take(4)
    if major != 2 or word not in (1, 2):
        raise Malformed("not a version 2 log")
    count = reader.number(4, "little")
    if not 1 <= count <= 8:
        raise Malformed("impossible list of algorithms")
    sizes = {}
    for _ in range(count):
        algorithm, size = reader.number(2, "little"), reader.number(2, "little")
        if algorithm in sizes or SIZES.get(algorithm, size) != size or not 1 <= size <= 64:
            raise Malformed("impossible algorithm")
        sizes[algorithm] = size
    reader.take(reader.number(1))
    reader.end()
    return sizes


def parse_boot_log(data):
    """[(pcr, type, {algorithm: digest}, event data)]"""
    if len(data) > MAX_BOOT_LOG:
        raise Malformed("log too large")
    reader, events, sizes = Reader(data), [], {}
    while reader.left() or not events:
        if len(events) == MAX_EVENTS:
            raise Malformed("too many events")
        pcr, kind, digests = reader.number(4, "little"), reader.number(4, "little"), {}
        if pcr >= PCRS and kind != NO_ACTION:
            raise Malformed("no such register")
        if sizes:
            if reader.number(4, "little") != len(sizes):
                raise Malformed("another number of digests")
            for _ in range(len(sizes)):
                algorithm = reader.number(2, "little")
                if algorithm not in sizes or algorithm in digests:
                    raise Malformed("another digest")
                digests[algorithm] = reader.take(sizes[algorithm])
        else:
            digests[SHA1] = reader.take(20)
        size = reader.number(4, "little")
        if size > MAX_EVENT_DATA:
            raise Malformed("event data too large")
        content = reader.take(size)
        if not events and kind == NO_ACTION and content.startswith(b"Spec ID Event03\0"):
            if pcr != 0 or any(digests[SHA1]):
                raise Malformed("header is not zero")
            sizes = _algorithms(content[16:])
        events.append((pcr, kind, digests, content))
    return events


def replay_boot_log(events):
    """Register values of the SHA-256 bank; refuses a log that does not have it."""
    values = [b"\xff" * 32 if 17 <= pcr <= 22 else bytes(32) for pcr in range(PCRS)]
    started = extended = False
    for pcr, kind, digests, content in events:
        if kind == NO_ACTION:
            if content.startswith(b"StartupLocality\0"):
                locality = content[16:]
                if locality not in (b"\0", b"\3", b"\4") or pcr != 0 or started or extended:
                    raise Malformed("impossible start-up locality")
                values[0] = bytes(31) + locality
                started = True
            continue
        if SHA256 not in digests:
            raise Malformed("no SHA-256 digests")
        extended = extended or pcr == 0
        values[pcr] = sha256(values[pcr], digests[SHA256])
    return values


def _variable(content):
    reader = Reader(content)
    try:
        reader.take(16)
        units, size = reader.number(8, "little"), reader.number(8, "little")
        reader.take(2 * units)
        value = reader.take(size)
        reader.end()
    except Malformed:
        return None
    return value


def check_boot_data(events):
    for _pcr, kind, digests, content in events:
        if kind == NO_ACTION:
            continue
        whole = sha256(content) == digests.get(SHA256)
        variable = _variable(content)
        if kind in WHOLE:
            holds = whole
        elif kind == VARIABLE_BOOT:
            holds = whole or (variable is not None and sha256(variable) == digests.get(SHA256))
        elif kind == VARIABLE_AUTHORITY:
            holds = whole or variable is None
        else:
            holds = True
        if not holds:
            raise DataMismatch(f"event type {kind:#x}")


def _field(*parts):
    return sum(map(len, parts)).to_bytes(4, "little") + b"".join(parts)


def _unhex(text):
    if text != text.lower():
        raise Malformed("upper case")
    try:
        return bytes.fromhex(text.decode("ascii")) if b" " not in text else bytes()
    except ValueError as error:
        raise Malformed("not hex") from error


def _ima_entry(line):
    """(is violation, SHA-256 of the template data, path, algorithm, digest)"""
    parts = line.split(b" ", 4)
    if len(parts) != 5 or parts[0] != b"10":
        raise Malformed("not an entry of PCR 10")
    template_hash, template, digest_text, rest = _unhex(parts[1]), parts[2], parts[3], parts[4]
    if len(template_hash) != 20:
        raise Malformed("not a template hash")
    if template == b"ima":
        digest, path = _unhex(digest_text), rest
        if len(digest) != 20 or not 1 <= len(path) <= 255:
            raise Malformed("impossible field")
        algorithm, data = b"sha1", digest + path + bytes(256 - len(path))
    elif template in (b"ima-ng", b"ima-sig", b"ima-buf"):
        algorithm, colon, text = digest_text.partition(b":")
        digest = _unhex(text)
        known = {b"md5": 16, b"sha1": 20, b"sha224": 28, b"sha256": 32, b"sha384": 48, b"sha512": 64}
        if not colon or not digest or known.get(algorithm, len(digest)) != len(digest) or len(digest) > 64:
            raise Malformed("impossible digest")
        path, extra = rest, b""
        if template != b"ima-ng":
            path, space, extra_text = rest.rpartition(b" ")
            extra = _unhex(extra_text)
            if not space or len(extra) > MAX_EXTRA:
                raise Malformed("impossible extra field")
        if not 1 <= len(path) <= MAX_PATH or b"\0" in path:
            raise Malformed("impossible path")
        data = _field(algorithm, b":\0", digest) + _field(path, b"\0")
        if template != b"ima-ng":
            data += _field(extra)
    else:
        raise Malformed("unknown template")
    violation = not any(template_hash)
    if not violation and hashlib.sha1(data).digest() != template_hash:
        raise Malformed("template hash does not recompute")
    return violation, sha256(data), path, algorithm, digest


def parse_ima(data):
    if len(data) > MAX_IMA_LIST or (data and not data.endswith(b"\n")):
        raise Malformed("not a list")
    lines = data.split(b"\n")[:-1]
    if len(lines) > MAX_IMA_ENTRIES:
        raise Malformed("too many entries")
    return [_ima_entry(line) for line in lines]


def ima_position(entries, quoted):
    """How many entries it takes to reach the quoted PCR 10, or None."""
    value = bytes(32)
    for position, (violation, data_hash, *_rest) in enumerate(entries):
        if value == quoted:
            return position
        value = sha256(value, b"\xff" * 32 if violation else data_hash)
    return len(entries) if value == quoted else None
