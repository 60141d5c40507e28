"""The addresses that clients connect to, and what belongs to each of them.

    test_listening.py RONDO [NAME...]

Runs every test whose name contains one of NAME, or all.
"""

import os
import signal
import socket
import stat
import subprocess
import sys

sys.dont_write_bytecode = True  # the source directory stays as it is

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
sys.path.insert(0, LIBRARY)

from clients import Client, ask, request  # noqa: E402
from peer import parse_head  # noqa: E402
from ports import free_port  # noqa: E402
from proxy_protocol import version_1, version_2  # noqa: E402
from report import Skip  # noqa: E402
from waiting import PATIENCE  # noqa: E402
from world import run_tests  # noqa: E402

WITHOUT_IPV6 = (sys.executable, os.path.join(LIBRARY, "without_ipv6.py"))

# ---- a machine without IPv6


def test_all_addresses_are_those_of_ipv4_where_there_is_no_ipv6(world):
    admin = free_port()
    text = f'admin = {{ http = "*:{admin}"; }};\n'
    with world.start(text, listen="*:0", prefix=WITHOUT_IPV6) as daemon:
        daemon.wait_log(r"\*:0 is IPv4 alone: this machine has no IPv6")
        daemon.wait_log(rf"admin.http: listening on 0\.0\.0\.0:{admin}: this machine has no IPv6")
        assert ask(daemon)[0] == 200
        assert ask(admin, "/healthz", host="127.0.0.1")[0] == 200
        said = daemon.count_log("no IPv6")
        daemon.reload()
        daemon.succeed()
        assert ask(daemon)[0] == 200
        assert daemon.count_log(r"\*:0 is IPv4 alone") <= 2, "said again by the reload"
        assert said == 2, said


# ---- what belongs to an address travels with its socket


def listens(*groups):
    """Text of a configuration."""
    return "listen = ( " + ", ".join(groups) + " );\n"


def seen_by(to, header=b""):
    """The client and its scheme, as the backend is told."""
    with Client(to) as client:
        client.send(header + request("/head"))
        _, fields, content = client.receive()
        head = parse_head(content)[1]
        return head.get("x-forwarded-for"), head["x-forwarded-proto"]


def refuses(daemon, to, data):
    """Is a connection closed that begins like this, without an answer?"""
    before = len(daemon.lines)
    try:
        with Client(to) as client:
            client.send(data)
            assert client.recv(1) == b"", "it was answered"
    except (ConnectionResetError, BrokenPipeError):
        pass
    return daemon.wait_log("connection from .* closed: (.*)", before).group(1)


def test_a_reload_changes_what_belongs_to_an_address(world):
    port, other = free_port(), free_port()
    plain = listens(f'"127.0.0.1:{port}"', f'"127.0.0.1:{other}"')
    with world.start(plain, listen=None) as daemon:
        assert seen_by(port) == ("127.0.0.1", "http")
        with Client(port) as kept:
            assert kept.ask()[0] == 200
            world.configure(listens(f'{{ address = "127.0.0.1:{port}"; proxy_from = [ "127.0.0.1" ]; scheme = "https"; }}',
                                    f'"127.0.0.1:{other}"'), listen=None)
            before = len(daemon.lines)
            daemon.reload("reloaded: 1 change")
            daemon.wait_log(r'listen .* -> .*proxy_from = \[ "127\.0\.0\.1/32" \]; scheme = "https"', before)
            assert kept.ask()[0] == 200, "a connection that was there before"
        assert refuses(daemon, port, request()) == "no PROXY header"
        assert seen_by(port, version_2()) == ("192.0.2.7", "https")
        assert seen_by(other) == ("127.0.0.1", "http")
        world.configure(listens(f'{{ address = "127.0.0.1:{port}"; proxy_from = [ "127.0.0.2" ]; }}'), listen=None)
        daemon.reload("reloaded")
        assert "not in proxy_from" in refuses(daemon, port, version_2() + request())
        world.configure(plain, listen=None)
        daemon.reload("reloaded")
        assert seen_by(port) == ("127.0.0.1", "http")


