"""What the kernel tells of a process in /proc."""

import contextlib
import os
import re

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of /proc/PID/stat from the third on, which is the state."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def status(pid, name):
    """The first word of a line of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return re.search(rf"^{name}:\s+(\S+)", file.read(), re.M).group(1)


def state(pid):
    """A letter: "R" while it runs, "S" while it waits, "T" while it is stopped, "Z" for a zombie."""
    return stat(pid)[0]


def is_alive(pid):
    """Is there such a process, and is it no zombie?"""
    try:
        return state(pid) != "Z"
    except OSError:
        return False


def memory_kib(pid):
    """Resident memory."""
    return int(status(pid, "VmRSS"))


def cpu_seconds(pid):
    """Processor time it has used."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def descriptors(pid):
    """How many are open. Pipes do not count: rondo keeps them for the next long content."""
    count = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += not os.readlink(f"/proc/{pid}/fd/{name}").startswith("pipe:")
    return count
