#!/bin/bash
# Changes the code of a crate in every way that cargo-mutants knows and tells which changes no test notices.
# scripts/mutants.sh [CRATE...]        without: evidence and appraisal. Survivors with their reasons: docs/mutants.md
# MUTANTS_ARGS: more arguments, for example "--file crates/evidence/src/examine.rs" or "--jobs 4".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! cargo mutants --version >/dev/null 2>&1; then
    echo "mutants: cargo install --locked cargo-mutants" >&2
    exit 1
fi
crates=("$@")
[ ${#crates[@]} -gt 0 ] || crates=(evidence appraisal)
packages=()
for crate in "${crates[@]}"; do packages+=(--package "$crate"); done
mkdir -p target
# The tests that change one byte after another take most of the time, and others see the same mutants.
# shellcheck disable=SC2086
exec nice -n 10 cargo mutants "${packages[@]}" --jobs 1 --timeout 120 --output target --no-shuffle ${MUTANTS_ARGS:-} \
    -- --lib --tests -- --skip flips::
