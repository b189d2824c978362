#!/bin/bash
# Fuzzes every parser of bytes that the other side controls.
#
#   scripts/fuzz.sh SECONDS [TARGET...]   libFuzzer, that long for each target (stable Rust and g++)
#   scripts/fuzz.sh replay                every input of the committed corpus once, without libFuzzer and g++
#   scripts/fuzz.sh list
#
# New inputs are kept in fuzz/target/found/TARGET, inputs that broke something in fuzz/artifacts: reduce them, commit
# them to fuzz/corpus/TARGET with the fix, so that the replay has them from then on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
manifest=fuzz/Cargo.toml
export CARGO_TARGET_DIR=$PWD/fuzz/target

usage() { sed -n '4,6s/^# *//p' "$0" >&2; exit 2; }

targets() { sed -n 's/.*Target { name: "\([a-z0-9_]*\)".*/\1/p' fuzz/targets/src/lib.rs; }

replay() {
    cargo build --quiet --manifest-path $manifest --package targets
    local output
    if ! output=$("$CARGO_TARGET_DIR/debug/replay" fuzz/corpus 2>&1); then
        # The last path named is the input that broke something.
        tail -n 20 <<<"$output" >&2
        return 1
    fi
    echo "corpus: $(grep -c . <<<"$output") inputs replayed"
}

# Coverage counters in the pure crates and what they use, by the passes that stable Rust has.
build_with_coverage() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p')
    export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
    # `--target` keeps the flags away from build scripts.
    cargo build --quiet --manifest-path $manifest --package fuzz --release --target "$host"
    program=$CARGO_TARGET_DIR/$host/release/fuzz
}

fuzz() { # fuzz SECONDS TARGET...
    local seconds=$1 target found failed=()
    shift
    build_with_coverage
    mkdir -p fuzz/artifacts
    for target in "$@"; do
        found=$CARGO_TARGET_DIR/found/$target
        mkdir -p "$found"
        echo "== $target, $seconds s"
        if ! FUZZ_TARGET=$target "$program" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
            -artifact_prefix="fuzz/artifacts/$target-" -print_final_stats=1 "$found" "fuzz/corpus/$target" \
            >"$found.log" 2>&1; then
            failed+=("$target")
            tail -n 40 "$found.log" >&2
        fi
        grep -E '^stat::(number_of_executed_units|new_units_added)' "$found.log" | tr -s ' ' || true
    done
    if [ ${#failed[@]} -gt 0 ]; then
        echo "fuzz: broken: ${failed[*]}; the inputs are in fuzz/artifacts" >&2
        return 1
    fi
}

case ${1:-} in
    replay) replay ;;
    list) targets ;;
    '' | *[!0-9]*) usage ;;
    *)
        seconds=$1
        shift
        if [ $# = 0 ]; then
            readarray -t all < <(targets)
            set -- "${all[@]}"
        fi
        fuzz "$seconds" "$@"
        ;;
esac
