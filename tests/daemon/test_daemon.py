"""The life of the process: signals, reloads, successors, inherited sockets, notifications.

    test_daemon.py RONDO [--storm SECONDS] [NAME...]

Runs every test whose name contains one of NAME, or all. --storm: how long to reload every 50 ms under load.
"""

import contextlib
import http.client
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the source directory stays as it is

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from backends import EchoBackend  # noqa: E402
from clients import Client, ask, request  # noqa: E402
from load import Load  # noqa: E402
from ports import free_port, is_open  # noqa: E402
from processes import is_alive  # noqa: E402
from rondo import LOCAL, Rondo  # noqa: E402
from supervisor import Supervisor  # noqa: E402
from waiting import PATIENCE, wait_until  # noqa: E402
from world import run_tests  # noqa: E402

# ---- stopping


def test_term_finishes_what_is_in_flight_and_refuses_new_clients(world):
    with world.start() as daemon:
        client = Client(daemon)
        client.send(request("/hold"))
        world.backend.held.acquire()
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping: 1 connection to")
        assert not is_open(daemon.port), "a new client was let in"
        world.backend.release()
        status, fields, content = client.receive()
        assert (status, content) == (200, b"GET /hold HTTP/1.1"), (status, content)
        assert fields.get("connection") == "close", fields
        assert client.is_closed(), "reset"
        assert daemon.wait_exit() == 0


def test_a_kept_connection_gets_one_more_answer_while_draining(world):
    with world.start() as daemon:
        busy, kept = Client(daemon), Client(daemon)
        assert kept.ask()[1].get("connection", "") != "close"
        busy.send(request("/hold"))
        world.backend.held.acquire()
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping: 2 connections")
        status, fields, _ = kept.ask("/last")
        assert status == 200 and fields.get("connection") == "close", (status, fields)
        assert kept.is_closed(), "reset"
        world.backend.release()
        assert busy.receive()[0] == 200
        assert daemon.wait_exit() == 0


def test_a_second_term_ends_at_once(world):
    with world.start('timeouts = { drain = "10m"; };\n') as daemon:
        client = Client(daemon)
        client.send(request("/hold"))
        world.backend.held.acquire()
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping: 1 connection to")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0
        assert not client.is_closed(), "an answer that was cut off looks whole"


def test_a_drain_ends_with_its_time_even_with_a_tunnel(world):
    with world.start('timeouts = { drain = "200ms"; };\n') as daemon:
        client = Client(daemon)
        client.upgrade()
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("drain: 1 connection did not end in time")
        assert daemon.wait_exit() == 0
        client.is_closed()


def ready(address):
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_stop_with_a_delay_goes_on_accepting_while_it_is_not_ready(world):
    port = free_port()
    text = f'timeouts = {{ drain_delay = "1s"; }};\nadmin = {{ http = "127.0.0.1:{port}"; }};\n'
    with world.start(text) as daemon:
        kept, idle = Client(daemon), Client(daemon)
        assert kept.ask("/before")[0] == 200 and idle.ask("/before")[0] == 200
        assert ready(("127.0.0.1", port)) == 200
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping in 1 s: not ready any more, and still accepting")
        assert ready(("127.0.0.1", port)) == 503
        for client in (kept, Client(daemon)):
            status, fields, _ = client.ask("/during")
            assert status == 200 and fields.get("connection") == "close", (status, fields)
            assert client.is_closed()
            client.close()
        assert not daemon.count_log("connections? to finish")
        daemon.wait_log("stopping: 1 connection to finish")
        assert time.monotonic() - began >= 1
        assert idle.is_closed()
        assert daemon.wait_exit() == 0


def test_a_second_term_ends_the_delay_too(world):
    with world.start('timeouts = { drain_delay = "10m"; };\n') as daemon:
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping in 10 m: ")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait_exit() == 0


def test_a_successor_does_not_wait_for_the_delay(world):
    with world.start('timeouts = { drain_delay = "10m"; };\n') as daemon:
        daemon.succeed()
        assert daemon.wait_exit() == 0
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.wait_log("stopping in 10 m: ")
        os.kill(daemon.pid, signal.SIGTERM)


