"""The gateway of deploy/gateway: Debian's nginx with the files of that folder, its ports and limits changed."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from http.client import HTTPSConnection
from pathlib import Path

from own_ports import own_ports

from encserve import ADMIN_KEY, Client, Tls

DEPLOYED = Path(__file__).parents[2] / "deploy/gateway"


class Gateway:
    """Runs nginx before a server, for as long as the `with` block lasts."""

    def __init__(self, folder, server, authority, *, rate=10_000, burst=10_000, at_once=64, strangers="10000r/s"):
        self.folder = folder / "gateway"
        self.authority = authority
        (self.port,) = own_ports(1)
        shutil.copytree(DEPLOYED, self.folder, ignore=shutil.ignore_patterns("tls", "keys*.map", "*.log"))
        self.set("http.conf", "127.0.0.1:8001", f"127.0.0.1:{server.config.grpc_port}")
        self.set("http.conf", "127.0.0.1:8000", f"127.0.0.1:{server.config.http_port}")
        self.set("http.conf", r"zone=rate:1m rate=\d+r/s", f"zone=rate:1m rate={rate}r/s")
        self.set("http.conf", r"zone=strangers:1m rate=\d+r/s", f"zone=strangers:1m rate={strangers}")
        self.set("server.conf", "listen 8443", f"listen 127.0.0.1:{self.port}")
        self.set("server.conf", r"burst=\d+", f"burst={burst}")
        self.set("server.conf", r"limit_conn at_once \d+", f"limit_conn at_once {at_once}")
        (self.folder / "settings/admin_secret.conf").write_text(
            f"grpc_set_header triton-grpc-protocol-{ADMIN_KEY} {server.admin_secret};\n"
        )
        issued = authority.issue("gateway")
        (self.folder / "tls").mkdir()
        shutil.copy(issued.cert, self.folder / "tls/server.pem")
        shutil.copy(issued.key, self.folder / "tls/server.key")

    def set(self, name, pattern, replacement):
        """Change one place of a file in settings/, as an operator does."""
        path = self.folder / "settings" / name
        text, count = re.subn(pattern, replacement, path.read_text())
        assert count == 1, f"{path} has {count} times {pattern}"
        path.write_text(text)

    def new_key(self, name):
        """Make a key as an operator does."""
        done = subprocess.run([self.folder / "new-key", name], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def __enter__(self):
        command = ["nginx", "-p", str(self.folder), "-c", "nginx.conf", "-g", "daemon off;"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._wait()
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.communicate(timeout=120)

    def _wait(self):
        deadline_s = time.monotonic() + 120
        while time.monotonic() < deadline_s:
            assert self.process.poll() is None, self.process.stderr.read()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nginx did not open its port")

    @property
    def url(self):
        """For the SDK."""
        return f"localhost:{self.port}"

    @property
    def tls(self):
        """For the SDK."""
        return Tls(ca_file=self.authority.cert)

    def client(self, **options):
        """The SDK through the gateway."""
        return Client(self.url, tls=self.tls, **options)

    def http(self, method, path, *, key=None, body=None, headers=()):
        """(status, headers, the JSON of the answer) of one request over HTTP."""
        context = ssl.create_default_context(cafile=self.authority.cert)
        connection = HTTPSConnection("localhost", self.port, context=context, timeout=60)
        try:
            sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **dict(headers)}
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, answer.headers, json.loads(content) if content else None
        finally:
            connection.close()

    def log(self, name="access.log"):
        """What the gateway wrote so far."""
        return (self.folder / name).read_text()
