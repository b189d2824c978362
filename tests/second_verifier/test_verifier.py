"""The second verifier's own tests: whole evidence made here, and one change per refusal."""

import base64
import json
import pathlib
import unittest

import enclave_log
import maker
import node_logs
import run_vectors
import statement
import tpm
import verify
from certificates import Certificate
from maker import AGENT, AUDIENCE, CHANNEL, ENCLAVE, FACADE, NODE, NONCE, NOW, SELECTION, VERSION, Maker, log_record
from wire import sha256

TESTDATA = pathlib.Path(__file__).resolve().parents[2] / "testdata"
ONE = (1).to_bytes(8, "big")


def policy(**changes):
    reference = [{"digest": VERSION.hex(), "source": "user_file"}]
    return {"min_level": "simulated", "pcrs": SELECTION, "versions": {"one_of": reference}, **changes}


class Judged(unittest.TestCase):
    def setUp(self):
        self.renew()

    def question(self):
        peer = sha256(maker.der(self.made.certificate))
        return {"nonce": NONCE, "audience": f"key:{AUDIENCE.hex()}", "purpose": "serve", "channel": CHANNEL,
                "certificate": peer, "made_at": NOW - 30, "max_age": 60}  # fmt: skip

    def renew(self):
        self.made = Maker()
        self.challenge = self.question()

    def judge(self, bundle=None, now=NOW, **changes):
        bundle = self.made.bundle() if bundle is None else bundle
        data = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
        roots = [(Certificate(maker.der(self.made.root)), "simulated")]
        result = verify.judge(data, policy(**changes), roots, now, self.challenge)
        return "ok" if result["ok"] else result["code"]

    def changed(self, field):
        """The bundle with one byte of a base64 field flipped."""
        bundle = self.made.bundle()
        data = bytearray(base64.b64decode(bundle[field]))
        data[len(data) // 2] ^= 1
        return {**bundle, field: maker.b64(bytes(data))}


class GoodEvidence(Judged):
    def test_whole_evidence_is_accepted(self):
        self.assertEqual(self.judge(), "ok")

    def test_a_batch_is_accepted(self):
        self.made.leaves = [sha256(b"another statement")]
        self.assertEqual(self.judge(), "ok")

    def test_a_record_needs_no_challenge(self):
        self.challenge = None
        self.assertEqual(self.judge(), "ok")


class Refusals(Judged):
    def test_each_changed_part_has_its_code(self):
        for field, code in (
            ("statement", "certificate_mismatch"), ("quote", "quote_malformed"), ("signature", "quote_signature"),
            ("enclave_log", "log_malformed"), ("certificate", "certificate_mismatch"),
        ):  # fmt: skip
            with self.subTest(field):
                got = self.judge(self.changed(field))
                # A flip in the middle may hit a neighbouring check; it is refused in any case.
                self.assertNotEqual(got, "ok", code)

    def test_form(self):
        bundle = self.made.bundle()
        self.assertEqual(self.judge({**bundle, "more": 1}), "evidence_malformed")
        self.assertEqual(self.judge({**bundle, "quote": bundle["quote"].rstrip("=")[:-1] + "\n"}), "evidence_malformed")
        self.assertEqual(self.judge(b'{"format":"a","format":"b"}'), "evidence_malformed")
        self.assertEqual(self.judge({**bundle, "statement": maker.b64(b"x")}), "statement_malformed")

    def test_challenge(self):
        for field, value, code in (
            ("nonce", sha256(b"other"), "nonce_mismatch"), ("audience", "", "audience_mismatch"),
            ("certificate", sha256(b"other"), "certificate_mismatch"), ("made_at", NOW - 61, "challenge_expired"),
            ("made_at", NOW + 1, "challenge_expired"),
            ("purpose", "release", "purpose_mismatch"), ("channel", sha256(b"c"), "channel_mismatch"),
        ):  # fmt: skip
            with self.subTest(field):
                self.challenge = self.question()
                self.challenge[field] = value
                self.assertEqual(self.judge(), code)

    def test_no_channel_is_no_answer_to_a_required_one(self):
        self.made.statement_changes = {"channel": b"\0\2"}
        self.assertEqual(self.judge(), "channel_missing")

    def test_quote_and_proof(self):
        bundle = self.made.bundle()
        self.assertEqual(self.judge({**bundle, "proof": {"index": 1, "count": 1, "path": []}}), "proof_invalid")
        other = {"index": 0, "count": 2, "path": [bytes(32).hex()]}
        self.assertEqual(self.judge({**bundle, "proof": other}), "quote_data_mismatch")
        self.made.magic = 0xFF544348
        self.assertEqual(self.judge(), "quote_malformed")

    def test_key(self):
        self.made.attributes = tpm.REQUIRED & ~tpm.RESTRICTED
        self.assertEqual(self.judge(), "ak_attributes")
        self.renew()
        self.made.statement_changes = {"ak_name": bytes(34)}
        self.assertEqual(self.judge(), "ak_name_mismatch")
        self.renew()
        self.made.statement_changes = {"node": b"spiffe://sealwright.internal/node/n2"}
        self.assertEqual(self.judge(), "ak_node_mismatch")
        self.renew()
        self.made.ak_certificate = self.made.verifier
        self.assertEqual(self.judge(), "ak_purpose")
        self.renew()
        self.made.issuing = Maker().issuing
        self.assertEqual(self.judge(), "ak_chain")
        self.renew()
        self.challenge = None
        self.assertEqual(self.judge(now=NOW + 90000), "ak_chain")

    def test_registers(self):
        bundle = self.made.bundle()
        self.assertEqual(self.judge({**bundle, "pcrs": {**bundle["pcrs"], "0": bytes(32).hex()}}), "pcr_values")
        fewer = {pcr: value for pcr, value in bundle["pcrs"].items() if pcr != "0"}
        self.assertEqual(self.judge({**bundle, "pcrs": fewer}), "pcr_selection")

    def test_log(self):
        start, foreign, key = self.made.log
        stop = log_record(3, enclave_log.STOP, ENCLAVE, ONE, b"asked")
        hidden_stop = log_record(3, enclave_log.STOP, ENCLAVE, ONE, b"asked", hidden=True)
        later_baseline = log_record(1, enclave_log.BASELINE, bytes(32), b"why", enclave=None)
        for log, code in (
            ([start, foreign, key, stop], "enclave_stopped"), ([start, foreign, key, hidden_stop], "log_hidden_entry"),
            ([start, foreign], "enclave_not_keyed"), ([], "enclave_never_started"),
            ([start, later_baseline], "log_malformed"),
        ):  # fmt: skip
            with self.subTest(code):
                self.made.log = log
                self.assertEqual(self.judge(), code)
        self.made.log = [start, foreign, key]
        self.made.statement_changes = {"log_count": bytes(8)}
        self.assertEqual(self.judge(), "log_count")
        self.made.statement_changes = {"version": bytes(32)}
        self.assertEqual(self.judge(), "log_statement_mismatch")
        self.made.statement_changes = {}
        other = maker.b64(start + foreign + log_record(2, enclave_log.KEY, ENCLAVE, ONE, bytes(32)))
        self.assertEqual(self.judge({**self.made.bundle(), "enclave_log": other}), "log_replay")

    def test_verdict(self):
        for field, value, code in (
            ("exp", NOW + 56, "verdict_expired"), ("iat", NOW + 6, "verdict_expired"), ("exp", NOW, "verdict_expired"),
            ("ear.status", "contraindicated", "verdict_not_affirming"), ("node", NODE + "x", "verdict_other_node"),
            ("reset_count", 6, "verdict_other_boot"), ("boot_pcrs", {}, "verdict_registers"),
            ("ak_names", {"ak-enclave": bytes(34).hex(), "ak-keylime": bytes(34).hex()}, "verdict_other_key"),
            ("agent_digest", None, "agent_not_appraised"), ("facade_digests", [], "facade_not_appraised"),
            ("iss", "spiffe://sealwright.internal/part/gateway", "verdict_chain"),
            ("eat_profile", "x", "verdict_malformed"),
        ):  # fmt: skip
            with self.subTest(field=field, code=code):
                self.made.verdict_changes = {field: value}
                self.assertEqual(self.judge(), code)
        self.made.verdict_changes = {}
        bundle = self.made.bundle(verdict=None)
        self.assertEqual(self.judge(bundle), "verdict_missing")

    def test_policy(self):
        other = [{"digest": bytes(32).hex(), "source": "operator"}]
        for change, code in (
            ({"min_level": "tpm"}, "level_simulated"), ({"pcrs": [0]}, "pcr_selection_not_policy"),
            ({"enclave": bytes(16).hex()}, "enclave_other"), ({"owner": bytes(32).hex()}, "owner_other"),
            ({"dns_name": "b-bob.enclaves.localhost"}, "dns_name_other"),
            ({"min_incarnation": 2}, "incarnation_rollback"), ({"versions": {"one_of": other}}, "version_unknown"),
            ({"agents": other}, "agent_unknown"), ({"facades": other}, "facade_unknown"),
        ):  # fmt: skip
            with self.subTest(code):
                self.assertEqual(self.judge(**change), code)
        fitting = {"agents": [{"digest": AGENT.hex(), "source": "user_file"}], "versions": "any",
                   "facades": [{"digest": FACADE.hex(), "source": "user_file"}], "min_incarnation": 1,
                   "dns_name": "a-alice.enclaves.localhost", "enclave": ENCLAVE.hex()}  # fmt: skip
        self.assertEqual(self.judge(**fitting), "ok")


class Trees(unittest.TestCase):
    def test_every_place_of_every_size_proves_and_nothing_else(self):
        def path(index, leaves):
            if len(leaves) == 1:
                return []
            split = 1
            while split * 2 < len(leaves):
                split *= 2
            left, right = leaves[:split], leaves[split:]
            if index < split:
                return [*path(index, left), statement.tree_root(right)]
            return [*path(index - split, right), statement.tree_root(left)]

        for size in range(1, 18):
            leaves = [sha256(bytes([each])) for each in range(size)]
            root = statement.tree_root(leaves)
            for index in range(size):
                proof = {"leaf": leaves[index].hex(), "index": index, "count": size,
                         "path": [each.hex() for each in path(index, leaves)], "root": root.hex()}  # fmt: skip
                self.assertEqual(run_vectors.tree_outcome(proof), "ok")
                longer = {**proof, "path": [*proof["path"], bytes(32).hex()]}
                self.assertEqual(run_vectors.tree_outcome(longer), "proof_invalid")
                if proof["path"]:
                    self.assertEqual(run_vectors.tree_outcome({**proof, "path": proof["path"][:-1]}), "proof_invalid")


class RecordedLogs(unittest.TestCase):
    """The files of testdata/ give the verdicts of their tables."""

    def boot(self, name):
        return node_logs.parse_boot_log((TESTDATA / "tpm" / f"{name}.bin").read_bytes())

    def test_boot_logs_replay_to_the_registers_of_their_machines(self):
        for name in ("ubuntu-2104-no-secure-boot", "ubuntu-2404-amd-sevsnp", "cos-101-amd-sev"):
            with self.subTest(name):
                banks = json.loads((TESTDATA / "tpm" / f"{name}.pcrs.json").read_text())
                events = self.boot(name)
                replayed = node_logs.replay_boot_log(events)
                node_logs.check_boot_data(events)
                for pcr, value in banks["sha256"].items():
                    self.assertEqual(replayed[int(pcr)].hex(), value.removeprefix("0x"), f"PCR {pcr}")

    def test_tampered_boot_logs_are_found(self):
        with self.assertRaises(node_logs.DataMismatch):
            node_logs.check_boot_data(self.boot("ubuntu-2404-amd-sevsnp.tampered-event-data"))
        good = node_logs.replay_boot_log(self.boot("ubuntu-2404-amd-sevsnp"))
        self.assertNotEqual(good, node_logs.replay_boot_log(self.boot("ubuntu-2404-amd-sevsnp.tampered-digest")))
        with self.assertRaises(node_logs.Malformed):
            self.boot("bogus")

    def test_ima_lists_replay(self):
        quoted = bytes.fromhex("c4a065637fc6a7c55f2811dd06cb45dd037133be2b3dc5c3e6fbe6bf061db724")
        entries = node_logs.parse_ima((TESTDATA / "ima/ascii_runtime_measurements").read_bytes())
        self.assertEqual(node_logs.ima_position(entries, quoted), 826)
        name = "ima/ascii_runtime_measurements.tampered-removed-line-400"
        tampered = node_logs.parse_ima((TESTDATA / name).read_bytes())
        self.assertIsNone(node_logs.ima_position(tampered, quoted))


if __name__ == "__main__":
    unittest.main()
