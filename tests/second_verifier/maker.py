"""Makes whole evidence in Python, so that the second verifier is tested without a line of the first one."""

import base64
import datetime
import json
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

import certificates
import enclave_log
import statement as statements
import tpm
from wire import sha256

NOW = 1_800_000_000
ENCLAVE, NODE = bytes(range(16)), "spiffe://sealwright.internal/node/n1"
VERSION, INSTANCE, FACADE, AGENT, OWNER = (sha256(bytes([each])) for each in range(5))
NONCE, CHANNEL, AUDIENCE = sha256(b"nonce"), sha256(b"channel"), sha256(b"alice")
SELECTION = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14]


def b64(data):
    return base64.b64encode(data).decode()


def _url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _time(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).replace(tzinfo=None)


def _tlv(tag, content):
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def _oid(text):
    first, second, *rest = map(int, text.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.insert(0, arc & 0x7F | 0x80)
        content += bytes(septets)
    return content


def certificate(name, key, issuer, issuer_key, ca=None, usages=(), sans=(), at=NOW):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(_time(at - 60)).not_valid_after(_time(at + 86400))
    builder = builder.add_extension(x509.BasicConstraints(ca is not None, ca), critical=True)
    sign = ca is None
    usage = x509.KeyUsage(sign, False, False, False, False, not sign, not sign, False, False)
    builder = builder.add_extension(usage, critical=True)
    if usages:
        content = b"".join(_tlv(0x06, _oid(each)) for each in usages)
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), _tlv(0x30, content)), critical=False
        )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(sans)), critical=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return builder.sign(issuer_key or key, hashes.SHA256())


def der(value):
    return value.public_bytes(serialization.Encoding.DER)


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def encode_statement(**changes):
    fields = {
        "suite": b"\0\1", "purpose": b"\1", "audience": b"\1" + AUDIENCE, "nonce": NONCE, "request": b"", "ak_name": b"",
        "node": NODE.encode(), "enclave": ENCLAVE + (1).to_bytes(8, "big"), "owner": OWNER, "version": VERSION,
        "instance": INSTANCE, "facade": FACADE, "agent": AGENT, "spki": b"", "certificate": b"\0",
        "channel": b"\1" + CHANNEL, "log_count": (3).to_bytes(8, "big"), "agent_time": NOW.to_bytes(8, "big"),
    }  # fmt: skip
    fields.update(changes)
    return statements.MAGIC + b"".join(len(each).to_bytes(2, "big") + each for each in fields.values())


def log_record(number, kind, *fields, enclave=ENCLAVE, hidden=False, pcr=13):
    body = bytes([kind]) + bytes(16) + b"".join(len(each).to_bytes(2, "big") + each for each in fields)
    tag = enclave_log.tag_of(enclave)
    digest = sha256(b"sealwright/log/v1", tag, sha256(body))
    content = tag + (b"\0" + sha256(body) if hidden else b"\1" + body)

    def tlv(kind, value):
        return bytes([kind]) + len(value).to_bytes(4, "big") + value

    return tlv(0, number.to_bytes(8, "big")) + tlv(1, bytes([pcr])) + tlv(3, tlv(11, digest)) + tlv(90, content)


