#!/bin/bash
# The pages in a real browser: `sealwright up`, Chromium, a virtual authenticator. Needs the built programs
# (SEALWRIGHT_PROGRAMS names another folder than target/debug); PICTURES=FOLDER keeps screenshots.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../tests/browser"

for program in node npm "${CHROMIUM:-/usr/bin/chromium}"; do
    command -v "$program" >/dev/null || { echo "browser: $program is missing: scripts/install.sh test" >&2; exit 1; }
done
npm ci --ignore-scripts --no-audit --no-fund --silent
node --test --test-concurrency=1 --test-timeout=180000 "$@"
