#!/usr/bin/env bash
# style.sh - is the source as .clang-format (version 14) has it, and no line wider than 100 columns? The last line is
# "N passed, N failed".
set -u
export LC_ALL=C.UTF-8

cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0

# judge NAME STATUS
judge() {
    if [ "$2" -eq 0 ]; then
        echo "ok      $1"
        passed=$((passed + 1))
    else
        echo "FAILED  $1"
        failed=$((failed + 1))
    fi
}

mapfile -t sources < <(find src include mock_backends tests -name '*.[ch]')
[ ${#sources[@]} -gt 0 ] || {
    echo 'there are no sources'
    exit 1
}

# Comments and long strings are not clang-format's.
printf '%s\n' "${sources[@]}" | grep -E '^(src|include)/' | xargs grep -nE '^.{101,}$'
judge width $((${PIPESTATUS[2]} == 0))

# It is of one mind only in one version.
if command -v clang-format > /dev/null && clang-format --version | grep -q 'version 14\.'; then
    clang-format --dry-run -Werror "${sources[@]}"
    judge format $?
else
    echo 'skipped format: clang-format 14 is not installed'
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
