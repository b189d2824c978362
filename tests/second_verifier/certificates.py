"""Certificate paths and compact signed tokens, with the rules of docs/formats.md and no others."""

import datetime
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

import asn1
from wire import Malformed, strict_json, unbase64, unbase64url

ARC = "1.2.840.113556.1.8000.2554.55694.61224.16009.30148.40745.1011567.148589"
AK_ENCLAVE = f"{ARC}.1.1"
VERIFIER_PART = f"{ARC}.2.1"
MAX_CHAIN = 4
MAX_TOKEN = 16 << 10
HASHES = {"sha256", "sha384", "sha512"}
BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"
SUBJECT_KEY_ID, AUTHORITY_KEY_ID = "2.5.29.14", "2.5.29.35"
KNOWN = {BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID, AUTHORITY_KEY_ID}
DIGITAL_SIGNATURE, KEY_CERT_SIGN = 0, 5


class Certificate:
    """One certificate of version 3 whose every known extension can be read."""

    def __init__(self, der):
        self.der = der
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.parsed = x509.load_der_x509_certificate(der)
                self.subject = self.parsed.subject.public_bytes()
                self.issuer = self.parsed.issuer.public_bytes()
                self.public_key = self.parsed.public_key()
                reencoded = self.parsed.public_bytes(serialization.Encoding.DER)
        except Exception as error:  # the library has many ways to say no
            raise Malformed("not a certificate") from error
        if reencoded != der or self.parsed.version is not x509.Version.v3:
            raise Malformed("not exactly a certificate")
        self.extensions = asn1.extensions(self.parsed.tbs_certificate_bytes)
        self.is_ca, self.path_length = self._read(BASIC_CONSTRAINTS, asn1.basic_constraints, (False, None))
        self.key_usage = self._read(KEY_USAGE, asn1.key_usage, None)
        self.usages = self._read(EXTENDED_KEY_USAGE, asn1.usages, set())
        names = self._read(SUBJECT_ALT_NAME, asn1.names, [])
        self.subject_key_id = self._read(SUBJECT_KEY_ID, lambda value: asn1.only(value, asn1.OCTETS), None)
        self.authority_key_id = self._read(AUTHORITY_KEY_ID, asn1.authority_key_id, None)
        self.uris = [content.decode("ascii", "replace") for tag, content in names if tag == 0x86]
        self.dns_names = [content.decode("ascii", "replace") for tag, content in names if tag == 0x82]

    def _read(self, oid, read, absent):
        return read(self.extensions[oid][1]) if oid in self.extensions else absent

    def spki(self):
        return self.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def _moment(certificate, name):
    aware = getattr(certificate.parsed, f"{name}_utc", None)
    if aware is None:
        aware = getattr(certificate.parsed, name).replace(tzinfo=datetime.timezone.utc)
    return aware.timestamp()


def _signed_by(certificate, issuer):
    algorithm = certificate.parsed.signature_hash_algorithm
    if algorithm is None or algorithm.name not in HASHES:
        return False
    key, data = issuer.public_key, certificate.parsed.tbs_certificate_bytes
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(certificate.parsed.signature, data, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(certificate.parsed.signature, data, padding.PKCS1v15(), algorithm)
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _usable(certificate, now, cas_below):
    """Validity, known critical extensions, and for a CA the right to sign `cas_below` CAs and then a leaf."""
    if not _moment(certificate, "not_valid_before") <= now <= _moment(certificate, "not_valid_after"):
        return False
    if any(critical and oid not in KNOWN for oid, (critical, _value) in certificate.extensions.items()):
        return False
    usage = certificate.key_usage
    if cas_below is None:
        return not certificate.is_ca and usage is not None and DIGITAL_SIGNATURE in usage
    if not certificate.is_ca or (usage is not None and KEY_CERT_SIGN not in usage):
        return False
    return certificate.path_length is None or certificate.path_length >= cas_below


def leaf_lacks_purpose(leaf, purpose, now):
    """A leaf that is good in itself, and for something else."""
    return _usable(leaf, now, None) and purpose not in leaf.usages


def _names_issuer(certificate, issuer):
    wanted, found = certificate.authority_key_id, issuer.subject_key_id
    return certificate.issuer == issuer.subject and (wanted is None or found is None or wanted == found)


def path(chain, anchors, now):
    """Whether `chain` (leaf first) leads to one of `anchors`; returns that anchor or None.

    The chain may end with the anchor itself or with a certificate that an anchor signed.
    """
    if not 1 <= len(chain) <= MAX_CHAIN:
        return None
    for place, certificate in enumerate(chain):
        if not _usable(certificate, now, None if place == 0 else place - 1):
            return None
    for below, above in zip(chain, chain[1:]):
        if not _names_issuer(below, above) or not _signed_by(below, above):
            return None
    last = chain[-1]
    for anchor in anchors:
        if len(chain) > 1 and last.der == anchor.der:
            return anchor
        if _names_issuer(last, anchor) and _usable(anchor, now, len(chain) - 1) and _signed_by(last, anchor):
            return anchor
    return None


class Token:
    """A compact JWS with ES256, RFC 7515; parsed, its signature not yet checked."""

    def __init__(self, text):
        if not isinstance(text, str) or len(text) > MAX_TOKEN:
            raise Malformed("not a token")
        parts = text.split(".")
        if len(parts) != 3:
            raise Malformed("not a compact token")
        self.signed = f"{parts[0]}.{parts[1]}".encode()
        self.header = strict_json(unbase64url(parts[0]))
        self.claims = strict_json(unbase64url(parts[1]))
        self.signature = unbase64url(parts[2])
        if not isinstance(self.header, dict) or not isinstance(self.claims, dict):
            raise Malformed("header or claims are no object")
        if not set(self.header) <= {"alg", "typ", "kid", "x5c"} or self.header.get("alg") != "ES256":
            raise Malformed("another header")
        if len(self.signature) != 64:
            raise Malformed("not an ES256 signature")

    def chain(self):
        chain = self.header.get("x5c")
        if not isinstance(chain, list) or not 1 <= len(chain) <= MAX_CHAIN:
            raise Malformed("no chain")
        return [Certificate(unbase64(text)) for text in chain]

    def signature_holds(self, key):
        r, s = int.from_bytes(self.signature[:32], "big"), int.from_bytes(self.signature[32:], "big")
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            return False
        try:
            key.verify(encode_dss_signature(r, s), self.signed, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True
