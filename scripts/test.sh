#!/bin/bash
# Every test: the workspace, the second verifier on the committed vectors, the fuzz corpus, the pages in a real browser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"

echo "== second verifier"
scripts/second-verifier.sh
if [ -x scripts/fuzz.sh ]; then
    echo "== corpus replay"
    scripts/fuzz.sh replay
fi
# Some tests start the real programs, so these have to be there.
echo "== workspace"
cargo build --package sealwright --package facade --package middle --package hello
mkdir -p target
rm -f target/contract.log
status=0
echo "== pages in a browser"
CONTRACT_LOG="$PWD/target/contract.log" scripts/browser.sh || status=$?
echo "== tests of the workspace"
CONTRACT_LOG="$PWD/target/contract.log" cargo test --workspace --no-fail-fast 2>&1 | tee target/test.log || status=$?
awk '/^test result: / { passed += $4; failed += $6; skipped += $8 }
     END { printf "tests: %d passed, %d failed, %d skipped\n", passed, failed, skipped }' target/test.log
# Which operations of the API's document some test has had succeed.
cargo xtask covered target/contract.log || status=1
exit "$status"
