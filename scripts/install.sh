#!/bin/bash
# Installs what a bare Debian 12 with Rust lacks. Says what first. Quick and silent where nothing is missing.
#
#   scripts/install.sh [demo|test|bench|fuzz|all] [--no-root]
#
# As root it uses apt-get. As a plain user it names the one command that root has to run; for the software TPM
# alone it has a way without root: Debian's packages are unpacked into .tools/ of this checkout.
# `--no-root` takes that way even as root (tests of the way itself).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

what=all
as_root=$([ "$(id -u)" = 0 ] && echo yes || echo no)
for argument in "$@"; do
    case $argument in
        demo | test | bench | fuzz | all) what=$argument ;;
        --no-root) as_root=no ;;
        *) echo "usage: scripts/install.sh [demo|test|bench|fuzz|all] [--no-root]" >&2; exit 2 ;;
    esac
done
[ -d .tools/bin ] && export PATH="$PWD/.tools/bin:$PATH"
# A plain user's PATH often lacks the folders where nginx lives.
export PATH="$PATH:/usr/sbin:/sbin"

have() { command -v "$1" >/dev/null 2>&1; }
python_with_websockets() { /usr/bin/python3 -c 'import websockets' >/dev/null 2>&1; }
python_with_cryptography() {
    local candidate
    for candidate in "${PYTHON:-python3}" /usr/bin/python3; do
        "$candidate" -c 'import cryptography' >/dev/null 2>&1 && return 0
    done
    return 1
}

missing=()
need() { have "$1" || missing+=("${@:2}"); } # need COMMAND PACKAGE...
# Debian's gcc alone cannot link: it only recommends the C library's headers and start files.
{ have cc && [ -e /usr/include/stdio.h ]; } || missing+=(gcc libc6-dev)
# Without them cargo cannot trust the registry.
[ -e /etc/ssl/certs/ca-certificates.crt ] || [ -n "${SSL_CERT_FILE:-}${SSL_CERT_DIR:-}${CARGO_HTTP_CAINFO:-}" ] ||
    missing+=(ca-certificates)
need setpriv util-linux
need unshare util-linux
need swtpm swtpm
need swtpm_setup swtpm-tools
need swtpm_localca swtpm-tools
need certtool gnutls-bin
case $what in test | all)
    # Debian's own, of which one example is made; another python3 on the PATH does not count.
    /usr/bin/python3 -c 'import http.server' >/dev/null 2>&1 || missing+=(python3)
    need openssl openssl
    need systemd-analyze systemd
    need tpm2_checkquote tpm2-tools
    type -P kill >/dev/null || missing+=(procps) # bash has one of its own
    need nginx nginx-light
    python_with_cryptography || missing+=(python3-cryptography)
    python_with_websockets || missing+=(python3-websockets)
    python3 -c 'import ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)
    need curl curl
    need zsh zsh
    need fish fish
    need mandoc mandoc
    need faketime faketime
    need git git
    need chromium chromium
esac
case $what in test | bench | all)
    # Off the PATH: one version beside another.
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb || missing+=(postgresql)
    need node nodejs
    need npm npm
esac
case $what in fuzz | all) need g++ g++ ;; esac

if ! have cargo; then
    echo "install: cargo is missing: install Rust first (rustup), then run this again" >&2
    exit 1
fi
[ ${#missing[@]} -eq 0 ] && exit 0

readarray -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
echo "install: missing Debian packages: ${missing[*]}"

known_to_apt() { # every package has a version that apt could install
    local package
    for package in "$@"; do
        apt-cache policy "$package" 2>/dev/null | grep 'Candidate: [0-9]' >/dev/null || return 1
    done
}

install_as_root() {
    export DEBIAN_FRONTEND=noninteractive
    if ! known_to_apt "${missing[@]}"; then
        echo "install: apt-get update (the package lists do not know them)"
        apt-get update -q
    fi
    # Tests start their own nginx and PostgreSQL: keep Debian from starting them on port 80 and 5432.
    local guard=/usr/sbin/policy-rc.d started=() package
    for package in nginx-light postgresql; do
        [[ " ${missing[*]} " != *" $package "* ]] || started+=("${package%-light}")
    done
    if [ ${#started[@]} -gt 0 ] && [ ! -e $guard ]; then
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod 755 "$guard"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        echo "install: installed, but not started: ${started[*]}"
    fi
    echo "install: apt-get install --no-install-recommends ${missing[*]}"
    if ! apt-get install -q -y --no-install-recommends "${missing[@]}"; then
        echo "install: trying once more with fresh package lists"
        apt-get update -q
        apt-get install -q -y --no-install-recommends "${missing[@]}"
    fi
    if [ -d /run/systemd/system ]; then
        for package in "${started[@]}"; do systemctl disable --now "$package" >/dev/null 2>&1 || true; done
    fi
}

# Packages of the software TPM that are not there, dependencies included, unpacked below .tools/; wrappers in
# .tools/bin give them their libraries. Nothing outside this checkout is touched.
unpack_software_tpm() {
    local tools=$PWD/.tools packages program libraries
    mkdir -p "$tools/debs" "$tools/root" "$tools/bin"
    readarray -t packages < <(apt-get install --simulate --no-install-recommends swtpm swtpm-tools |
        sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    # `--no-root` on a machine that has them: take at least the TPM itself.
    [ ${#packages[@]} -gt 0 ] || packages=(swtpm swtpm-libs swtpm-tools libtpms0)
    echo "install: unpacking into .tools/: ${packages[*]}"
    if ! (cd "$tools/debs" && apt-get download -q "${packages[@]}"); then
        echo "install: no download; are the package lists old? Root can run the command above" >&2
        exit 1
    fi
    for package in "$tools"/debs/*.deb; do dpkg -x "$package" "$tools/root"; done
    rm -rf "$tools/debs"
    # Relative to the wrapper, so that a copy of the checkout works too.
    libraries=$(cd "$tools/root" && find . -name '*.so*' -printf '$root/%h\n' | sort -u | paste -sd:)
    for program in swtpm swtpm_setup swtpm_localca swtpm_cert swtpm_ioctl certtool; do
        [ -x "$tools/root/usr/bin/$program" ] || continue
        cat >"$tools/bin/$program" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/../root
LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" exec "\$root/usr/bin/$program" "\$@"
WRAPPER
        chmod 755 "$tools/bin/$program"
    done
    "$tools/bin/swtpm" --version >/dev/null
    echo "install: the software TPM is in .tools/bin; make puts it on the PATH (by hand: export PATH=\"$tools/bin:\$PATH\")"
}

if [ "$as_root" = yes ]; then
    install_as_root
    exit 0
fi

others=()
for package in "${missing[@]}"; do
    case $package in swtpm | swtpm-tools | gnutls-bin) ;; *) others+=("$package") ;; esac
done
root_command="apt-get update && apt-get install --no-install-recommends"
if [ ${#others[@]} -gt 0 ]; then
    echo "install: root has to run:   $root_command ${missing[*]}" >&2
    if [ ${#others[@]} -lt ${#missing[@]} ]; then
        echo "install: or at the least:   $root_command ${others[*]}" >&2
        echo "install: then run this again: it unpacks the software TPM into .tools/ here, without root" >&2
    fi
    exit 1
fi
echo "install: with root it would be:   $root_command ${missing[*]}"
echo "install: going on without root"
if ! have apt-get || ! known_to_apt swtpm swtpm-tools; then
    echo "install: the package lists do not know swtpm: root has to run the command above" >&2
    exit 1
fi
unpack_software_tpm
