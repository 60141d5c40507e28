#!/bin/bash
# demo.sh - rondo and three backends that fail in turn, under load that never stops.
#
#   mock_backends/demo.sh              prepare, build, show
#   mock_backends/demo.sh --stay       leave everything running afterwards, to try things out
#   mock_backends/demo.sh --build DIR  use the programs in this build directory, prepare nothing
#
# One client (load) sends requests from the first step to the last and checks every answer. The steps
# replace the backend on port 8002, and read from the client's counts which backends answered. Exit
# status 0: no client saw an error, and every expected change was seen.
set -u
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/lib/prepare.sh
. "$root/tests/lib/prepare.sh"

front=http://localhost:8080
column_ms=200 # of the time lines below
build=
stay=no
complaints=0
declare -A backend_pid=()
rondo_pid=
load_pid=
work=

# ---- small things ------------------------------------------------------------------------------

say() {
    printf '%s\n' "$*"
}

step() {
    printf '\n== %s\n\n' "$*"
}

complain() {
    say "   WRONG: $*"
    complaints=$((complaints + 1))
}

give_up() {
    say "$*" >&2
    if [ -n "$work" ] && [ -s "$work/rondo.log" ]; then
        say "the last lines of rondo's log:" >&2
        tail -n 15 "$work/rondo.log" >&2
    fi
    exit 1
}

# Ends the processes that this script has started, no others.
clean_up() {
    local pid
    for pid in $load_pid $rondo_pid "${backend_pid[@]}"; do
        kill -TERM "$pid" 2> /dev/null
    done
    for pid in $load_pid $rondo_pid "${backend_pid[@]}"; do
        wait "$pid" 2> /dev/null
    done
    [ -n "$work" ] && rm -rf "$work"
}

# wait_until SECONDS COMMAND...: true as soon as the command is, false when the time is over.
wait_until() {
    local end=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

is_open() {
    (exec 3<> "/dev/tcp/$1/$2") 2> /dev/null
}

# True when rondo listens or has ended.
rondo_is_decided() {
    is_open 127.0.0.1 8080 || ! kill -0 "$rondo_pid" 2> /dev/null
}

# ---- backends ------------------------------------------------------------------------------------

# start_backend PORT PROGRAM [OPTION...]
start_backend() {
    local port=$1 program=$2
    shift 2
    : > "$work/$port.log"
    "$mocks/$program" --port "$port" --name "$program" "$@" >> "$work/$port.log" 2>&1 &
    backend_pid[$port]=$!
    wait_until 5 grep -q listening "$work/$port.log" ||
        give_up "$program does not start on port $port: $(cat "$work/$port.log")"
}

# stop_backend PORT SIGNAL
stop_backend() {
    kill "-$2" "${backend_pid[$1]}"
    wait "${backend_pid[$1]}" 2> /dev/null
    unset "backend_pid[$1]"
}

# replace_backend PORT PROGRAM [OPTION...]
replace_backend() {
    stop_backend "$1" TERM
    start_backend "$@"
}

# ---- the load and its time line ------------------------------------------------------------------
#
# load writes a line every 200 ms:
#   1.20s answers=60 failed=0 slowest_ms=2.1 http://localhost:8001=20 http://localhost:8002=20 ...
# A step remembers the line at which it began, and reads the lines behind it. FROM and TO below are
# line numbers; FROM is not included, TO is the last line by default.

columns() {
    wc -l < "$work/timeline"
}

# trace PORT FROM [TO]: a # for each column in which that backend answered, else a .
trace() {
    awk -v from="$2" -v to="${3:-1000000}" -v key="http://localhost:$1=" 'NR > from && NR <= to {
        mark = "."
        for (i = 5; i <= NF; i++)
            if (index($i, key) == 1 && substr($i, length(key) + 1) > 0)
                mark = "#"
        printf "%s", mark
    }' "$work/timeline"
}

# trace_is PORT FROM PATTERN: true if that trace matches the extended regular expression.
trace_is() {
    [[ $(trace "$1" "$2") =~ $3 ]]
}

# sum WHAT FROM [TO]: a total over the columns (answers, failed, a port), or the slowest, in ms.
sum() {
    awk -v what="$1" -v from="$2" -v to="${3:-1000000}" 'NR > from && NR <= to {
        for (i = 2; i <= NF; i++) {
            at = match($i, /=[0-9.]+$/)
            key = substr($i, 1, at - 1)
            value = substr($i, at + 1) + 0
            if (key == what || key == "http://localhost:" what)
                total += value
            if (key == "slowest_ms" && what == "slowest" && value > total)
                total = value
        }
    } END { printf "%d", total }' "$work/timeline"
}