def test_clients_that_wait_at_an_address_that_goes_are_treated_as_before(world):
    port, other = free_port(), free_port()
    group = f'{{ address = "127.0.0.1:{port}"; proxy_from = [ "127.0.0.1" ]; scheme = "https"; }}'
    with world.start(listens(group, f'"127.0.0.1:{other}"'), listen=None) as daemon:
        world.configure(listens(f'"127.0.0.1:{other}"'), listen=None)
        with daemon.frozen():
            waiting = [Client(port) for _ in range(100)]
            for client in waiting:
                client.send(version_2() + request("/head"))
            for _ in range(2):
                daemon.signal(signal.SIGHUP)
        for client in waiting:
            head = parse_head(client.receive()[2])[1]
            assert (head["x-forwarded-for"], head["x-forwarded-proto"]) == ("192.0.2.7", "https"), head
            client.close()
        daemon.reload()
        assert seen_by(other) == ("127.0.0.1", "http")


def test_a_reload_that_fails_leaves_what_belongs_to_an_address(world):
    port, path = free_port(), world.path("sock")
    with world.start(listens(f'{{ address = "127.0.0.1:{port}"; scheme = "https"; }}',
                             f'{{ address = "unix:{path}"; mode = "0600"; }}'), listen=None) as daemon:
        world.configure(listens(f'{{ address = "127.0.0.1:{port}"; proxy_from = [ "::/0" ]; }}',
                                f'{{ address = "unix:{path}"; mode = "0666"; }}', '"192.0.2.1:80"'), listen=None)
        daemon.reload("reload failed")
        assert seen_by(port) == ("127.0.0.1", "https")
        assert mode_of(path) == 0o600


def test_successors_treat_each_address_as_the_configuration_says(world):
    port = free_port()
    with world.start(listens(f'{{ address = "127.0.0.1:{port}"; proxy_from = [ "127.0.0.1" ]; scheme = "https"; }}'),
                     listen=None) as daemon:
        for _ in range(2):
            daemon.succeed()
            assert seen_by(port, version_1()) == ("192.0.2.7", "https")
            assert refuses(daemon, port, request()) == "no PROXY header"


def test_a_socket_of_the_supervisor_is_treated_as_listen_says(world):
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        text = listens(f'{{ address = "*:{port}"; proxy_from = [ "127.0.0.1" ]; scheme = "https"; }}')
        with world.start(text, listen=None, sockets=[(passed, "rondo.socket")]) as daemon:
            for _ in range(2):
                assert seen_by(port, version_2()) == ("192.0.2.7", "https")
                assert refuses(daemon, port, request()) == "no PROXY header"
                daemon.succeed()
            # Not named any more: clients can still connect to it.
            world.configure(listens('"127.0.0.1:0"'), listen=None)
            daemon.reload("reloaded")
            assert seen_by(port) == ("127.0.0.1", "http")


def test_one_socket_of_the_supervisor_cannot_be_treated_in_two_ways(world):
    with socket.create_server(("", 0)) as passed:
        port = passed.getsockname()[1]
        one, other = (f'{{ address = "127.0.0.{last}:{port}"; proxy_from = [ "127.0.0.1" ]; }}' for last in (1, 2))
        with world.start(listens(one, other), listen=None, sockets=[(passed, "web")]) as daemon:
            world.configure(listens(one, f'"127.0.0.2:{port}"'), listen=None)
            daemon.reload("reload failed")
            daemon.wait_log(rf"cannot treat 127\.0\.0\.1:{port} and 127\.0\.0\.2:{port} in two ways: both are the "
                            "supervisor's socket web")
            assert refuses(daemon, port, request()) == "no PROXY header"


def test_a_stop_does_not_wait_for_a_header(world):
    with world.start(listens('{ address = "127.0.0.1:0"; proxy_from = [ "127.0.0.1" ]; }'), listen=None) as daemon:
        silent, late = Client(daemon), Client(daemon)
        late.send(version_1()[:9])
        assert seen_by(daemon, version_1()) == ("192.0.2.7", "http")
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("stopping: [23] connections")
        late.send(version_1()[9:] + request())
        assert late.receive()[0] == 200
        assert daemon.wait_exit() == 0
        assert silent.is_closed() and late.is_closed()


