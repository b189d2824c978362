"""A trust policy against verified evidence (docs/formats.md, Trust policy). The first reason why not is raised."""

from wire import Malformed, Refused, unhex, whole

LEVELS = ["simulated", "virtual", "tpm", "tee"]
SOURCES = {"user_file", "publisher_signature", "operator", "first_use"}
REQUIRED = {"min_level", "pcrs", "versions"}
OPTIONAL = {"enclave", "owner", "dns_name", "min_incarnation", "agents", "facades"}


def references(value):
    digests = []
    for reference in value:
        if set(reference) != {"digest", "source"} or reference["source"] not in SOURCES:
            raise Malformed("not a reference value")
        digests.append(unhex(reference["digest"], 32))
    return digests


def read(policy):
    """Checks the policy's own form."""
    if not REQUIRED <= set(policy) <= REQUIRED | OPTIONAL or policy["min_level"] not in LEVELS:
        raise Malformed("not a trust policy")
    versions = policy["versions"]
    if versions != "any" and set(versions) != {"one_of"}:
        raise Malformed("neither any version nor one of some")
    enclave, owner = policy.get("enclave"), policy.get("owner")
    return {
        "min_level": policy["min_level"],
        "pcrs": [whole(pcr, 23) for pcr in policy["pcrs"]],
        "versions": None if versions == "any" else references(versions["one_of"]),
        "enclave": None if enclave is None else unhex(enclave, 16),
        "owner": None if owner is None else unhex(owner, 32),
        "dns_name": policy.get("dns_name"),
        "min_incarnation": whole(policy.get("min_incarnation", 0)),
        "agents": references(policy.get("agents", [])),
        "facades": references(policy.get("facades", [])),
    }


def reasons(policy, verified):
    """Every reason code that stands against it, in the documented order."""
    policy = read(policy)
    statement, verdict = verified.statement, verified.verdict
    about_enclave = statement.purpose != "node"
    if LEVELS.index(verified.level) < LEVELS.index(policy["min_level"]):
        yield "level_simulated" if verified.level == "simulated" else "level_too_low"
    if sorted(verified.registers) != policy["pcrs"]:
        yield "pcr_selection_not_policy"
    if policy["enclave"] is not None and statement.enclave != policy["enclave"]:
        yield "enclave_other"
    if policy["owner"] is not None and statement.owner != policy["owner"]:
        yield "owner_other"
    if policy["dns_name"] is not None and verified.dns_names != [policy["dns_name"]]:
        yield "dns_name_other"
    if about_enclave and statement.incarnation < policy["min_incarnation"]:
        yield "incarnation_rollback"
    if policy["versions"] is not None and statement.version not in policy["versions"]:
        yield "version_unknown"
    yield from software(statement.agent, verdict and [verdict.agent_digest], policy["agents"], "agent")
    if about_enclave:
        yield from software(statement.facade, verdict and verdict.facade_digests, policy["facades"], "facade")
    if verified.log_begins_late and verified.level != "simulated":
        yield "log_incomplete"


def software(digest, appraised, pins, name):
    """What the TPM quotes is the agent's word: agent and facade must be appraised, and be the pinned ones."""
    if appraised is None:
        yield "verdict_missing"
    elif digest.hex() not in appraised:
        yield f"{name}_not_appraised"
    elif pins and digest not in pins:
        yield f"{name}_unknown"


def appraise(policy, verified):
    for reason in reasons(policy, verified):
        raise Refused(reason)
