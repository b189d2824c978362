#!/bin/bash
# kill -9 of `up`, over and over, at random moments of random work: `scripts/soak.sh [KILLS]`, a thousand by default.
#
# SEALWRIGHT_TEST_SEED=… repeats a run's choices; the test prints it. Nothing acknowledged may be lost, nothing may be left running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"
cargo build --package sealwright --package facade --package middle --package hello
export SEALWRIGHT_TEST_KILLS=${1:-1000}
cargo test --package testbed --test system -- --nocapture --exact \
    random_kills::up_killed_at_random_loses_nothing_acknowledged_and_leaves_no_orphan
