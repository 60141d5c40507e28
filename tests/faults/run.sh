#!/bin/sh
# run.sh RONDO [ID...] - real faults on the real program: what the system or the peers do wrong, and what has
# to come of it. Runs all of them, or those with these ids (faults.tsv). Needs python3; some need strace, namespaces
# or a C compiler, and are skipped with a line where that is not to be had. The last line is "N passed, N failed".
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
exec python3 "$(dirname "$0")/run_faults.py" "$@"
