#!/usr/bin/env bash
# run.sh BUILD - everything that ctest knows in that build. Counts the tests inside of the programs that tell theirs, and
# shows what those that failed have said. The last line is "N passed, N failed".
set -u -o pipefail
export LC_ALL=C

ctest --test-dir "$1" -j "$(nproc)" --no-tests=error -V | awk '
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
