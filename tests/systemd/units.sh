#!/bin/sh
# Are the unit files right, and does the service give away as much as it can? systemd says so itself:
#   units.sh DIRECTORY-OF-UNITS PATH-OF-RONDO
# Exits 77 where systemd-analyze is missing or too old to look at files.
set -eu
units=$1
rondo=$2
if ! systemd-analyze security --help 2> /dev/null | grep -q -e --offline; then
    echo "skipped: no systemd-analyze that can look at unit files"
    exit 77
fi
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# The programs they name are not installed here, and must exist.
for unit in "$units"/rondo.service "$units"/rondo@.service "$units"/rondo.socket "$units"/rondo-release.service; do
    sed -E "s#^(Exec[A-Za-z]*=)/[^ ]*/rondo( |\$)#\1$rondo\2#" "$unit" > "$place/${unit##*/}"
done

failed=0
# Says nothing when all is well.
complaints=$(systemd-analyze verify --man=no "$place/rondo.service" "$place/rondo@0.service" \
    "$place/rondo.socket" 2>&1 | grep -F rondo) || true
if [ -n "$complaints" ]; then
    echo "FAILED  systemd-analyze verify: $complaints"
    failed=1
fi
# systemd warns of a variable that is not set.
for unit in rondo.service rondo@.service; do
    for name in $(sed -nE 's/^ExecStart=.*\$([A-Z]+).*/\1/p' "$units/$unit"); do
        grep -q "^Environment=$name=" "$units/$unit" || {
            echo "FAILED  $unit: \$$name may be unset"
            failed=1
        }
    done
done
# In tenths: an exposure of 2.0 is allowed.
for unit in rondo.service rondo@.service; do
    if ! verdict=$(systemd-analyze security --offline=true --threshold=20 --no-pager "$place/$unit"); then
        printf 'FAILED  exposure of %s\n%s\n' "$unit" "$verdict"
        failed=1
    fi
    echo "$verdict" | tail -n 1
done
exit $failed
