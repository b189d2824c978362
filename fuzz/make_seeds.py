#!/usr/bin/env python3
"""Makes the seeds of `fuzz/corpus/` and `fuzz/root.der` anew, from `testdata/` and the second verifier's maker.

Run by hand when a format changes: keys are drawn each time, so the result differs in them. Inputs that once broke
something are named after what they broke and are left alone. Needs Python's `cryptography`.
"""

import base64
import hashlib
import json
import pathlib
import struct
import sys

FUZZ = pathlib.Path(__file__).resolve().parent
TESTDATA = FUZZ.parent / "testdata"
sys.path.insert(0, str(FUZZ.parent / "tests" / "second_verifier"))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

import enclave_log  # noqa: E402
import maker  # noqa: E402
from maker import ENCLAVE, Maker, der, log_record  # noqa: E402


def seed(target, name, data):
    folder = FUZZ / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def boot_events(data):
    """End of each event of a crypto-agile log."""
    at = 32 + struct.unpack_from("<I", data, 28)[0]
    sizes = {4: 20, 0xB: 32, 0xC: 48, 0xD: 64}
    while True:
        yield at
        if at == len(data):
            return
        count = struct.unpack_from("<I", data, at + 8)[0]
        at += 12
        for _ in range(count):
            at += 2 + sizes[struct.unpack_from("<H", data, at)[0]]
        at += 4 + struct.unpack_from("<I", data, at)[0]


def boot_logs():
    tpm = TESTDATA / "tpm"
    seed("boot_log", "sha1", (tpm / "debian-10.bin").read_bytes())
    seed("boot_log", "garbage", (tpm / "bogus.bin").read_bytes())
    for name in ("cos-101-amd-sev", "confidential-gke-debug-251000"):
        data = (tpm / f"{name}.bin").read_bytes()
        ends = list(boot_events(data))
        for count in (1, 4, 20):
            seed("boot_log", f"{name}-{count}", data[: ends[count - 1]])
    data = (tpm / "keylime-secureboot.bin").read_bytes()
    seed("boot_log", "keylime-secureboot", data)


def ima_lists():
    ima = TESTDATA / "ima"
    lines = (ima / "ascii_runtime_measurements").read_bytes().splitlines(keepends=True)
    seed("ima_ascii", "ng", b"".join(lines[:12]))
    seed("ima_ascii", "sha256", (ima / "ascii-sha256-2entries").read_bytes())
    seed("ima_ascii", "violation", b"10 " + b"0" * 40 + b" ima-ng sha1:" + b"0" * 40 + b" /var/log/x\n")
    data = (ima / "binary_runtime_measurements-sig.head.bin").read_bytes()
    at, ends, ascii_lines = 0, [], []
    while len(ends) < 12:
        template_hash, name_size = data[at + 4 : at + 24], struct.unpack_from("<I", data, at + 24)[0]
        fields_at = at + 28 + name_size
        size = struct.unpack_from("<I", data, fields_at)[0]
        fields, rest = [], data[fields_at + 4 : fields_at + 4 + size]
        while rest:
            length = struct.unpack_from("<I", rest)[0]
            fields.append(rest[4 : 4 + length])
            rest = rest[4 + length :]
        algorithm, digest = fields[0].split(b":\0", 1)
        line = [b"10", template_hash.hex().encode(), b"ima-sig", algorithm + b":" + digest.hex().encode()]
        ascii_lines.append(b" ".join([*line, fields[1][:-1], fields[2].hex().encode()]) + b"\n")
        at = fields_at + 4 + size
        ends.append(at)
    seed("ima_binary", "sig", data[: ends[-1]])
    seed("ima_binary", "one", data[: ends[0]])
    seed("ima_ascii", "sig", b"".join(ascii_lines))
    seed("ima_binary", "tampered", (ima / "binary_runtime_measurements-sig.tail.bin").read_bytes())


def enclave_logs():
    one, spki = (1).to_bytes(8, "big"), bytes(32)
    start = [ENCLAVE, one, bytes(32), bytes(32), bytes(32), bytes(32)]
    records = [
        log_record(0, enclave_log.BASELINE, bytes(32), b"register_in_use", enclave=None),
        log_record(1, enclave_log.START, *start),
        log_record(2, enclave_log.KEY, ENCLAVE, one, spki),
        log_record(3, enclave_log.GAP, b"agent_restarted", enclave=None),
        log_record(4, enclave_log.REKEY, ENCLAVE, one, spki),
        log_record(5, enclave_log.STOP, bytes(16), one, b"exited", enclave=bytes(16), hidden=True),
        log_record(6, enclave_log.STOP, ENCLAVE, one, b"exited"),
    ]
    for count in (1, 3, 7):
        seed("enclave_log", f"{count}-records", b"".join(records[:count]))


