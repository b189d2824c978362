#!/bin/bash
# Runs the built command: `scripts/run.sh demo|up [ARGUMENT...]`.
#
# Root's enclaves are users of their own, who have to reach the facade and the data folder. A checkout below root's
# home is closed to them (Debian's /root is): then copies of the programs run, and `up` keeps its data elsewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
programs=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
verb=$1
shift

as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"; }
if [ "$(id -u)" != 0 ] || ! as_nobody true 2>/dev/null || as_nobody test -x "$programs/sealwright-facade"; then
    exec "$programs/sealwright" "$verb" "$@"
fi

copy_to() {
    mkdir -p -m 755 "$1"
    install -m 755 -t "$1" "$programs"/sealwright{,-facade,-middle}
    echo "run: $PWD is closed to the enclaves' users, so copies of the programs run from $1"
}
case $verb in
    up)
        copy_to /var/lib/sealwright/programs
        case " $* " in *" --data"*) ;; *) set -- --data /var/lib/sealwright/data "$@" ;; esac
        exec /var/lib/sealwright/programs/sealwright up "$@"
        ;;
    *)
        copies=$(mktemp -d "${TMPDIR:-/tmp}/sealwright-programs.XXXXXX")
        chmod 755 "$copies"
        trap 'rm -rf "$copies"' EXIT
        copy_to "$copies"
        "$copies/sealwright" "$verb" "$@"
        ;;
esac
