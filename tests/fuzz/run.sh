#!/usr/bin/env bash
# run.sh [SECONDS] - builds the fuzz targets with clang and runs all six side by side for so long, 20 seconds
# unless told otherwise.
#
#   RONDO_FUZZ_BUILD   where to build; build/fuzz
#   RONDO_FUZZ_CORPUS  where inputs that reach something new are kept from run to run; in the build
#
# It starts from tests/http/cases.tsv, tests/config and conf, and from finds/TARGET: what has ever broken a promise. An input
# that does is left in RONDO_FUZZ_BUILD/found, and the command that shows it again is printed: it belongs into finds. The
# last line is "N passed, N failed", a target each.
set -u
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/lib/prepare.sh
. tests/lib/prepare.sh

seconds=${1:-20}
build=${RONDO_FUZZ_BUILD:-build/fuzz}
corpus=${RONDO_FUZZ_CORPUS:-$build/corpus}
targets='request response chunked config proxy_header forwarded'

if ! command -v clang > /dev/null ||
    ! echo 'int main(void) { return 0; }' |
    clang -fsanitize=fuzzer-no-link,address -x c -o /dev/null - 2> /dev/null; then
    echo 'skipped fuzzing: clang and its sanitizers (clang, libclang-rt-14-dev) are not installed'
    echo '0 passed, 0 failed'
    exit 0
fi
CC=clang prepare_build "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRONDO_FUZZ=ON -DRONDO_TESTS=OFF || {
    echo '0 passed, 1 failed'
    exit 1
}
mkdir -p "$corpus" "$build/found" "$build/seeds"
python3 tests/fuzz/seeds.py "$build/seeds" || exit 1

# fuzz NAME: one target; its output goes to a file.
fuzz() {
    local words=http finds=tests/fuzz/finds/$1
    [ -e "$build/seeds/$1.dict" ] && words=$1
    [ -d "$finds" ] || finds= # none yet
    mkdir -p "$corpus/$1"
    # The limit for one input is wide: it goes by the wall clock, and a machine may be busy.
    "$build/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=4096 -timeout=100 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=1 -dict="$build/seeds/$words.dict" \
        -artifact_prefix="$build/found/$1-" "$corpus/$1" "$build/seeds/$1" ${finds:+"$finds"} \
        > "$build/fuzz_$1.log" 2>&1
}

pids=()
for name in $targets; do
    fuzz "$name" &
    pids+=($!)
done
passed=0 failed=0
for name in $targets; do
    if wait "${pids[0]}"; then
        passed=$((passed + 1))
        executions=$(sed -nE 's/^stat::number_of_executed_units: +//p' "$build/fuzz_$name.log")
        echo "ok      fuzz_$name: $executions inputs, $(find "$corpus/$name" -type f | wc -l) kept"
    else
        failed=$((failed + 1))
        echo "FAILED  fuzz_$name"
        tail -n 60 "$build/fuzz_$name.log"
        sed -nE "s|.*Test unit written to (.*)|again:  $build/tests/fuzz/fuzz_$name \\1|p" "$build/fuzz_$name.log"
    fi
    pids=("${pids[@]:1}")
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
