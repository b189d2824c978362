"""TPM 2.0 structures that evidence holds (Part 2 of the specification): attest, signature, public area, name."""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from wire import Malformed, Reader, sha256

GENERATED = 0xFF544347  # TPM_GENERATED_VALUE
ST_ATTEST_QUOTE = 0x8018
ALG_RSA, ALG_SHA256, ALG_ECC, ALG_NULL = 0x0001, 0x000B, 0x0023, 0x0010
ALG_RSASSA, ALG_RSAPSS, ALG_ECDSA = 0x0014, 0x0016, 0x0018
CURVES = {0x0003: (ec.SECP256R1(), 32), 0x0004: (ec.SECP384R1(), 48)}
RH_ENDORSEMENT = 0x4000000B

# TPMA_OBJECT, Part 2, 8.3
FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5
RESTRICTED, DECRYPT, SIGN = 1 << 16, 1 << 17, 1 << 18
REQUIRED = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | SIGN


@dataclass(frozen=True)
class Quote:
    qualified_signer: bytes
    extra_data: bytes
    reset_count: int
    restart_count: int
    banks: list  # [(hash algorithm, [pcr, ...])]
    pcr_digest: bytes


def parse_quote(data):
    """TPMS_ATTEST of a quote, Part 2, 10.12.12."""
    reader = Reader(data)
    if reader.number(4) != GENERATED or reader.number(2) != ST_ATTEST_QUOTE:
        raise Malformed("not a quote made by a TPM")
    qualified_signer, extra_data = reader.sized(2), reader.sized(2)
    reader.take(8)
    reset_count, restart_count = reader.number(4), reader.number(4)
    if reader.number(1) not in (0, 1):
        raise Malformed("safe is neither yes nor no")
    reader.take(8)
    banks = []
    count = reader.number(4)
    if count > 16:
        raise Malformed("too many banks")
    for _ in range(count):
        algorithm, bitmap = reader.number(2), reader.sized(1)
        if len(bitmap) > 4:
            raise Malformed("too many registers")
        banks.append((algorithm, [i for i in range(8 * len(bitmap)) if bitmap[i // 8] >> (i % 8) & 1]))
    digest = reader.sized(2)
    reader.end()
    return Quote(qualified_signer, extra_data, reset_count, restart_count, banks, digest)


@dataclass(frozen=True)
class Public:
    key: object
    attributes: int
    scheme: int
    raw: bytes

    @property
    def name(self):
        return ALG_SHA256.to_bytes(2, "big") + sha256(self.raw)

    def qualified_name_in_endorsement_hierarchy(self):
        """Part 1, 16: a primary's parent is its hierarchy's handle."""
        return ALG_SHA256.to_bytes(2, "big") + sha256(RH_ENDORSEMENT.to_bytes(4, "big"), self.name)


def parse_public(data):
    """TPMT_PUBLIC of a signing key with SHA-256 as name algorithm, Part 2, 12.2.4."""
    reader = Reader(data)
    kind, name_algorithm, attributes = reader.number(2), reader.number(2), reader.number(4)
    if name_algorithm != ALG_SHA256:
        raise Malformed("another name algorithm")
    reader.sized(2)  # authPolicy
    if reader.number(2) != ALG_NULL:  # symmetric
        raise Malformed("a signing key has no symmetric algorithm")
    scheme = reader.number(2)
    if scheme not in (ALG_ECDSA, ALG_RSASSA, ALG_RSAPSS) or reader.number(2) != ALG_SHA256:
        raise Malformed("another scheme")
    if (kind == ALG_ECC) != (scheme == ALG_ECDSA):
        raise Malformed("the scheme is for another key")
    if kind == ALG_ECC:
        curve, size = CURVES.get(reader.number(2), (None, 0))
        if curve is None or reader.number(2) != ALG_NULL:
            raise Malformed("another curve")
        x, y = reader.sized(2), reader.sized(2)
        if len(x) > size or len(y) > size:
            raise Malformed("coordinates too long")
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), curve)
    elif kind == ALG_RSA:
        bits, exponent = reader.number(2), reader.number(4) or 65537
        modulus = reader.sized(2)
        if bits not in (2048, 3072, 4096) or len(modulus) * 8 != bits:
            raise Malformed("another size")
        numbers = rsa.RSAPublicNumbers(exponent, int.from_bytes(modulus, "big"))
    else:
        raise Malformed("another kind of key")
    reader.end()
    try:
        key = numbers.public_key()
    except ValueError as error:
        raise Malformed("not a key") from error
    return Public(key, attributes, scheme, data)


def parse_signature(data):
    """TPMT_SIGNATURE, Part 2, 11.3.4: (scheme, parts)."""
    reader = Reader(data)
    scheme = reader.number(2)
    if scheme not in (ALG_ECDSA, ALG_RSASSA, ALG_RSAPSS) or reader.number(2) != ALG_SHA256:
        raise Malformed("another scheme")
    parts = [reader.sized(2) for _ in range(2 if scheme == ALG_ECDSA else 1)]
    reader.end()
    if scheme == ALG_ECDSA and any(len(part) > 66 for part in parts):
        raise Malformed("numbers too long")
    return scheme, parts


def signature_holds(public, signature, message):
    scheme, parts = signature
    if scheme != public.scheme:
        return False
    try:
        if isinstance(public.key, ec.EllipticCurvePublicKey):
            der = encode_dss_signature(*(int.from_bytes(part, "big") for part in parts))
            public.key.verify(der, message, ec.ECDSA(hashes.SHA256()))
        else:
            # TPMs differ in the salt's length (Part 1, B.7).
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
            pad = padding.PKCS1v15() if scheme == ALG_RSASSA else pss
            public.key.verify(parts[0], message, pad, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def composite(values):
    """The digest that a quote holds for register values in ascending order."""
    return sha256(*(values[pcr] for pcr in sorted(values)))
