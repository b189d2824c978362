#!/usr/bin/env python3
"""The second verifier: judges an evidence bundle by docs/formats.md, independently of the Rust one.

    verify.py BUNDLE.evidence.json --policy POLICY.json --at UNIX_TIME [--challenge CHALLENGE.json]

prints {"ok": true, "level": ...} or {"ok": false, "code": ...} and exits 0 or 3. Without a challenge the bundle is
judged as a record: it says what would have held at that time, and nothing about freshness.
"""

import argparse
import json
import sys
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import appraise
import certificates
import enclave_log
import node_logs
import statement as statements
import tpm
import verdict as verdicts
from wire import MAX_BUNDLE, Malformed, Refused, sha256, strict_json, unbase64, unhex, whole

FORMAT = "sealwright/evidence/v1"
REQUIRED = {
    "format", "statement", "proof", "quote", "signature", "ak_public", "ak_chain", "pcrs", "enclave_log",
}  # fmt: skip
OPTIONAL = {"certificate", "verdict", "boot_log", "ima_log"}
MAX_SMALL, MAX_LOG, MAX_PROOF = 16 << 10, 16 << 20, 10
LOG_PCR, IMA_PCR = 13, 10


@dataclass
class Verified:
    statement: statements.Statement
    level: str
    verdict: object
    log_complete: bool
    registers: dict
    dns_names: list
    ima: list


def _bytes(value, limit=MAX_SMALL):
    data = unbase64(value)
    if len(data) > limit:
        raise Refused("evidence_too_large")
    return data


