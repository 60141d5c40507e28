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
# "N passed, N failed"; status 0 when none failed.
set -u
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/lib/prepare.sh
. tests/lib/prepare.sh

python=python3 # not one that hides the packages of the distribution
[ -x /usr/bin/python3 ] && python=/usr/bin/python3

work=$(mktemp -d "${TMPDIR:-/tmp}/rondo-tests.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# ---- counting ------------------------------------------------------------------------------------

# finish: the one way out. Adds up what the steps have left in $work/*.count.
finish() {
    cat "$work"/*.count 2> /dev/null | awk '
        { passed += $1; failed += $2 }
        END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }'
    exit
}

# step NAME COMMAND...: runs it and counts. A command says "N passed, N failed" in its last line, or its
# status is one check that has passed or failed.
step() {
    local name=$1 log count status began=$SECONDS
    log=$work/${1//[^a-z0-9]/_}
    shift
    "$@" > "$log.log" 2>&1 < /dev/null
    status=$?
    count=$(sed -nE '$s/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log.log")
    if [ -z "$count" ]; then
        [ $status -eq 0 ] && count='1 0' || count='0 1'
    elif [ $status -ne 0 ] && [ "${count#* }" = 0 ]; then
        count="${count% *} 1"
    fi
    {
        grep -E '^skipped' "$log.log"
        [ "${count#* }" = 0 ] || grep -vE '^(ok |skipped)' "$log.log" | tail -n 120
        echo "$name: ${count% *} passed, ${count#* } failed ($((SECONDS - began)) s)"
    } > "$log.show"
    cat "$log.show"
    echo "$count" > "$log.count"
}

skip() {
    echo "skipped: $1: $2"
}

# ---- steps ---------------------------------------------------------------------------------------

# units DIR: everything that ctest knows. Counts the tests inside of the programs that tell theirs, and
# shows what those that failed have said.
units() {
    ctest --test-dir "$1" -j "$(nproc)" -V | awk '
        /^[0-9]+: / { id = $1 + 0; said[id] = said[id] $0 "\n" }
        /^[0-9]+: \[  PASSED  \] [0-9]+ test/ { inside[id] = $5 }
        match($0, /Test +#[0-9]+: /) {
            split(substr($0, RSTART), part, "#")
            id = part[2] + 0
            if (/ Passed +[0-9.]+ sec/) {
                passed += id in inside ? inside[id] : 1
            } else if (/\*\*\*Skipped/) {
                print "skipped: the test of " $4 ", by itself"
            } else {
                passed += id in inside ? inside[id] : 0
                failed++
                print said[id] $0
            }
        }
        END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 }'
}

sources() {
    find src include mock_backends tests -name '*.[ch]'
}

# Comments and long strings are not clang-format's.
width() {
    ! sources | grep -E '^(src|include)/' | LC_ALL=C.UTF-8 xargs grep -nE '^.{101,}$'
}

style() {
    step width width
    # It is of one mind only in one version.
    if command -v clang-format > /dev/null && clang-format --version | grep -q 'version 14\.'; then
        step format xargs -a <(sources) clang-format --dry-run -Werror
    else
        skip format 'clang-format 14 is not installed'
    fi
}

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
    PKG_CONFIG_PATH=$OTHER_LLHTTP step 'another llhttp, build' prepare_build build/llhttp \
        -DCMAKE_BUILD_TYPE=Release "-DCMAKE_BUILD_RPATH=$lib" "-DCMAKE_EXE_LINKER_FLAGS=-L$lib"
    build/llhttp/rondo -V | sed -n '2s/,.*//p'
    step 'another llhttp, units' ctest --test-dir build/llhttp -R '^http_' --no-tests=error
    step 'another llhttp, messages' "$python" tests/http/run_cases.py build/llhttp/rondo
}

# The units and the simulator replace what is below them, and need a build that knows no other file's insides.
release_lane() {
    local rondo=build/installed/rondo
    step 'units, release' units build/release
    step 'release' conf/release.sh build/installed
    talk release $rondo
    step 'page' "$python" tests/admin/test_page.py $rondo
    step 'real programs' "$python" tests/real/run_real.py $rondo
    step 'names' "$python" tests/names/test_names.py $rondo
    step 'soak' "$python" tests/soak/soak.py $rondo build/installed/mock_backends 60000
    step 'simulator' build/release/tests/sim/sim --requests 1000000 --from 1000
    step 'faults' sh tests/faults/run.sh $rondo
    other_llhttp
}

# Of the faults those in which most is given back in a hurry.
asan_lane() {
    step 'units, asan' units build/asan
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
without_starting() {
    local policy=/usr/sbin/policy-rc.d status
    if [ -e $policy ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy
    "$@"
    status=$?
    rm -f $policy
    return $status
}

failed_to() {
    echo "$1" >&2
    echo '0 1' > "$work/prepare.count"
    finish
}

started=$SECONDS
prepare_packages libcmocka-dev python3 || failed_to 'the tests cannot be built without these packages'
wanted_packages
prepare_build build/release -DCMAKE_BUILD_TYPE=Release || failed_to 'the release build failed'
export LLHTTP_SOURCE_DIR=${prepare_llhttp_option#*=} # once is enough
prepare_build build/asan -DCMAKE_BUILD_TYPE=Debug -DRONDO_SANITIZE=ON ||
    failed_to 'the build with sanitizers failed'
style
step 'planted bugs can be planted' "$python" tests/sim/planted.py --check
release_lane &
patient_lane &
asan_lane
wait
echo "after $((SECONDS - started)) seconds:"
finish
