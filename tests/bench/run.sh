#!/bin/bash
# run.sh - what a request costs: rondo, nginx, HAProxy and a relay that parses nothing, on one core.
#
#   tests/bench/run.sh                  prepare, build, measure every workload (about ten minutes)
#   tests/bench/run.sh --quick          the ones with a bar, in less than a minute
#   tests/bench/run.sh --only 64k,new   these; speed.py has their names
#   tests/bench/run.sh --rondo BINARY   measure that one, build nothing; twice as A=... B=...: both
#
# Prints a table and leaves results.json and results.svg (the picture) in the directory named by
# BENCH_OUT, by default bench-results here. Exit status 0 when everything ran, whatever came out.
set -u
export LC_ALL=C

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/bench/build.sh
. "$root/tests/bench/build.sh"

out=${BENCH_OUT:-bench-results}
bench_build "$@" || exit 1
mkdir -p "$out"
bench_alone python3 "$root/tests/bench/speed.py" --tools "$bench_tools" "${bench_rondo[@]}" \
    --json "$out/results.json" "$@" || exit 1
python3 "$root/tests/bench/picture.py" "$out/results.json" "$out/results.svg"
