"""Reloads and stops while clients come: what is taken over, what is given up, and that nobody waits for it.

    test_changes.py RONDO [NAME...]

Runs every test whose name contains one of NAME, or all.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True  # the source directory stays as it is

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from clients import Client, ask, request  # noqa: E402
from ports import free_port, is_open  # noqa: E402
from processes import is_alive  # noqa: E402
from rondo import LOCAL, Rondo  # noqa: E402
from waiting import PATIENCE, wait_until  # noqa: E402
from world import run_tests  # noqa: E402


def longest_turn(port):
    """Seconds, of the last ones."""
    text = ask(port, "/metrics", host="127.0.0.1")[2].decode()
    return float(text.split("\nrondo_loop_lag_seconds ")[1].split("\n")[0])


def admin_at(port):
    return f'admin = {{ http = "127.0.0.1:{port}"; socket = ""; }};\n'


# ---- addresses that are given up


def test_after_a_term_a_new_client_is_refused_at_once(world):
    with world.start() as daemon:
        client = Client(daemon)
        client.send(request("/hold"))
        world.backend.held.acquire()
        daemon.signal(signal.SIGTERM)
        refused = 0
        while refused < 10:
            began = time.monotonic()
            try:
                socket.create_connection(("127.0.0.1", daemon.port), 10).close()
            except ConnectionRefusedError:
                refused += 1
            took = time.monotonic() - began
            assert took < 0.5, f"connecting took {took:.3f} s"
        world.backend.release()
        assert client.receive()[0] == 200
        assert daemon.wait_exit() == 0


@contextlib.contextmanager
def connecting(path):
    """A client that connects to a Unix socket every few milliseconds."""
    over = threading.Event()

    def connect():
        while not over.wait(0.005):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.connect(path)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_unix_socket_that_is_given_up_under_load_stops_nobody(world):
    path, port, kept = world.path("busy"), free_port(), f"127.0.0.1:{free_port()}"
    with world.start(admin_at(port), listen=[kept, f"unix:{path}"]) as daemon:
        with connecting(path):
            world.configure(admin_at(port), listen=kept)
            daemon.reload()
            assert ask(daemon)[0] == 200
            lag = longest_turn(port)
        assert lag < 0.5, f"one turn took {lag} s"
        assert not os.path.exists(path)


def test_a_hundred_addresses_that_are_given_up_stop_nobody(world):
    port, admin = free_port(), free_port()
    addresses = [f"127.0.0.{number}:{port}" for number in range(1, 101)]
    with world.start(admin_at(admin), listen=addresses) as daemon:
        world.configure(admin_at(admin), listen=addresses[0])
        daemon.reload()
        lag = longest_turn(admin)
        assert lag < 0.5, f"one turn took {lag} s"
        assert ask(daemon)[0] == 200


def test_an_address_that_is_given_up_may_be_taken_again_at_once(world):
    port, other = free_port(), f"127.0.0.1:{free_port()}"
    with world.start(listen=f"127.0.0.1:{port}") as daemon:
        for _ in range(3):
            world.configure(listen=other)
            daemon.reload()
            world.configure(listen=f"127.0.0.1:{port}")
            daemon.reload()
            assert ask(port)[0] == 200


def check_leaves_alone(paths, daemon, listens):
    """Another process takes the paths over; it may not listen yet. rondo stops."""
    with contextlib.ExitStack() as others:
        for path in paths:
            os.unlink(path)
            other = others.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(path)
            if listens:
                other.listen()
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0
        for path in paths:
            assert os.path.exists(path), f"{path} of another process was removed"


def test_a_stop_leaves_unix_sockets_that_are_another_processes(world):
    for listens in (True, False):
        clients, admin = world.path("clients"), world.path("admin")
        with world.start(f'admin = {{ socket = "{admin}"; }};\n', listen=f"unix:{clients}") as daemon:
            check_leaves_alone((clients, admin), daemon, listens)
        with world.start(f'admin = {{ socket = "{admin}"; }};\n', listen=f"unix:{clients}"):
            pass
        assert not os.path.exists(clients) and not os.path.exists(admin)


def test_a_reload_leaves_a_unix_socket_that_is_another_processes(world):
    path = world.path("clients")
    with world.start(listen=[LOCAL, f"unix:{path}"]) as daemon, socket.socket(socket.AF_UNIX) as other:
        os.unlink(path)
        other.bind(path)
        world.configure()
        daemon.reload()
        assert os.path.exists(path)


# ---- all or nothing


def metric(port, name):
    text = ask(port, "/metrics", host="127.0.0.1")[2].decode()
    return float(text.split(f"\n{name} ")[1].split("\n")[0])


def check_refused(world, daemon, admin, text, listen):
    """A reload that cannot have one thing has none of the others, and says what it could not have."""
    old = daemon.port
    world.configure(text, listen=listen, backends=["http://127.0.0.1:1"])
    reason = daemon.reload("reload failed, the old configuration stays: .*").group(0).split("stays: ")[1]
    assert ask(old)[0] == 200
    assert ask(admin, "/healthz", host="127.0.0.1")[0] == 200
    assert metric(admin, "rondo_config_last_reload_successful") == 0
    assert not any(is_open(int(one.split(":")[1])) for one in listen), "a socket of the refused one is open"
    return reason


def test_a_log_that_cannot_be_opened_fails_the_whole_reload(world):
    admin, other = free_port(), free_port()
    with world.start(admin_at(admin)) as daemon:
        path = world.path("nowhere/access.log")
        text = f'admin = {{ http = "127.0.0.1:{other}"; }};\nlog = {{ access = "{path}"; }};\n'
        reason = check_refused(world, daemon, admin, text, [f"127.0.0.1:{free_port()}"])
        assert reason == f"cannot open the access log {path}: No such file or directory", reason
        assert not is_open(other)


def test_an_admin_address_that_is_taken_fails_the_whole_reload(world):
    admin = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken, world.start(admin_at(admin)) as daemon:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        log = world.path("access.log")
        text = f'admin = {{ http = "{address}"; }};\nlog = {{ access = "{log}"; }};\n'
        reason = check_refused(world, daemon, admin, text, [f"127.0.0.1:{free_port()}"])
        assert reason == f"admin.http: cannot listen on {address}: Address already in use", reason
        ask(daemon)
        assert os.path.getsize(log) == 0, "the log of the refused configuration is used"


def test_an_admin_socket_that_cannot_be_opened_fails_the_whole_reload(world):
    admin = free_port()
    path = world.path("nowhere/socket")
    with world.start(admin_at(admin)) as daemon:
        text = admin_at(admin).replace('socket = ""', f'socket = "{path}"')
        reason = check_refused(world, daemon, admin, text, [f"127.0.0.1:{free_port()}"])
        assert reason == f"admin.socket: cannot listen on {path}: No such file or directory", reason


def test_addresses_change_places_in_one_reload(world):
    one, other = free_port(), free_port()
    with world.start(admin_at(other), listen=f"127.0.0.1:{one}") as daemon:
        for clients, admin in ((other, one), (one, other)):
            world.configure(admin_at(admin), listen=f"127.0.0.1:{clients}")
            daemon.reload()
            assert ask(clients)[0] == 200
            assert ask(admin, "/healthz", host="127.0.0.1")[0] == 200
            assert ask(admin, "/healthz", host="127.0.0.1")[2] != ask(clients)[2]


def test_the_admin_widens_its_address(world):
    admin = free_port()
    with world.start(admin_at(admin)) as daemon:
        for host in ("*", "127.0.0.1", "0.0.0.0"):
            world.configure(admin_at(admin).replace("127.0.0.1", host))
            daemon.reload()
            assert ask(admin, "/healthz", host="127.0.0.1")[0] == 200


def test_who_asks_for_a_reload_hears_why_it_was_refused(world):
    path = world.path("admin")
    text = f'admin = {{ socket = "{path}"; }};\n'
    with socket.create_server(("127.0.0.1", 0)) as taken, world.start(text):
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        world.configure(text, listen=address)
        client = Client(path)
        client.send(b"reload\n")
        answer = json.loads(client.read_to_end())
        assert answer["ok"] is False, answer
        assert f"cannot listen on {address}: Address already in use" in answer["lines"], answer


def test_reloads_that_are_asked_for_at_once_are_all_good(world):
    path = world.path("admin")
    with world.start(f'admin = {{ socket = "{path}"; }};\n') as daemon:
        clients = [Client(path) for _ in range(5)]
        with daemon.frozen():
            for client in clients:
                client.send(b"reload\n")
            daemon.signal(signal.SIGHUP)
        for client in clients:
            answer = json.loads(client.read_to_end())
            assert answer["ok"] is True, answer
        daemon.wait_log("reloaded: 0 changes", count=len(clients) + 1)


# ---- reloads that systemd asks for


def run_reload(world, daemon, **environment):
    """What ExecReload runs."""
    return subprocess.run([os.path.join(os.path.dirname(world.binary), "rondoctl"), "reload", "--or-signal",
                           str(daemon.pid)], env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)


def test_a_reload_fails_when_the_process_refuses(world):
    environment = {"RUNTIME_DIRECTORY": world.directory.name}
    with socket.create_server(("127.0.0.1", 0)) as taken, world.start(environment=environment) as daemon:
        done = run_reload(world, daemon, **environment)
        assert (done.returncode, done.stdout) == (0, "reloaded, 0 changes\n"), done
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        world.configure(listen=address)
        done = run_reload(world, daemon, **environment)
        assert done.returncode == 1, done
        assert f"cannot listen on {address}: Address already in use" in done.stdout + done.stderr, done
        assert ask(daemon)[0] == 200
    assert not os.path.exists(world.path("admin.sock"))


def test_without_an_admin_socket_a_reload_is_a_signal(world):
    with world.start('admin = { socket = ""; };\n') as daemon:
        done = run_reload(world, daemon, RONDO_SOCKET=world.path("nobody"))
        assert done.returncode == 0 and "was sent a signal" in done.stdout, done
        daemon.wait_log("reloaded: 0 changes")


# ---- signals that come early

# Becomes rondo with a signal that waits to be heeded, as one that comes in its first milliseconds does.
EARLY = """
import os, signal, sys
number = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
os.kill(os.getpid(), number)
os.execv(sys.argv[2], sys.argv[2:])
"""


def early(number):
    return (sys.executable, "-c", EARLY, str(int(number)))


def test_a_reload_that_is_asked_for_before_it_is_ready_comes_then(world):
    with world.start(prefix=early(signal.SIGHUP)) as daemon:
        daemon.wait_log("reloaded: 0 changes")


def test_a_successor_that_is_asked_for_before_it_is_ready_comes_then(world):
    with world.start(prefix=early(signal.SIGUSR2)) as daemon:
        daemon.pid = int(daemon.wait_log(r"process (\d+) is ready and takes over").group(1))
        daemon.pids.append(daemon.pid)
        assert ask(daemon)[0] == 200


def test_a_stop_that_is_asked_for_before_it_is_ready_is_clean(world):
    config = world.configure()
    daemon = Rondo(world.binary, config=config, listen=None, wait=False, prefix=early(signal.SIGTERM))
    try:
        assert daemon.wait_exit() == 0, daemon.tail()
    finally:
        daemon.kill()


# A process that has just been made heeds no signal: that begins with its main.
STARTS = 30


def holds(daemon, number):
    blocked = daemon.status("SigBlk")
    return blocked and int(blocked, 16) & (1 << (number - 1))


def each_moment_of_a_start(world, number):
    """Starts that get the signal one after the other at a later moment, from the first one on at which it counts."""
    config = world.configure(f'log = {{ access = "{world.path("access.log")}"; }};\n')
    for start in range(STARTS):
        daemon = Rondo(world.binary, config=config, listen=None, wait=False)
        try:
            wait_until("signals are held", lambda: holds(daemon, number))
            for _ in range(start * 4):
                daemon.status("SigBlk")
            daemon.signal(number)
            yield daemon
            daemon.stop()
        finally:
            daemon.kill()


def test_a_reload_is_heeded_at_each_moment_of_a_start(world):
    for daemon in each_moment_of_a_start(world, signal.SIGHUP):
        daemon.wait_log("reloaded: 0 changes")


def test_logs_are_opened_again_at_each_moment_of_a_start(world):
    for daemon in each_moment_of_a_start(world, signal.SIGUSR1):
        daemon.wait_log("ready: listening on")
        assert ask(daemon)[0] == 200


def test_a_successor_is_started_at_each_moment_of_a_start(world):
    for daemon in each_moment_of_a_start(world, signal.SIGUSR2):
        daemon.pid = int(daemon.wait_log(r"process (\d+) is ready and takes over").group(1))
        daemon.pids.append(daemon.pid)
        assert ask(daemon)[0] == 200


def test_a_stop_is_clean_at_each_moment_of_a_start(world):
    for daemon in each_moment_of_a_start(world, signal.SIGTERM):
        assert daemon.wait_exit() == 0, daemon.tail()


def test_a_stop_does_not_cut_off_the_clients_of_a_successor_that_just_became_ready(world):
    program, gate = shutil.copy(world.binary, world.path("rondo")), world.path("gate")
    os.mkfifo(gate)
    with world.start(binary=program) as daemon:
        with open(program + ".new", "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nread _ < {gate}\nexec {world.binary} "$@"\n')
        os.chmod(program + ".new", 0o755)
        os.rename(program + ".new", program)
        daemon.signal(signal.SIGUSR2)
        successor = int(daemon.wait_log(r"process (\d+) starts as the successor").group(1))
        daemon.pids.append(successor)
        with daemon.frozen():
            daemon.signal(signal.SIGTERM)
            with open(gate, "w", encoding="ascii") as file:
                file.write("\n")
            daemon.wait_log("ready: listening on", count=2)
            client = Client(daemon)
            client.send(request("/hold"))
            world.backend.held.acquire()
        daemon.wait_log(f"process {successor} was ready, and stops too")
        daemon.wait_log("stopping: 1 connection to finish")
        world.backend.release()
        assert client.receive()[0] == 200
        assert daemon.wait_exit() == 0
        wait_until("the successor's end", lambda: not is_alive(successor))


# ---- what a check of the configuration sees


def faults(world, text):
    with open(world.path("checked.conf"), "w", encoding="utf-8") as file:
        file.write(f'backends = ( "http://localhost:1" );\n{text}')
    done = subprocess.run([world.binary, "-t", "-c", world.path("checked.conf")], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode in (0, 78), done
    return done.stderr


def test_two_addresses_that_cannot_be_opened_both_are_a_fault(world):
    for one, other in (("*:8080", "127.0.0.1:8080"), ("127.0.0.1:8080", "0.0.0.0:8080"), ("[::1]:8080", "*:8080"),
                       ("0.0.0.0:8080", ":8080")):
        said = faults(world, f'listen = ( "{one}", "{other}" );\n')
        assert f'listen: "{one}" and "{other}" cannot be opened both' in said, said
    for one, other in (("127.0.0.1:8080", "127.0.0.2:8080"), ("[::]:8080", "0.0.0.0:8080"),
                       ("127.0.0.1:8080", "[::1]:8080"), ("*:8080", "127.0.0.1:8081")):
        said = faults(world, f'listen = ( "{one}", "{other}" );\n')
        assert not said, said


def test_an_address_of_the_admin_that_cannot_be_opened_beside_the_others_is_a_fault(world):
    cases = (("127.0.0.1:8080", "127.0.0.1:8080", "", 'admin.http: "127.0.0.1:8080" is an address of `listen`'),
             ("*:8080", "127.0.0.1:8080", "",
              'admin.http: "127.0.0.1:8080" and "*:8080" of `listen` cannot be opened both'),
             ("127.0.0.1:8080", ":8080", "",
              'admin.http: ":8080" and "127.0.0.1:8080" of `listen` cannot be opened both'),
             ("unix:/run/a", "", "/run/a", 'admin.socket: "/run/a" is an address of `listen`'),
             ("*:8080", "unix:/run/a", "/run/a", 'admin.socket and admin.http are both "/run/a"'),
             ("unix:/run/a", "unix:/run/a", "/run/b", 'admin.http: "unix:/run/a" is an address of `listen`'),
             ("*:8080", "127.0.0.1:8081", "/run/a", ""),
             ("127.0.0.1:8080", "127.0.0.2:8080", "/run/a", ""),
             ("127.0.0.1:0", "127.0.0.1:0", "", ""))
    for listen, http, path, fault in cases:
        said = faults(world, f'listen = "{listen}";\nadmin = {{ http = "{http}"; socket = "{path}"; }};\n')
        assert fault in said and bool(fault) == bool(said), f"{listen} {http} {path}: {said}"
    # A socket of the supervisor may take the place of a default.
    said = faults(world, 'admin = { http = "127.0.0.1:8080"; };\n')
    assert said == 'admin.http: "127.0.0.1:8080" cannot be opened beside "*:8080", the default of `listen`\n', said


def test_a_pipe_or_a_device_is_no_configuration(world):
    os.mkfifo(world.path("pipe"))
    for name in (world.path("pipe"), "/dev/zero"):
        said = faults(world, f'@include "{name}"\n')
        assert f"cannot read {name}: it is a pipe or a device, not a file" in said, said
        done = subprocess.run([world.binary, "-t", "-c", name], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        assert done.returncode == 78 and "it is a pipe or a device, not a file" in done.stderr, done


def test_a_directory_is_no_configuration(world):
    said = faults(world, f'@include "{world.directory.name}"\n')
    assert f"cannot read {world.directory.name}: Is a directory" in said, said


def test_a_pipe_in_the_configuration_stops_nobody(world):
    os.mkfifo(world.path("pipe"))
    with world.start() as daemon:
        for line in (f'@include "{world.path("pipe")}"\n', 'include = "pip*";\n'):
            world.configure(line)
            daemon.reload("reload refused: the configuration has errors")
            assert ask(daemon)[0] == 200


def test_an_include_directory_that_cannot_be_read_is_a_fault(world):
    os.symlink("loop", world.path("loop"))
    said = faults(world, 'include = "loop/*.conf";\n')
    assert "include: cannot read the directory of" in said, said
    assert not faults(world, 'include = "nowhere/*.conf";\n')


if __name__ == "__main__":
    sys.exit(run_tests(__doc__, globals()))
