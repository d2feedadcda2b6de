"""A real nginx with the examples of ``deploy/nginx``, a certificate of its own, and clients of it."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import ipaddress
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support import debian_packages
from tests.support.server import free_port

EXAMPLES = Path(__file__).parents[2] / "deploy" / "nginx"
INSTALL_FOLDER = Path(sys.prefix, "nginx")
PATIENCE_S = 10.0
MAIN = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/conf.d/*.conf;
}}
"""


@functools.cache
def program() -> str:
    """Return the path of an nginx: the machine's, or one fetched as a package; "" without."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found:
        return found
    fetched = INSTALL_FOLDER / "usr/sbin/nginx"
    try:
        if not fetched.exists():
            debian_packages.unpack(("nginx",), INSTALL_FOLDER)
        subprocess.run([str(fetched), "-v"], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return str(fetched)


class Nginx(msgspec.Struct, frozen=True):
    """A running nginx: its ports, and the folder of its logs."""

    folder: Path
    port: int
    plain_port: int

    @property
    def access_log(self) -> str:
        """What it has logged of requests."""
        return (self.folder / "dragoman.log").read_text()

    def client(self, base_url: str, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """Return a client that finds every name here, from an address of this machine."""
        return httpx.AsyncClient(
            transport=_EveryNameIsHere(self, address), base_url=base_url, timeout=PATIENCE_S
        )


class _EveryNameIsHere(httpx.AsyncBaseTransport):
    """Connects to this nginx whatever the host, and verifies its certificate for that host."""

    def __init__(self, nginx: Nginx, address: str) -> None:
        context = ssl.create_default_context(cafile=str(nginx.folder / "fullchain.pem"))
        self._inner = httpx.AsyncHTTPTransport(verify=context, local_address=address)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.headers["Host"].partition(":")[0]
        passed_on = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": name},
        )
        return await self._inner.handle_async_request(passed_on)

    async def aclose(self) -> None:
        await self._inner.aclose()


@contextlib.contextmanager
def running_nginx(
    example: str, nodes: list[str], folder: Path, port: int, names: list[str]
) -> Generator[Nginx]:
    """Run nginx with one of the examples, in which only ports and folders are others.

    Args:
        example: the file in ``deploy/nginx``.
        nodes: the addresses of the servers behind it.
        folder: where its files are; the paths of the examples lead there.
        port: where it serves TLS.
        names: the names in its certificate.
    """
    nginx = Nginx(folder, port, free_port())
    (folder / "conf.d").mkdir(parents=True)
    for name in (example, "00-dragoman.conf"):
        (folder / "conf.d" / name).write_text(_adapt(EXAMPLES / name, nginx, nodes))
    shutil.copy(EXAMPLES / "dragoman-proxy.conf", folder)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(user=user, folder=folder))
    _make_certificate(folder, names)
    command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "error.log"]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _wait_until_open(process, port)
        yield nginx
    finally:
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
    assert not said, said.decode()


def _adapt(path: Path, nginx: Nginx, nodes: list[str]) -> str:
    text = re.sub(r"^ *listen \[::\].*\n", "", path.read_text(), flags=re.MULTILINE)
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{nginx.port} ")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{nginx.plain_port};")
    text = text.replace("/etc/ssl/dragoman", str(nginx.folder))
    text = text.replace("/var/log/nginx", str(nginx.folder))
    servers = "".join(f"server {node};\n" for node in nodes)
    return text.replace("server 127.0.0.1:8000;\n", servers)


def _wait_until_open(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    process.terminate()
    raise RuntimeError(process.communicate(timeout=PATIENCE_S)[1].decode())


def _make_certificate(folder: Path, names: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "privkey.pem").write_bytes(private)
