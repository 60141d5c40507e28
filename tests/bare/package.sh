#!/usr/bin/env bash
# package.sh [SUITE...] - the Debian package, as README.md says that it is made: for each Debian release (bookworm and
# trixie) a minimal system, in it a checkout of HEAD, and in that the demo first, which configures for another prefix, and
# then the commands of "Install and run as a service" that make and install a package. What they have made is looked at,
# upgraded, removed and purged, and lintian is asked. By root, with debootstrap and a network; about three minutes each.
#
# BARE_BASE may name a folder in which the minimal systems are kept (system.sh), and BARE_KEEP one into which the packages
# are copied, by suite, for tests/systemd/run.sh. Ends with "N passed, N failed".
set -u
export LC_ALL=C

cd "$(dirname "$0")/../.." || exit 1
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

# shellcheck source=tests/bare/system.sh
. tests/bare/system.sh
bare_begin
passed=0
failed=0

# judge NAME STATUS [LOG]
judge() {
    if [ "$2" -eq 0 ]; then
        echo "ok      $suite: $1"
        passed=$((passed + 1))
        return 0
    fi
    echo "FAILED  $suite: $1"
    [ -z "${3:-}" ] || tail -n 60 "$3"
    failed=$((failed + 1))
    return 1
}

# succeeds NAME COMMAND: there, in the checkout. Whoever asks a question is answered with yes.
succeeds() {
    yes 2> /dev/null | bare_enter "$root" "cd /root/rondo && $2" > "$root.log" 2>&1
    judge "$1" "${PIPESTATUS[1]}" "$root.log"
}

# fails NAME TEXT COMMAND: does not succeed, and says the text.
fails() {
    bare_enter "$root" "cd /root/rondo && $3" > "$root.log" 2>&1 < /dev/null
    [ $? -ne 0 ] && grep -qF -- "$2" "$root.log"
    judge "$1" $? "$root.log"
}

# equal NAME FILE FILE: the same lines.
equal() {
    diff "$2" "$3" > "$root.log"
    judge "$1" $? "$root.log"
}

# The commands of the README, without what they say of themselves, but not those for machines without packages.
commands() {
    sed -n '/^## Install and run/,/^## How/{/^```$/,/^```$/p}' README.md | grep -v '^```' |
        sed -E 's/  +# .*//' | sed '/cmake --install/,$d'
}

# All that is installed, but for what apt, dpkg and the checkout need for themselves. A user stays after a purge, as Debian
# has it; systemd-sysusers keeps copies of the files that it has changed.
files() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./sys -o -path ./root -o -path ./tmp -o -path ./run \
        -o -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./var/log/apt \) -prune \
        -o -print | grep -vE '^\./(etc/(passwd|group|shadow|gshadow)-?|etc/\.pwd\.lock|var/log/dpkg\.log)$' | sort)
}

# What the package has brought, one property a line.
look() {
    local deb=$root/root/rondo/build depends
    deb=$(echo "$deb"/rondo_*.deb)
    dpkg-deb --contents "$deb" | awk '{ print $6 }' > "$root.contents"
    for file in usr/sbin/rondo usr/bin/rondoctl lib/systemd/system/rondo.service lib/systemd/system/rondo@.service \
        lib/systemd/system/rondo.socket lib/systemd/system/rondo-release.service usr/lib/sysusers.d/rondo.conf etc/rondo/rondo.conf etc/logrotate.d/rondo \
        usr/share/man/man5/rondo.conf.5.gz usr/share/man/man8/rondo.8.gz usr/share/man/man1/rondoctl.1.gz \
        usr/share/doc/rondo/copyright usr/share/doc/rondo/changelog.gz; do
        grep -qE "^\./(usr/)?$file\$" "$root.contents"
        judge "the package has $file" $?
    done
    ! grep -q '/local/' "$root.contents"
    judge 'nothing of the package is below /usr/local' $?
    depends=$(dpkg-deb --field "$deb" Depends)
    for library in libc6 libconfig libcares2 libjansson4; do
        [[ ${depends/libc-ares2/libcares2} == *"$library"* ]]
        judge "the package depends on $library" $?
    done
    ! (cd "$root" && grep -rlsE 'rondo' usr/local etc/systemd/system | grep .) > "$root.log"
    judge 'nothing is installed below /usr/local' $? "$root.log"
}

# one SUITE
one() {
    local command began=$SECONDS
    bare_install "$suite" "$root" > "$root.log" 2>&1
    judge 'there is a minimal system' $? "$root.log" || return
    succeeds './mock_backends/demo.sh' ./mock_backends/demo.sh || return
    while read -r command; do
        # What the package depends on stays, and is no part of the difference.
        if [[ $command == *'apt install'* ]]; then
            fails 'cpack without dpkg-shlibdeps says what is missing' 'apt-get install file dpkg-dev' \
                'mv /usr/bin/dpkg-shlibdeps /tmp && cd build && { cpack; status=$?; mv /tmp/dpkg-shlibdeps /usr/bin
                exit $status; }'
            fails 'cpack without file says what is missing' 'apt-get install file dpkg-dev' \
                'mv /usr/bin/file /tmp && cd build && { cpack; status=$?; mv /tmp/file /usr/bin; exit $status; }'
            succeeds 'systemd is installed' 'apt-get install -y --no-install-recommends systemd' || return
            files > "$root.before"
        fi
        succeeds "$command" "$command" || return
        if [[ $command == *release.sh* ]]; then
            grep -q '^made /root/rondo/build/rondo ' "$root.log"
            judge 'release.sh says what it has made' $? "$root.log"
        fi
    done < <(commands)
    look
    [ -z "${BARE_KEEP:-}" ] || { mkdir -p "$BARE_KEEP" && cp "$root"/root/rondo/build/rondo_*.deb "$BARE_KEEP/$suite.deb"; }
    succeeds 'the configuration of the package is good' 'rondo -t'
    files > "$root.installed"
    succeeds 'an upgrade' 'apt-get install --reinstall -y ./build/rondo_*.deb'
    files > "$root.upgraded"
    equal 'an upgrade brings and leaves nothing' "$root.installed" "$root.upgraded"
    succeeds 'removal' 'apt-get remove -y rondo && mkdir -p /var/log/rondo && touch /var/log/rondo/access.log'
    succeeds 'purge' 'apt-get purge -y rondo'
    files > "$root.after"
    equal 'after a purge nothing is left' "$root.before" "$root.after"
    succeeds 'lintian finds no errors' 'apt-get install -y --no-install-recommends lintian > /dev/null &&
        lintian --fail-on error --allow-root build/rondo_*.deb'
    echo "$suite: $((SECONDS - began)) seconds"
}

for suite in "${suites[@]}"; do
    root=$bare_work/$suite
    one
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
