# prepare.sh - what a machine needs before rondo can be built on it. To be sourced, by bash.
#
#   prepare_packages [PACKAGE...]        what the build needs, and these: installed with apt-get by
#                                        root, else the command to type is printed and 1 returned
#   prepare_llhttp DIR                   finds llhttp, or unpacks its sources into DIR/llhttp without
#                                        installing them; the cmake option, if any is needed, goes
#                                        into prepare_llhttp_option
#   prepare_build DIR [CMAKE-OPTION...]  configures and builds there, llhttp included
#
# They say in a line what they do, and return 1 with the reason on stderr when it cannot be done.

# shellcheck shell=bash
prepare_source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
prepare_llhttp_option=

# Whether what this package is wanted for is there, wherever it came from.
prepare_has() {
    case $1 in
    gcc) command -v cc ;;
    libc6-dev) test -e /usr/include/stdlib.h ;;
    ninja-build) command -v ninja || command -v make ;;
    cmake | pkg-config | file) command -v "$1" ;;
    dpkg-dev) command -v dpkg-shlibdeps ;;
    libconfig-dev) pkg-config --exists libconfig ;;
    libc-ares-dev) pkg-config --exists libcares ;;
    libjansson-dev) pkg-config --exists jansson ;;
    uthash-dev) test -e /usr/include/utlist.h ;;
    libllhttp-dev) pkg-config --exists libllhttp || test -e /usr/share/llhttp/llhttp.c ;;
    *) dpkg-query -W -f '${db:Status-Status}' "$1" | grep -qx installed ;;
    esac > /dev/null 2>&1
}

# Whether apt-get could install this package, as far as it knows now.
prepare_is_offered() {
    apt-cache policy "$1" 2> /dev/null | grep -q 'Candidate: [^(]'
}

# Whether llhttp is to be had as a library (from Debian 13 on), even before any list was fetched.
prepare_llhttp_is_offered() {
    if prepare_is_offered libc6-dev; then
        prepare_is_offered libllhttp-dev
    else
        ! grep -q '^VERSION_ID="12"' /etc/os-release
    fi
}

# apt-get with its output in a file that is shown only if it fails.
prepare_apt() {
    local log status
    log=$(mktemp) || return 1
    DEBIAN_FRONTEND=noninteractive apt-get "$@" > "$log" 2>&1
    status=$?
    if [ $status -ne 0 ]; then
        tail -n 20 "$log" >&2
        echo "apt-get $* failed" >&2
    fi
    rm -f "$log"
    return $status
}

prepare_packages() {
    local package missing=() wants_llhttp=no
    for package in gcc libc6-dev cmake ninja-build pkg-config libconfig-dev libc-ares-dev \
        libjansson-dev uthash-dev "$@"; do
        prepare_has "$package" || missing+=("$package")
    done
    prepare_has libllhttp-dev || [ -n "${LLHTTP_SOURCE_DIR:-}" ] || wants_llhttp=yes
    [ ${#missing[@]} -gt 0 ] || [ $wants_llhttp = yes ] || return 0
    if ! command -v apt-get > /dev/null; then
        echo "needed, under their Debian names: ${missing[*]} libllhttp-dev" >&2
        return 1
    fi
    # Without fresh lists apt-get may ask for versions that are gone.
    if [ "$(id -u)" -eq 0 ] && { [ ${#missing[@]} -gt 0 ] || ! prepare_is_offered libc6-dev; }; then
        prepare_apt update -qq || return 1
    fi
    if [ $wants_llhttp = yes ] && prepare_llhttp_is_offered; then
        missing+=(libllhttp-dev)
    fi
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "packages are missing; as root:" >&2
        echo "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}"
    prepare_apt install -y --no-install-recommends "${missing[@]}"
}

prepare_llhttp() {
    local unpacked
    unpacked=$(realpath -m "$1")/llhttp
    prepare_llhttp_option=
    if [ -n "${LLHTTP_SOURCE_DIR:-}" ]; then
        prepare_llhttp_option=-DLLHTTP_SOURCE_DIR=$LLHTTP_SOURCE_DIR
        return 0
    fi
    prepare_has libllhttp-dev && return 0
    if [ ! -e "$unpacked/usr/share/llhttp/llhttp.c" ]; then
        # The package would bring Node.js along; only the C sources in it are wanted.
        echo "unpacking the sources of llhttp into $unpacked"
        if ! (mkdir -p "$unpacked" && cd "$unpacked" && prepare_apt download node-llhttp &&
            dpkg-deb -x node-llhttp_*.deb .); then
            echo "llhttp could not be unpacked; if apt-get does not know it: apt-get update" >&2
            return 1
        fi
    fi
    prepare_llhttp_option=-DLLHTTP_SOURCE_DIR=$unpacked/usr/share/llhttp
}

prepare_build() {
    local dir options=()
    mkdir -p "$1" && dir=$(cd "$1" && pwd) || return 1
    shift
    prepare_llhttp "$dir" || return 1
    [ -n "$prepare_llhttp_option" ] && options+=("$prepare_llhttp_option")
    if [ ! -e "$dir/CMakeCache.txt" ] && command -v ninja > /dev/null; then
        options+=(-G Ninja)
    fi
    echo "building in $dir"
    if ! { cmake -S "$prepare_source" -B "$dir" "${options[@]}" "$@" &&
        cmake --build "$dir" -j "$(nproc)"; } > "$dir/build.log" 2>&1; then
        tail -n 40 "$dir/build.log" >&2
        echo "the build failed; all of its output is in $dir/build.log" >&2
        return 1
    fi
}
