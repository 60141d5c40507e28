#!/usr/bin/env bash
# run.sh [SUITE...] - what a newcomer does on a machine with nothing on it: for each Debian release
# (bookworm and trixie) a minimal system in a temporary directory, in it a checkout of HEAD, and in that
# the two commands of the README, timed. By root, with debootstrap and a network; about ten minutes each.
#
# The mirror and the proxy settings are those that apt uses here. Ends with "N passed, N failed".
set -u
export LC_ALL=C

cd "$(dirname "$0")/../.." || exit 1
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap > /dev/null; then
    echo 'needs root and debootstrap' >&2
    exit 2
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/rondo-bare.XXXXXX") || exit 1
mounted=()
clean_up() {
    local at
    for at in "${mounted[@]}"; do
        umount -l "$at"
    done
    mounted=()
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# The first Debian archive in apt's sources, in either of their two formats.
mirror() {
    # shellcheck disable=SC2016 # apt-get expands these
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk '$2 ~ /^(bookworm|trixie|stable)$/ || $1 ~ /\/debian\/?$/ { print $1; exit }'
}

# enter ROOT COMMAND: runs it there, with an environment as empty as the system.
enter() {
    chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
        bash -c "$2"
}

# install_system SUITE ROOT: a minimal Debian, with this machine's way to the network.
install_system() {
    local root=$2
    debootstrap --variant=minbase "$1" "$root" "$(mirror)" > "$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        return 1
    }
    mount -t proc proc "$root/proc" && mounted+=("$root/proc") || return 1
    mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev" &&
        mounted+=("$root/dev") || return 1
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump | grep -iE '^Acquire::.*(proxy|retries|timeout)' > "$root/etc/apt/apt.conf.d/90here"
    mkdir "$root/root/rondo" && git archive HEAD | tar -x -C "$root/root/rondo"
}

# time_command ROOT COMMAND: one command of the README; its output is shown if it fails.
time_command() {
    local root=$1 began=$SECONDS status
    enter "$root" "cd /root/rondo && $2" > "$root.log" 2>&1 < /dev/null
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
    root=$work/$suite
    mkdir "$root"
    if ! install_system "$suite" "$root"; then
        echo "$suite: no minimal system"
        failed=$((failed + 1))
        continue
    fi
    count time_command "$root" ./mock_backends/demo.sh
    count time_command "$root" ./tests/run.sh
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
