#!/usr/bin/env python3
"""usage: test_names.py RONDO

Host names of backends against a real resolver (dnsmasq), under load all the time: an address is added, one is removed,
lookups fail, a name appears only after the start, reloads bring names that are looked up slowly or not at all. No
client may see an error. It all happens in namespaces of its own (network, mounts, user), so that port 53 and
/etc/resolv.conf are there for the taking. Ends with "N passed, N failed".
"""

import fcntl
import http.client
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))

import harness  # noqa: E402
from process import Daemon, Supervisor  # noqa: E402

PORT = 9000
PATIENCE_S = 20
INSIDE = "RONDO_TEST_NAMESPACE"


def raise_loopback():
    """The loopback interface of a new network namespace is down."""
    get_flags, set_flags, is_up = 0x8913, 0x8914, 0x1
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, get_flags, request))[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | is_up))


class Server:
    """Answers every request on a connection with its own address, and counts."""

    def __init__(self, address):
        self.address = address
        self.answered = 0
        self.links = set()
        self.listener = socket.create_server((address, PORT))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.links.add(link)
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        text = self.address.encode()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
        head = b""
        try:
            while True:
                got = link.recv(4096)
                if not got:
                    break
                head += got
                while b"\r\n\r\n" in head:
                    head = head.partition(b"\r\n\r\n")[2]
                    self.answered += 1
                    link.sendall(answer)
        except OSError:
            pass
        self.links.discard(link)
        link.close()

    def close(self):
        # A listener that a thread is waiting on is only released by its shutdown.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for link in list(self.links):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


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
        with open(self.hosts, "w", encoding="ascii") as file:
            for name, addresses in self.records.items():
                for address in addresses:
                    file.write(f"{address} {name}\n")

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
                lambda: sum(words in line for line in self.questions[before:]) >= max(times, 1), PATIENCE_S)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Load:
    """Requests without a pause, on a connection that is kept; remembers every answer that is none."""

    def __init__(self, port):
        self.port = port
        self.errors = []
        self.count = 0
        self.news = threading.Condition()
        self.recent = []
        self.ended = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.ended:
            try:
                link.request("GET", "/")
                answer = link.getresponse()
                body = answer.read().decode()
                url = answer.getheader("x-app-url")
                if answer.status != 200:
                    self.errors.append(f"status {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                link.close()
                continue
            with self.news:
                self.count += 1
                self.recent.append((url, body))
                self.news.notify_all()

    def wait_for(self, wanted, count=1):
        """Until so many answers from now on were `wanted` (url, address)."""
        with self.news:
            before = len(self.recent)
            return self.news.wait_for(lambda: self.recent[before:].count(wanted) >= count, PATIENCE_S)

    def stop(self):
        self.ended = True
        self.thread.join()


def play(binary, report, directory):
    resolver = Resolver(directory)
    first = Server("127.0.0.2")
    second = Server("127.0.0.3")
    third = Server("127.0.0.4")
    is_up = resolver.wait_for("started", 0)
    resolver.set("app.test", "127.0.0.2")
    app, late = f"http://app.test:{PORT}", f"http://late.test:{PORT}"
    if not report.check("the resolver is there", "" if is_up else "".join(resolver.questions)):
        return
    rondo = harness.Rondo(binary, [app, late], ["limits.connections=100", "timeouts.backend_idle=1s"])
    said = any("late.test" in line and "unresolved" in line for line in rondo.lines)
    report.check("a name that nobody knows is a warning, and the others serve",
                 "" if said else rondo.tail())
    load = Load(rondo.port)

    def expect(name, good):
        report.check(name, "" if good else "it did not come to that\n" + rondo.tail())

    expect("a name is resolved", load.wait_for((app, "127.0.0.2"), 100))

    resolver.set("app.test", "127.0.0.2", "127.0.0.3")
    resolver.wait_for("app.test is 127.0.0.3")
    first.close()
    expect("an added address serves when the first one does not", load.wait_for((app, "127.0.0.3"), 100))

    first = Server("127.0.0.2")
    resolver.set("app.test", "127.0.0.3")
    resolver.wait_for("query[A] app.test", 2)
    expect("the address that stays serves", load.wait_for((app, "127.0.0.3"), 100))
    second_before = second.answered
    expect("a removed address gets nothing any more", first.answered == 0 and second_before > 0)

    resolver.stop()
    expect("when lookups fail, the last good answer stays", load.wait_for((app, "127.0.0.3"), 2000))

    resolver.records["late.test"] = ["127.0.0.4"]
    resolver.write()
    resolver.start()
    expect("a name that appears after the start serves", load.wait_for((late, "127.0.0.4"), 100))

    load.stop()
    report.check(f"{load.count} requests without an error", "; ".join(load.errors[:5]))
    report.check("rondo stops cleanly", rondo.stop())
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
        self.daemon = Daemon(binary, ["-c", self.path("rondo.conf")], supervisor=self.supervisor)
        self.load = Load(self.daemon.port)

    def path(self, name):
        return os.path.join(self.directory, name)

    def configure(self, *hosts):
        urls = ", ".join(f'"http://{host}:{PORT}"' for host in hosts)
        with open(self.path("new"), "w", encoding="ascii") as file:
            file.write(f'listen = "127.0.0.1:0"; limits = {{ connections = 100; }};\nbackends = ( {urls} );\n'
                       f'admin = {{ socket = "{self.path("admin.sock")}"; }};\n')
        os.rename(self.path("new"), self.path("rondo.conf"))

    def answered_by(self, host, address):
        return "" if self.load.wait_for((f"http://{host}:{PORT}", address), 20) else self.daemon.tail()

    def hup(self, words):
        """Until such a line has come."""
        before = len(self.daemon.log)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_log(words, before)

    def ask(self):
        """rondoctl, waiting for its verdict."""
        before = len(self.daemon.log)
        control = subprocess.Popen(self.control, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.daemon.wait_log("looking up", before)
        return control


def reload_waits_for_names(stage):
    stage.resolver.pause()
    stage.configure("new.test")
    stage.hup("looking up")
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
    stage.hup("reloaded: 1 changes")
    stage.resolver.go_on()
    said = control.communicate(timeout=PATIENCE_S)[0]
    if control.returncode == 0 or "a later one takes its place" not in said:
        return said
    return stage.answered_by("new.test", "127.0.0.3")


def rondoctl_waits_for_the_verdict(stage):
    stage.resolver.pause()
    stage.configure("late.test", "127.0.0.2")
    control = stage.ask()
    waits = control.poll() is None
    stage.resolver.go_on()
    said = control.communicate(timeout=PATIENCE_S)[0]
    return "" if waits and control.returncode == 0 and said.startswith("reloaded, 2 changes\n") else said


def a_rondoctl_that_goes_away_leaves_the_reload(stage):
    before = len(stage.daemon.log)
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
    stage.hup(rf"backend nobody.test:{PORT} is unresolved")
    return stage.answered_by("new.test", "127.0.0.3")


def a_stop_does_not_wait_for_names(stage):
    stage.resolver.pause()
    stage.configure("late.test")
    stage.hup("looking up")
    stage.load.stop()
    stage.daemon.stop()
    stage.resolver.go_on()
    return "; ".join(stage.load.errors[:5])


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
    stage.load.stop()
    report.check(f"{stage.load.count} requests without an error", "; ".join(stage.load.errors[:5]))
    stage.daemon.kill()
    stage.resolver.stop()
    for server in servers:
        server.close()


def enter_namespaces():
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "-rmn", sys.executable] + sys.argv)


def main():
    report = harness.Report(quiet=False)
    binary = harness.binary_from_arguments(__doc__)
    if not os.environ.get(INSIDE):
        probe = subprocess.run(["unshare", "-rmn", "true"], stderr=subprocess.DEVNULL, check=False)
        if not shutil.which("dnsmasq"):
            report.skip("names", "dnsmasq is not installed")
            return report.finish()
        if probe.returncode != 0:
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
