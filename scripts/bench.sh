#!/bin/bash
# The figures, ratios first, machine facts beside them: `scripts/bench.sh [GROUP]...`, all by default (docs/bench.md lists them).
# Optimised programs; each figure is also a line of target/bench/GROUP.jsonl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --package bench --package sealwright --package facade --package hello

# The original's server and its packages (pinned, from npm; bcrypt brings its own binary).
if [ $# = 0 ] || [[ " $* " == *" original "* ]]; then
    fixture=crates/bench/fixtures/original tools=$target/bench/original
    if ! cmp -s "$fixture/package-lock.json" "$tools/package-lock.json" || [ ! -d "$tools/node_modules/bcrypt" ]; then
        rm -rf "$tools" && mkdir -p "$tools"
        cp "$fixture/package.json" "$fixture/package-lock.json" "$tools/"
        (cd "$tools" && npm ci --no-audit --no-fund --ignore-scripts --loglevel error)
    fi
    cp "$fixture"/*.js "$tools/"
fi

"$target/release/bench" "$@"
