# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What deploy/run and tests/run share: which Debian package brings what, and how to get what is missing.
# A line is PACKAGE KIND:NAME; it is there already when the command, the pkg-config module or the file is.

apt_log=${TMPDIR:-/tmp}/jotgate-apt-$(id -u).log

# shellcheck disable=SC2034  # used by who sources this
build_needs='
gcc command:gcc
libc6-dev file:/usr/include/stdio.h
meson command:meson
ninja-build command:ninja
pkg-config command:pkg-config
libmicrohttpd-dev module:libmicrohttpd
libjansson-dev module:jansson
libssl-dev module:libssl
libcurl4-openssl-dev module:libcurl
libjwt-dev module:libjwt
libyaml-dev module:yaml-0.1
libhiredis-dev module:hiredis
ca-certificates file:/etc/ssl/certs/ca-certificates.crt
tzdata file:/usr/share/zoneinfo/Europe/Berlin
'

has() {
    case $1 in
    command:*) command -v "${1#*:}" >/dev/null 2>&1 ;;
    module:*) pkg-config --exists "${1#*:}" 2>/dev/null ;;
    file:*) [ -e "${1#*:}" ] ;;
    esac
}

# install_missing NEEDS: says what it installs, asks nothing, is silent when nothing is missing.
install_missing() {
    local package what
    local -a missing=() as_root=()
    while read -r package what; do
        [ -z "$package" ] || has "$what" || missing+=("$package")
    done <<<"$1"
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "missing: ${missing[*]} (Debian's names; without apt-get they must be installed by hand)" >&2
        return 1
    fi
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    echo "installing with apt-get: ${missing[*]}"
    # RUNLEVEL=1: servers that come along (redis, nginx) are not started.
    if ! { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$apt_log" 2>&1; then
        tail -n 20 "$apt_log" >&2
        echo "apt-get failed; its whole output is in $apt_log" >&2
        return 1
    fi
}

# What ships: across files (lto) a request costs a tenth fewer instructions.
# shellcheck disable=SC2034  # used by who sources this
release_options=(--buildtype=release -Db_lto=true)

# prepare_build DIR MESON-OPTIONS…: the build directory, set up once, and again when it is asked for with other options.
prepare_build() {
    local dir=$1
    shift
    if [ ! -f "$dir/build.ninja" ]; then
        rm -rf "$dir"
        quiet meson setup "$dir" "$@"
    elif [ "$(cat "$dir/jotgate-options" 2>/dev/null)" != "$*" ]; then
        quiet meson configure "$dir" "$@"
    fi && echo "$*" >"$dir/jotgate-options"
}

# quiet COMMAND…: its output only if it fails.
quiet() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ $status = 0 ] || cat "$log" >&2
    rm -f "$log"
    return $status
}
