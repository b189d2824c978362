#!/usr/bin/env python3
"""Runs the second verifier over the committed vectors: `run_vectors.py [testdata/vectors]`.

An evidence vector is {name, bundle, challenge, roots, policy, at, expect: "ok" or a reason code}; a tree vector is
{name, tree: {…}}. Prints each disagreement, then one line with the totals; exits 1 where there is one.
"""

import json
import pathlib
import sys

import statement
import verify
from wire import Malformed, strict_json, unhex


def evidence_outcome(vector):
    bundle = vector["bundle"]
    data = bundle.encode() if isinstance(bundle, str) else json.dumps(bundle).encode()
    challenge = verify.read_challenge(vector["challenge"]) if vector.get("challenge") else None
    result = verify.judge(data, vector["policy"], verify.read_roots(vector["roots"]), vector["at"], challenge)
    return "ok" if result["ok"] else result["code"]


def tree_outcome(tree):
    """{leaf | statement, index, count, path, root?, quote_data?}: "ok" where the proof leads to the root."""
    try:
        first = unhex(tree["leaf"], 32) if "leaf" in tree else statement.leaf(bytes.fromhex(tree["statement"]))
        root = statement.root_of(first, tree["index"], tree["count"], [unhex(each, 32) for each in tree["path"]])
    except Malformed:
        return "proof_invalid"
    if "root" in tree and root != unhex(tree["root"], 32):
        return "quote_data_mismatch"
    if "quote_data" in tree and statement.quote_data(tree["count"], root) != unhex(tree["quote_data"], 32):
        return "quote_data_mismatch"
    return "ok"


def vectors(folder):
    for path in sorted(pathlib.Path(folder).glob("**/*.json")):
        content = strict_json(path.read_bytes())
        listed = content if isinstance(content, list) else content.get("vectors", [content])
        for place, vector in enumerate(listed):
            yield f"{path.name}: {vector.get('name', place)}", vector


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else "testdata/vectors"
    agreed = disagreed = 0
    for name, vector in vectors(folder):
        try:
            outcome = tree_outcome(vector["tree"]) if "tree" in vector else evidence_outcome(vector)
        except Exception as error:  # a crash is a disagreement, and the next vector still runs
            outcome = f"crash: {error!r}"
        if outcome == vector["expect"]:
            agreed += 1
        else:
            disagreed += 1
            print(f"{name}: expected {vector['expect']}, the second verifier says {outcome}")
    print(f"second verifier: {agreed} vectors agreed, {disagreed} disagreed")
    return 1 if disagreed else 0


if __name__ == "__main__":
    sys.exit(main())
