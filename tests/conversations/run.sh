#!/bin/sh
# Runs every conversation against a rondo: the varnishtest scripts (*.vtc) and the Python tests
# (test_*.py). Ends with a line "N passed, N failed"; its status is 0 when none failed.
#
#   run.sh RONDO [-jN] [NAME...]     NAME: only scripts whose file name contains it
set -u

here=$(cd "$(dirname "$0")" && pwd)
usage() {
	echo "usage: run.sh RONDO [-jN] [NAME...]" >&2
	exit 2
}

[ $# -ge 1 ] && [ -x "$1" ] && [ ! -d "$1" ] || usage
command -v varnishtest >/dev/null || {
	echo "varnishtest is missing; it comes with the package varnish" >&2
	exit 2
}
rondo=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
jobs=1
case ${1-} in
-j?*)
	jobs=${1#-j}
	shift
	;;
esac

# Short, since the paths of Unix sockets are: everything a script makes lies below.
work=$(mktemp -d "${TMPDIR:-/tmp}/rondo.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/bin" "$work/log" "$work/tmp"
# A script that is killed must not leave its rondo behind.
if command -v setpriv >/dev/null; then
	printf '#!/bin/sh\nexec setpriv --pdeathsig KILL "%s" "$@"\n' "$rondo" >"$work/bin/rondo"
	chmod +x "$work/bin/rondo"
else
	ln -s "$rondo" "$work/bin/rondo"
fi
PATH=$work/bin:$PATH
TMPDIR=$work/tmp
NO_COLOR=1
PYTHONDONTWRITEBYTECODE=1
export PATH TMPDIR NO_COLOR PYTHONDONTWRITEBYTECODE

# One script: its log, and a file beside it that tells how it ended.
cat >"$work/one" <<'EOS'
#!/bin/sh
name=$(basename "$1")
log=$2/$name
case $name in
*.vtc) varnishtest -t 60 "$1" >"$log" 2>&1 ;;
*.py) python3 "$1" "$3" >"$log" 2>&1 ;;
esac && end=passed || end=failed
echo "$end" >"$log.end"
EOS
chmod +x "$work/one"

for script in "$here"/*.vtc "$here"/test_*.py; do
	[ -e "$script" ] || continue
	for wanted in "${@:-}"; do
		case $(basename "$script") in
		*"$wanted"*)
			printf '%s\0' "$script"
			break
			;;
		esac
	done
done >"$work/scripts"
xargs -0 -r -a "$work/scripts" -P "$jobs" -I SCRIPT "$work/one" SCRIPT "$work/log" "$rondo"

# One that has left no end behind has failed as well.
passed=0
failed=0
for script in $(tr '\0' '\n' <"$work/scripts" | sed 's#.*/##'); do
	log=$work/log/$script
	if [ "$(cat "$log.end" 2>/dev/null)" = passed ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "---- $script"
		tail -n 60 "$log" 2>/dev/null
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
