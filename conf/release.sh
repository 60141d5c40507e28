#!/bin/bash
# release.sh - builds rondo for installation.
#
#   conf/release.sh [DIRECTORY [CMAKE-OPTION...]]     DIRECTORY is build by default
#
# It is compiled twice. The first build counts branches and calls while the mock backends and their client send
# it all kinds of traffic. The second build is optimised with these counts: code that runs often is placed
# together, apart from code that seldom runs.
# It says what it does, and at the end what it has made.
#
# Everything runs on free ports of 127.0.0.1. A compiler other than gcc builds once.
set -u
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/lib/prepare.sh
. "$root/tests/lib/prepare.sh"

build=${1:-build}
[ $# -eq 0 ] || shift
work=
pids=()

clean_up() {
    [ ${#pids[@]} -eq 0 ] || kill -TERM "${pids[@]}" 2> /dev/null
    wait
    rm -rf "$work"
}

# start COMMAND...: starts a server, and sets `port` to the port that it prints.
start() {
    local out=$work/${#pids[@]}.out
    "$@" > "$out" 2>&1 &
    pids+=($!)
    for _ in {1..200}; do
        port=$(sed -nE 's/.*listening on ([0-9.]+:)?([0-9]+)$/\2/p' "$out")
        [ -z "$port" ] || return 0
        kill -0 $! 2> /dev/null || break
        sleep 0.05
    done
    echo "$1 does not print that it listens:" >&2
    cat "$out" >&2
    return 1
}

# Half a second of each kind of traffic, through a rondo without and a rondo with an access log.
work_a_little() {
    local mocks=$build/mock_backends backends=() name log url
    local ask=("$mocks/load" --duration 500ms)
    local browser=(--field 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
        --field 'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
        --field 'Accept-Language: en-US,en;q=0.5' --field 'Accept-Encoding: gzip, deflate, br'
        --field 'Referer: http://www.example.com/a/page' --field 'Cookie: session=0123456789abcdef; theme=dark'
        --field 'Cache-Control: no-cache')

    for name in app app alterfailed; do
        start "$mocks/$name" --port 0 || return 1
        backends+=(--backend "http://127.0.0.1:$port")
    done
    for log in off "$work/access.log"; do
        start "$build/rondo" --listen 127.0.0.1:0 --set "log.access=$log" "${backends[@]}" || return 1
        url=http://127.0.0.1:$port
        "${ask[@]}" --url "$url/" --connections 64 &&
            "${ask[@]}" --url "$url/a/path?with=query" --connections 64 "${browser[@]}" &&
            "${ask[@]}" --url "$url/" --connections 64 --field 'Connection: close' &&
            "${ask[@]}" --url "$url/" --mix &&
            "${ask[@]}" --url "$url/" --post 65536 &&
            "${ask[@]}" --url "$url/" --post 65536 --chunked || return 1
    done
}

# Says what there is now, and what may be done with it.
report() {
    local prefix
    prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$build/CMakeCache.txt")
    echo "made $build/rondo and $build/rondoctl ($("$build/rondo" -V | head -n 1)), to be installed below $prefix:"
    echo "  cmake --install $build"
    [ "$prefix" != /usr ] || echo "  or a Debian package: (cd $build && cpack)"
}

# A build for /usr becomes a package, and cpack asks these what it depends on.
packages=()
case " $* " in
*' -DCMAKE_INSTALL_PREFIX=/usr '*) ! command -v dpkg > /dev/null || packages=(file dpkg-dev) ;;
esac
prepare_packages "${packages[@]}" || exit 1
options=("$@" -DCMAKE_BUILD_TYPE=Release -DRONDO_TESTS=OFF)
echo 'first build, which counts what it does:'
prepare_build "$build" "${options[@]}" -DRONDO_PROFILE=generate || exit 1
build=$(cd "$build" && pwd)
if ! grep -qs 'CMAKE_C_COMPILER_ID "GNU"' "$build"/CMakeFiles/*/CMakeCCompiler.cmake; then
    echo 'the compiler is not gcc: this build is the only one'
    report
    exit 0
fi
work=$(mktemp -d) || exit 1
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
find "$build/CMakeFiles" -name '*.gcda' -delete
echo 'it counts while requests of all kinds pass it, about six seconds'
work_a_little > "$work/load.log" 2>&1 || { cat "$work/load.log" >&2; exit 1; }
kill -TERM "${pids[@]}" && wait
pids=()
if [ -z "$(find "$build/CMakeFiles" -path '*/proxy.dir/*' -name '*.gcda')" ]; then
    echo "the first build has written no counts" >&2
    exit 1
fi
echo 'second build, optimised with these counts:'
prepare_build "$build" "${options[@]}" -DRONDO_PROFILE=use || exit 1
report
