#!/bin/bash
# The figures, ratios first, machine facts beside them: `scripts/bench.sh [verify|batch|create|facade]...`, all by default.
# Optimised programs; each figure is also a line of target/bench/GROUP.jsonl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"
target=${CARGO_TARGET_DIR:-target}
cargo build --release --package bench --package sealwright --package facade --package hello
"$target/release/bench" "$@"