class Maker:
    """A node, its CA and one running enclave. Tests change a part before `bundle()` puts all together."""

    def __init__(self):
        make = lambda: ec.generate_private_key(ec.SECP256R1())  # noqa: E731
        self.root_key, self.issuing_key, self.ak, self.enclave_key, self.verifier_key = (make() for _ in range(5))
        uri = x509.UniformResourceIdentifier
        self.root = certificate("root", self.root_key, None, None, ca=1)
        self.issuing = certificate("issuing", self.issuing_key, self.root, self.root_key, ca=0)
        self.ak_certificate = certificate(
            "ak", self.ak, self.issuing, self.issuing_key,
            usages=["2.23.133.8.3", certificates.AK_ENCLAVE], sans=[uri(NODE)],
        )  # fmt: skip
        self.certificate = certificate(
            "enclave", self.enclave_key, self.issuing, self.issuing_key,
            sans=[x509.DNSName("a-alice.enclaves.localhost"),
                  uri(f"spiffe://sealwright.internal/enclave/{ENCLAVE.hex()}")],
        )  # fmt: skip
        self.verifier = certificate(
            "verifier", self.verifier_key, self.issuing, self.issuing_key,
            usages=[certificates.VERIFIER_PART], sans=[uri("spiffe://sealwright.internal/part/verifier")],
        )  # fmt: skip
        self.attributes = tpm.REQUIRED | 1 << 6
        self.statement_changes, self.verdict_changes, self.leaves = {}, {}, []
        self.log = [
            log_record(0, enclave_log.START, ENCLAVE, (1).to_bytes(8, "big"), VERSION, INSTANCE, OWNER, FACADE),
            log_record(1, enclave_log.STOP, bytes(16), (1).to_bytes(8, "big"), b"end", enclave=bytes(16), hidden=True),
            log_record(2, enclave_log.KEY, ENCLAVE, (1).to_bytes(8, "big"), sha256(spki(self.enclave_key))),
        ]
        self.registers = {pcr: sha256(bytes([pcr])) for pcr in SELECTION}
        self.signed_registers = None
        self.reset_count = 7
        self.magic = tpm.GENERATED

    def public(self):
        numbers = self.ak.public_key().public_numbers()
        point = b"".join(b"\0\x20" + each.to_bytes(32, "big") for each in (numbers.x, numbers.y))
        return b"\0\x23\0\x0b" + self.attributes.to_bytes(4, "big") + b"\0\0\0\x10\0\x18\0\x0b\0\3\0\x10" + point

    def quote(self, statement_bytes):
        leaves = [statements.leaf(statement_bytes), *self.leaves]
        data = statements.quote_data(len(leaves), statements.tree_root(leaves))
        signer = tpm.Public(None, 0, 0, self.public()).qualified_name_in_endorsement_hierarchy()
        selection = bytearray(3)
        for pcr in self.registers:
            selection[pcr // 8] |= 1 << pcr % 8
        values = self.signed_registers or self.registers
        sized = lambda value: len(value).to_bytes(2, "big") + value  # noqa: E731
        clock = bytes(8) + self.reset_count.to_bytes(4, "big") + (0).to_bytes(4, "big") + b"\1" + bytes(8)
        return (self.magic.to_bytes(4, "big") + b"\x80\x18" + sized(signer) + sized(data) + clock
                + b"\0\0\0\1\0\x0b\3" + bytes(selection) + sized(tpm.composite(values)))  # fmt: skip

    def verdict(self):
        name = tpm.Public(None, 0, 0, self.public()).name
        boot = {str(pcr): value.hex() for pcr, value in self.registers.items() if pcr not in (10, 13)}
        node = {
            "ear.status": "affirming", "node": NODE, "level": "simulated", "reset_count": self.reset_count,
            "restart_count": 0, "ak_names": {"ak-enclave": name.hex(), "ak-keylime": name.hex()},
            "policy": {"id": "default", "digest": bytes(32).hex()}, "ima_position": 3, "boot_pcrs": boot,
            "agent_digest": AGENT.hex(), "facade_digests": [FACADE.hex()],
        }  # fmt: skip
        claims = {"eat_profile": "tag:sealwright.internal,2026:verdict/v1",
                  "iss": "spiffe://sealwright.internal/part/verifier", "iat": NOW - 5, "exp": NOW + 55}  # fmt: skip
        for key, value in self.verdict_changes.items():
            (claims if key in claims else node)[key] = value
        claims["submods"] = {"node": node}
        chain = [b64(der(each)) for each in (self.verifier, self.issuing, self.root)]
        header = {"alg": "ES256", "typ": "sealwright-verdict+jwt", "x5c": chain}
        signed = ".".join(_url64(json.dumps(each).encode()) for each in (header, claims))
        r, s = decode_dss_signature(self.verifier_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_url64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def bundle(self, **changes):
        log = b"".join(self.log)
        try:
            self.registers[13] = enclave_log.replay(enclave_log.parse(log, 13))
        except enclave_log.Malformed:
            pass
        defaults = {
            "ak_name": tpm.Public(None, 0, 0, self.public()).name, "spki": sha256(spki(self.enclave_key)),
            "certificate": b"\1" + sha256(der(self.certificate)), "log_count": len(self.log).to_bytes(8, "big"),
        }  # fmt: skip
        statement_bytes = encode_statement(**{**defaults, **self.statement_changes})
        quote = self.quote(statement_bytes)
        r, s = decode_dss_signature(self.ak.sign(quote, ec.ECDSA(hashes.SHA256())))
        signature = b"\0\x18\0\x0b" + b"".join(b"\0\x20" + each.to_bytes(32, "big") for each in (r, s))
        path = [self.leaves[0].hex()] if self.leaves else []
        bundle = {
            "format": "sealwright/evidence/v1", "statement": b64(statement_bytes),
            "proof": {"index": 0, "count": 1 + len(self.leaves), "path": path}, "quote": b64(quote),
            "signature": b64(signature), "ak_public": b64(self.public()),
            "ak_chain": [b64(der(each)) for each in (self.ak_certificate, self.issuing, self.root)],
            "pcrs": {str(pcr): value.hex() for pcr, value in self.registers.items()}, "enclave_log": b64(log),
            "certificate": b64(der(self.certificate)), "verdict": self.verdict(),
        }  # fmt: skip
        bundle.update(changes)
        return {name: value for name, value in bundle.items() if value is not None}
