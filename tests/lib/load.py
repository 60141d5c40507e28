"""Clients that never pause, beside whatever a test does; every answer is looked at."""

import os
import threading

from clients import Client
from waiting import PATIENCE


class Load:
    """Requests to EchoBackends: `kept` connections with GETs and POSTs, `reopening` clients that use a new connection
    for each request, and as many tunnels. The first wrong answer of a client is kept as a fault, and ends it."""

    def __init__(self, to, kept=4, reopening=1, tunnel=True):
        self.to = to
        self.faults = []
        self.answers = 0
        self.reopened = 0  # kept connections that rondo has closed in order
        self.stopping = threading.Event()
        self.begun = threading.Semaphore(0)
        workers = [self._keep] * kept + [self._reopen] * reopening + [self._tunnel] * tunnel
        self.threads = [threading.Thread(target=self._guard, args=(work, number), daemon=True)
                        for number, work in enumerate(workers)]
        for thread in self.threads:
            thread.start()
        for _ in self.threads:
            self.begun.acquire(timeout=PATIENCE)

    def _guard(self, work, number):
        try:
            work(number)
        except (AssertionError, OSError, EOFError, ValueError) as error:
            self.faults.append(f"{work.__name__.strip('_')} {number}: {error!r}")
        finally:
            self.begun.release()

    def exchange(self, client, number, count):
        """One request and its answer, whose fields are returned; raises where the answer is not right."""
        content = b"" if count % 2 else b"%d %d " % (number, count) + os.urandom(count % 5000)
        path = f"/{number}/{count}"
        status, fields, answer = client.ask(path, content=content)
        assert status == 200, status
        assert answer == (content or f"GET {path} HTTP/1.1".encode()), answer[:100]
        return fields

    def _exchange(self, client, number, count):
        """False when the connection ends with it."""
        fields = self.exchange(client, number, count)
        self.answers += 1
        if count == 1:
            self.begun.release()
        return fields.get("connection", "") != "close"

    def _keep(self, number):
        client = Client(self.to)
        count = 0
        while not self.stopping.is_set():
            count += 1
            if not self._exchange(client, number, count):
                assert client.is_closed(), "reset after Connection: close"
                client.close()
                client = Client(self.to)
                self.reopened += 1
        client.close()

    def _reopen(self, number):
        count = 0
        while not self.stopping.is_set():
            count += 1
            with Client(self.to) as client:
                self._exchange(client, number, count)

    def _tunnel(self, _number):
        client = Client(self.to)
        client.upgrade()
        self.begun.release()
        while not self.stopping.is_set():
            message = os.urandom(1000)
            client.send(message)
            assert client.read(len(message)) == message, "the tunnel changed a byte"
            self.answers += 1
        client.close()

    def wait_more(self, count):
        """Waits for that many answers more, or for a fault."""
        goal = self.answers + count
        waiter = threading.Event()
        while self.answers < goal and not self.faults:
            waiter.wait(0.005)

    def end(self):
        """Ends it; what went wrong, or an empty string."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                self.faults.append("a client waits for ever")
        return "; ".join(self.faults[:5])

    def stop(self):
        """Ends it, and raises when anything went wrong."""
        wrong = self.end()
        assert not wrong, wrong
