"""A backend that echoes, and clients that check every byte of what comes back."""

import os
import socket
import threading


class Stream:
    """A connection and the bytes read ahead of it."""

    def __init__(self, connection):
        self.socket = connection
        self.waiting = b""

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self.waiting!r}")
        self.waiting += data

    def head(self):
        """The start line and a dictionary of fields with names in small letters."""
        while b"\r\n\r\n" not in self.waiting:
            self._more()
        head, _, self.waiting = self.waiting.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return first, fields

    def take(self, count):
        while len(self.waiting) < count:
            self._more()
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


class Backend:
    """Echoes content; /hold waits until release(); an upgrade becomes an echoing tunnel."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.released = threading.Event()
        self.held = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                stream = Stream(connection)
                while True:
                    self._answer(stream)
            except (EOFError, OSError):
                return

    def _answer(self, stream):
        first, fields = stream.head()
        content = stream.take(int(fields.get("content-length", 0)))
        if "upgrade" in fields:
            stream.socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                                  b"Upgrade: websocket\r\n\r\n")
            while True:
                stream.socket.sendall(stream.take(len(stream.waiting) or 1))
        if " /hold" in first:
            self.held.release()
            self.released.wait()
        content = content or first.encode()
        stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (
            len(content), content))

    def release(self):
        self.released.set()

    def close(self):
        self.released.set()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Client:
    """One connection to rondo; requests on it one after the other."""

    def __init__(self, address, timeout=30):
        if isinstance(address, str):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(address)
        else:
            host = "127.0.0.1" if isinstance(address, int) else address[0]
            port = address if isinstance(address, int) else address[1]
            connection = socket.create_connection((host, port), timeout=timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = Stream(connection)

    def send(self, path="/", content=b"", fields="", host="test"):
        method = "POST" if content else "GET"
        length = f"Content-Length: {len(content)}\r\n" if content else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{fields}\r\n"
        self.stream.socket.sendall(head.encode() + content)

    def receive(self):
        """Status, fields and content of the next answer."""
        first, fields = self.stream.head()
        content = self.stream.take(int(fields.get("content-length", 0)))
        return int(first.split()[1]), fields, content

    def get(self, path="/", content=b"", fields="", host="test"):
        self.send(path, content, fields, host)
        return self.receive()

    def upgrade(self):
        self.send("/tunnel", fields="Connection: upgrade\r\nUpgrade: websocket\r\n")
        first, _ = self.stream.head()
        assert first.startswith("HTTP/1.1 101"), first

    def is_closed(self):
        """Waits for the end of the connection: True when it came in order, False for a reset."""
        try:
            return self.stream.socket.recv(1) == b""
        except ConnectionError:
            return False

    def close(self):
        self.stream.socket.close()


class Load:
    """Clients that never pause: kept connections with GETs and POSTs, one of them a tunnel, one with a new connection
    for each request. Every fault is kept; anything but the right answer is one."""

    def __init__(self, address, kept=4, tunnel=True):
        self.address = address
        self.faults = []
        self.answers = 0
        self.reopened = 0
        self.stopping = threading.Event()
        self.begun = threading.Semaphore(0)
        workers = [self._keep] * kept + [self._reopen] + [self._tunnel] * tunnel
        self.threads = [threading.Thread(target=self._guard, args=(work, i), daemon=True)
                        for i, work in enumerate(workers)]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            self.begun.acquire(timeout=30)

    def _guard(self, work, number):
        try:
            work(number)
        except (AssertionError, OSError, EOFError, ValueError) as error:
            self.faults.append(f"{work.__name__.strip('_')} {number}: {error!r}")
        finally:
            self.begun.release()

    def _exchange(self, client, number, count):
        content = b"" if count % 2 else b"%d %d " % (number, count) + os.urandom(count % 5000)
        path = f"/{number}/{count}"
        status, fields, answer = client.get(path, content)
        assert status == 200, status
        assert answer == (content or f"GET {path} HTTP/1.1".encode()), answer[:100]
        self.answers += 1
        return fields.get("connection", "") != "close"

    def _keep(self, number):
        client = Client(self.address)
        count = 0
        while not self.stopping.is_set():
            count += 1
            if not self._exchange(client, number, count):
                assert client.is_closed(), "reset after Connection: close"
                client.close()
                client = Client(self.address)
                self.reopened += 1
            if count == 1:
                self.begun.release()
        client.close()

    def _reopen(self, number):
        count = 0
        while not self.stopping.is_set():
            count += 1
            client = Client(self.address)
            self._exchange(client, number, count)
            client.close()
            if count == 1:
                self.begun.release()

    def _tunnel(self, number):
        client = Client(self.address)
        client.upgrade()
        self.begun.release()
        while not self.stopping.is_set():
            message = os.urandom(1000)
            client.stream.socket.sendall(message)
            assert client.stream.take(len(message)) == message, "the tunnel changed a byte"
            self.answers += 1
        client.close()

    def wait_more(self, count):
        """Waits for that many answers more, or for a fault."""
        goal = self.answers + count
        waiter = threading.Event()
        while self.answers < goal and not self.faults:
            waiter.wait(0.005)

    def stop(self):
        """What went wrong, if anything."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
            if thread.is_alive():
                self.faults.append("a client waits for ever")
        assert not self.faults, "; ".join(self.faults[:5])
