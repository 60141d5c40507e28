# system.sh - minimal Debian systems to try things in, as somebody would on a new machine. To be sourced, by bash, in
# the root of the source. Needs root, debootstrap, and a network.
#
#   bare_begin                    makes $bare_work, which goes away at the end of the script, with all that is mounted there
#   bare_install SUITE ROOT       a minimal Debian in ROOT, and in /root/rondo of it a checkout of HEAD. BARE_BASE may name a
#                                 folder in which the minimal systems are kept for the next time, by suite
#   bare_enter ROOT COMMAND       runs a command of bash there, with an environment as empty as the system
#
# The mirror and the proxy settings are those that apt uses here.

# shellcheck shell=bash
bare_work=
bare_mounted=()

bare_begin() {
    if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap > /dev/null; then
        echo 'needs root and debootstrap' >&2
        exit 2
    fi
    bare_work=$(mktemp -d "${TMPDIR:-/tmp}/rondo-bare.XXXXXX") || exit 1
    trap bare_end EXIT
    trap 'exit 1' INT TERM
}

bare_end() {
    local at
    for at in "${bare_mounted[@]}"; do
        umount -l "$at"
    done
    bare_mounted=()
    rm -rf --one-file-system "$bare_work"
}

# The first Debian archive in apt's sources, in either of their two formats.
bare_mirror() {
    # shellcheck disable=SC2016 # apt-get expands these
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk '$2 ~ /^(bookworm|trixie|stable)$/ || $1 ~ /\/debian\/?$/ { print $1; exit }'
}

bare_enter() {
    chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
        ${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
        bash -c "$2"
}

# bare_fetch SUITE: prints where a minimal Debian is, after fetching it if it was not there.
bare_fetch() {
    local base=${BARE_BASE:-$bare_work/base}/$1
    if [ ! -e "$base/etc/debian_version" ]; then
        mkdir -p "${base%/*}"
        debootstrap --variant=minbase "$1" "$base" "$(bare_mirror)" > "$bare_work/debootstrap.log" 2>&1 || {
            tail -n 20 "$bare_work/debootstrap.log" >&2
            rm -rf --one-file-system "$base"
            return 1
        }
    fi
    echo "$base"
}

bare_install() {
    local root=$2 base
    base=$(bare_fetch "$1") && cp -a --reflink=auto "$base" "$root" || return 1
    mount -t proc proc "$root/proc" && bare_mounted+=("$root/proc") || return 1
    mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev" &&
        bare_mounted+=("$root/dev") || return 1
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    apt-config dump | grep -iE '^Acquire::.*(proxy|retries|timeout)' > "$root/etc/apt/apt.conf.d/90here"
    mkdir "$root/root/rondo" && git archive HEAD | tar -x -C "$root/root/rondo"
}