# waits FROM [TO]: a w for each column in which an answer took max_delay_response, a - for others.
waits() {
    awk -v from="$1" -v to="${2:-1000000}" 'NR > from && NR <= to {
        split($4, part, "=")
        printf "%s", (part[2] >= 500 ? "w" : "-")
    }' "$work/timeline"
}

# Prints the time line and the numbers of the step that began at FROM.
report() {
    local from=$1 to port failed
    to=$(columns)
    failed=$(sum failed "$from" "$to")
    say ""
    say "   answers of each backend; a column is 0.2 s (# answered, . did not)"
    for port in 8001 8002 8003; do
        say "   $port $(trace $port "$from" "$to")  $(sum $port "$from" "$to") answers"
    done
    [[ $(waits "$from" "$to") != *w* ]] ||
        say "        $(waits "$from" "$to")  (w: an answer took 500 ms or more)"
    say "   $(sum answers "$from" "$to") requests, $failed errors seen by the client," \
        "slowest answer $(sum slowest "$from" "$to") ms"
    [ "$failed" -eq 0 ] || complain "the client saw $failed errors"
}

# expect PORT FROM SECONDS PATTERN WHAT: waits until the trace matches; WHAT describes it.
expect() {
    wait_until "$3" trace_is "$1" "$2" "$4" || complain "within $3 s $5 was not seen"
}

# ---- steps ---------------------------------------------------------------------------------------

step_all_well() {
    local number turn answer port expected from
    step "1. All is well: every backend gets its turn"
    for number in 1 2 3 4; do
        expected=http://localhost:$((8001 + (number - 1) % 3))
        answer=$("$mocks/load" --url $front/ --requests 1 --connections 1 --show 2>&1)
        turn=$(tr -d '\r' <<< "$answer" | sed -n 's/^[Xx]-[Aa]pp-[Uu]rl: //p')
        say "   GET $front/   $(head -n 1 <<< "$answer" | tr -d '\r'), x-app-url: $turn"
        [ "$turn" = "$expected" ] || complain "expected $expected"
    done
    say ""
    say "   Now a client sends 200 requests a second (GET and POST, small and large) until the end,"
    say "   and compares every answer byte for byte."
    "$mocks/load" --url $front/ --rate 200 --connections 64 --mix --duration 120s \
        --timeline --interval ${column_ms}ms > "$work/timeline" 2> "$work/load.log" &
    load_pid=$!
    from=0
    for port in 8001 8002 8003; do
        expect $port $from 10 '#{8}$' "an answer of $port in every column"
    done
    report $from
}

step_alterfailed() {
    local from
    step "2. The application on 8002 breaks: every other answer is \`500 App failure\`"
    from=$(columns)
    replace_backend 8002 alterfailed
    say "   The client should never see a 500: 8003 answers instead. 8002 is skipped for 2 s"
    say "   (retry_window), tried again with one request, and skipped again when it fails again."
    expect 8002 "$from" 20 '\.{5,}#+\.{5,}' "8002 skipped, back after its window, skipped again"
    report "$from"
}

step_timeout() {
    local from slowest waited
    step "3. The application on 8002 hangs: it answers after 6 s, max_delay_response is 500 ms"
    from=$(columns)
    replace_backend 8002 timeout --delay 6s
    say "   rondo should notice within some 20 ms that 8002 is silent while the others answer: the"
    say "   requests that 8002 has are also sent to another backend, and all others pass it over."
    expect 8002 "$from" 15 '\.{15}$' "8002 passed over"
    report "$from"
    slowest=$(sum slowest "$from")
    waited=$(waits "$from" | tr -cd w | wc -c)
    say "   intervals in which an answer took one max_delay_response: $waited"
    if [ "$slowest" -ge 500 ]; then
        complain "no answer should take one max_delay_response"
    fi
}

step_timeout_without_silence() {
    local from slowest
    say ""
    say "   The same again with silence.after = \"off\":"
    printf '%s\n' 'silence = { after = "off"; };' >> "$work/demo.conf"
    kill -HUP "$rondo_pid"
    wait_until 5 grep -q reloaded "$work/rondo.log" || complain "the reload was not seen"
    from=$(columns)
    replace_backend 8002 timeout --delay 6s
    say "   A request that goes to 8002 should wait for 500 ms and then get the answer of 8003. From"
    say "   then on 8002 is skipped, and only one request at the end of each window waits."
    wait_until 15 has_waited_once "$from" ||
        complain "a request that waits for 8002, then none for a second: not seen within 15 s"
    report "$from"
    slowest=$(sum slowest "$from")
    if [ "$slowest" -lt 500 ] || [ "$slowest" -ge 1500 ]; then
        complain "the slowest answer should take one max_delay_response, 500 ms, and little more"
    fi
}

