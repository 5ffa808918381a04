"""Neighbours of the proxy room: free ports, two echo backends, a state directory that nginx's own user can reach."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks import echo
from release.config.manifest import Manifest
from release.naming import Slot
from release.proxy.base import Traffic
from release.proxy.nginx import ManagedNginx
from tests.support.ports import free_port


def manifest_of(slots: dict[str, int], service: str = "echo", **proxy: Any) -> Manifest:
    """A manifest on free ports; `proxy` goes into its section."""
    section = {"listen": free_port(), "admin": free_port(), "address": "127.0.0.1"} | proxy
    return Manifest.model_validate({"service": service, "container": {"port": 80}, "slots": slots, "proxy": section})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def fetch(url: str, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own; underscores in header names become dashes."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def awaited(condition: Callable[[], object], seconds: float = 60) -> None:
    """nginx writes a log line after the answer, and opens a log again worker by worker: both take a moment."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def backends() -> Iterator[dict[str, int]]:
    """An echo backend for each slot, named by it; shared by all tests, so nobody stops them."""
    with echo.running("blue") as blue, echo.running("green") as green:
        yield {"blue": blue, "green": green}


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that every account can reach, as /var/lib/release is; pytest's own are closed to others."""
    base = Path(tempfile.mkdtemp(prefix="release-proxy-"))
    base.chmod(0o755)
    directory = base / "state"
    directory.mkdir(mode=0o755)
    yield directory
    shutil.rmtree(base)


Install = Callable[..., ManagedNginx]


@pytest.fixture
def install(backends: dict[str, int], state: Path) -> Iterator[Install]:
    """Installs a managed nginx in front of the backends, with all traffic on blue; takes it down afterwards."""
    installed: list[ManagedNginx] = []

    def installer(manifest: Manifest | None = None, at: Path = state, **proxy: Any) -> ManagedNginx:
        nginx = ManagedNginx(manifest or manifest_of(backends, **proxy), at)
        installed.append(nginx)
        nginx.install()
        nginx.switch.set(Traffic.all_to(Slot.BLUE, "first"))
        return nginx

    yield installer
    for nginx in installed:
        nginx.uninstall()


@pytest.fixture
def proxy(install: Install) -> ManagedNginx:
    return install()


@dataclass(frozen=True)
class SomebodysNginx:
    """An nginx that is not ours: its configuration includes conf.d, and its own server answers `theirs`."""

    base: Path
    port: int

    @property
    def command(self) -> tuple[str, ...]:
        return ("nginx", "-e", str(self.base / "error.log"), "-c", str(self.base / "nginx.conf"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> None:
        subprocess.run([*self.command, *arguments], check=True, capture_output=True)


_SOMEBODYS = """
worker_processes 3; pid {base}/nginx.pid; error_log {base}/error.log; {user}
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {base}/a; proxy_temp_path {base}/b; fastcgi_temp_path {base}/c;
    uwsgi_temp_path {base}/d; scgi_temp_path {base}/e; access_log {base}/access.log;
    server {{ listen 127.0.0.1:{port}; location / {{ {action} }} }}
    include {base}/conf.d/*.conf;
}}
"""


@contextlib.contextmanager
def somebodys_nginx(base: Path, action: str, upstream: str = "") -> Iterator[SomebodysNginx]:
    """Starts it; `action` is what its own server does, `upstream` a first conf.d/echo.conf that this may need."""
    user = "user www-data;" if os.geteuid() == 0 else ""
    nginx = SomebodysNginx(base, free_port())
    (base / "conf.d").mkdir(parents=True)
    if upstream:
        (base / "conf.d" / "echo.conf").write_text(upstream)
    (base / "nginx.conf").write_text(_SOMEBODYS.format(base=base, user=user, port=nginx.port, action=action))
    nginx.run()
    try:
        yield nginx
    finally:
        with contextlib.suppress(OSError, ValueError):  # not `-s stop`: a test may have left a broken configuration
            os.kill(int((base / "nginx.pid").read_text()), signal.SIGTERM)
        awaited(lambda: not processes(base))


def processes(directory: Path) -> list[int]:
    """Every nginx process that was started from, or logs into, `directory`."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().decode(errors="replace")
                if "nginx" in words and (
                    str(directory) in words or any(name.startswith(str(directory)) for name in opened(process))
                ):
                    found.append(int(process.name))
    return found


def opened(process: Path) -> set[str]:
    """What a process has open; not what it closes while this looks, as the connection of a request that has ended."""
    found = set()
    for link in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(link.readlink()))
    return found


@contextlib.contextmanager
def small_disk(megabytes: int = 2) -> Iterator[Path]:
    """A real file system of its own, small enough to fill; needs root."""
    base = Path(tempfile.mkdtemp(prefix="release-disk-"))
    image, mount = base / "image", base / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)
        shutil.rmtree(base)


def fill(directory: Path) -> None:
    """Writes until the disk is full to the last byte."""
    with (directory / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            for size in (65536, 4096, 512, 1):
                with contextlib.suppress(OSError):
                    file.write(b"x" * size)
                    break
            else:
                break


@pytest.fixture
def squatter() -> Iterator[Callable[[int], None]]:
    """Lets this process hold ports that nginx wants."""
    held: list[socket.socket] = []

    def hold(port: int) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", port))
        sock.listen(1)
        held.append(sock)

    yield hold
    for sock in held:
        sock.close()


@contextlib.contextmanager
def background(action: Callable[[], object]) -> Iterator[None]:
    """Runs `action` over and over, in a thread, for as long as the block lasts."""
    ended = threading.Event()

    def repeat() -> None:
        action()  # once at least, however late the thread gets its turn
        while not ended.is_set():
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
