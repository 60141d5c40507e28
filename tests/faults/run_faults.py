"""Runs the fault tests, some at a time; see run.sh."""

import concurrent.futures
import shutil
import sys
import time
import traceback

import world
from harness import Report, binary_from_arguments

# They register their tests.
import shortages  # noqa: F401
import peers  # noqa: F401
import process  # noqa: F401
import files  # noqa: F401

WIDTH = 4


def run(binary, identity, sentence, test):
    """What to report: how it ended and why."""
    place = world.World(binary)
    begin = time.monotonic()
    try:
        test(place)
        return "ok", f"{place.told} [{time.monotonic() - begin:.1f} s]".strip()
    except world.Skip as reason:
        return "skipped", str(reason)
    except Exception:
        return "failed", traceback.format_exc()
    finally:
        place.close()


def main():
    binary = binary_from_arguments("usage: run.sh RONDO [ID...]")
    wanted = sys.argv[2:]
    report = Report(quiet=False)
    world.World.can_inject = shutil.which("strace") is not None and world.quietly_injects()
    tests = [one for one in world.TESTS if not wanted or one[0] in wanted]
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
