"""Just enough strict DER to read a certificate's extensions (RFC 5280, 4.1), whatever the size of an OID's arcs.

The cryptography package of Debian 12 and Go's standard library refuse object identifiers with arcs above 32 bits,
so the extensions are read here; keys, names and signatures are the library's work.
"""

from wire import Malformed

BOOLEAN, INTEGER, BITS, OCTETS, OID, SEQUENCE, SET = 0x01, 0x02, 0x03, 0x04, 0x06, 0x30, 0x31


def element(data):
    """(tag, content, rest)"""
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise Malformed("no element")
    size, start = data[1], 2
    if size >= 0x80:
        count = size & 0x7F
        encoded = data[2:2 + count]
        size, start = int.from_bytes(encoded, "big"), 2 + count
        if not 1 <= count <= 4 or len(encoded) != count or encoded[0] == 0 or size < 0x80:
            raise Malformed("length is not DER")
    if len(data) < start + size:
        raise Malformed("too short")
    return data[0], data[start:start + size], data[start + size:]


def elements(data):
    found = []
    while data:
        tag, content, data = element(data)
        found.append((tag, content))
    return found


def only(data, tag):
    """The content of the one element that `data` is."""
    found, content, rest = element(data)
    if found != tag or rest:
        raise Malformed("another element")
    return content


def oid(content):
    arcs, value, fresh = [], 0, True
    if not content or content[-1] & 0x80:
        raise Malformed("no object identifier")
    for byte in content:
        if fresh and byte == 0x80:
            raise Malformed("padded arc")
        value = value << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def boolean(content):
    if content not in (b"\x00", b"\xff"):
        raise Malformed("not a boolean of DER")
    return content == b"\xff"


def extensions(tbs):
    """{oid: (critical, value bytes)} of a TBSCertificate."""
    found = {}
    for tag, content in elements(only(tbs, SEQUENCE)):
        if tag != 0xA3:
            continue
        for item_tag, item in elements(only(content, SEQUENCE)):
            parts = elements(item)
            tags = [each for each, _ in parts]
            if item_tag != SEQUENCE or tags not in ([OID, OCTETS], [OID, BOOLEAN, OCTETS]):
                raise Malformed("not an extension")
            critical = len(parts) == 3 and boolean(parts[1][1])
            if len(parts) == 3 and not critical:
                raise Malformed("a default that is spelled out")
            name = oid(parts[0][1])
            if name in found:
                raise Malformed("an extension twice")
            found[name] = (critical, parts[-1][1])
    return found


def basic_constraints(value):
    """(is a CA, path length or None)"""
    parts = elements(only(value, SEQUENCE))
    is_ca = bool(parts) and parts[0][0] == BOOLEAN and boolean(parts.pop(0)[1])
    length = int.from_bytes(parts.pop(0)[1], "big", signed=True) if parts and parts[0][0] == INTEGER else None
    if parts or (length is not None and (length < 0 or not is_ca)):
        raise Malformed("impossible basic constraints")
    return is_ca, length


def key_usage(value):
    """The set of bit numbers."""
    content = only(value, BITS)
    if len(content) < 2 or content[0] > 7:
        raise Malformed("impossible key usage")
    bits = content[1:]
    return {number for number in range(8 * len(bits)) if bits[number // 8] >> (7 - number % 8) & 1}


def usages(value):
    parts = elements(only(value, SEQUENCE))
    if not parts or any(tag != OID for tag, _ in parts):
        raise Malformed("impossible extended key usage")
    return {oid(content) for _, content in parts}


def names(value):
    """[(general name's tag, content)] of a SubjectAltName."""
    return elements(only(value, SEQUENCE))


def authority_key_id(value):
    """keyIdentifier of RFC 5280, 4.2.1.1, or None."""
    return next((content for tag, content in elements(only(value, SEQUENCE)) if tag == 0x80), None)
