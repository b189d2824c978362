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
    if verdict is None:
        yield "verdict_missing"
    elif verdict.agent_digest is None or bytes.fromhex(verdict.agent_digest) != statement.agent:
        yield "agent_not_appraised"
    if policy["agents"] and statement.agent not in policy["agents"]:
        yield "agent_unknown"
    if about_enclave and verdict is not None:
        if statement.facade not in [bytes.fromhex(each) for each in verdict.facade_digests]:
            yield "facade_not_appraised"
    if about_enclave and policy["facades"] and statement.facade not in policy["facades"]:
        yield "facade_unknown"
    if not verified.log_complete and verified.level != "simulated":
        yield "log_incomplete"


def appraise(policy, verified):
    for reason in reasons(policy, verified):
        raise Refused(reason)