def test_clients_that_wait_in_the_queue_at_a_stop_are_served(world):
    with world.start() as daemon:
        daemon.signal(signal.SIGSTOP)
        clients = [Client(daemon) for _ in range(200)]
        for client in clients:
            client.send(request("/queued"))
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGCONT)
        for client in clients:
            status, fields, _ = client.receive()
            assert status == 200 and fields.get("connection") == "close", (status, fields)
        assert daemon.wait_exit() == 0


# ---- reloading


def test_a_good_reload_applies_and_says_what_changed(world):
    with EchoBackend() as other, world.start() as daemon:
        load = Load(daemon)
        world.configure(backends=[world.backend.url, other.url])
        daemon.reload("reloaded: 1 change")
        daemon.wait_log(rf"reload: \+127.0.0.1:{other.port} {other.url}")
        load.wait_more(50)
        load.stop()
        urls = {ask(daemon)[1]["x-app-url"] for _ in range(4)}
        assert urls == {world.backend.url, other.url}, urls


def test_a_bad_reload_changes_nothing_and_names_the_place(world):
    with world.start() as daemon:
        load = Load(daemon)
        world.break_config()
        daemon.reload("reload refused")
        daemon.wait_log(r"rondo\.conf:\d+: .*wieght")
        load.wait_more(50)
        load.stop()


def test_a_reload_that_cannot_listen_changes_nothing(world):
    with socket.create_server(("127.0.0.1", 0)) as taken, world.start() as daemon:
        with EchoBackend() as other:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            world.configure(backends=[other.url], listen=address)
            daemon.reload("reload failed")
            daemon.wait_log(f"cannot listen on {address}")
            assert ask(daemon)[1]["x-app-url"] == world.backend.url


def test_a_reload_moves_to_another_address(world):
    with world.start(listen=f"127.0.0.1:{free_port()}") as daemon:
        port, old = free_port(), daemon.port
        kept = Client(old)
        kept.ask()
        world.configure(listen=f"127.0.0.1:{port}")
        daemon.reload()
        assert ask(port)[0] == 200
        assert kept.ask()[1].get("connection", "") != "close", "the old connection was to stay"
        assert not is_open(old), "the old address still answers"


def test_a_reload_widens_and_narrows_an_address_without_refusing_anybody(world):
    port = free_port()
    with world.start(listen=f"127.0.0.1:{port}") as daemon:
        load = Load(port)
        for host in ("0.0.0.0", "127.0.0.1", "*", "127.0.0.1"):
            world.configure(listen=f"{host}:{port}")
            daemon.reload()
            load.wait_more(30)
        load.stop()


def test_clients_that_wait_for_a_limit_are_let_in_when_a_reload_raises_it(world):
    with world.start(connections=2) as daemon:
        inside = [Client(daemon.port) for _ in range(2)]
        for client in inside:
            client.ask()
        waiting = [Client(daemon.port) for _ in range(5)]
        for client in waiting:
            client.send(request("/waited"))
        assert not select.select([client.sock for client in waiting], [], [], 0.2)[0], "it has let one in"
        world.configure(connections=1000)
        daemon.signal(signal.SIGHUP)
        for client in waiting:
            assert client.receive()[0] == 200
        for client in inside:
            assert client.ask()[0] == 200


def test_a_raised_limit_of_connections_raises_all_that_follows_from_it(world):
    with world.start(connections=10) as daemon:
        assert Client(daemon.port).ask()[0] == 200
        world.configure(connections=1000)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded: 1 change")
        clients = [Client(daemon.port) for _ in range(100)]
        for client in clients:
            client.send(request("/hold"))
        # All at the same time; what fails for want of something is answered before.
        all(world.backend.held.acquire(timeout=10) for _ in clients)
        world.backend.release()
        statuses = [client.receive()[0] for client in clients]
        assert statuses == [200] * 100, f"{statuses.count(503)} times 503"


