"""Servers that are processes of their own: a test can kill, stop and start them."""

import os
import subprocess

import processes
from ports import is_open
from waiting import wait_until


class Program:
    """A running program that listens on `port`, unless that is 0. Ended by stop(), or by kill() at once."""

    def __init__(self, command, port=0, *, name="", environment=None, output=subprocess.DEVNULL):
        """`output` is where its standard output goes."""
        self.command = command
        self.name = name or os.path.basename(command[0])
        self.port = port
        self.environment = environment
        self.output = output
        self.process = None
        self.pid = 0
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Again, on the same port, after a kill()."""
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self):
        def is_ready():
            assert self.process.poll() is None, f"{self.name} ended at once"
            return is_open(self.port)

        if self.port:
            wait_until(f"{self.name} listens on port {self.port}", is_ready)

    def memory_kib(self):
        return processes.memory_kib(self.pid)

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Printer(Program):
    """A program that prints the ports it listens on when it is ready, one a line."""

    def __init__(self, command, count=1, **options):
        self.how_many = count
        self.ports = []
        super().__init__(command, output=subprocess.PIPE, **options)

    def _wait_ready(self):
        self.ports = [int(self.process.stdout.readline()) for _ in range(self.how_many)]
        self.port = self.ports[0]
