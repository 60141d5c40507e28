"""The servers a benchmark needs, started on ports of their own and ended by their process id.

Every proxy is one process with one worker or thread, with pooled connections to its backends and without a
log, configured as its manual advises for speed. A peer that is not installed is left out by name.
"""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from ports import free_port  # noqa: E402
from programs import Printer, Program  # noqa: E402
from waiting import wait_until  # noqa: E402

NGINX = """
daemon off; worker_processes 1; pid {work}/nginx.pid;
error_log {work}/nginx.err crit;
events {{ worker_connections 16000; multi_accept on; }}
http {{
  access_log {log};
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  keepalive_requests 1000000000; keepalive_timeout 75s; tcp_nodelay on;
  upstream backends {{ {servers} keepalive 5000; keepalive_requests 1000000000; {upstream} }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    client_max_body_size 0; client_body_buffer_size 16k; proxy_request_buffering off;
    proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_max_temp_file_size 0;
    {location}
    location / {{ proxy_pass http://backends; }}
  }}
}}
"""

HAPROXY = """
global
  maxconn 9000
  maxpipes 500
  nbthread 1
  {log}
defaults
  mode http
  timeout connect 1s
  timeout client 75s
  timeout server 60s
  http-reuse always
  {options}
frontend front
  bind 127.0.0.1:{port} backlog 4096
  {front}
  default_backend back
backend back
  balance roundrobin
  {back}
{servers}
"""


def worker_of(master):
    def look():
        with open(f"/proc/{master}/task/{master}/children", encoding="ascii") as children:
            return children.read().split()

    return int(wait_until("a worker of nginx", look)[0])


def endpoint(backend):
    return backend if isinstance(backend, str) else f"127.0.0.1:{backend}"


class House:
    """Starts servers on one core, and ends them."""

    def __init__(self, tools, work, core):
        self.tools = tools
        self.work = work
        self.pin = ["taskset", "-c", str(core)] if core is not None and shutil.which("taskset") else []
        self.servers = []

    def keep(self, server):
        self.servers.append(server)
        return server

    def drop(self, server):
        self.servers.remove(server)
        server.stop()

    def close(self):
        for server in self.servers:
            server.stop()

    def path(self, name):
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        return path

    def origin(self, count, first=0, bad=0, service_us=0, place=None):
        """On so many ports, from `first` on unless that is 0; `bad` percent of its answers are 500. With a service time it
        works at one request at a time. `place` may be a Host of its own."""
        command = self.pin + [self.tools + "/origin", str(count), str(first), str(bad), str(service_us)]
        if place:
            command = place.enter + command + [place.address]
        return self.keep(Printer(command, count, name="origin"))

    def floor(self, port):
        return self.keep(Printer(self.pin + [self.tools + "/floor", str(port)], name="floor"))

    def rondo(self, binary, ports, settings=(), name="rondo"):
        """Backends, here and below, are ports of 127.0.0.1 or ADDRESS:PORT."""
        port = free_port()
        command = self.pin + [binary, "-q", "--listen", f"127.0.0.1:{port}"]
        for backend in ports:
            command += ["--backend", f"http://{endpoint(backend)}"]
        for setting in settings:
            command += ["--set", setting]
        return self.keep(Program(command, port, name=name))

    def nginx(self, ports, log="off", server="", upstream="", location=""):
        port = free_port()
        work = self.path(f"nginx-{port}")
        config = os.path.join(work, "nginx.conf")
        servers = " ".join(f"server {endpoint(backend)} {server};" for backend in ports)
        with open(config, "w", encoding="ascii") as file:
            file.write(NGINX.format(work=work, port=port, servers=servers, log=log, upstream=upstream,
                                    location=location))
        command = self.pin + ["nginx", "-p", work, "-c", config, "-e", work + "/nginx.err"]
        nginx = self.keep(Program(command, port, name="nginx"))
        nginx.pid = worker_of(nginx.pid)
        return nginx

    def haproxy(self, ports, name="haproxy", log=None, **parts):
        port = free_port()
        config = os.path.join(self.path(f"haproxy-{port}"), "haproxy.cfg")
        server = parts.pop("server", "")
        servers = "\n".join(f"  server s{number} {endpoint(backend)} {server}" for number, backend in enumerate(ports))
        fields = {"options": "", "front": "", "back": ""}
        fields.update(parts)
        if log:
            fields["front"] += "\n  log global\n  option httplog"
        with open(config, "w", encoding="ascii") as file:
            file.write(HAPROXY.format(port=port, servers=servers,
                                      log="log stdout format raw local0" if log else "", **fields))
        options = {"output": open(log, "ab")} if log else {}  # pylint: disable=consider-using-with
        return self.keep(Program(self.pin + ["haproxy", "-db", "-f", config], port, name=name, **options))


def installed(name):
    if shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"):
        return True
    print(f"skipped: {name} is not installed", flush=True)
    return False