has_waited_once() {
    [[ $(waits "$1") =~ w-{5}$ ]]
}

step_killed() {
    local from
    step "4. The application on 8002 is killed (SIGKILL), and a while later started again"
    say "   The requests that 8002 has when it is killed should be sent to another backend. When it is"
    say "   back, it should get its turns again after at most one window."
    from=$(columns)
    expect 8002 "$from" 10 '#{3}$' "8002 in use before it is killed"
    stop_backend 8002 KILL
    expect 8002 "$from" 10 '\.{6}$' "8002 skipped after it was killed"
    start_backend 8002 app
    expect 8002 "$from" 15 '\.{6,}#{5,}$' "8002 in use again after it was started again"
    report "$from"
}

# Starts a good application on 8002 again, and waits until it gets its turns.
repair() {
    local from
    from=$(columns)
    replace_backend 8002 app
    expect 8002 "$from" 15 '#{5}$' "8002 in use again after it was repaired"
    say ""
    say "   repaired: $(trace 8002 "$from")  8002 is in use again"
    [ "$(sum failed "$from")" -eq 0 ] || complain "the client saw errors during the repair"
}

finish() {
    local status
    step "The counts of the client, from the first step to the last"
    kill -INT "$load_pid"
    wait "$load_pid"
    status=$?
    load_pid=
    sed -n '/ requests in /,$p' "$work/timeline" | sed 's/^/   /'
    if [ $status -ne 0 ]; then
        cat "$work/load.log"
        complain "the client saw errors"
    fi
    kill -0 "$rondo_pid" 2> /dev/null || complain "rondo is no longer running"
    say ""
    [ "$complaints" -eq 0 ] || give_up "The demo has FAILED; the lines that say WRONG: $complaints."
    say "The demo has passed: no client saw an error."
}

leave_running() {
    step "Everything runs until you press Ctrl-C. Try in another terminal:"
    say "   curl -i $front/"
    say "   curl -i -d hello $front/"
    say "   kill -9 ${backend_pid[8002]}        # the backend on 8002; then send a request again"
    say "   $mocks/app --port 8002   # and start it again"
    say "   $mocks/load --url $front/ --duration 10s --mix --timeline"
    trap 'say ""; exit 0' INT TERM
    wait "$rondo_pid"
    give_up "rondo has ended"
}

# ---- begin -----------------------------------------------------------------------------------------

while [ $# -gt 0 ]; do
    case $1 in
    --stay) stay=yes ;;
    --build)
        [ $# -gt 1 ] || give_up "--build needs a directory"
        build=$2
        shift
        ;;
    --help | -h)
        sed -n '2,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p'
        exit 0
        ;;
    *) give_up "unknown option $1; see --help" ;;
    esac
    shift
done

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -z "$build" ]; then
    build=$root/build
    prepare_packages || exit 1
    tests=(-DRONDO_TESTS=OFF)
    if [ -e "$build/CMakeCache.txt" ] && pkg-config --exists cmocka; then
        tests=() # keep the existing configuration
    fi
    prepare_build "$build" "${tests[@]}" -DRONDO_PROFILE= || exit 1
fi
build=$(cd "$build" && pwd) || exit 1
rondo=${RONDO:-$build/rondo}
mocks=$build/mock_backends
work=$(mktemp -d) || exit 1
for port in 8080 8001 8002 8003; do
    for address in 127.0.0.1 ::1; do
        ! is_open $address $port ||
            give_up "port $port is in use on $address; the demo needs 8080, 8001, 8002 and 8003"
    done
done
for port in 8001 8002 8003; do
    start_backend $port app
done
cp "$root/conf/demo.conf" "$work/demo.conf" || exit 1
"$rondo" -c "$work/demo.conf" > "$work/rondo.log" 2>&1 &
rondo_pid=$!
wait_until 10 rondo_is_decided
is_open 127.0.0.1 8080 || give_up "rondo does not listen on port 8080"
say "three backends are up on 8001, 8002, 8003; rondo is up on 8080 with conf/demo.conf"
step_all_well
step_alterfailed
repair
step_timeout
repair
step_timeout_without_silence
repair
step_killed
finish
[ $stay = no ] || leave_running
