"""A host of our own: a network namespace behind a pair of interfaces, whose address can be dropped.

What is sent to a host that has lost its address gets no answer at all, not even a refusal: as when its power fails.
"""

import os
import subprocess


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Host:
    """Exists within a `with`; all that it made is removed at the end."""

    NEAR, address, BITS = "198.18.15.1", "198.18.15.2", "/30"  # a network for benchmarks, by RFC 2544

    def __init__(self):
        self.name = f"rondo-bench-{os.getpid()}"
        self.near, self.far = f"rb{os.getpid()}n", f"rb{os.getpid()}f"
        self.enter = ["nsenter", f"--net=/run/netns/{self.name}"]

    def __enter__(self):
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
            ip("address", "add", self.NEAR + self.BITS, "dev", self.near)
            ip("link", "set", self.near, "up")
            ip("-n", self.name, "link", "set", "lo", "up")
            ip("-n", self.name, "link", "set", self.far, "up")
            self.come()
            subprocess.run([*self.enter, "true"], check=True, capture_output=True, text=True)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        """The far interface goes with the near one. The namespace alone would keep both while a server still runs in it."""
        subprocess.run(["ip", "link", "delete", self.near], check=False, capture_output=True)
        ip("netns", "delete", self.name)

    def go(self):
        ip("-n", self.name, "address", "delete", self.address + self.BITS, "dev", self.far)

    def come(self):
        ip("-n", self.name, "address", "add", self.address + self.BITS, "dev", self.far)


def can_make():
    """Otherwise says why not."""
    try:
        with Host():
            return True
    except FileNotFoundError as error:
        reason = f"{error.filename} is not installed"
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip()
    print(f"skipped: no host of our own can be made ({reason})", flush=True)
    return False
