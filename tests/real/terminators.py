"""What stands in front of rondo and ends TLS, with the configurations of conf/examples: hitch, HAProxy, nginx.

Each is run over TCP and over a Unix socket; a client that has an address of its own asks through it.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile

import servers
from backends import Backend, serve
from peer import parse_head
from ports import free_port
from programs import Program
from rondo import Rondo
from waiting import wait_until

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "examples")
CLIENT = "127.0.0.2"
NGINX = """
daemon off;
master_process off;
error_log stderr error;
pid {root}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    include {root}/terminator;
}}
"""

# hitch refuses to run as root; then it is somebody who is in no group of rondo.
AS_NOBODY = ["--user=nobody"] if os.getuid() == 0 else []

# program: its example, that of rondo, how it is started, whether it may speak HTTP/2
TERMINATORS = (
    ("hitch", "hitch.conf", "behind-proxy-protocol.conf", ["--config={file}", *AS_NOBODY], False),
    ("haproxy", "haproxy-tcp.cfg", "behind-proxy-protocol.conf", ["-db", "-f", "{file}"], False),
    ("haproxy", "haproxy.cfg", "behind-http-proxy.conf", ["-db", "-f", "{file}"], True),
    ("nginx", "nginx.conf", "behind-http-proxy.conf", ["-c", "{root}/nginx", "-p", "{root}", "-e", "stderr"], True),
)


class Place:
    """A directory with a certificate, and the examples made to fit."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="rondo-tls-")
        os.chmod(self.root, 0o755)
        self.log = os.path.join(self.root, "access.log")
        self.lines = 0  # of the log, that were looked at
        self.speaks_http = False
        self.port = free_port()  # of the terminator
        self.rondo_port = free_port()
        pem = os.path.join(self.root, "site.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", pem, "-out", pem + ".crt"], check=True, stderr=subprocess.DEVNULL)
        with open(pem, "a", encoding="ascii") as both, open(pem + ".crt", encoding="ascii") as certificate:
            both.write(certificate.read())

    def fit(self, example, name, is_unix=False):
        """A file with the ports and paths of this place; answers its path."""
        with open(os.path.join(EXAMPLES, example), encoding="utf-8") as file:
            text = file.read()
        if is_unix:
            text, count = re.subn(r"\n[^\n#]+(\n *# Over a Unix socket, instead of the line above:\n *)# ", r"\1", text)
            assert count == 1, example
        text = re.sub(r"/etc/\w+/site\.pem", f"{self.root}/site.pem", text)
        text = text.replace("/run/rondo/", f"{self.root}/").replace("127.0.0.1:8080", f"127.0.0.1:{self.rondo_port}")
        text = text.replace('mode = "0660"', 'mode = "0666"')  # who is in which group is not known here
        text = text.replace("[127.0.0.1]:8080", f"[127.0.0.1]:{self.rondo_port}")
        text = re.sub(r"(\[\*\]|bind |listen ):?443\b", rf"\g<1>:{self.port}", text).replace(f"listen :{self.port}",
                                                                                            f"listen {self.port}")
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def next_line(self):
        """Of rondo's access log, which is written when the client has its answer already."""
        def look():
            with open(self.log, encoding="utf-8") as file:
                lines = file.readlines()
            return lines if len(lines) > self.lines else None

        lines = wait_until("a line of the access log", look)
        self.lines += 1
        return lines[self.lines - 1]

    def close(self):
        shutil.rmtree(self.root)


def ask(place, *options):
    """The head that the backend saw, and what curl says of the answer: its version and status."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--insecure", "--max-time", "30", "--interface", CLIENT,
                           "--header", "X-Forwarded-For: 198.51.100.1", "--header", "Forwarded: for=198.51.100.2",
                           "--write-out", "\n%{http_version} %{http_code}", *options, f"https://127.0.0.1:{place.port}/"],
                          capture_output=True, check=False)
    head, _, last = done.stdout.rpartition(b"\n")
    return head, last.decode() or done.stderr.decode()


def complaint(place, is_unix, version, *options):
    head, said = ask(place, *options)
    if said != f"{version} 200":
        return said
    seen = parse_head(head)[1]
    # A proxy that names the client in a field adds itself where it has an address.
    is_in_chain = place.speaks_http and not is_unix
    wanted = {"x-forwarded-for": f"{CLIENT}, 127.0.0.1" if is_in_chain else CLIENT, "x-forwarded-proto": "https"}
    wrong = {name: seen.get(name) for name, text in wanted.items() if seen.get(name) != text}
    line = place.next_line()
    if not line.startswith(CLIENT + " ") or f" peer={'unix:' if is_unix else '127.0.0.1'} " not in line:
        return line
    return f"the backend saw {wrong}" if wrong else ""


def play_one(binary, report, terminator, is_unix):
    program, example, listens, arguments, has_http_2 = terminator
    name = f"{program} ({example}) in front of rondo over {'a Unix socket' if is_unix else 'TCP'}"
    with contextlib.closing(Place()) as place, contextlib.closing(Backend(serve)) as backend:
        place.speaks_http = "http" in listens
        file = place.fit(example, "terminator", is_unix)
        with open(os.path.join(place.root, "nginx"), "w", encoding="ascii") as out:
            out.write(NGINX.format(root=place.root))
        settings = [f"log.access={place.log}"]
        command = [servers.find(program), *(argument.format(file=file, root=place.root) for argument in arguments)]
        with Rondo(binary, [backend.url], settings, place.fit(listens, "rondo.conf"), listen=None) as rondo:
            with Program(command, place.port):
                report.check(name, complaint(place, is_unix, "1.1", "--http1.1"))
                if has_http_2:
                    report.check(f"{name}, with HTTP/2", complaint(place, is_unix, "2", "--http2"))
                report.check(f"{name}: nobody is refused", "\n".join(rondo.lines) if rondo.count_log(r"closed:") else "")


def play(binary, report):
    for terminator in TERMINATORS:
        if not servers.find(terminator[0]):
            report.skip(terminator[1], f"{terminator[0]} is not installed")
            continue
        for is_unix in (False, True):
            play_one(binary, report, terminator, is_unix)
