"""Real servers for rondo to stand in front of, each on a free port."""

import os
import shutil
import sys
import tempfile

from ports import free_port
from programs import Program

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


class Nginx(Program):
    """Serves the files of self.files."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="rondo-nginx-")
        self.files = os.path.join(self.root, "files")
        os.mkdir(self.files)
        port = free_port()
        config = os.path.join(self.root, "nginx.conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write(NGINX.format(root=self.root, port=port))
        super().__init__([find("nginx"), "-c", config, "-p", self.root, "-e", "stderr"], port)

    def __exit__(self, *error):
        self.stop()
        shutil.rmtree(self.root)


def uvicorn(behaviour="app"):
    """The application of app.py under uvicorn."""
    port = free_port()
    environment = dict(os.environ, BEHAVIOUR=behaviour, PYTHONDONTWRITEBYTECODE="1")
    return Program([sys.executable, "-m", "uvicorn", "--app-dir", HERE, "--port", str(port), "--host", "127.0.0.1",
                    "--log-level", "error", "app:app"], port, environment=environment)
