# build.sh - what the benchmarks run: their own tools, and rondo as it is released. To be sourced, by bash.
#
#   bench_build [OPTION...]   leaves the directory of the tools in bench_tools, and in bench_rondo what
#                             tells of the rondo that was built; nothing is built, and bench_rondo is
#                             empty, where the options name one (--rondo)

# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034
bench_tools=
bench_rondo=()

bench_build() {
    local source=$root/tests/bench tool build=${TMPDIR:-/tmp}/rondo-bench-build
    if [[ " $* " != *" --rondo "* ]]; then
        "$root/conf/release.sh" "$build" || return 1
        bench_rondo=(--rondo "$build/rondo")
    fi
    bench_tools=${TMPDIR:-/tmp}/rondo-bench-tools
    mkdir -p "$bench_tools" || return 1
    for tool in origin floor drive; do
        cc -O2 -D_GNU_SOURCE -Wall -Wextra -o "$bench_tools/$tool" "$source/$tool.c" || return 1
    done
}

# bench_alone COMMAND...: runs it in a network of its own, where that is allowed.
bench_alone() {
    if unshare -n true 2> /dev/null; then
        unshare -n -- python3 "$root/tests/bench/loopback.py" "$@"
    else
        echo "not allowed to make a network of our own: measuring in this one"
        "$@"
    fi
}
