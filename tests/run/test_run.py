"""Can tests/run.sh pass without having tested, or leave something behind? It runs in a tree in which every program of a
step is a stub; some of them die, hang, or say nothing.
"""
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "lib"))
from processes import is_alive  # noqa: E402
from waiting import PATIENCE, wait_until  # noqa: E402

# Without order for its name, a stub is a test that passes.
STUB = """#!/usr/bin/python3
import os, subprocess, sys, time
here = os.environ["STUBS"]
order = ""
if os.path.exists(f"{here}/{os.path.basename(__file__)}"):
    order = open(f"{here}/{os.path.basename(__file__)}").read()
exec(order or 'print("1 passed, 0 failed")')
"""
# A process that is in no group or session of the run, and says who it is in a file.
HANG = """
import os, time
if os.fork():
    os.wait()
os.setsid()
open(f"{here}/pid.{os.getpid()}", "w").close()
time.sleep(10000)
"""
# Ends that process of the run which is this one's farthest ancestor, run.sh itself apart.
KILL_LANE = """
import os, signal
pid, lane = os.getpid(), 0
while pid != int(open(f"{here}/run.pid").read()):
    lane, pid = pid, int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
os.kill(lane, signal.SIGKILL)
time.sleep(1)
"""
PROGRAMS = ["tests/http/run_cases.py", "tests/admin/test_admin.py", "tests/admin/test_page.py", "tests/real/run_real.py",
            "tests/names/test_names.py", "tests/soak/soak.py", "tests/faults/run.sh", "tests/conversations/run.sh",
            "tests/analyze.sh", "tests/fuzz/run.sh", "tests/style.sh", "tests/sim/planted.py", "conf/release.sh",
            "build/release/tests/sim/sim"]
SYSTEM = {
    "cmake": "", "varnishtest": "", "clang-format": "", "apt-get": "exit 1", "apt-cache": "exit 1",
    "dpkg-query": "echo installed", "pkg-config": "",
    "ctest": "echo '1/1 Test #1: x .......   Passed    0.01 sec'",
}


class Run:
    """One run of run.sh. `orders` has what a program does instead of passing."""

    def __init__(self, place, orders, **environment):
        self.place = place
        self.stubs = os.path.join(place, "stubs")
        self.temporary = os.path.join(place, "tmp")
        tree = os.path.join(place, "tree")
        for folder in (self.stubs, self.temporary, os.path.join(place, "bin")):
            os.mkdir(folder)
        for name, text in orders.items():
            self.write(os.path.join(self.stubs, name), text)
        for program in PROGRAMS:
            # What is started by its interpreter is a script of it.
            self.write(os.path.join(tree, program), self.shell_stub() if program.endswith(".sh") else STUB)
        self.write(os.path.join(place, "bin/shell_stub"), STUB)
        for name, text in SYSTEM.items():
            self.write(os.path.join(place, "bin", name), f"#!/bin/sh\n{text}\n")
        for source in ("src", "include", "mock_backends"):
            self.write(os.path.join(tree, source, "x.c"), "int x;\n")
        shutil.copy(os.path.join(TESTS, "run.sh"), os.path.join(tree, "tests"))
        shutil.copytree(os.path.join(TESTS, "lib"), os.path.join(tree, "tests/lib"))
        shutil.copytree(os.path.join(TESTS, "unit"), os.path.join(tree, "tests/unit"),
                        ignore=lambda path, names: [name for name in names if name != "run.sh"])
        path = os.path.join(place, "bin") + os.pathsep + os.environ["PATH"]
        self.log = open(os.path.join(place, "log"), "w+", encoding="utf-8")
        # run.sh learns nothing of a run that it may be part of, but for the mark of the latter.
        self.process = subprocess.Popen(
            ["bash", "-c", f"echo $$ > {self.stubs}/run.pid; exec {tree}/tests/run.sh"], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PATH": path, "STUBS": self.stubs, "TMPDIR": self.temporary,
                 "LLHTTP_SOURCE_DIR": place, "OTHER_LLHTTP": "", **environment})

    @staticmethod
    def shell_stub():
        return '#!/bin/sh\nexec python3 -c "$(sed "s#__file__#\'$0\'#" "$(command -v shell_stub)")"\n'

    @staticmethod
    def write(path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, stat.S_IRWXU)

    def wait(self):
        """Its status, and the lines that it printed."""
        status = self.process.wait(PATIENCE)
        self.log.seek(0)
        return status, self.log.read().splitlines()

    def hanging(self):
        """The processes that have been told to hang."""
        return [int(name[4:]) for name in os.listdir(self.stubs) if name.startswith("pid.")]

    def close(self):
        for pid in self.hanging():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Runs(unittest.TestCase):
    def run_with(self, orders, **environment):
        place = tempfile.TemporaryDirectory(prefix="rondo-run.")
        self.addCleanup(place.cleanup)
        run = Run(place.name, orders, **environment)
        self.addCleanup(run.close)
        return run

    def check_fails(self, orders, line, **environment):
        run = self.run_with(orders, **environment)
        status, lines = run.wait()
        self.assertIn(line, "\n".join(lines))
        self.assertNotEqual(status, 0)
        self.assertRegex(lines[-1], r"^\d+ passed, [1-9]\d* failed$")
        return run

    def test_all_that_passes_is_counted(self):
        status, lines = self.run_with({}).wait()
        # Units and a conversation for each of two builds, and so on.
        self.assertEqual(lines[-1], "20 passed, 0 failed", "\n".join(lines))
        self.assertEqual(status, 0)

    def test_a_step_that_says_nothing_has_failed(self):
        self.check_fails({"soak.py": "pass"}, "soak: 0 passed, 1 failed")

    def test_a_step_that_ends_before_its_count_has_failed(self):
        self.check_fails({"soak.py": "print('ok one thing')"}, "soak: 0 passed, 1 failed")

    def test_a_step_that_has_run_nothing_has_failed(self):
        self.check_fails({"soak.py": "print('0 passed, 0 failed')"}, "soak: 0 passed, 1 failed")

    def test_a_step_that_was_skipped_with_a_line_has_not(self):
        status, lines = self.run_with({"soak.py": "print('skipped soak: no\\n0 passed, 0 failed')"}).wait()
        self.assertEqual((status, lines[-1]), (0, "19 passed, 0 failed"))

    def test_a_count_that_the_status_denies_is_a_failure(self):
        self.check_fails({"soak.py": "print('1 passed, 0 failed'); sys.exit(3)"}, "soak: 1 passed, 1 failed")

    def test_a_lane_that_dies_is_a_failure(self):
        self.check_fails({"soak.py": KILL_LANE}, "the lane 'release' has not come to its end")

    def test_a_step_beyond_its_time_is_ended_and_has_failed(self):
        run = self.check_fails({"soak.py": HANG}, "soak: 0 passed, 1 failed", STEPS_LIMIT="2")
        self.assertTrue(run.hanging())
        self.assertFalse([pid for pid in run.hanging() if is_alive(pid)])

    def test_term_ends_all_of_it(self):
        run = self.run_with({"test_admin.py": HANG, "analyze.sh": HANG})
        wait_until("each of three lanes hangs", lambda: len(run.hanging()) >= 3)
        os.kill(run.process.pid, signal.SIGTERM)
        status, lines = run.wait()
        self.assertEqual(status, 128 + signal.SIGTERM, "\n".join(lines))
        self.assertFalse([pid for pid in run.hanging() if is_alive(pid)])
        self.assertEqual(os.listdir(run.temporary), [])


if __name__ == "__main__":
    unittest.main()
