"""Runs the fault tests, some at a time; see run.sh."""

import concurrent.futures
import os
import shutil
import sys
import time
import traceback

import world
from report import Report, Skip
from rondo import binary_from_arguments

# They register their tests.
import shortages  # noqa: F401
import peers  # noqa: F401
import process  # noqa: F401
import files  # noqa: F401
import rude  # noqa: F401

WIDTH = 4


def run(binary, identity, sentence, test):
    """What to report: how it ended and why."""
    place = world.World(binary)
    begin = time.monotonic()
    try:
        test(place)
        return "ok", f"{place.told} [{time.monotonic() - begin:.1f} s]".strip()
    except Skip as reason:
        return "skipped", str(reason)
    except Exception:
        return "failed", traceback.format_exc()
    finally:
        place.close()


def check_table(report):
    """Each fault of the table is tested where it says."""
    tests = os.path.dirname(world.HERE)
    here = {identity for identity, _, _ in world.TESTS}
    with open(os.path.join(world.HERE, "faults.tsv"), encoding="utf-8") as table:
        rows = [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]
    report.check("every test has its fault in the table", ", ".join(here - {row[0] for row in rows}))
    for identity, fault, places in rows:
        missing = []
        for place in [] if places.startswith("none: ") else places.split():
            name, _, word = place.partition(":")
            try:
                if name == "here":
                    is_there = identity in here
                else:
                    with open(os.path.join(tests, name), encoding="utf-8") as file:
                        is_there = word in file.read()
            except OSError:
                is_there = False
            if not is_there:
                missing.append(place)
        if missing:
            report.fail(f"{identity} {fault}", "not tested by " + ", ".join(missing))


def main():
    binary = binary_from_arguments("usage: run.sh RONDO [ID...]")
    wanted = sys.argv[2:]
    report = Report(quiet=False)
    world.World.can_inject = shutil.which("strace") is not None and world.quietly_injects()
    tests = [one for one in world.TESTS if not wanted or one[0] in wanted]
    if not wanted:
        check_table(report)
    with concurrent.futures.ThreadPoolExecutor(WIDTH) as pool:
        ends = {pool.submit(run, binary, *one): one for one in tests}
        for end in concurrent.futures.as_completed(ends):
            identity, sentence, _ = ends[end]
            how, why = end.result()
            if how == "ok":
                report.ok(f"{identity} {sentence} {why}")
            elif how == "skipped":
                report.skip(f"{identity} {sentence}", why)
            else:
                report.fail(f"{identity} {sentence}", why)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
