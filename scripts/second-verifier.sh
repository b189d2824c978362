#!/bin/bash
# The second verifier (Python) against its own tests and all committed vectors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for candidate in "${PYTHON:-python3}" /usr/bin/python3; do
    if "$candidate" -c 'import cryptography' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "second-verifier: no python3 with the cryptography package: scripts/install.sh test" >&2
    exit 1
fi
export PYTHONDONTWRITEBYTECODE=1
"$python" -m unittest discover --quiet --start-directory tests/second_verifier --pattern 'test_*.py'
"$python" tests/second_verifier/run_vectors.py testdata/vectors
