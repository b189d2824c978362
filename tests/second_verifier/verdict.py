"""The verifier's word on a node (docs/formats.md, Verdict)."""

from dataclasses import dataclass

import certificates
from wire import Malformed, Refused, unhex, whole

TYPE = "sealwright-verdict+jwt"
PROFILE = "tag:sealwright.internal,2026:verdict/v1"
MAX_LIFE, MAX_SKEW = 60, 5
LEVELS = ["simulated", "virtual", "tpm", "tee"]
NOT_BOOT = (10, 13)


@dataclass(frozen=True)
class Verdict:
    level: str
    node: str
    status: str
    ak_name: bytes
    reset_count: int
    restart_count: int
    boot: dict
    policy_id: str
    policy_digest: str
    agent_digest: str
    facade_digests: list
    anchor: object


def _claims(claims):
    node = claims["submods"]["node"]
    if node["level"] not in LEVELS:
        raise Malformed("unknown level")
    boot = {whole(int(pcr), 23): unhex(value, 32) for pcr, value in node["boot_pcrs"].items()}
    if {str(pcr) for pcr in boot} != set(node["boot_pcrs"]):
        raise Malformed("a register in another form")
    whole(node["ima_position"])
    if node["agent_digest"] is not None:
        unhex(node["agent_digest"], 32)
    for digest in node["facade_digests"]:
        unhex(digest, 32)
    return dict(
        level=node["level"],
        node=node["node"],
        status=node["ear.status"],
        ak_name=unhex(node["ak_names"]["ak-enclave"], 34),
        reset_count=whole(node["reset_count"], 0xFFFFFFFF),
        restart_count=whole(node["restart_count"], 0xFFFFFFFF),
        boot=boot,
        policy_id=node["policy"]["id"],
        policy_digest=node["policy"]["digest"],
        agent_digest=node["agent_digest"],
        facade_digests=node["facade_digests"],
    )


def check(text, anchors, now, statement, quote, registers):
    try:
        token = certificates.Token(text)
        if token.header.get("typ") != TYPE or token.claims.get("eat_profile") != PROFILE:
            raise Malformed("another kind of token")
        chain = token.chain()
        claims = _claims(token.claims)
        issued, expires = whole(token.claims["iat"]), whole(token.claims["exp"])
        issuer = token.claims["iss"]
    except (Malformed, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused("verdict_malformed", str(error)) from error
    anchor = certificates.path(chain, anchors, now)
    leaf = chain[0]
    if anchor is None or certificates.VERIFIER_PART not in leaf.usages:
        raise Refused("verdict_chain")
    if leaf.uris != [issuer]:
        raise Refused("verdict_chain", "the issuer is not the certificate's subject")
    if not token.signature_holds(leaf.public_key):
        raise Refused("verdict_signature")
    if expires < issued:
        raise Refused("verdict_malformed", "it ends before it begins")
    if issued > now + MAX_SKEW or now >= expires or expires - issued > MAX_LIFE:
        raise Refused("verdict_expired")
    verdict = Verdict(anchor=anchor, **claims)
    if verdict.status != "affirming":
        raise Refused("verdict_not_affirming")
    if verdict.ak_name != statement.ak_name:
        raise Refused("verdict_other_key")
    if verdict.node != statement.node:
        raise Refused("verdict_other_node")
    if (verdict.reset_count, verdict.restart_count) != (quote.reset_count, quote.restart_count):
        raise Refused("verdict_other_boot")
    if verdict.boot != {pcr: value for pcr, value in registers.items() if pcr not in NOT_BOOT}:
        raise Refused("verdict_registers")
    return verdict
