#!/bin/bash
# failover.sh - what clients notice when a backend fails: rondo, nginx and HAProxy side by side.
#
#   tests/bench/failover.sh                  prepare, build, every case for 20 s (about nine minutes)
#   tests/bench/failover.sh --quick          7 s each
#   tests/bench/failover.sh --only killed    of the cases that failover.py explains; with commas
#   tests/bench/failover.sh --rondo BINARY   run that one, build nothing
#
# Prints a table and leaves failover.json in BENCH_OUT, by default bench-results here. Exit status 0 when
# everything ran, whatever came out.
set -u
export LC_ALL=C

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/bench/build.sh
. "$root/tests/bench/build.sh"

out=${BENCH_OUT:-bench-results}
bench_build "$@" || exit 1
mkdir -p "$out"
bench_alone python3 "$root/tests/bench/failover.py" --tools "$bench_tools" "${bench_rondo[@]}" \
    --json "$out/failover.json" "$@"
