#!/usr/bin/env python3
"""usage: soak.py RONDO MOCK_BACKENDS [REQUESTS]

200 connections ask for every size of answer while the backends are killed (SIGKILL) and started
again, one each second. No client may meet an error or content that is not its own, and at the end
nothing may be left in use: no descriptor, no object, no memory that keeps growing. Ends with
"N passed, N failed".

Every request may be repeated: the POSTs carry an idempotency key. `load` checks each answer to the
last byte and tries nothing again.
"""

import os
import re
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from ports import free_port  # noqa: E402
from programs import Program  # noqa: E402
from report import Report  # noqa: E402
from rondo import Rondo, binary_from_arguments  # noqa: E402

BACKENDS = 4
CONNECTIONS = 200
PARTS = 20  # in which the load comes
SETTINGS = ["retry.budget=100", "retry_window=500ms", "retry_window_max=500ms",
            "timeouts.backend_idle=1s", "log.level=debug"]
GROWTH_KIB = 2048  # of the peak, from the second quarter to the last


def start_app(directory):
    port = free_port()
    return Program([os.path.join(directory, "app"), "--host", "127.0.0.1", "--port", str(port)], port)


class Trouble(threading.Thread):
    """Kills one backend after the other and starts each again."""

    def __init__(self, apps):
        super().__init__(daemon=True)
        self.apps = apps
        self.over = threading.Event()
        self.kills = 0

    def run(self):
        while not self.over.wait(0.5):
            app = self.apps[self.kills % len(self.apps)]
            app.kill()
            self.kills += 1
            self.over.wait(0.5)
            app.start()


class Parts:
    """The requests in parts, one after the other; rondo's memory is looked at behind each, so that it takes requests
    to fill the row and not time."""

    def __init__(self, rondo, load, requests):
        self.command = [load, "--url", f"http://127.0.0.1:{rondo.port}", "--connections", str(CONNECTIONS),
                        "--mix", "--field", "Idempotency-Key: soak", "--requests"]
        self.rondo = rondo
        self.requests = requests
        self.memory = []

    def run(self):
        """What went wrong, or nothing."""
        for part in range(PARTS):
            count = self.requests * (part + 1) // PARTS - self.requests * part // PARTS
            done = subprocess.run([*self.command, str(count)], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            self.memory.append(self.rondo.memory_kib())
            if done.returncode:
                return f"load ended with {done.returncode} in part {part + 1}\n{done.stdout}\n" + self.rondo.tail()
        print("\n".join("    " + line for line in done.stdout.splitlines()))
        return ""


def play(rondo, apps, path, requests, report):
    trouble = Trouble(apps)
    load = Parts(rondo, path, requests)
    trouble.start()
    wrong = load.run()
    trouble.over.set()
    trouble.join()
    print(f"    {trouble.kills} kills, memory in KiB: {load.memory}")
    report.check(f"{requests} requests, each answered rightly", wrong)
    report.check("backends were killed meanwhile", "" if trouble.kills else "it was over too soon")
    return load.memory


def check_memory(memory, report):
    """After the warm-up the peak stays where it is."""
    quarter = PARTS // 4
    warm, late = max(memory[quarter:2 * quarter], default=0), max(memory[3 * quarter:], default=1 << 60)
    report.check("memory does not grow",
                 "" if late <= warm + GROWTH_KIB else f"from {warm} to {late} KiB")


def check_descriptors(rondo, base, report):
    """Idle connections to backends end by themselves; then there are as many as before."""
    try:
        rondo.wait_descriptors(base)
        wrong = ""
    except AssertionError as error:
        wrong = str(error)
    report.check("descriptors are as many as before", wrong)


def check_objects(rondo, report):
    lines = [line for line in rondo.lines if "in use at the end:" in line]
    if not lines:
        report.fail("nothing is in use at the end", "rondo did not say\n" + rondo.tail())
        return
    counts = re.findall(r"([a-z][a-z ]*?) (\d+)", lines[-1].split("end:", 1)[1])
    left = [f"{name} {count}" for name, count in counts if count != "0"]
    report.check("nothing is in use at the end",
                 "" if counts and not left else lines[-1])


def main():
    binary = binary_from_arguments(__doc__.splitlines()[0])
    directory = sys.argv[2]
    requests = int(sys.argv[3]) if len(sys.argv) > 3 else 60000
    report = Report(quiet=False)
    apps = [start_app(directory) for _ in range(BACKENDS)]
    try:
        with Rondo(binary, apps, SETTINGS) as rondo:
            base = rondo.descriptors()
            memory = play(rondo, apps, os.path.join(directory, "load"), requests, report)
            check_memory(memory, report)
            check_descriptors(rondo, base, report)
            report.check("rondo stops cleanly", rondo.end())
            check_objects(rondo, report)
    finally:
        for app in apps:
            app.kill()
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
