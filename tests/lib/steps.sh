# steps.sh - a long test run of many programs, side by side: each is counted and limited in time, and a signal ends
# all of them. To be sourced, by bash.
#
#   steps_begin ARGUMENT...     first of all, with the script's own "$@": starts the script once more, so that all
#                               processes of the run have its mark in their environment
#   step NAME COMMAND...        runs a program whose last line is "N passed, N failed". No such line is a failure. No test
#                               is one too, unless a line that begins with "skipped" says why
#   check NAME COMMAND...       runs a program whose status is one check that has passed or failed
#   skip NAME WHY               says that a step was left out
#   lane NAME FUNCTION          begins to run the steps of the function beside all others
#   attend COMMAND...           runs anything else that takes its time, so that a signal is heard meanwhile
#   steps_finish                waits for the lanes, prints the sum of all counts as "N passed, N failed", and ends the
#                               script: with 0 when something has passed, nothing failed and each lane came to its end
#
# A step that takes longer than STEPS_LIMIT seconds (1200) is ended, and has failed. At the end nothing of the run is left,
# whatever session or process group it is in; after TERM, INT or HUP as well, and the status is then 128 and the signal's number.

# shellcheck shell=bash
steps_work=
steps_lanes=()

steps_begin() {
    if [ "${STEPS_PID:-}" != $$ ]; then
        STEPS_PID=$$ STEPS_MARK="${STEPS_MARK:-}$$.$RANDOM$RANDOM/" exec bash "$0" "$@"
    fi
    export -n STEPS_PID
    trap 'rm -rf "$steps_work"' EXIT
    trap 'steps_interrupt 143' TERM
    trap 'steps_interrupt 130' INT
    trap 'steps_interrupt 129' HUP
    steps_work=$(mktemp -d "${TMPDIR:-/tmp}/rondo-tests.XXXXXX") || exit 1
}

steps_interrupt() {
    trap '' TERM INT HUP
    echo "ended by a signal, after $SECONDS seconds"
    steps_sweep "$STEPS_MARK"
    exit "$1"
}

# steps_sweep MARK: ends every process with this mark but this one: by TERM, and after ten seconds by KILL.
steps_sweep() {
    local began=$SECONDS told=' ' found file pid list=$steps_work/marked.$BASHPID
    while [ $((SECONDS - began)) -lt 20 ]; do
        found=no
        # Without the mark in its own environment; a process that is gone meanwhile has none.
        STEPS_MARK='' grep -lsaF "STEPS_MARK=$1" /proc/[0-9]*/environ > "$list"
        while read -r file; do
            pid=${file//[^0-9]/}
            [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] || continue
            found=yes
            if [ $((SECONDS - began)) -ge 10 ]; then
                kill -KILL "$pid" 2> /dev/null
            elif [[ $told != *" $pid "* ]]; then
                kill -TERM "$pid" 2> /dev/null
                told+="$pid "
            fi
        done < "$list"
        [ $found = yes ] || return 0
        STEPS_MARK='' sleep 0.1
    done
    echo 'some processes could not be ended'
    return 1
}

step() {
    steps_run yes "$@"
}

check() {
    steps_run no "$@"
}

# steps_run COUNTS NAME COMMAND...: COUNTS is yes or no.
steps_run() {
    local counts=$1 name=$2 log count status mark why='' began=$SECONDS
    log=$steps_work/${2//[^a-zA-Z0-9]/_}
    mark=$STEPS_MARK${log##*/}/
    shift 2
    echo '0 1' > "$log.count" || exit 1 # unless it comes to its end
    STEPS_MARK=$mark timeout --kill-after=10 "${STEPS_LIMIT:-1200}" "$@" > "$log.log" 2>&1 < /dev/null
    status=$?
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then
        why="ended after $((SECONDS - began)) seconds"
        steps_sweep "$mark"
    fi
    count=$(steps_judge "$counts" $status "$log.log")
    {
        grep -aE '^skipped' "$log.log"
        [ "${count#* }" = 0 ] || grep -avE '^(ok |skipped)' "$log.log" | tail -n 120
        [ "${count#* }" = 0 ] || [ -z "$why" ] || echo "$name: $why"
        echo "$name: ${count% *} passed, ${count#* } failed ($((SECONDS - began)) s)"
    } > "$log.show"
    cat "$log.show"
    echo "$count" > "$log.count" || exit 1
}

# steps_judge COUNTS STATUS LOG: prints how many have passed, and how many failed.
steps_judge() {
    local count='' told
    [ "$1" = yes ] || count=$([ "$2" -eq 0 ] && echo '1 0' || echo '0 1')
    if [ -z "$count" ]; then
        told=$(sed -nE '$s/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$3")
        count=${told:-0 1}
        # An end that does not fit what was counted, or a count of nothing.
        if [ "${count#* }" = 0 ]; then
            [ "$2" -eq 0 ] || count="${count% *} 1"
            [ "$count" != '0 0' ] || grep -qaE '^skipped' "$3" || count='0 1'
        fi
    fi
    echo "$count"
}

skip() {
    echo "skipped: $1: $2"
}

lane() {
    {
        "$2"
        : > "$steps_work/$1.ended"
    } &
    steps_lanes+=("$! $1")
}

attend() {
    "$@" &
    wait $!
}

steps_finish() {
    local entry
    for entry in "${steps_lanes[@]}"; do
        wait "${entry%% *}"
        if [ ! -e "$steps_work/${entry#* }.ended" ]; then
            echo "the lane '${entry#* }' has not come to its end"
            echo '0 1' > "$steps_work/${entry#* }.lane.count"
        fi
    done
    steps_sweep "$STEPS_MARK"
    echo "after $SECONDS seconds:"
    cat "$steps_work"/*.count 2> /dev/null | awk '
        { passed += $1; failed += $2 }
        END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed == 0 }'
    exit
}
