#!/usr/bin/env bash
# run.sh - builds rondo and runs all its tests. No arguments; root installs what is missing by apt-get,
# anybody else is told what to install.
#
# What is to be installed (build/installed, with its units in build/release) and build/asan
# (AddressSanitizer and UndefinedBehaviorSanitizer) are tested side by side, on ports that the kernel
# chooses. OTHER_LLHTTP may name a directory with the libllhttp.pc of another version (9 or later): what
# hangs on the parser is then tested with that as well.
#
# What cannot run because a program is missing is skipped, and a line says so. The last line is
# "N passed, N failed"; status 0 when none failed, and every step has come to its end in STEPS_LIMIT
# seconds (tests/lib/steps.sh). TERM and INT end all of it.
set -u
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

here=$(cd "$(dirname "$0")" && pwd) || exit 1
# shellcheck source=tests/lib/steps.sh
. "$here/lib/steps.sh"
steps_begin "$@"
cd "$here/.." || exit 1
# shellcheck source=tests/lib/prepare.sh
. tests/lib/prepare.sh

python=python3 # not one that hides the packages of the distribution
[ -x /usr/bin/python3 ] && python=/usr/bin/python3

# ---- steps ---------------------------------------------------------------------------------------

# talk NAME RONDO: what clients and backends say to it.
talk() {
    if command -v varnishtest > /dev/null; then
        step "conversations, $1" sh tests/conversations/run.sh "$2" "-j$(($(nproc) + 2))"
    else
        skip "conversations, $1" 'varnishtest is not installed'
    fi
    step "messages, $1" "$python" tests/http/run_cases.py "$2"
    step "admin, $1" "$python" tests/admin/test_admin.py "$2"
}

# What hangs on the parser, with the llhttp of that directory.
other_llhttp() {
    local lib
    if [ -z "${OTHER_LLHTTP:-}" ]; then
        skip 'another llhttp' 'OTHER_LLHTTP does not name any'
        return
    fi
    lib=$(PKG_CONFIG_PATH=$OTHER_LLHTTP pkg-config --variable=libdir libllhttp)
    # shellcheck disable=SC2016 # the inner shell expands it
    PKG_CONFIG_PATH=$OTHER_LLHTTP check 'another llhttp, build' \
        bash -c '. tests/lib/prepare.sh && prepare_build "$@"' build build/llhttp \
        -DCMAKE_BUILD_TYPE=Release "-DCMAKE_BUILD_RPATH=$lib" "-DCMAKE_EXE_LINKER_FLAGS=-L$lib"
    build/llhttp/rondo -V | sed -n '2s/,.*//p'
    check 'another llhttp, units' ctest --test-dir build/llhttp -R '^http_' --no-tests=error
    step 'another llhttp, messages' "$python" tests/http/run_cases.py build/llhttp/rondo
}

# The units and the simulator replace what is below them, and need a build that knows no other file's insides.
release_lane() {
    local rondo=build/installed/rondo
    step 'units, release' bash tests/unit/run.sh build/release
    check 'release' conf/release.sh build/installed
    talk release $rondo
    step 'page' "$python" tests/admin/test_page.py $rondo
    step 'real programs' "$python" tests/real/run_real.py $rondo
    step 'names' "$python" tests/names/test_names.py $rondo
    step 'soak' "$python" tests/soak/soak.py $rondo build/installed/mock_backends 60000
    check 'simulator' build/release/tests/sim/sim --requests 1000000 --from 1000
    step 'faults' sh tests/faults/run.sh $rondo
    other_llhttp
}

# Of the faults those in which most is given back in a hurry.
asan_lane() {
    step 'units, asan' bash tests/unit/run.sh build/asan
    talk asan build/asan/rondo
    step 'faults, asan' sh tests/faults/run.sh build/asan/rondo F05 F08 F16 F21 F26 F30 F34 F54
}

# What hangs on no clock takes the time that the others spend waiting.
patient_lane() {
    renice -n 19 $BASHPID > /dev/null
    step 'analyzers' bash tests/analyze.sh build/asan
    step 'fuzz' bash tests/fuzz/run.sh 20
}

# ---- preparing -----------------------------------------------------------------------------------

# What only some tests need: by root, where it is offered.
wanted_packages() {
    local package missing=() offered=()
    [ "$(id -u)" -eq 0 ] && command -v apt-get > /dev/null || return 0
    for package in varnish nginx-light curl wrk dnsmasq-base uvicorn python3-fastapi python3-websockets \
        strace iproute2; do
        prepare_has "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    prepare_is_offered "${missing[0]}" || prepare_apt update -qq || return 0
    for package in "${missing[@]}"; do
        prepare_is_offered "$package" && offered+=("$package")
    done
    without_starting prepare_packages "${offered[@]}" || echo 'going on without them'
}

# without_starting COMMAND...: servers that are installed meanwhile are not started.
without_starting() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        trap 'exit 1' TERM INT
        printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy
    fi
    "$@"
)

# needed WHY COMMAND...: without it there is nothing to test.
needed() {
    local why=$1
    shift
    attend "$@" && return
    echo "$why" >&2
    echo '0 passed, 1 failed'
    exit 1
}

needed 'the tests cannot be built without these packages' prepare_packages libcmocka-dev python3
attend wanted_packages
needed 'the release build failed' prepare_build build/release -DCMAKE_BUILD_TYPE=Release
prepare_llhttp build/release || exit 1
export LLHTTP_SOURCE_DIR=${prepare_llhttp_option#*=} # once is enough
needed 'the build with sanitizers failed' \
    prepare_build build/asan -DCMAKE_BUILD_TYPE=Debug -DRONDO_SANITIZE=ON
step 'style' bash tests/style.sh
step 'planted bugs can be planted' "$python" tests/sim/planted.py --check
lane release release_lane
lane patient patient_lane
lane asan asan_lane
steps_finish
