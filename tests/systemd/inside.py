"""What run.sh does inside of its container, as root, with systemd as the first process. In this order: each step finds
the machine as the one before left it."""

import os
import pwd
import re
import signal
import subprocess
import sys

import processes
from backends import EchoBackend
from clients import Client, ask, request
from load import Load
from ports import is_open
from report import Report
from waiting import wait_until

PORT = 8080
CONFIG = "/etc/rondo/rondo.conf"
DEB = "/test/rondo.deb"


def run(*command):
    """Exit status and all output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, timeout=120, check=False)
    return done.returncode, done.stdout


def must(*command):
    status, output = run(*command)
    assert status == 0, f"{' '.join(command)}: exit status {status}\n{output}"
    return output


def show(name, unit="rondo.service"):
    return must("systemctl", "show", "--property=" + name, "--value", unit).strip()


def main_pid(unit="rondo.service"):
    return int(show("MainPID", unit))


def wait_for_another(pid, unit="rondo.service"):
    """The main process, once it is another than `pid` and serves."""
    return wait_until("another main process", lambda: main_pid(unit) not in (0, pid) and
                      show("ActiveState", unit) == "active" and main_pid(unit))


def journal():
    return must("journalctl", "--unit=rondo.service", "--output=cat", "--no-pager")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def configure(backends, rest=""):
    urls = ", ".join(f'"{backend.url}"' for backend in backends)
    write(CONFIG, f'backends = ( {urls} );\nlog = {{ access = "/var/log/rondo/access.log"; }};\n{rest}')


# ---- steps


def step_install_starts_the_service_as_its_own_user(_):
    must("dpkg", "--install", DEB)
    assert show("ActiveState") == "active", must("systemctl", "status", "rondo")
    assert show("UnitFileState") == "enabled"
    owner = os.stat(f"/proc/{main_pid()}").st_uid
    assert pwd.getpwuid(owner).pw_name == "rondo"
    assert show("StatusText").startswith("serving "), show("StatusText")
    exposure = must("systemd-analyze", "security", "--no-pager", "--threshold=20", "rondo.service")
    assert "level for rondo.service" in exposure
    must("systemd-analyze", "verify", "--man=no", "rondo.service", "rondo.socket", "rondo@1.service")


def step_reload_applies_a_good_file_under_load(world):
    configure([world.one])
    must("systemctl", "reload", "rondo")
    load = Load(PORT)
    pid = main_pid()
    for count in range(10):
        configure([world.one, world.other][: 1 + count % 2])
        must("systemctl", "reload", "rondo")
    load.wait_more(100)
    load.stop()
    assert load.reopened == 0 and main_pid() == pid
    wait_until("the status", lambda: show("StatusText").startswith("serving 2/2 backends, "))


def step_reload_refuses_a_bad_file_and_says_where(world):
    configure([world.one, world.other], "wieght = 3;\n")
    load = Load(PORT)
    status, output = run("systemctl", "reload", "rondo")
    assert status != 0, output
    assert f"{CONFIG}:3: unknown setting `wieght`" in journal()
    assert show("ActiveState") == "active" and show("StatusText").startswith("serving ")
    os.kill(main_pid(), signal.SIGHUP)
    expected = f"reload refused: {CONFIG}:3: unknown setting `wieght`"
    wait_until("the status", lambda: show("StatusText").startswith(expected))
    load.wait_more(50)
    load.stop()
    configure([world.one, world.other])
    must("systemctl", "reload", "rondo")
    wait_until("the status", lambda: show("StatusText").startswith("serving 2/2 backends, "))


def step_rondoctl_talks_to_the_service(world):
    assert os.stat("/run/rondo/admin.sock").st_mode & 0o777 == 0o660
    assert f"127.0.0.1:{world.one.port}" in must("rondoctl", "status")
    configure([world.one, world.other], 'admin = { socket = ""; };\n')
    must("rondoctl", "reload")
    assert not os.path.exists("/run/rondo/admin.sock")
    configure([world.one, world.other])
    must("systemctl", "reload", "rondo")
    wait_until("the socket", lambda: os.path.exists("/run/rondo/admin.sock"))


def step_reload_fails_where_the_process_refuses(world):
    text = 'listen = "*:80";\n'
    configure([world.one, world.other], text)
    must("/usr/sbin/rondo", "-t", "-q")
    status, output = run("systemctl", "reload", "rondo")
    assert status != 0, output
    assert "cannot listen on *:80: Permission denied" in journal()
    assert ask(PORT)[0] == 200
    configure([world.one, world.other])
    must("systemctl", "reload", "rondo")


def step_logrotate_gives_way_to_a_new_file(_):
    must("logrotate", "--force", "/etc/logrotate.d/rondo")
    ask(PORT, "/rotated")
    log = "/var/log/rondo/access.log"
    wait_until("the line", lambda: "/rotated" in open(log, encoding="utf-8").read())
    assert "/rotated" not in open(log + ".1", encoding="utf-8").read()


def step_a_successor_becomes_the_main_process_under_load(_):
    load = Load(PORT, tunnel=False)
    for _ in range(3):
        pid = main_pid()
        os.kill(pid, signal.SIGUSR2)
        new = wait_for_another(pid)
        wait_until("the end of the old one", lambda gone=pid: not os.path.exists(f"/proc/{gone}"))
        load.wait_more(100)
        assert main_pid() == new
    load.stop()
    assert show("NRestarts") == "0" and load.reopened > 0
    for trouble in ("reception only permitted for main PID", "not our child"):
        assert trouble not in journal(), journal()


def step_a_successor_that_crashes_is_started_again(_):
    pid = main_pid()
    os.kill(pid, signal.SIGKILL)
    wait_for_another(pid)
    assert show("NRestarts") == "1" and ask(PORT)[0] == 200
    must("systemctl", "restart", "rondo")
    assert show("NRestarts") == "0"


def step_a_successor_that_cannot_start_changes_nothing(world):
    configure([world.one, world.other], "wieght = 3;\n")
    pid = main_pid()
    os.kill(pid, signal.SIGUSR2)
    wait_until("the line", lambda: "the successor ended before it was ready" in journal())
    assert main_pid() == pid and ask(PORT)[0] == 200
    configure([world.one, world.other])


def step_an_upgrade_hands_over_under_load(_):
    load = Load(PORT, tunnel=False)
    pid = main_pid()
    must("dpkg", "--install", DEB)
    wait_for_another(pid)
    load.wait_more(100)
    load.stop()
    assert show("NRestarts") == "0"


def step_a_socket_unit_takes_the_port_over_from_a_running_rondo(_):
    pid = main_pid()
    must("systemctl", "enable", "--now", "rondo.socket")
    assert show("ActiveState", "rondo.socket") == "active"
    # It is restarted once it has finished what it had, and waits for no client.
    wait_for_another(pid)
    assert ask(PORT)[0] == 200
    listeners = must("ss", "--listening", "--tcp", "--numeric", "--processes", f"sport = :{PORT}")
    assert listeners.count("LISTEN") == 1 and "systemd" in listeners, listeners
    pid = main_pid()
    must("systemctl", "restart", "rondo.socket")
    wait_for_another(pid)
    assert ask(PORT)[0] == 200
    assert show("NRestarts") == "0"
    must("systemctl", "stop", "rondo.socket")
    must("systemctl", "restart", "rondo.service")
    must("systemctl", "reset-failed", "rondo.service")  # starts are not counted any more


def step_a_stop_waits_for_requests_in_flight(world):
    client = Client(PORT)
    client.send(request("/hold"))
    world.wait_held()
    must("systemctl", "stop", "--no-block", "rondo")
    wait_until("the drain", lambda: show("ActiveState") == "deactivating")
    wait_until("the status", lambda: show("StatusText").startswith("draining: 1 client left"))
    world.release()
    assert client.receive()[0] == 200
    wait_until("the end", lambda: show("ActiveState") == "inactive")
    assert show("Result") == "success", show("Result")
    assert show("ExecMainStatus") == "0"


def step_with_a_socket_unit_a_restart_refuses_and_drops_nobody(_):
    must("systemctl", "start", "rondo.socket")
    load = Load(PORT, tunnel=False)
    for _ in range(3):
        pid = main_pid()
        must("systemctl", "restart", "rondo")
        assert main_pid() != pid
        load.wait_more(100)
    load.stop()


def connect_while(stopping, faults):
    """New connections one after the other; refused ones are faults, broken ones are not."""
    count = 0
    while not stopping():
        try:
            client = Client(PORT)
            count += 1
        except OSError as error:
            faults.append(repr(error))
            continue
        try:
            client.ask()
        except (OSError, EOFError):
            pass
        client.close()
    return count


def step_with_a_socket_unit_a_crash_refuses_nobody(_):
    pid = main_pid()
    faults = []
    killed = []

    def is_over():
        if not killed:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        return main_pid() not in (0, pid) and show("ActiveState") == "active"

    assert connect_while(is_over, faults) > 0
    assert not faults, faults[:3]
    assert show("NRestarts") == "1", show("NRestarts")
    assert ask(PORT)[0] == 200


def step_the_watchdog_restarts_a_process_that_hangs(_):
    write("/run/systemd/system/rondo.service.d/watchdog.conf", "[Service]\nWatchdogSec=2s\n")
    must("systemctl", "daemon-reload")
    must("systemctl", "restart", "rondo")
    pid = main_pid()
    os.kill(pid, signal.SIGUSR2)
    pid = wait_for_another(pid)
    # Successors feed it too: in the time of a watchdog and a half nothing is restarted.
    kept = Client(PORT)
    wait_until("three seconds of life", lambda: kept.ask()[0] == 200 and main_age(pid) > 3)
    assert main_pid() == pid
    os.kill(pid, signal.SIGSTOP)
    wait_for_another(pid)
    assert "Watchdog timeout" in must("journalctl", "--no-pager", "--unit=rondo.service")
    assert ask(PORT)[0] == 200
    must("systemctl", "stop", "rondo.socket", "rondo.service")


def main_age(pid):
    """Seconds since the process began."""
    began = int(processes.stat(pid)[19]) / processes.TICKS
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0]) - began


def port_from_the_manual():
    """The drop-in of rondo(8), as it stands there, and the command that follows."""
    manual = subprocess.run(["gzip", "-dc", "/usr/share/man/man8/rondo.8.gz"], stdout=subprocess.PIPE, check=True, text=True)
    drop_in, command = re.search(r"^(\[Socket\]\n(?:ListenStream=.*\n)+)\.Ed\n(?:.*\n)*?\.Dl (systemctl .*)", manual.stdout,
                                 re.MULTILINE).groups()
    return drop_in, command


def step_a_privileged_port_comes_from_systemd(world):
    configure([world.one], 'listen = "*:80";\n')
    assert run("systemctl", "start", "rondo.service")[0] != 0
    assert "systemd can open it for rondo: see rondo.socket in rondo(8)" in journal()
    run("systemctl", "reset-failed", "rondo.service")
    drop_in, command = port_from_the_manual()
    write("/run/systemd/system/rondo.socket.d/port.conf", drop_in)
    must("systemctl", "daemon-reload")
    must(*command.split())
    assert ask(80)[0] == 200, "started by the first client"
    must("systemctl", "stop", "rondo.socket", "rondo.service")
    configure([world.one])
    must("systemctl", "start", "rondo.socket")
    assert ask(80)[0] == 200, "started by the first client"
    assert not is_open(PORT), "the default of listen was opened beside it"
    must("systemctl", "stop", "rondo.socket", "rondo.service")


def step_several_processes_share_a_port(world):
    configure([world.one, world.other])
    units = [f"rondo@{number}.service" for number in range(3)]
    must("systemctl", "start", *units)
    pids = {main_pid(unit) for unit in units}
    assert len(pids) == 3
    load = Load(PORT, kept=12, tunnel=False)
    must("systemctl", "reload", "rondo@0.service")
    listeners = must("ss", "--listening", "--tcp", "--numeric", f"sport = :{PORT}").count("LISTEN")
    assert listeners == 3, listeners
    load.wait_more(200)
    load.stop()
    status, _ = run("systemctl", "start", "rondo.service")
    assert status != 0, "a process that shares nothing was let in by accident"
    must("systemctl", "stop", *units)
    run("systemctl", "reset-failed", "rondo.service")


def step_purge_leaves_nothing(_):
    must("systemctl", "start", "rondo.service")
    must("dpkg", "--remove", "rondo")
    assert show("ActiveState") == "inactive" and os.path.exists(CONFIG)
    must("dpkg", "--purge", "rondo")
    left = [path for path in (CONFIG, "/etc/rondo", "/var/log/rondo", "/run/rondo", "/usr/sbin/rondo",
                              "/etc/logrotate.d/rondo", "/lib/systemd/system/rondo.service",
                              "/etc/systemd/system/multi-user.target.wants/rondo.service",
                              "/etc/systemd/system/sockets.target.wants/rondo.socket",
                              "/usr/share/doc/rondo") if os.path.lexists(path)]
    assert not left, left
    assert show("LoadState") == "not-found"
    assert not is_open(PORT)


# ---- running


class World:
    """Two backends; both hold requests for /hold until they are released."""

    def __init__(self):
        self.one = EchoBackend()
        self.other = EchoBackend()

    def wait_held(self):
        wait_until("the request at a backend", lambda: any(
            backend.held.acquire(blocking=False) for backend in (self.one, self.other)))

    def release(self):
        self.one.release()
        self.other.release()


def main():
    report = Report(quiet=False)
    world = World()
    for name, step in list(globals().items()):
        if not name.startswith("step_"):
            continue
        if not report.run(step, world):
            print(run("systemctl", "status", "--no-pager", "--lines=30", "rondo")[1])
            break
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
