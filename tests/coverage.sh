#!/usr/bin/env bash
# coverage.sh [BUILD] - how much of src the tests reach: builds with --coverage in BUILD (build/coverage), runs unit
# tests, simulator, conversations, messages, admin, names and fault tests there, and prints lines and branches by
# file and by floor. The last line is "N passed, N failed", a floor each: the core floors have to reach 95 % of their
# lines. Lines that were not reached are in BUILD/coverage.txt. Needs gcovr; without it the only line says "skipped:".
#
# A branch of an assert is not counted: that it fails is not to be had. A process that is killed leaves no counts.
# Where allocations fail on purpose (F31) those of the counting fail as well, so a fault test may fail here.
set -u
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/lib/prepare.sh
. tests/lib/prepare.sh

build=${1:-build/coverage}
if ! command -v gcovr > /dev/null; then
    echo 'skipped: coverage: gcovr is not installed'
    exit 0
fi
prepare_build "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS='--coverage -fprofile-update=atomic' || {
    echo '0 passed, 1 failed'
    exit 1
}
find "$build" -name '*.gcda' -delete

# run NAME COMMAND...: its last line; a failure here is no failure of the coverage, but is told.
run() {
    local name=$1
    shift
    "$@" > "$build/run.log" 2>&1 < /dev/null || grep -E '^(FAILED|----)|Failed' "$build/run.log"
    echo "$name: $(tail -n 1 "$build/run.log")"
}

run units ctest --test-dir "$build" -j "$(nproc)"
run conversations sh tests/conversations/run.sh "$build/rondo" "-j$(nproc)"
run messages python3 tests/http/run_cases.py "$build/rondo"
run admin python3 tests/admin/test_admin.py "$build/rondo"
run names python3 tests/names/test_names.py "$build/rondo"
run faults sh tests/faults/run.sh "$build/rondo"

# Counts of many processes are added up, and some of those were in the middle of a fork.
gcovr --root . --object-directory "$build" --filter 'src/' --exclude-branches-by-pattern '.*\bassert\(.*' \
    --exclude-directories '.*CompilerIdC' --exclude-directories '.*/CMakeFiles/3\..*' --gcov-ignore-parse-errors \
    --json-summary "$build/coverage.json" --txt "$build/coverage.txt" "$build" 2> "$build/run.log" || {
    cat "$build/run.log"
    echo '0 passed, 1 failed'
    exit 1
}
python3 - "$build/coverage.json" << 'END'
import json, sys

CORE = {"base": 95, "event": 95, "http": 95, "upstream": 95, "proxy": 95}


def share(covered, total):
    return f"{100 * covered / total if total else 100:5.1f} % of {total:5}"


floors = {}
print(f"{'':44} {'lines':>16} {'branches':>16}")
for file in json.load(open(sys.argv[1]))["files"]:
    counts = [file[key] for key in ("line_covered", "line_total", "branch_covered", "branch_total")]
    print(f"{file['filename']:44} {share(*counts[:2]):>16} {share(*counts[2:]):>16}")
    floor = file["filename"].split("/")[1] if file["filename"].count("/") > 1 else "main"
    floors[floor] = [sum(pair) for pair in zip(floors.get(floor, [0] * 4), counts)]
passed = failed = 0
print()
for floor, counts in floors.items():
    too_low = 100 * counts[0] < CORE.get(floor, 0) * counts[1]
    print(f"{floor:44} {share(*counts[:2]):>16} {share(*counts[2:]):>16}" +
          (f"  FAILED: {CORE[floor]} % of the lines are wanted" if too_low else ""))
    failed += too_low
    passed += not too_low
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
END
