#!/bin/bash
# Runs a command beside a `sealwright up` of its own: `scripts/with-up.sh COMMAND [ARGUMENT...]`.
#
# The programs have to be built. The command finds SEALWRIGHT_URL, SEALWRIGHT_CA (the gateway's root), SEALWRIGHT_CERT and
# SEALWRIGHT_KEY (a client's own certificate), SEALWRIGHT_WORLD (a folder that is removed afterwards) and `sealwright` in its PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"
programs=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
world=$(mktemp -d "${TMPDIR:-/tmp}/sealwright-api.XXXXXX")
pid=
finish() {
    status=$?
    if [ -n "$pid" ] && kill -INT "$pid" 2>/dev/null; then wait "$pid" || true; fi
    [ "$status" = 0 ] || { echo "with-up: the last lines of up:" && tail -n 30 "$world/up.log"; } >&2
    rm -rf "$world"
    exit "$status"
}
trap finish EXIT

# Enclaves of root are users of their own: they have to reach the programs, wherever the checkout is.
chmod 755 "$world"
mkdir "$world/bin" "$world/config"
install -m 755 -t "$world/bin" "$programs"/sealwright "$programs"/sealwright-facade
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha256 -nodes -days 1 -subj /CN=client \
    -keyout "$world/client.key" -out "$world/client.crt" 2>/dev/null

export XDG_CONFIG_HOME="$world/config" PATH="$world/bin:$PATH"
"$world/bin/sealwright" up --data "$world/data" --ready-file "$world/ready.json" 2>"$world/up.log" &
pid=$!
for _ in $(seq 600); do
    [ -s "$world/ready.json" ] && break
    kill -0 "$pid" 2>/dev/null || { echo "with-up: up has ended" >&2 && exit 1; }
    sleep 0.2
done
[ -s "$world/ready.json" ]
read_ready() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$world/ready.json" "$1"; }

# The gateway's certificate is for `localhost`, not for an address.
SEALWRIGHT_URL=$(read_ready url | sed 's#//[^/:]*:#//localhost:#') SEALWRIGHT_CA=$(read_ready ca_file)
export SEALWRIGHT_URL SEALWRIGHT_CA SEALWRIGHT_CERT="$world/client.crt" SEALWRIGHT_KEY="$world/client.key" SEALWRIGHT_WORLD="$world"
"$@"