def protobuf(data):
    """Fields of a message whose fields all are byte strings or numbers."""
    def varint():
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while data:
        key = varint()
        value = varint()
        if key & 7 == 2:
            yield key >> 3, data[:value]
            data = data[value:]


def tpm_structures(made):
    recorded = list(protobuf((TESTDATA / "tpm" / "gce-cos85-attestation-nonce9009.pb").read_bytes()))
    seed("tpm2_public", "rsa", next(value for field, value in recorded if field == 1))
    for number, quote in enumerate(value for field, value in recorded if field == 2):
        parts = dict(protobuf(quote))
        seed("tpm2_attest", f"gce-{number}", parts[1])
        seed("tpm2_signature", f"rsassa-{number}", parts[2])
    seed("tpm2_public", "ecc", made.public())
    bundle = made.bundle()
    seed("tpm2_attest", "ours", maker.base64.b64decode(bundle["quote"]))
    seed("tpm2_signature", "ecdsa", maker.base64.b64decode(bundle["signature"]))


def certificates_and_tokens(made):
    for name in ("root", "issuing", "ak_certificate", "certificate", "verifier"):
        seed("pki_certificate", name, der(getattr(made, name)))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "facade")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    seed("pki_csr", "p256", der(builder.sign(made.enclave_key, hashes.SHA256())))
    seed("pki_jws", "verdict", made.verdict().encode())
    header, payload = (maker._url64(text) for text in (b'{"alg":"ES256","typ":"at+jwt","kid":"k"}', b'{"exp":1}'))
    seed("pki_jws", "kid", f"{header}.{payload}.{maker._url64(bytes([1]) * 64)}".encode())
    numbers = made.verifier_key.public_key().public_numbers()
    x, y = (maker._url64(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
    thumbprint = maker._url64(maker.sha256(json.dumps(
        {"crv": "P-256", "kty": "EC", "x": x, "y": y}, separators=(",", ":"), sort_keys=True).encode()))
    key = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": thumbprint, "use": "sig", "alg": "ES256"}
    seed("pki_jwks", "one", json.dumps({"keys": [key]}).encode())
    seed("pki_jwks", "none", b'{"keys":[]}')


def statements_and_bundles(made):
    bundle = made.bundle()
    seed("evidence_bundle", "full", json.dumps(bundle).encode())
    boot = TESTDATA / "tpm" / "cos-101-amd-sev.bin"
    data = boot.read_bytes()
    with_logs = {"boot_log": maker.b64(data[: list(boot_events(data))[8]]),
                 "ima_log": maker.b64((TESTDATA / "ima" / "ascii-sha256-2entries").read_bytes())}
    seed("evidence_bundle", "logs", json.dumps({**bundle, **with_logs}).encode())
    seed("evidence_statement", "serve", maker.base64.b64decode(bundle["statement"]))
    issue = maker.encode_statement(purpose=b"\2", audience=b"", request=bytes(32), channel=b"\0\1",
                                   ak_name=b"\0\x0b" + bytes(32), spki=bytes(32))
    seed("evidence_statement", "issue", issue)
    node = dict.fromkeys(("enclave", "owner", "version", "instance", "facade", "spki"), b"")
    seed("evidence_statement", "node", maker.encode_statement(
        purpose=b"\4", audience=b"", channel=b"\0\1", ak_name=b"\0\x0b" + bytes(32), **node))


def manifests():
    entries = [
        {"type": "directory", "path": "/tmp"},
        {"type": "directory", "path": "/usr"},
        {"type": "directory", "path": "/usr/bin"},
        {"type": "symlink", "path": "/usr/bin/also", "target": "hello"},
        {"type": "file", "path": "/usr/bin/hello", "executable": True, "size": 5, "sha256": "00" * 32},
    ]
    manifest = {"command": "/usr/bin/hello", "args": ["--port", "8080"], "env": {"GREETING": "hi"},
                "endpoint": {"port": 8080}, "entries": entries, "writable": ["/tmp"],
                "resources": {"memory": 1 << 28, "processes": 64}}
    seed("workload_manifest", "port", json.dumps(manifest).encode())
    socket = {**manifest, "endpoint": {"socket": "/tmp/app.sock"}, "resources": {}}
    seed("workload_manifest", "socket", json.dumps(socket).encode())


def license_files():
    """Signed by nobody: the target takes every signature."""
    key = bytes([7]) * 32
    kid = hashlib.sha256(b"sealwright/license-key/v1" + key).hexdigest()[:16]
    dataset = {"format": "sealwright/license/v1", "kid": kid, "license": "07" * 16, "plan": "team",
               "entitlements": ["hello", "notes"], "holder": {"user": "01" * 16, "owner_key": "02" * 32},
               "node": None, "issued": 1_800_000_000, "expiry": 1_800_003_600, "ttl": 3600}
    for name, more in (("any-node", {}), ("one-node", {"node": "000b" + "11" * 32})):
        enc = base64.b64encode(json.dumps({**dataset, **more}, separators=(",", ":")).encode()).decode()
        sealed = {"enc": enc, "sig": base64.b64encode(bytes(64)).decode(), "alg": "base64+ed25519"}
        text = base64.b64encode(json.dumps(sealed, separators=(",", ":")).encode()).decode()
        lines = [text[at: at + 64] for at in range(0, len(text), 64)]
        block = ["-----BEGIN LICENSE FILE-----", *lines, "-----END LICENSE FILE-----", ""]
        seed("license_file", name, "\n".join(block).encode())


def passkeys():
    challenge = base64.urlsafe_b64encode(b"0123456789abcdef").rstrip(b"=").decode()
    for ceremony in ("create", "get"):
        data = {"type": f"webauthn.{ceremony}", "challenge": challenge, "origin": "https://portal.example",
                "crossOrigin": False}
        seed("passkey_client_data", ceremony, json.dumps(data, separators=(",", ":")).encode())
    # The base point of P-256 (SEC 2, 2.4.2) and that of Ed25519 (RFC 8032, 5.1) are points like others.
    x = bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
    y = bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    p256 = bytes([0xA5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]) + x + bytes([0x22, 0x58, 32]) + y
    ed25519 = bytes([0xA4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32, 0x58]) + bytes([0x66]) * 31
    rsa = bytes([0xA4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0]) + bytes([0xC5]) * 256 + b"\x21\x43\1\0\1"
    for name, key in (("p256", p256), ("ed25519", ed25519), ("rsa", rsa)):
        seed("passkey_key", name, key)
        credential = bytes(16) + struct.pack(">H", 12) + b"a credential" + key
        data = hashlib.sha256(b"portal.example").digest() + b"\x45" + bytes(4) + credential
        length = b"\x58" + bytes([len(data)]) if len(data) < 256 else b"\x59" + struct.pack(">H", len(data))
        head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData"
        seed("passkey_attestation", name, head + length + data)


def id_tokens():
    encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()  # noqa: E731
    claims = {"iss": "https://id.example", "sub": "248289761001", "aud": "sealwright", "exp": 1_800_000_600,
              "iat": 1_800_000_000, "nonce": "a nonce"}
    for name, more in (("one-audience", {}), ("audiences", {"aud": ["sealwright"], "azp": "sealwright", "nbf": 1})):
        seed("id_token_claims", name, json.dumps({**claims, **more}).encode())
    for alg in ("RS256", "ES256", "EdDSA", "none", "HS256"):
        header = encode(json.dumps({"alg": alg, "kid": "a", "typ": "JWT"}).encode())
        seed("id_token", alg.lower(), f"{header}.{encode(json.dumps(claims).encode())}.{encode(bytes(64))}".encode())
    keys = [{"kid": "a", "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": encode(bytes([0x58] + [0x66] * 31))},
            {"kid": "b", "kty": "RSA", "n": encode(bytes([0xC5]) * 256), "e": "AQAB"},
            {"kid": "c", "kty": "EC", "crv": "P-256", "x": encode(bytes(32)), "y": encode(bytes(32))},
            {"kid": "d", "kty": "oct", "k": "AA"}]
    seed("id_token_keys", "each-kind", json.dumps({"keys": keys}).encode())


def main():
    license_files()
    passkeys()
    id_tokens()
    made = Maker()
    (FUZZ / "root.der").write_bytes(der(made.root))
    boot_logs()
    ima_lists()
    enclave_logs()
    tpm_structures(made)
    certificates_and_tokens(made)
    statements_and_bundles(made)
    manifests()


if __name__ == "__main__":
    main()
