#!/usr/bin/env bash
# planted.sh - does the simulator see what it is there for? Plants each bug of planted/*.patch into a copy of the
# sources, builds the simulator and lets it run until it fails, for at most $REQUESTS requests (1,000,000).
#
#	planted.sh [NAME...]     all, or those whose file name contains one of the words
#	planted.sh --check       only looks whether the patches still apply to the sources
#
# Prints a line for each: the bug, the property that broke, and after how many requests. The last line is
# "N passed, N failed"; status 0 when every bug was caught and the sources as they are break nothing.
# CMAKE_ARGS are passed on to cmake.
set -u
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

if [ "${1-}" = --check ]; then
    passed=0 failed=0
    for file in "$here"/planted/*.patch; do
        if patch --dry-run -s -f -p1 -d "$root" < "$file" > /dev/null 2>&1; then
            passed=$((passed + 1))
        else
            echo "STALE   ${file##*/}: $(head -n 1 "$file")"
            failed=$((failed + 1))
        fi
    done
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ]
    exit
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/rondo-planted.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
requests=${REQUESTS:-1000000}
passed=0
failed=0

is_wanted() { # FILE WORD...
    local file=$1 word
    shift
    [ $# -eq 0 ] && return
    for word in "$@"; do
        [[ ${file##*/} == *$word* ]] && return
    done
    return 1
}

# Builds and runs what is in $work/tree; 0 when nothing broke, 1 when something did, 2 when it did not build.
run() {
    ninja -C "$work/build" sim > "$work/build.log" 2>&1 || return 2
    "$work/build/tests/sim/sim" --requests "$requests" > "$work/sim.log" 2>&1 && return 0
    return 1
}

# "property<TAB>requests" of the failure in $work/sim.log.
what_broke() {
    sed -nE 's/^seed [0-9]+, after ([0-9]+) requests, at [0-9]+ us: ([^:]*).*/\2\t\1/p; T; q' "$work/sim.log"
}

line() { # VERDICT BUG PROPERTY REQUESTS
    printf '%-6s  %-82s  %-58s  %9s\n' "$@"
}

plant() { # FILE
    local bug property count
    bug=$(head -n 1 "$1")
    if ! patch -s -p1 -d "$work/tree" < "$1" > "$work/patch.log" 2>&1; then
        line STALE "$bug" "the patch does not apply any more" -
        patch -s -R -f -p1 -d "$work/tree" < "$1" > /dev/null 2>&1
        failed=$((failed + 1))
        return
    fi
    run
    case $? in
        0) line MISSED "$bug" "every property held" "$requests" && failed=$((failed + 1)) ;;
        1)
            IFS=$'\t' read -r property count < <(what_broke)
            line caught "$bug" "${property:-$(tail -n 1 "$work/sim.log")}" "${count:--}"
            passed=$((passed + 1))
            ;;
        2) line BROKEN "$bug" "$(grep -m 1 error: "$work/build.log")" - && failed=$((failed + 1)) ;;
    esac
    patch -s -R -p1 -d "$work/tree" < "$1"
}

mkdir "$work/tree"
cp -r "$root"/{CMakeLists.txt,include,src,conf,mock_backends,tests} "$work/tree" || exit 1
# shellcheck disable=SC2086 # words
cmake -S "$work/tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release ${CMAKE_ARGS:-} > "$work/cmake.log" 2>&1 || {
    cat "$work/cmake.log"
    exit 1
}
run || {
    grep -E "error:|^seed " "$work/build.log" "$work/sim.log" 2> /dev/null
    echo "the sources as they are do not pass"
    exit 1
}
line '' 'bug' 'caught by' 'after'
for file in "$here"/planted/*.patch; do
    is_wanted "$file" "$@" && plant "$file"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