def test_a_lowered_limit_of_connections_ends_nothing_that_is_there(world):
    with world.start(connections=1000) as daemon:
        inside = [Client(daemon.port) for _ in range(20)]
        for client in inside:
            client.ask()
        world.configure(connections=10)
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reloaded: 1 change")
        late = Client(daemon.port)
        late.send(request())
        for client in inside:
            assert client.ask()[0] == 200
        assert not select.select([late.sock], [], [], 0.2)[0], "it has let one in"
        for client in inside:
            client.close()
        assert late.receive()[0] == 200


def test_reloads_every_50_ms_disturb_nobody_and_forget_nothing(world):
    dead = f"http://127.0.0.1:{free_port()}"
    rest = 'retry_window = "10m";\nretry_window_max = "10m";\n'
    with EchoBackend() as other:
        backends = [world.backend.url, dead, other.url]
        with world.start(rest, backends) as daemon:
            load = Load(daemon, kept=6)
            daemon.wait_log("is down")
            for count in range(int(world.storm_s / 0.05)):
                weight = f"max_delay_response = \"{5 + count % 2}s\";\n"
                world.configure(rest + weight, backends[: 3 - count % 4 // 3])
                daemon.signal(signal.SIGHUP)
                load.stopping.wait(0.05)
            load.wait_more(100)
            load.stop()
            assert load.reopened == 0, f"{load.reopened} kept connections were closed"
            assert daemon.count_log("is down") == 1, "the mark of the dead backend was lost"


# ---- log files


def test_usr1_opens_the_access_log_again(world):
    log, old = world.path("access.log"), world.path("access.log.1")
    with world.start(f'log = {{ access = "{log}"; }};\n') as daemon:
        ask(daemon, "/before")
        wait_until("the line", lambda: "/before" in open(log, encoding="utf-8").read())
        os.rename(log, old)
        daemon.signal(signal.SIGUSR1)
        wait_until("the new file", lambda: os.path.exists(log))
        ask(daemon, "/after")
        wait_until("the line", lambda: "/after" in open(log, encoding="utf-8").read())
        assert "/after" not in open(old, encoding="utf-8").read()


# ---- successors


def test_successors_take_over_under_load_and_nobody_notices(world):
    supervisor = Supervisor()
    with world.start(supervisor=supervisor) as daemon:
        load = Load(daemon, tunnel=False)
        for _ in range(3):
            old, after = daemon.pid, len(supervisor.messages)
            new = daemon.succeed()
            after = supervisor.wait(f"MAINPID={new}", pid=old, after=after)
            supervisor.wait("READY=1", pid=new, after=after)
            wait_until("the end of the old one", lambda pid=old: not is_alive(pid))
            late = [sender for sender, _ in supervisor.messages[after:] if sender == old]
            assert not late, "the old process still speaks"
            load.wait_more(100)
        load.stop()
        assert load.reopened > 0, "no connection was handed a Connection: close"
    assert not any("STOPPING=1" in lines for pid, lines in supervisor.messages if pid != new)
    supervisor.close()


def test_a_tunnel_of_the_old_process_outlives_the_handover(world):
    with world.start() as daemon:
        client = Client(daemon)
        client.upgrade()
        old = daemon.pid
        daemon.succeed()
        assert ask(daemon)[0] == 200
        client.send(b"still there?")
        assert client.read(12) == b"still there?"
        client.close()
        wait_until("the end of the old one", lambda: not is_alive(old))


def test_a_term_to_a_predecessor_is_its_first(world):
    with world.start() as daemon:
        client = Client(daemon)
        client.send(request("/hold"))
        world.backend.held.acquire()
        old = daemon.pid
        daemon.succeed()
        os.kill(old, signal.SIGTERM)
        world.backend.release()
        assert client.receive()[0] == 200


def check_no_successor(world, daemon, expected):
    """USR2 fails with a line that has `expected`, and everything goes on."""
    load = Load(daemon)
    daemon.signal(signal.SIGUSR2)
    daemon.wait_log(expected)
    load.wait_more(50)
    load.stop()
    assert load.reopened == 0
    assert is_alive(daemon.pid)


def test_a_successor_with_a_bad_configuration_changes_nothing(world):
    with world.start() as daemon:
        world.break_config()
        check_no_successor(world, daemon, "the successor ended before it was ready")
        world.configure()
        daemon.succeed()


def test_a_successor_that_cannot_be_executed_changes_nothing(world):
    program = shutil.copy(world.binary, world.path("rondo"))
    with world.start(binary=program) as daemon:
        os.unlink(program)
        check_no_successor(world, daemon, "cannot start .*No such file")
        daemon.wait_log("the successor ended before it was ready")
        shutil.copy(world.binary, program)
        daemon.succeed()


def write_program(path, text):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)


def test_a_successor_that_crashes_changes_nothing(world):
    program = shutil.copy(world.binary, world.path("rondo"))
    with world.start(binary=program) as daemon:
        write_program(program, "kill -SEGV $$\n")
        check_no_successor(world, daemon, "the successor ended before it was ready")


def test_a_stop_ends_a_successor_that_is_not_ready(world):
    program = shutil.copy(world.binary, world.path("rondo"))
    with world.start(binary=program) as daemon:
        write_program(program, f"echo $$ > {world.path('pid')}.new; mv {world.path('pid')}.new "
                               f"{world.path('pid')}; exec sleep 1000\n")
        daemon.signal(signal.SIGUSR2)
        wait_until("the program", lambda: os.path.exists(world.path("pid")))
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("a successor is starting already")
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("the successor was stopped before it was ready")
        assert daemon.wait_exit() == 0
        with open(world.path("pid"), encoding="ascii") as file:
            pid = int(file.read())
        wait_until("the end of the program", lambda: not is_alive(pid))


def test_a_unix_socket_is_handed_over_and_removed_at_the_end(world):
    path = world.path("clients")
    with world.start(listen=f"unix:{path}") as daemon:
        load = Load(path, tunnel=False)
        old = daemon.pid
        daemon.succeed()
        wait_until("the end of the old one", lambda: not is_alive(old))
        load.wait_more(50)
        load.stop()
    assert not os.path.exists(path), "the socket was left behind"


def ask_admin(path, port):
    """Both doors of the admin answer."""
    client = Client(path)
    client.send(b"status\n")
    assert client.read(1) == b"{"
    client.close()
    client = Client(port)
    assert client.ask("/healthz", host=f"127.0.0.1:{port}")[0] == 200
    client.close()


def test_the_admin_answers_before_during_and_after_a_handover(world):
    path, port = world.path("admin"), free_port()
    admin = f'admin = {{ socket = "{path}"; http = "127.0.0.1:{port}"; }};\n'
    with world.start(admin) as daemon:
        ask_admin(path, port)
        for _ in range(2):
            old = daemon.pid
            daemon.succeed()
            ask_admin(path, port)
            wait_until("the end of the old one", lambda pid=old: not is_alive(pid))
            assert os.path.exists(path), "the predecessor took the socket with it"
            ask_admin(path, port)
    assert not os.path.exists(path), "the socket was left behind"


# ---- inherited sockets


def listening(host="127.0.0.1", family=socket.AF_INET, **options):
    return socket.create_server((host, 0), family=family, backlog=512, **options)


def port_of(listener):
    return listener.getsockname()[1]


def test_listen_uses_the_inherited_socket_of_its_address(world):
    with listening() as passed:
        listen = f"127.0.0.1:{port_of(passed)}"
        with world.start(listen=listen, sockets=[(passed, "rondo.socket")]) as daemon:
            assert daemon.port == port_of(passed)
            assert daemon.count_log("is served because") == 0
            assert ask(daemon)[0] == 200


def test_listen_for_all_addresses_uses_an_inherited_socket_of_the_same_port(world):
    with listening() as passed:
        listen = f"*:{port_of(passed)}"
        with world.start(listen=listen, sockets=[(passed, "web")]):
            assert ask(port_of(passed))[0] == 200


def test_an_inherited_socket_replaces_the_default_of_listen(world):
    with listening() as passed:
        with world.start(listen=None, sockets=[(passed, "listen")]) as daemon:
            line = daemon.wait_log("ready: listening on .*").group(0)
            assert line.endswith(f"listening on 127.0.0.1:{port_of(passed)}"), line
            daemon.wait_log("instead of the default of `listen`")
            assert ask(port_of(passed))[0] == 200


def test_an_inherited_socket_is_served_beside_other_addresses_and_stays_at_reload(world):
    with listening() as passed:
        with world.start(sockets=[(passed, "web")]) as daemon:
            daemon.wait_log(r"is served because the supervisor passed it \(web\)")
            own = int(daemon.wait_log(r"listening on .*, 127.0.0.1:(\d+)$").group(1))
            for port in (own, port_of(passed)):
                assert ask(port)[0] == 200
            daemon.reload()
            assert ask(port_of(passed))[0] == 200
            daemon.succeed()
            for port in (own, port_of(passed)):
                assert ask(port)[0] == 200


def test_clients_wait_at_an_inherited_socket_while_rondo_restarts(world):
    with listening() as passed:
        sockets = [(passed, "listen")]
        with world.start(listen=None, sockets=sockets):
            load = Load(port_of(passed), tunnel=False)
            load.wait_more(50)
        with world.start(listen=None, sockets=sockets):
            load.wait_more(50)
            load.stop()


def test_an_inherited_socket_of_the_admin_is_not_removed_when_a_reload_names_another(world):
    path, other = world.path("passed"), world.path("other")
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(path)
        passed.listen()
        admin = f'admin = {{ socket = "{path}"; }};\n'
        with world.start(admin, sockets=[(passed, "admin.socket")]) as daemon:
            world.configure(admin.replace(path, other))
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("reloaded")
            assert os.path.exists(other) and os.path.exists(path)
    assert os.path.exists(path) and not os.path.exists(other)


def test_descriptors_that_are_no_listening_sockets_are_refused(world):
    one, other = socket.socketpair()
    with listening() as passed, one, other, open(os.devnull, "rb") as file:
        sockets = [(one, "pair"), (file.fileno(), "file"), (passed, "listen")]
        with world.start(listen=None, sockets=sockets) as daemon:
            daemon.wait_log(r"descriptor 3 \(pair\).* not a listening socket")
            daemon.wait_log(r"descriptor 4 \(file\).* not a listening socket")
            assert ask(port_of(passed))[0] == 200


def test_descriptors_for_another_process_are_left_alone(world):
    with listening() as passed:
        environment = {"LISTEN_PID": "1"}
        with world.start(sockets=[(passed, "listen")], environment=environment) as daemon:
            assert daemon.port != port_of(passed)


def test_a_predecessors_socket_that_listen_does_not_name_is_closed(world):
    with world.start(listen=f"127.0.0.1:{free_port()}") as daemon:
        port, old, old_port = free_port(), daemon.pid, daemon.port
        world.configure(listen=f"127.0.0.1:{port}")
        daemon.succeed()
        daemon.wait_log("is not needed")
        wait_until("the end of the old one", lambda: not is_alive(old))
        assert ask(port)[0] == 200
        assert not is_open(old_port), "the old address still answers"


def test_processes_share_a_port_only_when_they_are_told_to(world):
    listen = f"127.0.0.1:{free_port()}"
    shared = {"RONDO_REUSE_PORT": "1"}
    with world.start(listen=listen, environment=shared):
        with world.start(listen=listen, environment=shared):
            pass
        other = Rondo(world.binary, config=world.path("rondo.conf"), listen=None, wait=False)
        with contextlib.ExitStack() as stack:
            stack.callback(other.kill)
            other.wait_log(f"cannot listen on {listen}")
            assert other.wait_exit() == 1


def test_one_of_several_on_a_port_stops_and_nobody_notices(world):
    listen = f"127.0.0.1:{free_port()}"
    shared = {"RONDO_REUSE_PORT": "1"}
    with world.start(listen=listen, environment=shared) as daemon:
        loads = [Load(daemon, kept=1, tunnel=False) for _ in range(4)]
        for _ in range(5):
            with world.start(listen=listen, environment=shared):
                loads[0].wait_more(30)
        for load in loads:
            load.stop()


# ---- the supervisor


def test_the_supervisor_hears_of_every_state(world):
    supervisor = Supervisor()
    with world.start(supervisor=supervisor) as daemon:
        after = supervisor.wait("READY=1")
        assert supervisor.lines()[1].startswith("STATUS=serving 1/1 backends, 0 clients; config ")
        client = Client(daemon)
        client.send(request("/hold"))
        world.backend.held.acquire()
        after = supervisor.wait("STATUS=serving 1/1 backends, 1 client; config .*", after=after)
        daemon.signal(signal.SIGHUP)
        after = supervisor.wait("RELOADING=1", after=after)
        assert any(line.startswith("MONOTONIC_USEC=") for line in supervisor.lines())
        after = supervisor.wait("READY=1", after=after)
        world.break_config()
        daemon.signal(signal.SIGHUP)
        after = supervisor.wait("RELOADING=1", after=after)
        after = supervisor.wait(r"STATUS=reload refused: \S*rondo\.conf:\d+: .*wieght.*", after=after)
        assert "READY=1" in supervisor.messages[after - 1][1], "the reload was left open"
        daemon.signal(signal.SIGTERM)
        after = supervisor.wait("STOPPING=1", after=after)
        assert "EXTEND_TIMEOUT_USEC=35000000" in supervisor.lines()
        world.backend.release()
        client.receive()
    assert not any(line.startswith("WATCHDOG") for line in supervisor.lines())
    supervisor.close()


def test_an_abstract_address_is_understood(world):
    supervisor = Supervisor(abstract=True)
    with world.start(supervisor=supervisor):
        supervisor.wait("READY=1")
    supervisor.close()


def test_a_supervisor_that_is_gone_does_not_matter(world):
    supervisor = Supervisor()
    with world.start(supervisor=supervisor) as daemon:
        supervisor.wait("READY=1")
        os.unlink(supervisor.address)
        daemon.reload("cannot send to the supervisor")
        assert ask(daemon)[0] == 200
    supervisor.close()


def test_the_watchdog_is_fed_and_by_successors_too(world):
    supervisor = Supervisor()
    environment = {"WATCHDOG_USEC": "100000"}
    with world.start(supervisor=supervisor, environment=environment) as daemon:
        after = 0
        for _ in range(5):
            after = supervisor.wait("WATCHDOG=1", pid=daemon.pid, after=after)
        daemon.succeed()
        for _ in range(5):
            after = supervisor.wait("WATCHDOG=1", pid=daemon.pid, after=after)
    supervisor.close()


def test_the_watchdog_of_another_process_is_not_fed(world):
    supervisor = Supervisor()
    environment = {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    with world.start(supervisor=supervisor, environment=environment) as daemon:
        after = supervisor.wait("READY=1")
        daemon.signal(signal.SIGHUP)
        supervisor.wait("READY=1", after=after)
        assert "WATCHDOG=1" not in supervisor.lines()
    supervisor.close()


# ---- starting


def fail_to_start(world, descriptors, *arguments):
    """The faults told by a process that must not have more descriptors."""
    limit = (descriptors, descriptors)
    done = subprocess.run(
        [world.binary, "--listen", LOCAL, "--backend", world.backend.url, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
    assert done.returncode == 1, done
    return [line.split("error: ")[1] for line in done.stderr.split("\n") if "error: " in line]


def test_whatever_is_not_to_be_had_at_the_start_is_named(world):
    too_many = "Too many open files"
    said = fail_to_start(world, 4)
    assert said == [f"cannot start: signals: {too_many}"], said
    said = fail_to_start(world, 5)
    assert said == [f"cannot listen on {LOCAL}: {too_many}"], said
    path = world.path("nowhere/access.log")
    said = fail_to_start(world, 1000, "--set", f"log.access={path}")
    assert said == [f"cannot open the access log {path}: No such file or directory"], said


if __name__ == "__main__":
    sys.exit(run_tests(__doc__, globals()))
