"""The enclave log: TCG Canonical Event Log TLV records with a content type of ours (docs/formats.md, Enclave log)."""

from dataclasses import dataclass

from wire import Malformed, Reader, Refused, sha256

MAX_LOG, MAX_RECORDS, MAX_BODY, MAX_REASON = 16 << 20, 65536, 1024, 256
RECNUM, PCR, DIGESTS, SHA256_DIGEST, CONTENT = 0, 1, 3, 0x0B, 90
BASELINE, START, KEY, REKEY, STOP, GAP = 1, 2, 3, 4, 5, 6
NODE_TAG = bytes(16)

FIELDS = {
    BASELINE: ("found", "reason"),
    START: ("enclave", "incarnation", "version", "instance", "owner", "facade"),
    KEY: ("enclave", "incarnation", "spki"),
    REKEY: ("enclave", "incarnation", "spki"),
    STOP: ("enclave", "incarnation", "reason"),
    GAP: ("reason",),
}
SIZES = {"enclave": (16,), "incarnation": (8,), "owner": (0, 32)}


@dataclass(frozen=True)
class Record:
    tag: bytes
    digest: bytes
    kind: int  # 0 where hidden
    fields: dict


def tag_of(enclave):
    return sha256(b"sealwright/log-tag/v1", enclave)[:16] if enclave else NODE_TAG


def _tlv(reader, kind):
    if reader.number(1) != kind:
        raise Malformed("another field")
    return reader.sized(4)


def _body(body):
    if len(body) > MAX_BODY:
        raise Malformed("body too large")
    reader = Reader(body)
    kind = reader.number(1)
    reader.take(16)
    if kind not in FIELDS:
        raise Malformed("unknown event")
    fields = {}
    for name in FIELDS[kind]:
        value = reader.sized(2)
        if name == "reason":
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Malformed("reason is no text") from error
            controls = any(ord(each) < 32 or 127 <= ord(each) < 160 for each in text)
            if not 1 <= len(value) <= MAX_REASON or controls:
                raise Malformed("impossible reason")
        elif len(value) not in SIZES.get(name, (32,)):
            raise Malformed(f"impossible {name}")
        fields[name] = value
    reader.end()
    if "incarnation" in fields:
        fields["incarnation"] = int.from_bytes(fields["incarnation"], "big")
        if fields["incarnation"] == 0:
            raise Malformed("incarnations count from one")
    return kind, fields


def _record(reader, number, pcr):
    if _tlv(reader, RECNUM) != number.to_bytes(8, "big") or _tlv(reader, PCR) != bytes([pcr]):
        raise Malformed("another record")
    digests = Reader(_tlv(reader, DIGESTS))
    digest = _tlv(digests, SHA256_DIGEST)
    digests.end()
    content = Reader(_tlv(reader, CONTENT))
    tag, is_open = content.take(16), content.number(1)
    rest = content.take(content.left())
    if is_open == 1:
        kind, fields = _body(rest)
        body_hash = sha256(rest)
        if tag != tag_of(fields.get("enclave")):
            raise Malformed("another tag")
        if kind == BASELINE and number != 0:
            raise Malformed("a baseline later on")
    elif is_open == 0 and len(rest) == 32:
        kind, fields, body_hash = 0, {}, rest
        if tag == NODE_TAG:
            raise Malformed("an event of the node is hidden")
    else:
        raise Malformed("neither open nor hidden")
    if digest != sha256(b"sealwright/log/v1", tag, body_hash):
        raise Malformed("digest does not recompute")
    return Record(tag, digest, kind, fields)


def parse(data, pcr):
    if len(data) > MAX_LOG:
        raise Malformed("log too large")
    reader, records = Reader(data), []
    while reader.left():
        if len(records) == MAX_RECORDS:
            raise Malformed("too many records")
        records.append(_record(reader, len(records), pcr))
    return records


def replay(records):
    value = bytes(32)
    if records and records[0].kind == BASELINE:
        value = records[0].fields["found"]
    for record in records:
        value = sha256(value, record.digest)
    return value


def begins_late(records):
    """Something else had extended the register before the log began."""
    return bool(records) and records[0].kind == BASELINE


def live(records, enclave):
    """The start event and the key of the one live entry, or a refusal."""
    start, key, last = None, None, 0
    for record in records:
        if record.tag != tag_of(enclave):
            continue
        if record.kind == 0:
            raise Refused("log_hidden_entry")
        event = record.fields
        if event["enclave"] != enclave:
            continue
        current = start is not None and event["incarnation"] == start["incarnation"]
        if record.kind == START:
            if event["incarnation"] <= last:
                raise Refused("log_malformed", "a start that does not count up")
            start, key, last = event, None, event["incarnation"]
        elif record.kind in (KEY, REKEY):
            if not current or (key is None) != (record.kind == KEY):
                raise Refused("log_malformed", "a key out of place")
            key = event["spki"]
        elif record.kind == STOP:
            if event["incarnation"] > last:
                raise Refused("log_malformed", "a stop out of place")
            if current:
                start, key = None, None
    if start is None:
        raise Refused("enclave_stopped" if last else "enclave_never_started")
    if key is None:
        raise Refused("enclave_not_keyed")
    return start, key
