"""Real servers for rondo to stand in front of, each on a free port."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
NGINX = """
daemon off;
master_process off;
error_log stderr error;
pid {root}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {root}/files;
    }}
}}
"""


def find(name):
    """The path of a program, also where an ordinary user's PATH does not lead."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Server:
    """A process that listens on `port`. Ended by stop(), or by kill() at once."""

    def __init__(self, command, port, environment=None):
        self.command = command
        self.port = port
        self.environment = environment
        self.process = None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit(f"{self.command[0]} does not listen on port {self.port}")

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

    def __exit__(self, *error):
        self.stop()


class Nginx(Server):
    """Serves the files of self.files."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="rondo-nginx-")
        self.files = os.path.join(self.root, "files")
        os.mkdir(self.files)
        port = harness.free_port()
        config = os.path.join(self.root, "nginx.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(NGINX.format(root=self.root, port=port))
        super().__init__([find("nginx"), "-c", config, "-p", self.root, "-e", "stderr"], port)

    def __exit__(self, *error):
        self.stop()
        shutil.rmtree(self.root)


def uvicorn(behaviour="app"):
    """The application of app.py under uvicorn."""
    port = harness.free_port()
    environment = dict(os.environ, BEHAVIOUR=behaviour, PYTHONDONTWRITEBYTECODE="1")
    return Server([sys.executable, "-m", "uvicorn", "--app-dir", HERE, "--port", str(port),
                   "--host", "127.0.0.1", "--log-level", "error", "app:app"], port, environment)