# ---- who may connect to a Unix socket


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_mode_of_a_unix_socket_is_as_configured_whatever_the_umask(world):
    paths = [world.path(name) for name in "abc"]
    text = listens(f'{{ address = "unix:{paths[0]}"; mode = "0606"; }}', f'{{ address = "unix:{paths[1]}"; mode = "0777"; }}',
                   f'"unix:{paths[2]}"')
    with world.start(text, listen=None, umask=0o027) as daemon:
        assert [mode_of(path) for path in paths] == [0o606, 0o777, 0o750]
        assert seen_by(paths[0]) == (None, "http")
        daemon.succeed()
        assert [mode_of(path) for path in paths] == [0o606, 0o777, 0o750]
        world.configure(listens(f'"unix:{paths[0]}"', f'{{ address = "unix:{paths[1]}"; mode = "0600"; }}',
                                f'{{ address = "unix:{paths[2]}"; group = "{os.getgid()}"; }}'), listen=None)
        daemon.reload("reloaded")
        assert [mode_of(path) for path in paths] == [0o750, 0o600, 0o750]
        assert seen_by(paths[1]) == (None, "http")


def test_a_unix_socket_of_the_supervisor_keeps_its_mode(world):
    path = world.path("sock")
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(path)
        passed.listen()
        os.chmod(path, 0o640)
        text = listens(f'{{ address = "unix:{path}"; mode = "0606"; proxy_from = [ "unix:" ]; }}')
        with world.start(text, listen=None, sockets=[(passed, "rondo.socket")]) as daemon:
            assert mode_of(path) == 0o640
            assert seen_by(path, version_1()) == ("192.0.2.7", "http")
            assert refuses(daemon, path, request()) == "no PROXY header"
            daemon.reload()
            assert mode_of(path) == 0o640
    assert os.path.exists(path), "it is the supervisor's"


def test_a_unix_socket_is_given_to_its_owner_and_group(world):
    if os.getuid() != 0:
        raise Skip("only root may give a socket away")
    path = world.path("sock")
    with world.start(listens(f'{{ address = "unix:{path}"; mode = "0660"; owner = "12345"; group = "23456"; }}'),
                     listen=None) as daemon:
        status = os.stat(path)
        assert (status.st_uid, status.st_gid, mode_of(path)) == (12345, 23456, 0o660)
        world.configure(listens(f'{{ address = "unix:{path}"; mode = "0660"; owner = "root"; group = "23457"; }}'), listen=None)
        daemon.reload("reloaded")
        status = os.stat(path)
        assert (status.st_uid, status.st_gid, mode_of(path)) == (0, 23457, 0o660)


def test_a_socket_that_cannot_be_given_away_is_not_listened_on(world):
    if os.getuid() != 0:
        raise Skip("only root can become somebody who may not")
    path = world.path("sock")
    os.chmod(world.path(""), 0o777)
    world.configure(listens(f'{{ address = "unix:{path}"; owner = "root"; }}'), listen=None)
    os.chmod(world.path("rondo.conf"), 0o644)
    done = subprocess.run([world.binary, "-c", world.path("rondo.conf")], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE, check=False, user=65534, group=65534, extra_groups=[])
    assert done.returncode == 1, done
    assert f"cannot listen on unix:{path} as its owner and group want: Operation not permitted" in done.stderr, done.stderr
    assert not os.path.exists(path), "the socket was left behind"


# ---- ports that not everybody may open


def test_a_port_that_may_not_be_opened_names_the_unit_that_can(world):
    if os.getuid() != 0:
        raise Skip("only root can become somebody who may not")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) == 0:
            raise Skip("everybody may open any port here")
    os.chmod(world.path(""), 0o777)
    for address in ("127.0.0.1:1", "*:1"):
        world.configure(listen=address)
        os.chmod(world.path("rondo.conf"), 0o644)
        done = subprocess.run([world.binary, "-c", world.path("rondo.conf")], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE, check=False, user=65534, group=65534, extra_groups=[])
        assert done.returncode == 1, done
        assert (f"cannot listen on {address}: Permission denied; systemd can open it for rondo: see rondo.socket in rondo(8)"
                in done.stderr), done.stderr


if __name__ == "__main__":
    sys.exit(run_tests(__doc__, globals()))
