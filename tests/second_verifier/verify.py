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
    log_begins_late: bool
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


def check_challenge(statement, challenge, now):
    """Is it the answer to this question, asked by this client on this connection, now?"""
    made_at = challenge.get("made_at", now)
    if now < made_at or now - made_at > challenge.get("max_age", 0):
        raise Refused("challenge_expired")
    if statement.purpose != challenge["purpose"]:
        raise Refused("purpose_mismatch")
    if statement.nonce != challenge["nonce"]:
        raise Refused("nonce_mismatch")
    serve = challenge["purpose"] == "serve"
    # Before the audience: somebody in the middle fails both, and this is the one to tell about.
    if serve and challenge["certificate"] not in (None, statement.certificate):
        raise Refused("certificate_mismatch")
    if statement.audience != challenge["audience"]:
        raise Refused("audience_mismatch")
    if challenge["purpose"] == "issue":
        if statement.request != challenge["request"]:
            raise Refused("request_mismatch")
        if statement.spki != challenge["spki"]:
            raise Refused("request_key_mismatch")
    if serve:
        if challenge["channel"] is not None and not statement.channel:
            raise Refused("channel_missing")
        if challenge["channel"] not in (None, statement.channel):
            raise Refused("channel_mismatch")


def check_certificate(statement, der):
    """The enclave's certificate: present unless it does not exist yet, the stated one, of the stated key, its name.

    Returns the DNS names in it.
    """
    if not statement.certificate:
        return []
    if der is None:
        raise Refused("certificate_missing")
    if sha256(der) != statement.certificate:
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


def check_quote(bundle):
    """The quote speaks of this statement; its signature comes later, with the key."""
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
    return quote


def check_key(statement, bundle, quote):
    """The quoting key is of the right kind, is the stated one, and signed the quote."""
    try:
        public = tpm.parse_public(bundle["ak_public"])
    except Malformed as error:
        raise Refused("ak_malformed", str(error)) from error
    if public.attributes & tpm.REQUIRED != tpm.REQUIRED or public.attributes & tpm.DECRYPT:
        raise Refused("ak_attributes")
    if statement.ak_name != public.name:
        raise Refused("ak_name_mismatch")
    if quote.qualified_signer != public.qualified_name_in_endorsement_hierarchy():
        raise Refused("ak_hierarchy")
    try:
        signature = tpm.parse_signature(bundle["signature"])
    except Malformed as error:
        raise Refused("signature_malformed", str(error)) from error
    if not tpm.signature_holds(public, signature, bundle["quote"]):
        raise Refused("quote_signature")
    return public


def check_key_certificate(statement, bundle, public, roots, now):
    """Returns the level of the anchor that the attestation key's chain leads to."""
    try:
        chain = [certificates.Certificate(der) for der in bundle["ak_chain"]]
    except Malformed as error:
        raise Refused("ak_chain", str(error)) from error
    if chain and certificates.leaf_lacks_purpose(chain[0], certificates.AK_ENCLAVE, now):
        raise Refused("ak_purpose")
    anchor = certificates.path(chain, [root for root, _level in roots], now)
    if anchor is None:
        raise Refused("ak_chain")
    if chain[0].public_key.public_numbers() != public.key.public_numbers():
        raise Refused("ak_certificate_mismatch")
    if chain[0].uris != [statement.node]:
        raise Refused("ak_node_mismatch")
    return next(level for root, level in roots if root is anchor)


def check_registers(bundle, quote):
    shown = bundle["pcrs"]
    if quote.banks != [(tpm.ALG_SHA256, sorted(shown))]:
        raise Refused("pcr_selection")
    if tpm.composite(shown) != quote.pcr_digest:
        raise Refused("pcr_values")
    return shown


def check_log(statement, data, registers):
    try:
        records = enclave_log.parse(data, LOG_PCR)
    except Malformed as error:
        raise Refused("log_malformed", str(error)) from error
    if len(records) != statement.log_count:
        raise Refused("log_count")
    if enclave_log.replay(records) != registers.get(LOG_PCR):
        raise Refused("log_replay")
    if statement.purpose != "node":
        start, key = enclave_log.live(records, statement.enclave)
        stated = (
            statement.incarnation, statement.version, statement.instance, statement.owner, statement.facade, statement.spki,
        )  # fmt: skip
        if (start["incarnation"], start["version"], start["instance"], start["owner"], start["facade"], key) != stated:
            raise Refused("log_statement_mismatch")
    return enclave_log.begins_late(records)


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
    position = node_logs.ima_position(entries, registers.get(IMA_PCR))
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
        check_challenge(statement, challenge, now)
    names = check_certificate(statement, bundle["certificate"])
    quote = check_quote(bundle)
    public = check_key(statement, bundle, quote)
    level = check_key_certificate(statement, bundle, public, roots, now)
    registers = check_registers(bundle, quote)
    late = check_log(statement, bundle["enclave_log"], registers)
    verdict = None
    if bundle["verdict"] is not None:
        anchors = [root for root, _level in roots]
        verdict = verdicts.check(bundle["verdict"], anchors, now, statement, quote, registers)
        levels = [level, verdict.level, next(each for root, each in roots if root is verdict.anchor)]
        level = min(levels, key=verdicts.LEVELS.index)
    ima = check_node_logs(bundle, registers)
    if statement.purpose == "node" and (bundle["boot_log"] is None or bundle["ima_log"] is None):
        raise Refused("node_logs_missing")
    return Verified(statement, level, verdict, late, registers, names, ima)


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


def _value(value):
    """32 bytes, as lower-case hex or as base64."""
    return unhex(value, 32) if len(value) == 64 else unbase64(value)


def _audience(value):
    if not value or value.startswith("spiffe://"):
        return value or ""
    return f"key:{_value(value).hex()}"


def read_challenge(value):
    challenge = {
        "nonce": _value(value["nonce"]),
        "audience": _audience(value.get("audience")),
        "purpose": value.get("purpose", "serve"),
    }
    for name in ("channel", "certificate", "request", "spki"):
        challenge[name] = _value(value[name]) if value.get(name) else None
    for name in ("made_at", "max_age"):
        if name in value:
            challenge[name] = whole(value[name])
    return challenge


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
