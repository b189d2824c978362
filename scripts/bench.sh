#!/bin/bash
# The figures of issue 2, ratios first, machine facts beside them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"
echo "machine: $(uname -srm), $(nproc) cpus, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | sort -u | paste -sd,), load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "tools:   $(rustc --version), $(swtpm --version 2>/dev/null | head -1)"
cargo build --release --package sealwright --package facade --package hello
cargo bench --workspace
