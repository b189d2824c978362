#!/bin/bash
# Runs the demo as a plain user from a checkout that only root can use: `scripts/demo-as-user.sh [USER]`.
#
# The built programs and the examples are copied to a folder of that user's own; the user never needs the checkout,
# a compiler or a home folder. The demo itself is the same program with the same arguments.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
user=${1:-nobody}
target=${CARGO_TARGET_DIR:-target}

if [ "$(id -u)" != 0 ]; then
    echo "demo-as-user: you are a plain user already: make demo" >&2
    exit 2
fi
home=$(mktemp -d "${TMPDIR:-/tmp}/sealwright-demo.XXXXXX")
trap 'rm -rf "$home"' EXIT
mkdir -p "$home/sealwright/target/debug"
for program in sealwright sealwright-facade sealwright-middle hello; do
    cp "$target/debug/$program" "$home/sealwright/target/debug/"
done
for folder in examples testdata .tools; do
    [ -d "$folder" ] && cp -R "$folder" "$home/sealwright/"
done
uid=$(id -u "$user") gid=$(id -g "$user")
chown -R "$uid:$gid" "$home"
cd "$home/sealwright"
# An empty environment: nothing of root's may be what makes it work.
setpriv --reuid "$uid" --regid "$gid" --clear-groups -- env -i \
    HOME="$home" TMPDIR="$home" USER="$user" LANG=C.UTF-8 PATH="$home/sealwright/.tools/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
    "$home/sealwright/target/debug/sealwright" demo
