#!/usr/bin/env bash
# run.sh [SUITE...] - what a newcomer does on a machine with nothing on it: for each Debian release
# (bookworm and trixie) a minimal system in a temporary directory, in it a checkout of HEAD, and in that
# the two commands of the README, timed. By root, with debootstrap and a network; about ten minutes each.
#
# BARE_BASE may name a folder in which the minimal systems are kept (system.sh). Ends with "N passed, N failed".
set -u
export LC_ALL=C

cd "$(dirname "$0")/../.." || exit 1
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

# shellcheck source=tests/bare/system.sh
. tests/bare/system.sh
bare_begin

# time_command ROOT COMMAND: one command of the README; its output is shown if it fails.
time_command() {
    local root=$1 began=$SECONDS status
    bare_enter "$root" "cd /root/rondo && $2" > "$root.log" 2>&1 < /dev/null
    status=$?
    [ $status -eq 0 ] || tail -n 60 "$root.log"
    printf '%s: %s: %s after %d seconds\n' "$(basename "$root")" "$2" \
        "$([ $status -eq 0 ] && tail -n 1 "$root.log" || echo "status $status")" $((SECONDS - began))
    return $status
}

passed=0
failed=0
count() {
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

for suite in "${suites[@]}"; do
    root=$bare_work/$suite
    if ! bare_install "$suite" "$root"; then
        echo "$suite: no minimal system"
        failed=$((failed + 1))
        continue
    fi
    count time_command "$root" ./mock_backends/demo.sh
    count time_command "$root" ./tests/run.sh
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
