#!/usr/bin/env python3
"""usage: test_names.py RONDO

Host names of backends against a real resolver (dnsmasq), under load all the time: an address is added, one is removed,
lookups fail, a name appears only after the start, reloads bring names that are looked up slowly or not at all. No
client may see an error. It all happens in namespaces of its own (network, mounts, user), so that port 53 and
/etc/resolv.conf are there for the taking. Ends with "N passed, N failed".
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from backends import Backend  # noqa: E402
from load import Load  # noqa: E402
from namespaces import can_unshare, raise_loopback  # noqa: E402
from report import Report  # noqa: E402
from rondo import Rondo, binary_from_arguments, write_config  # noqa: E402
from supervisor import Supervisor  # noqa: E402
from waiting import PATIENCE, wait_until  # noqa: E402

PORT = 9000
INSIDE = "RONDO_TEST_NAMESPACE"


class Server(Backend):
    """Answers every request on a connection with its own address, and counts."""

    def __init__(self, address):
        self.answered = 0
        super().__init__(self._serve, host=address, port=PORT)

    def _serve(self, peer, _number):
        text = peer.getsockname()[0].encode()
        with contextlib.suppress(EOFError, OSError):
            while peer.read_head():
                self.answered += 1
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))


class Resolver:
    """A dnsmasq whose answers can be changed; it tells of every question."""

    def __init__(self, directory, records=()):
        self.hosts = os.path.join(directory, "hosts")
        self.asked = threading.Condition()
        self.questions = []
        self.records = dict(records)
        self.process = None
        self.write()
        self.start()

    def write(self):
        write_config(self.hosts, "".join(f"{address} {name}\n" for name, addresses in self.records.items()
                                         for address in addresses))

    def start(self):
        self.process = subprocess.Popen(
            ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
             "--listen-address=127.0.0.1", "--bind-interfaces", "--local-ttl=1", "--log-queries",
             f"--addn-hosts={self.hosts}", "--local=/test/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, args=(self.process.stderr,), daemon=True).start()

    def read(self, lines):
        for line in lines:
            with self.asked:
                self.questions.append(line)
                self.asked.notify_all()

    def set(self, name, *addresses):
        self.records[name] = addresses
        self.write()
        self.process.send_signal(signal.SIGHUP)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def wait_for(self, words, times=1):
        """Until a line with these words has come, so many times from now on (0: once, since the start)."""
        with self.asked:
            before = len(self.questions) if times else 0
            return self.asked.wait_for(
                lambda: sum(words in line for line in self.questions[before:]) >= max(times, 1), PATIENCE)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Watch(Load):
    """Requests without a pause, on a connection that is kept; remembers who answered."""

    def __init__(self, to):
        self.recent = []
        super().__init__(to, kept=1, reopening=0, tunnel=False)

    def exchange(self, client, number, count):
        status, fields, content = client.ask()
        assert status == 200, status
        self.recent.append((fields["x-app-url"], content.decode()))
        return fields

    def wait_for(self, wanted, count=1):
        """Whether so many answers from now on are `wanted` (url, address), and none is wrong."""
        before = len(self.recent)
        with contextlib.suppress(AssertionError):
            wait_until(f"answers of {wanted}", lambda: self.faults or self.recent[before:].count(wanted) >= count)
            return not self.faults
        return False


def play(binary, report, directory):
    resolver = Resolver(directory, {"app.test": ["127.0.0.2"]})
    first = Server("127.0.0.2")
    second = Server("127.0.0.3")
    third = Server("127.0.0.4")
    is_up = resolver.wait_for("started", 0)
    app, late = f"http://app.test:{PORT}", f"http://late.test:{PORT}"
    if not report.check("the resolver is there", "" if is_up else "".join(resolver.questions)):
        return
    rondo = Rondo(binary, [app, late], ["limits.connections=100", "timeouts.backend_idle=1s"])
    said = any("late.test" in line and "unresolved" in line for line in rondo.lines)
    report.check("a name that nobody knows is a warning, and the others serve",
                 "" if said else rondo.tail())
    load = Watch(rondo)

    def expect(name, good):
        report.check(name, "" if good else "it did not come to that\n" + rondo.tail())

    expect("a name is resolved", load.wait_for((app, "127.0.0.2"), 100))

    resolver.set("app.test", "127.0.0.2", "127.0.0.3")
    resolver.wait_for("app.test is 127.0.0.3")
    resolver.wait_for("query[A] app.test")  # the next question: that answer has been read
    first.close()
    expect("an added address serves when the first one does not", load.wait_for((app, "127.0.0.3"), 100))

    first = Server("127.0.0.2")
    resolver.set("app.test", "127.0.0.3")
    resolver.wait_for("query[A] app.test", 2)
    expect("the address that stays serves", load.wait_for((app, "127.0.0.3"), 100))
    second_before = second.answered
    expect("a removed address gets nothing any more", first.answered == 0 and second_before > 0)

    resolver.stop()
    expect("when lookups fail, the last good answer stays", load.wait_for((app, "127.0.0.3"), 4000))

    resolver.records["late.test"] = ["127.0.0.4"]
    resolver.write()
    resolver.start()
    expect("a name that appears after the start serves", load.wait_for((late, "127.0.0.4"), 100))

    wrong = load.end()
    report.check(f"{load.answers} requests without an error", wrong)
    report.check("rondo stops cleanly", rondo.end())
    resolver.stop()
    for server in (first, second, third):
        server.close()


class Reloads:
    """A rondo with a supervisor, under load, and a configuration that changes."""

    def __init__(self, binary, directory):
        self.directory = directory
        self.control = [os.path.join(os.path.dirname(os.path.abspath(binary)), "rondoctl"),
                        "-s", self.path("admin.sock"), "reload"]
        self.resolver = Resolver(directory, {"new.test": ["127.0.0.3"], "late.test": ["127.0.0.3"]})
        self.resolver.wait_for("started", 0)
        self.configure("127.0.0.2")
        self.supervisor = Supervisor()
        self.daemon = Rondo(binary, config=self.path("rondo.conf"), listen=None, supervisor=self.supervisor)
        self.load = Watch(self.daemon)

    def path(self, name):
        return os.path.join(self.directory, name)

    def configure(self, *hosts):
        urls = ", ".join(f'"http://{host}:{PORT}"' for host in hosts)
        write_config(self.path("rondo.conf"),
                     f'listen = "127.0.0.1:0"; limits = {{ connections = 100; }};\nbackends = ( {urls} );\n'
                     f'admin = {{ socket = "{self.path("admin.sock")}"; }};\n')

    def answered_by(self, host, address):
        return "" if self.load.wait_for((f"http://{host}:{PORT}", address), 20) else self.daemon.tail()

    def ask(self):
        """rondoctl, waiting for its verdict."""
        before = len(self.daemon.lines)
        control = subprocess.Popen(self.control, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.daemon.wait_log("looking up", before)
        return control


def reload_waits_for_names(stage):
    stage.resolver.pause()
    stage.configure("new.test")
    stage.daemon.reload("looking up")
    asked = stage.supervisor.wait("RELOADING=1")
    wrong = stage.answered_by("127.0.0.2", "127.0.0.2")
    early = [lines for _, lines in stage.supervisor.messages[asked:] if "READY=1" in lines]
    stage.resolver.go_on()
    stage.daemon.wait_log("reloaded: 2 changes")
    stage.supervisor.wait("READY=1", after=asked)
    return wrong or str(early or "") or stage.answered_by("new.test", "127.0.0.3")


def a_later_reload_takes_the_place_of_one_that_waits(stage):
    stage.resolver.pause()
    stage.configure("late.test")
    control = stage.ask()
    stage.configure("new.test", "127.0.0.2")
    stage.daemon.reload("reloaded: 1 change")
    stage.resolver.go_on()
    said = control.communicate(timeout=PATIENCE)[0]
    if control.returncode == 0 or "a later one takes its place" not in said:
        return said
    return stage.answered_by("new.test", "127.0.0.3")


def rondoctl_waits_for_the_verdict(stage):
    stage.resolver.pause()
    stage.configure("late.test", "127.0.0.2")
    control = stage.ask()
    waits = control.poll() is None
    stage.resolver.go_on()
    said = control.communicate(timeout=PATIENCE)[0]
    return "" if waits and control.returncode == 0 and said.startswith("reloaded, 2 changes\n") else said


def a_rondoctl_that_goes_away_leaves_the_reload(stage):
    before = len(stage.daemon.lines)
    stage.resolver.pause()
    stage.configure("new.test", "127.0.0.2")
    control = stage.ask()
    control.kill()
    control.communicate()
    stage.resolver.go_on()
    stage.daemon.wait_log("reloaded: 2 changes", before)
    return stage.answered_by("new.test", "127.0.0.3")


def a_name_that_nobody_knows_is_a_warning(stage):
    stage.configure("new.test", "nobody.test")
    stage.daemon.reload(rf"backend nobody.test:{PORT} is unresolved")
    return stage.answered_by("new.test", "127.0.0.3")


def a_stop_does_not_wait_for_names(stage):
    stage.resolver.pause()
    stage.configure("late.test")
    stage.daemon.reload("looking up")
    wrong = stage.load.end()
    stage.daemon.stop()
    stage.resolver.go_on()
    return wrong


def play_reloads(binary, report, directory):
    servers = [Server("127.0.0.2"), Server("127.0.0.3")]
    stage = Reloads(binary, directory)
    for test in (reload_waits_for_names, a_later_reload_takes_the_place_of_one_that_waits,
                 rondoctl_waits_for_the_verdict, a_rondoctl_that_goes_away_leaves_the_reload,
                 a_name_that_nobody_knows_is_a_warning, a_stop_does_not_wait_for_names):
        try:
            report.check(test.__name__.replace("_", " "), test(stage))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            report.check(test.__name__.replace("_", " "), str(error))
            stage.resolver.go_on()
    wrong = stage.load.end()
    report.check(f"{stage.load.answers} requests without an error", wrong)
    stage.daemon.kill()
    stage.resolver.stop()
    for server in servers:
        server.close()


def enter_namespaces():
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-rmn", sys.executable] + sys.argv)


def main():
    report = Report(quiet=False)
    binary = binary_from_arguments(__doc__)
    if not os.environ.get(INSIDE):
        if not shutil.which("dnsmasq"):
            report.skip("names", "dnsmasq is not installed")
            return report.finish()
        if not can_unshare("-rmn"):
            report.skip("names", "namespaces cannot be made here")
            return report.finish()
        enter_namespaces()
    raise_loopback()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        resolv_conf = os.path.join(directory, "resolv.conf")
        with open(resolv_conf, "w", encoding="ascii") as file:
            file.write("nameserver 127.0.0.1\n")
        subprocess.run(["mount", "--bind", resolv_conf, os.path.realpath("/etc/resolv.conf")], check=True)
        play(binary, report, directory)
        play_reloads(binary, report, directory)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
