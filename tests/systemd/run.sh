#!/bin/bash
# The Debian package under a real systemd, in a container that has no network: install, reload, crash, hand over,
# upgrade, stop and purge, most of it under load.
#
#   run.sh [--base DIR] [--deb FILE] [--suite NAME]
#
# --base DIR    keep the bare Debian there and use it again (it takes minutes to fetch)
# --deb FILE    test this package instead of building one
# --suite NAME  on this Debian, for which the package was built: bookworm (12), which is the default, or trixie (13)
#
# Needs root, debootstrap, and systemd-nspawn from systemd-container. Exits 77 where it cannot run.
set -eu

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
packages=systemd,systemd-sysv,init-system-helpers,procps,iproute2,logrotate
packages=$packages,python3-minimal,libpython3-stdlib
suite=bookworm
base=
deb=
while [ $# -gt 0 ]; do
    case $1 in
    --base) base=$2; shift 2 ;;
    --deb) deb=$2; shift 2 ;;
    --suite) suite=$2; shift 2 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done

skip() {
    echo "skipped: $*"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip "needs root"
for program in debootstrap systemd-nspawn nsenter; do
    command -v $program > /dev/null || skip "needs $program"
done

place=$(mktemp -d /var/tmp/rondo-systemd.XXXXXX)
container=
finish() {
    # Ending its first process ends the container and everything in it.
    if [ -n "$container" ]; then
        kill -KILL "$(leader)" 2> /dev/null || true
        wait "$container" 2> /dev/null || true
    fi
    rm -rf --one-file-system "$place"
}
trap finish EXIT

leader() {
    ps -o pid= --ppid "$container" | tr -d ' '
}

inside() {
    nsenter --target "$(leader)" --all env -i LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

if [ -z "$deb" ]; then
    "$source_dir/conf/release.sh" "$place/build" -DCMAKE_INSTALL_PREFIX=/usr
    (cd "$place/build" && cpack > cpack.log 2>&1) || { cat "$place/build/cpack.log"; exit 1; }
    deb=$(echo "$place"/build/rondo_*.deb)
fi

# What the package depends on, the first of each choice.
depends=$(dpkg-deb --field "$deb" Depends | sed -E 's/ *(\([^)]*\)|\|[^,]*)//g; s/, */,/g')
packages=$packages,$depends
: "${base:=$place/base}"
if [ ! -e "$base/etc/debian_version" ]; then
    echo "fetching Debian $suite"
    debootstrap --variant=minbase --include=$packages $suite "$base" > "$place/debootstrap.log" 2>&1 || {
        tail -n 5 "$place/debootstrap.log"
        rm -rf "$base"
        skip "debootstrap failed"
    }
fi
cp -a --reflink=auto "$base" "$place/root"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$place/root/etc/hosts"
: > "$place/root/etc/resolv.conf"
mkdir "$place/root/test"
cp "$deb" "$place/root/test/rondo.deb"
cp "$source_dir"/tests/systemd/inside.py "$source_dir"/tests/lib/*.py "$place/root/test"

# The console never ends, so its input is one that never comes.
systemd-nspawn --quiet --directory="$place/root" --boot --register=no --keep-unit --private-network \
    --machine=rondo-test --console=pipe > "$place/console" 2>&1 < /dev/null &
container=$!
for _ in $(seq 300); do
    kill -0 $container 2> /dev/null || break
    [ -n "$(leader)" ] && inside systemctl is-system-running > "$place/state" 2> /dev/null && break
    grep -q degraded "$place/state" 2> /dev/null && break
    sleep 0.2
done
grep -q -e running -e degraded "$place/state" 2> /dev/null || {
    tail -n 5 "$place/console"
    skip "systemd does not boot in a container here"
}
inside python3 /test/inside.py
