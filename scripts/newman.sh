#!/bin/bash
# newman (pinned, from npm) runs docs/postman.json against a real `up`: from sign-up to deletion, as a client with a certificate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=target/tools/newman
if ! cmp -s scripts/newman/package-lock.json "$tools/package-lock.json" || [ ! -x "$tools/node_modules/.bin/newman" ]; then
    rm -rf "$tools" && mkdir -p "$tools"
    cp scripts/newman/package.json scripts/newman/package-lock.json "$tools/"
    (cd "$tools" && npm ci --no-audit --no-fund --ignore-scripts --loglevel error)
fi

# shellcheck disable=SC2016
NEWMAN=$(realpath "$tools")/node_modules/.bin/newman exec scripts/with-up.sh bash -c '
    set -euo pipefail
    echo "a password for publishing" | sealwright auth signup publisher --password-stdin
    sealwright app publish examples/hello/app.yaml
    node scripts/newman/prepare.mjs hello "$SEALWRIGHT_WORLD/environment.json"
    "$NEWMAN" run docs/postman.json --folder run --environment "$SEALWRIGHT_WORLD/environment.json" --bail --color off \
        --ssl-extra-ca-certs "$SEALWRIGHT_CA" --ssl-client-cert "$SEALWRIGHT_CERT" --ssl-client-key "$SEALWRIGHT_KEY" \
        --timeout-request 90000'
