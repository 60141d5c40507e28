"""Logs that cannot be written."""

import contextlib
import os
import select
import signal
import subprocess
import sys

from ports import is_open
from world import HERE, PATIENCE, Skip, World, ask, connect, fault, free_port, receive, request, wait_until


def assert_served_on_one(proxy, count=200):
    with connect(proxy) as client:
        for number in range(count):
            client.sendall(request(f"/{number}"))
            status, _, content = receive(client)
            assert (status, content) == (200, f"b /{number}".encode()), (status, content)


@fault("F38", "a full disk under the access log costs lines and one warning")
def the_disk_is_full(world):
    proxy = world.proxy([world.backend()], 'log.access=/dev/full')
    assert_served_on_one(proxy)
    assert proxy.count_log("/dev/full: No space left on device; lines are dropped") == 1, proxy.tail()
    proxy.stop()


# In a place of its own: a disk of 16 KiB that fills up, and is given room again.
ON_SMALL_DISK = """
import sys
sys.path.insert(0, sys.argv[1])
import world, files
files.on_small_disk(sys.argv[2], sys.argv[3])
"""


def whole_lines(log):
    with open(log, encoding="ascii") as file:
        return [line for line in file if line.endswith("\n") and " HTTP/1.1" in line]


def on_small_disk(binary, disk):
    with contextlib.closing(World(binary)) as world:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=True)
        log = os.path.join(disk, "access")
        proxy = world.proxy([world.backend()], f"log.access={log}")
        assert_served_on_one(proxy, 300)
        proxy.wait_log("No space left on device; lines are dropped")
        assert os.path.getsize(log) > 8000, os.path.getsize(log)
        os.unlink(log)
        proxy.signal(signal.SIGUSR1)
        wait_until("a new log", lambda: os.path.exists(log))
        assert_served_on_one(proxy, 5)
        wait_until("its five whole lines", lambda: len(whole_lines(log)) == 5)
        proxy.stop()


@fault("F38", "a small disk fills up, is emptied, and the log goes on with whole lines")
def the_disk_fills_up(world):
    prefix = ["unshare", "-rm"]
    if subprocess.run([*prefix, "mount", "-t", "tmpfs", "none", world.directory],
                      stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("no file systems can be mounted")
    os.mkdir(world.path("disk"))
    ended = subprocess.run([*prefix, sys.executable, "-c", ON_SMALL_DISK, HERE, world.binary,
                            world.path("disk")],
                           capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert ended.returncode == 0, ended.stderr


def full_pipe():
    """The ends of a pipe that takes no byte any more; blocking, as a shell makes them."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"\n" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)
    return reading, writing


@fault("F39", "a blocked pipe as stderr and as access log does not block the loop")
def pipes_are_blocked(world):
    reading, writing = full_pipe()
    port = free_port()
    backend = world.backend()
    proxy = world.proxy([backend], 'log.access=stdout', 'log.level=debug', stdout=writing,
                        stderr=writing, wait=False, listen=f"127.0.0.1:{port}")
    wait_until("a listening rondo", lambda: is_open(port))
    assert_served_on_one(proxy, 3000)
    proxy.signal(signal.SIGHUP)
    assert ask(proxy)[0] == 200
    text = b""
    while b'"GET /now ' not in text:  # the lines that waited come first
        assert ask(proxy, "/now")[0] == 200
        if select.select([reading], [], [], 0.01)[0]:
            text = text[-1000:] + os.read(reading, 65536)
    os.close(writing)
    proxy.signal(signal.SIGTERM)
    while os.read(reading, 65536):
        pass
    os.close(reading)
    assert proxy.process.wait(PATIENCE) == 0


@fault("F39", "a reader of stderr that is gone does not matter")
def the_reader_is_gone(world):
    reading, writing = os.pipe()
    port = free_port()
    proxy = world.proxy([world.backend()], 'log.access=stdout', stdout=writing, stderr=writing,
                        wait=False, listen=f"127.0.0.1:{port}")
    os.close(writing)
    text = b""
    while b"ready" not in text:
        text += os.read(reading, 4096)
    os.close(reading)
    assert_served_on_one(proxy)
    proxy.signal(signal.SIGHUP)
    assert_served_on_one(proxy)
    proxy.signal(signal.SIGTERM)
    assert proxy.process.wait(PATIENCE) == 0


@fault("F40", "a log that cannot be opened again stays open")
def the_log_cannot_be_reopened(world):
    os.mkdir(world.path("logs"))
    proxy = world.proxy([world.backend()], f'log.access={world.path("logs")}/access')
    assert_served_on_one(proxy, 5)
    os.rename(world.path("logs"), world.path("moved"))
    proxy.signal(signal.SIGUSR1)
    proxy.wait_log("access log|cannot open|cannot reopen")
    assert_served_on_one(proxy, 5)
    log = world.path("moved/access")

    def lines():
        with open(log, encoding="ascii") as file:
            return len(file.readlines()) == 10

    wait_until("all lines in the old file", lines)
    os.mkdir(world.path("logs"))
    proxy.signal(signal.SIGUSR1)
    wait_until("the new file", lambda: os.path.exists(world.path("logs/access")))
    assert_served_on_one(proxy, 5)
    proxy.stop()
