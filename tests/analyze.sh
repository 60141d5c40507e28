#!/usr/bin/env bash
# analyze.sh [BUILD] - what three analyzers have to say about src and mock_backends: gcc -fanalyzer, cppcheck
# and clang-tidy (14, by .clang-tidy). BUILD has to be configured already, unless it is build/analyze, which is
# what is taken without it. One that is not installed is skipped with a line. The last line is
# "N passed, N failed", an analyzer each.
set -u -o pipefail
export LC_ALL=C

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/lib/prepare.sh
. tests/lib/prepare.sh

build=${1:-build/analyze}
if [ ! -e "$build/compile_commands.json" ]; then
    prepare_build "$build" -DCMAKE_BUILD_TYPE=Debug -DRONDO_TESTS=OFF || {
        echo '0 passed, 1 failed'
        exit 1
    }
fi
log=$build/analyze.log
passed=0 failed=0

# judge NAME STATUS: by what the analyzer has left in the log, too.
judge() {
    if [ "$2" -ne 0 ] || [ -s "$log" ]; then
        echo "FAILED  $1 (status $2)"
        cat "$log"
        failed=$((failed + 1))
    else
        echo "ok      $1"
        passed=$((passed + 1))
    fi
}

mapfile -t sources < <(find src mock_backends -name '*.c' | sort)
[ ${#sources[@]} -gt 0 ] || {
    echo 'there are no sources'
    exit 1
}

# What gcc 12 is wrong about: it loses memory that is kept in an array that has moved (text, errors), in a list behind
# an arena (syntax, listeners), and the value of a pointer whose bytes are copied (values).
without_for() {
    case $1 in
    src/config/text.c | src/config/errors.c | src/config/syntax.c | src/daemon/listeners.c | src/upstream/checker.c | \
        src/upstream/names.c)
        echo -Wno-analyzer-malloc-leak
        ;;
    src/config/values.c) echo -Wno-analyzer-use-of-uninitialized-value ;;
    esac
}

# commands: how gcc is called for each source, a line each, as it is built but without sanitizers, whose
# checks the analyzer would take for branches.
commands() {
    python3 - "$build/compile_commands.json" "${sources[@]}" << 'END'
import json, os, shlex, sys

words = {}
for entry in json.load(open(sys.argv[1])):
    words[os.path.relpath(entry["file"])] = shlex.split(entry["command"])
for source in sys.argv[2:]:
    if source not in words:
        print("echo", source, "is not built")
        continue
    flags = [word for word in words[source][1:words[source].index("-o")]
             if not word.startswith(("-fsanitize", "-fno-sanitize"))]
    print(shlex.join(["gcc", *flags, "-fanalyzer", "-Wno-error", "-o", "/dev/null", "-c", source]))
END
}

# analyze COMMAND: one of them.
analyze() {
    eval "$1" "$(without_for "${1##* }")" 2>&1
}
export -f analyze without_for

if command -v gcc > /dev/null && [ "$(gcc -dumpversion)" = 12 ]; then
    mapfile -t calls < <(commands)
    # shellcheck disable=SC2016 # the inner shell expands it
    printf '%s\0' "${calls[@]}" | xargs -0 -r -P "$(nproc)" -n 1 bash -c 'analyze "$0"' > "$log"
    status=$?
    [ ${#calls[@]} -eq ${#sources[@]} ] ||
        echo "${#calls[@]} calls for ${#sources[@]} sources: python3 ended early" >> "$log"
    judge 'gcc -fanalyzer' $status
else
    echo 'skipped gcc -fanalyzer: version 12 is not installed'
fi

# What it is wrong about is in cppcheck.txt, with the reason. It would read macros of utlist without knowing them.
if command -v cppcheck > /dev/null; then
    mkdir -p "$build/uthash"
    cp "$(dirname "$(find /usr/include /usr/local/include -name utlist.h | head -n 1)")"/ut*.h "$build/uthash"
    cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,performance,portability --library=posix \
        --suppressions-list=tests/cppcheck.txt --error-exitcode=1 -D_GNU_SOURCE -DLLHTTP_STRICT_MODE=1 \
        --template='{file}:{line}: {severity}: {message} [{id}]' \
        -I include -I "$build/uthash" src mock_backends > "$log" 2>&1
    judge cppcheck $?
else
    echo 'skipped cppcheck: it is not installed'
fi

if command -v clang-tidy > /dev/null && clang-tidy --version | grep -q 'version 14\.'; then
    printf '%s\n' "${sources[@]}" | xargs -r -P "$(nproc)" -n 4 clang-tidy --quiet -p "$build" 2> /dev/null > "$log"
    judge clang-tidy $?
else
    echo 'skipped clang-tidy: version 14 is not installed'
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
