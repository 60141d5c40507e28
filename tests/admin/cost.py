#!/usr/bin/env python3
"""cost.py RONDO TOOLS [ROUNDS] - what being watched costs; TOOLS has origin and drive of tests/bench.

Small GETs at full speed with the access log written and /metrics scraped, over the same without: processor time
per request, in turn, so that both see the same machine; at most 1.10. On a busy machine the best rounds tell
more. Then 1,000 scrapes a second beside a steady load, over none: the 99th percentile may grow by 10 %.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from ports import free_port  # noqa: E402
from programs import Printer  # noqa: E402
from rondo import Rondo, binary_from_arguments  # noqa: E402

BINARY = binary_from_arguments(__doc__)
TOOLS = sys.argv[2]
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5


def drive(port, arguments, pid=None):
    command = [TOOLS + "/drive", "--port", str(port), "--warm-ms", "300"] + arguments
    if pid:
        command += ["--watch", str(pid)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(process):
    answer = json.loads(process.communicate()[0])
    assert answer["errors"] == 0, answer
    return answer


def main():
    origin = Printer([TOOLS + "/origin", "1"])
    admin = free_port()
    plain_us, watched_us, percentiles = [], [], []
    log = tempfile.NamedTemporaryFile(prefix="rondo-cost-")
    try:
        with Rondo(BINARY, [origin]) as plain, \
                Rondo(BINARY, [origin], [f"log.access={log.name}",
                                         f"admin.http=127.0.0.1:{admin}"]) as watched:
            small = ["--connections", "32", "--run-ms", "2000"]
            for _ in range(ROUNDS):
                off = result(drive(plain.port, small, plain.pid))
                scrapes = drive(admin, ["--connections", "1", "--rate", "5", "--run-ms", "2000",
                                           "--target", "http://127.0.0.1/metrics"])
                on = result(drive(watched.port, small, watched.pid))
                result(scrapes)
                plain_us.append(off["cpu_us"])
                watched_us.append(on["cpu_us"])
                steady = ["--connections", "32", "--rate", "1000", "--run-ms", "4000"]
                alone = result(drive(watched.port, steady))
                scrapes = drive(admin, ["--connections", "8", "--rate", "1000", "--run-ms", "4000",
                                           "--target", "http://127.0.0.1/metrics"])
                beside = result(drive(watched.port, steady))
                scraped = result(scrapes)
                percentiles.append((alone["p99_us"], beside["p99_us"], scraped["requests"]))
    finally:
        log.close()
        origin.kill()
    median, best = statistics.median, min
    print(f"processor time per request, watched over not: {median(watched_us) / median(plain_us):.3f}, "
          f"of the best rounds {best(watched_us) / best(plain_us):.3f} "
          f"({best(watched_us):.2f} over {best(plain_us):.2f} us)")
    alone, beside, scraped = (statistics.median(column) for column in zip(*percentiles))
    print(f"99th percentile: {alone:.0f} us alone, {beside:.0f} us beside {scraped / 4:.0f} scrapes a second")


if __name__ == "__main__":
    main()
