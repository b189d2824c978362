"""The second verifier of licence files on the committed vectors, and on each changed byte of a good one."""

import json
import unittest

import license_file
import make_license_vectors


class LicenseFiles(unittest.TestCase):
    def setUp(self):
        self.vectors = json.loads(make_license_vectors.OUT.read_text())
        self.keys = [bytes.fromhex(key) for key in self.vectors["keys"]]

    def outcome(self, text, now):
        try:
            license_file.verify(text, self.keys, now)
        except license_file.Refused as refused:
            return refused.code
        return "ok"

    def test_license_file_vectors(self):
        for case in self.vectors["cases"]:
            with self.subTest(case["name"]):
                self.assertEqual(self.outcome(case["file"], case["now"]), case["expect"])

    def test_a_changed_byte_of_a_license_file_is_noticed(self):
        case = self.vectors["cases"][0]
        text = case["file"]
        for position in range(len(text)):
            changed = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
            self.assertNotEqual(self.outcome(changed, case["now"]), "ok", position)


if __name__ == "__main__":
    unittest.main()
