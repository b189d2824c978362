#!/bin/bash
# Schemathesis (pinned, from PyPI) against a real `up`: every operation of the API's document, all checks on, as a user with a certificate.
# `scripts/schemathesis.sh [SECONDS]`: about how long it may go on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
version=4.32.5
tools=target/tools/schemathesis-$version
if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
fi

# shellcheck disable=SC2016
SCHEMATHESIS_HOOKS=$PWD/scripts/schemathesis/hooks.py SCHEMATHESIS=$(realpath "$tools")/bin/schemathesis SECONDS_OF_RUN=$seconds \
    PYTHONDONTWRITEBYTECODE=1 exec scripts/with-up.sh bash -c '
    cd "$SEALWRIGHT_WORLD"
    exec "$SCHEMATHESIS" --config-file "$(dirname "$SCHEMATHESIS_HOOKS")/schemathesis.toml" run "$SEALWRIGHT_URL/v1/openapi.json" \
        --url "$SEALWRIGHT_URL" --tls-verify "$SEALWRIGHT_CA" --request-cert "$SEALWRIGHT_CERT" --request-cert-key "$SEALWRIGHT_KEY" \
        --checks all --max-time "$SECONDS_OF_RUN" --generation-database none --no-color'