def read_bundle(data):
    if len(data) > MAX_BUNDLE:
        raise Refused("evidence_too_large")
    try:
        bundle = strict_json(data)
        if not isinstance(bundle, dict) or not REQUIRED <= set(bundle) <= REQUIRED | OPTIONAL:
            raise Malformed("other fields")
        if bundle["format"] != FORMAT or not isinstance(bundle["ak_chain"], list):
            raise Malformed("another format")
        if set(bundle["proof"]) != {"index", "count", "path"}:
            raise Malformed("another proof")
        read = {name: _bytes(bundle[name]) for name in ("statement", "quote", "signature", "ak_public")}
        read["ak_chain"] = [_bytes(each) for each in bundle["ak_chain"]]
        read["enclave_log"] = _bytes(bundle["enclave_log"], MAX_LOG)
        read["pcrs"] = {whole(int(pcr), 23): unhex(value, 32) for pcr, value in bundle["pcrs"].items()}
        if {str(pcr) for pcr in read["pcrs"]} != set(bundle["pcrs"]):
            raise Malformed("a register in another form")
        proof = bundle["proof"]
        read["index"], read["count"] = whole(proof["index"], 0xFFFFFFFF), whole(proof["count"], 0xFFFFFFFF)
        read["path"] = [unhex(each, 32) for each in proof["path"]]
        for name, limit in (("certificate", MAX_SMALL), ("boot_log", MAX_LOG), ("ima_log", MAX_LOG)):
            present = bundle.get(name) is not None
            read[name] = _bytes(bundle[name], limit) if present else None
        read["verdict"] = bundle.get("verdict")
        if read["verdict"] is not None and not isinstance(read["verdict"], str):
            raise Malformed("verdict is no text")
    except (Malformed, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused("evidence_malformed", str(error)) from error
    too_long = len(read["ak_chain"]) > certificates.MAX_CHAIN or len(read["path"]) > MAX_PROOF
    if too_long or len(read["verdict"] or "") > MAX_SMALL:
        raise Refused("evidence_too_large")
    return read


def check_challenge(statement, challenge):
    if statement.purpose != challenge["purpose"]:
        raise Refused("purpose_mismatch")
    if statement.nonce != challenge["nonce"]:
        raise Refused("nonce_mismatch")
    if statement.audience != challenge["audience"]:
        raise Refused("audience_mismatch")
    if statement.request != challenge.get("request", b""):
        raise Refused("request_mismatch")


def check_certificate(statement, der, challenge):
    """The enclave's certificate: present unless it does not exist yet, the stated one, of the stated key, its name.

    Returns the DNS names in it.
    """
    if not statement.certificate:
        return []
    if der is None:
        raise Refused("certificate_missing")
    shown = challenge.get("certificate") if challenge else None
    if sha256(der) != statement.certificate or (shown is not None and shown != der):
        raise Refused("certificate_mismatch")
    try:
        certificate = certificates.Certificate(der)
    except Malformed as error:
        raise Refused("certificate_malformed", str(error)) from error
    if sha256(certificate.spki()) != statement.spki:
        raise Refused("certificate_key_mismatch")
    domain = statement.node.removeprefix("spiffe://").split("/")[0]
    if certificate.uris != [f"spiffe://{domain}/enclave/{statement.enclave.hex()}"]:
        raise Refused("certificate_name_mismatch")
    return certificate.dns_names


def check_channel(statement, challenge):
    required = challenge["channel"]
    if required is None:
        return
    if not statement.channel:
        raise Refused("channel_missing")
    if statement.channel != required:
        raise Refused("channel_mismatch")


def check_quote(bundle):
    try:
        root = statements.root_of(statements.leaf(bundle["statement"]), bundle["index"], bundle["count"], bundle["path"])
    except Malformed as error:
        raise Refused("proof_invalid", str(error)) from error
    try:
        quote = tpm.parse_quote(bundle["quote"])
    except Malformed as error:
        raise Refused("quote_malformed", str(error)) from error
    if quote.extra_data != statements.quote_data(bundle["count"], root):
        raise Refused("quote_data_mismatch")
    try:
        signature = tpm.parse_signature(bundle["signature"])
    except Malformed as error:
        raise Refused("signature_malformed", str(error)) from error
    try:
        public = tpm.parse_public(bundle["ak_public"])
    except Malformed as error:
        raise Refused("ak_malformed", str(error)) from error
    if not tpm.signature_holds(public, signature, bundle["quote"]):
        raise Refused("quote_signature")
    return quote, public


def check_key(statement, bundle, quote, public, roots, now):
    """Returns the level of the anchor that the attestation key's chain leads to."""
    if public.attributes & tpm.REQUIRED != tpm.REQUIRED or public.attributes & tpm.DECRYPT:
        raise Refused("ak_attributes")
    if quote.qualified_signer != public.qualified_name_in_endorsement_hierarchy():
        raise Refused("ak_hierarchy")
    if statement.ak_name != public.name:
        raise Refused("ak_name_mismatch")
    try:
        chain = [certificates.Certificate(der) for der in bundle["ak_chain"]]
    except Malformed as error:
        raise Refused("ak_chain", str(error)) from error
    anchor = certificates.path(chain, [root for root, _level in roots], now)
    if anchor is None:
        raise Refused("ak_chain")
    if not {certificates.AK_EKU, certificates.AK_ENCLAVE} <= chain[0].usages:
        raise Refused("ak_purpose")
    if chain[0].public_key.public_numbers() != public.key.public_numbers():
        raise Refused("ak_certificate_mismatch")
    if chain[0].uris != [statement.node]:
        raise Refused("ak_node_mismatch")
    return next(level for root, level in roots if root is anchor)


def check_registers(bundle, quote):
    shown = bundle["pcrs"]
    if quote.banks != [(tpm.ALG_SHA256, sorted(shown))] or LOG_PCR not in shown:
        raise Refused("pcr_selection")
    if tpm.composite(shown) != quote.pcr_digest:
        raise Refused("pcr_values")
    return shown


def check_log(statement, data, registers):
    try:
        records = enclave_log.parse(data, LOG_PCR)
    except Malformed as error:
        raise Refused("log_malformed", str(error)) from error
    if enclave_log.replay(records) != registers[LOG_PCR]:
        raise Refused("log_replay")
    if len(records) != statement.log_count:
        raise Refused("log_count")
    if statement.purpose != "node":
        start, key = enclave_log.live(records, statement.enclave, statement.incarnation)
        stated = (statement.version, statement.instance, statement.owner, statement.facade, statement.spki)
        if (start["version"], start["instance"], start["owner"], start["facade"], key) != stated:
            raise Refused("log_statement_mismatch")
    return enclave_log.is_complete(records)


def check_node_logs(bundle, registers):
    """Boot log and IMA list where they are shown; the judged IMA entries."""
    if bundle["boot_log"] is not None:
        try:
            events = node_logs.parse_boot_log(bundle["boot_log"])
            replayed = node_logs.replay_boot_log(events)
        except Malformed as error:
            raise Refused("boot_log_malformed", str(error)) from error
        if any(replayed[pcr] != value for pcr, value in registers.items() if pcr not in verdicts.NOT_BOOT):
            raise Refused("boot_log_replay")
        try:
            node_logs.check_boot_data(events)
        except node_logs.DataMismatch as error:
            raise Refused("boot_log_data", str(error)) from error
    if bundle["ima_log"] is None:
        return []
    try:
        entries = node_logs.parse_ima(bundle["ima_log"])
    except Malformed as error:
        raise Refused("ima_malformed", str(error)) from error
    position = node_logs.ima_position(entries, registers[IMA_PCR])
    if position is None:
        raise Refused("ima_replay")
    return entries[:position]


def verify(data, roots, now, challenge=None):
    bundle = read_bundle(data)
    try:
        statement = statements.parse(bundle["statement"])
    except Malformed as error:
        raise Refused("statement_malformed", str(error)) from error
    statements.check_consistent(statement)
    if challenge is not None:
        check_challenge(statement, challenge)
    names = check_certificate(statement, bundle["certificate"], challenge)
    if challenge is not None:
        check_channel(statement, challenge)
    quote, public = check_quote(bundle)
    level = check_key(statement, bundle, quote, public, roots, now)
    registers = check_registers(bundle, quote)
    complete = check_log(statement, bundle["enclave_log"], registers)
    verdict = None
    if bundle["verdict"] is not None:
        anchors = [root for root, _level in roots]
        verdict = verdicts.check(bundle["verdict"], anchors, now, statement, quote, registers)
        levels = [level, verdict.level, next(each for root, each in roots if root is verdict.anchor)]
        level = min(levels, key=verdicts.LEVELS.index)
    ima = check_node_logs(bundle, registers)
    return Verified(statement, level, verdict, complete, registers, names, ima)


def read_roots(value):
    """[{certificate: base64 DER or PEM, level}] to [(certificate, level)]"""
    roots = []
    for root in value:
        text = root["certificate"]
        if text.startswith("-----BEGIN"):
            der = x509.load_pem_x509_certificate(text.encode()).public_bytes(serialization.Encoding.DER)
        else:
            der = unbase64(text)
        if root["level"] not in verdicts.LEVELS:
            raise Malformed("unknown level")
        roots.append((certificates.Certificate(der), root["level"]))
    return roots


def _short(value):
    """A value of a challenge: lower-case hex of 32 bytes, base64 of them, or a SPIFFE id; empty means none."""
    if not value:
        return b""
    if value.startswith("spiffe://"):
        return value.encode()
    return bytes.fromhex(value) if len(value) == 64 else unbase64(value)


def read_challenge(value):
    return {
        "nonce": _short(value["nonce"]),
        "audience": _short(value.get("audience")),
        "purpose": value.get("purpose", "serve"),
        "request": _short(value.get("request")),
        "channel": _short(value["channel"]) if value.get("channel") else None,
        "certificate": unbase64(value["certificate"]) if value.get("certificate") else None,
    }


def judge(data, policy, roots, now, challenge=None):
    """{"ok": True, "level": …} or {"ok": False, "code": …}"""
    try:
        verified = verify(data, roots, now, challenge)
        appraise.appraise(policy, verified)
    except Refused as refusal:
        return {"ok": False, "code": refusal.code, "detail": str(refusal)}
    return {"ok": True, "level": verified.level}


def main():
    parser = argparse.ArgumentParser(description="judge an evidence bundle")
    parser.add_argument("bundle")
    parser.add_argument("--policy", required=True)
    parser.add_argument("--at", required=True, type=int)
    parser.add_argument("--roots", help="a file of its own; without it, `roots` of the policy file")
    parser.add_argument("--challenge")
    arguments = parser.parse_args()
    with open(arguments.bundle, "rb") as file:
        data = file.read(MAX_BUNDLE + 1)
    with open(arguments.policy, "rb") as file:
        policy = strict_json(file.read())
    challenge = None
    if arguments.challenge:
        with open(arguments.challenge, "rb") as file:
            challenge = read_challenge(strict_json(file.read()))
    roots = policy.pop("roots", [])
    if arguments.roots:
        with open(arguments.roots, "rb") as file:
            roots = strict_json(file.read())
    result = judge(data, policy, read_roots(roots), arguments.at, challenge)
    print(json.dumps(result))
    return 0 if result["ok"] else 3


if __name__ == "__main__":
    sys.exit(main())
