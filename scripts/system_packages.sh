#!/bin/sh
# Install the system packages devicekit uses where they are missing: ngspice (SPICE steps) and, with --tests,
# Chromium with its driver (the test that opens the report page) and a C compiler.
# What stays missing is named with what that costs. Exit code: 0 all there; 1 an installation failed;
# 3 nobody here has the right to install (no root, no sudo without a password) or there is no known package manager.
set -u

for_tests=no
[ "${1:-}" = "--tests" ] && for_tests=yes

has_ngspice() {
    # PySpice drives the shared library; the program itself is not needed.
    ldconfig -p 2>/dev/null | grep -q 'libngspice\.so' && return 0
    for folder in /usr/local/lib /opt/homebrew/lib /usr/lib64; do
        ls "$folder"/libngspice.* >/dev/null 2>&1 && return 0
    done
    return 1
}

has_chromium() {
    { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1 \
        && command -v chromedriver >/dev/null 2>&1
}

has_compiler() {
    command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo "$@"
    else return 1
    fi
}

can_install() {
    command -v brew >/dev/null 2>&1 && return 0
    { command -v apt-get || command -v dnf; } >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; }
}

install() { # package names for apt, dnf, brew
    if command -v apt-get >/dev/null 2>&1; then
        as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $1 >/dev/null
    elif command -v dnf >/dev/null 2>&1; then
        as_root dnf install -y -q $2
    else
        brew install --quiet $3
    fi
}

status=0
need() { # check, what, packages for apt, dnf, brew, what its absence costs
    "$1" && return
    if can_install; then
        echo "Installing $2 ..."
        install "$3" "$4" "$5" || true
        "$1" && return
        status=1
        echo "$2 could not be installed: $6" >&2
    else
        [ $status = 0 ] && status=3
        echo "$2 is missing, and installing it needs root rights and apt or dnf, or brew: $6" >&2
    fi
}

need has_ngspice ngspice "ngspice libngspice0" "ngspice libngspice" libngspice \
    "everything but the SPICE steps works without it; those use recorded values and say so."
if [ $for_tests = yes ]; then
    need has_chromium "Chromium with its driver" "chromium chromium-driver" "chromium chromedriver" "chromium chromedriver" \
        "the test that opens the report page is skipped."
    need has_compiler "a C compiler" "gcc libc6-dev" gcc gcc "the tests of the compiled kernels are skipped."
fi
exit $status
