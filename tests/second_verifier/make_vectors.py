#!/usr/bin/env python3
"""Writes testdata/vectors/python.json: evidence made without a line of the first verifier, for it to judge.

The keys are fresh each time, so the file changes whenever this runs; run it when a format changes.
"""

import json
import pathlib
import sys

import enclave_log
import maker
from maker import AUDIENCE, CHANNEL, ENCLAVE, NONCE, NOW, SELECTION, VERSION, Maker, log_record
from wire import sha256

ONE = (1).to_bytes(8, "big")


def vector(name, made, expect, bundle=None, **changes):
    peer = sha256(maker.der(made.certificate))
    reference = [{"digest": VERSION.hex(), "source": "user_file"}]
    whole = {
        "name": f"python: {name}",
        "bundle": made.bundle() if bundle is None else bundle,
        "challenge": {
            "nonce": NONCE.hex(), "audience": AUDIENCE.hex(), "purpose": "serve", "channel": CHANNEL.hex(),
            "certificate": peer.hex(), "made_at": NOW - 1, "max_age": 60,
        },
        "roots": [{"name": "python root", "level": "tpm", "certificate": maker.b64(maker.der(made.root))}],
        "policy": {"min_level": "simulated", "pcrs": SELECTION, "versions": {"one_of": reference}},
        "at": NOW,
        "expect": expect,
    }  # fmt: skip
    return {**whole, **changes}


def changed(**fields):
    made = Maker()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def vectors():
    yield vector("good evidence", Maker(), "ok")
    yield vector("good evidence as a record", Maker(), "ok", challenge=None)
    yield vector("a batch of two", changed(leaves=[sha256(b"another")]), "ok")
    yield vector("another nonce", changed(statement_changes={"nonce": bytes(32)}), "nonce_mismatch")
    yield vector("a channel that is not offered", changed(statement_changes={"channel": b"\0\1"}), "channel_missing")
    yield vector("an unknown reason for no channel", changed(statement_changes={"channel": b"\0\3"}), "statement_malformed")
    yield vector("an unknown kind of audience", changed(statement_changes={"audience": b"\3"}), "statement_malformed")
    yield vector("a statement without an owner", changed(statement_changes={"owner": b""}), "statement_inconsistent")
    yield vector("an unknown purpose", changed(statement_changes={"purpose": b"\5"}), "statement_malformed")
    yield vector("another magic", changed(magic=0xFF544346), "quote_malformed")
    yield vector("a key that also decrypts", changed(attributes=maker.tpm.REQUIRED | maker.tpm.DECRYPT), "ak_attributes")
    other = Maker()
    made = changed(issuing=other.issuing)
    yield vector("an issuer of another root", made, "ak_chain")
    made = Maker()
    yield vector("a part's certificate for the attestation key", changed(ak_certificate=made.verifier), "ak_purpose")
    start, foreign, key = made.log
    stop = log_record(3, enclave_log.STOP, ENCLAVE, ONE, b"asked")
    hidden = log_record(3, enclave_log.STOP, ENCLAVE, ONE, b"asked", hidden=True)
    early = log_record(3, enclave_log.START, ENCLAVE, ONE, VERSION, maker.INSTANCE, maker.OWNER, maker.FACADE)
    for name, expect, record in (
        ("a stop", "enclave_stopped", stop),
        ("a hidden stop", "log_hidden_entry", hidden),
        ("an incarnation twice", "log_malformed", early),
        ("a reason with a line feed", "log_malformed", log_record(3, enclave_log.GAP, b"a\nb", enclave=None)),
        ("an event of the node that is hidden", "log_malformed",
         log_record(3, enclave_log.GAP, b"why", enclave=None, hidden=True)),
        ("a record of another register", "log_malformed", log_record(3, enclave_log.STOP, ENCLAVE, ONE, b"a", pcr=12)),
        ("an unknown event", "log_malformed", log_record(3, 7, b"why", enclave=None)),
    ):  # fmt: skip
        made = Maker()
        made.log = [made.log[0], made.log[1], made.log[2], record]
        yield vector(name, made, expect)
    for name, expect, changes in (
        ("a verdict of 61 seconds", "verdict_expired", {"exp": NOW + 56}),
        ("a verdict with one more register", "verdict_registers", {"boot_pcrs": {"0": bytes(32).hex()}}),
        ("a verdict with a register in another form", "verdict_malformed", {"boot_pcrs": {"00": bytes(32).hex()}}),
        ("a verdict that counts in floats", "verdict_malformed", {"ima_position": 1.5}),
        ("a verdict without a policy", "verdict_malformed", {"policy": None}),
        ("a verdict of an unknown level", "verdict_malformed", {"level": "best"}),
    ):
        yield vector(name, changed(verdict_changes=changes), expect)
    made = Maker()
    bundle = made.bundle()
    yield vector("base64 without its padding", made, "evidence_malformed",
                 {**bundle, "ak_chain": [text.rstrip("=") + "=A" for text in bundle["ak_chain"]]})  # fmt: skip
    yield vector("a proof with a signed number", made, "evidence_malformed",
                 {**bundle, "proof": {"index": -1, "count": 1, "path": []}})  # fmt: skip


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "testdata/vectors")
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in vectors())
    (folder / "python.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
