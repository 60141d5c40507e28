#!/bin/bash
# failover.sh - what clients notice when a backend fails: rondo, nginx and HAProxy side by side.
#
#   tests/bench/failover.sh                     prepare, build, every case for 20 s
#   tests/bench/failover.sh --quick             7 s each
#   tests/bench/failover.sh --seconds 60        so many each
#   tests/bench/failover.sh --only killed,500   these cases; failover.py explains them:
#       killed, stopped, 500, late, poison, flaky, outage, broken
#       frozen, gone, late3s, pauses, well, and each with -400 behind it: 400 requests a second instead of 2,000
#       all-frozen, overload, slow-url
#   tests/bench/failover.sh --only well         100,000 requests, 50 s: no rescue, and strict turns
#   tests/bench/failover.sh --trace PREFIX      leaves when each request was due, and what it took, in
#                                               PREFIX.CASE.PROXY; freeze_picture.py draws them
#   tests/bench/failover.sh --rondo BINARY      run that one, build nothing
#
# Every case takes about half an hour. Prints a table for each and leaves failover.json in BENCH_OUT, by default
# bench-results here. Exit status 0 when everything ran, whatever came out.
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
