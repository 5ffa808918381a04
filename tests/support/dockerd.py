"""A Docker Engine of a test's own, to be stopped, killed and rebooted without harm to the one that others use.

Its own data, sockets and bridge; it touches no iptables (the other engine's chains would be flushed), so that ports are
published by its userland proxy alone, which is all that loopback needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_ADD_BRIDGE, _DELETE_BRIDGE = 0x89A0, 0x89A1
_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C
_UP = 0x1


class OwnDockerd:
    """`host` is what DOCKER_HOST has to be. Sockets live under `root`, which must be short: 108 bytes at most."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = f"unix://{root}/d.sock"
        chance = random.Random(os.urandom(8))
        self._bridge = f"rt{chance.randrange(16**6):06x}"
        self._address = f"172.{chance.randrange(20, 31)}.{chance.randrange(1, 254)}.1"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        self.root.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            _make_bridge(self._bridge, self._address)
        command = [
            "dockerd",
            f"--host={self.host}",
            f"--data-root={self.root}/data",
            f"--exec-root={self.root}/x",
            f"--pidfile={self.root}/d.pid",
            f"--bridge={self._bridge}",
            "--iptables=false",
            "--ip-forward=false",
            "--ip-masq=false",
        ]
        end = time.monotonic() + 90
        while self.docker("version", check=False).returncode != 0:
            assert time.monotonic() < end, (self.root / "log").read_text()[-3000:]
            if self._process is None or self._process.poll() is not None:  # it gives its containerd a few seconds only
                self._process = self._launched(command)
            time.sleep(0.1)

    def _launched(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """As `systemctl stop docker`: containers are stopped as well, and come back by their restart policies."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(120)
            self._process = None

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and answers none, for as long as the block lasts; its containers run on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def power_cut(self) -> None:
        """All of it ends at once: the daemon, its containerd, the shims and whatever runs in containers."""
        running = self.docker("ps", "--quiet").stdout.split()
        pids = self.docker("inspect", "--format", "{{.State.Pid}}", *running).stdout.split() if running else []
        doomed = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if str(self.root).encode() in (entry / "cmdline").read_bytes():
                        doomed.append(int(entry.name))
        doomed += [int(pid) for pid in pids]  # the daemon before its containers: it must not start one again
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(60)
            self._process = None
        end = time.monotonic() + 60
        while any(_runs(pid) for pid in doomed):
            assert time.monotonic() < end, "not all of it ended"
            time.sleep(0.02)
        _unmount(self.root / "x")
        shutil.rmtree(self.root / "x", ignore_errors=True)  # /run is empty after a boot
        (self.root / "d.pid").unlink(missing_ok=True)

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DOCKER_HOST": self.host}
        return subprocess.run(["docker", *arguments], check=check, capture_output=True, text=True, env=environment)

    def take(self, image: str) -> None:
        """Copies an image of the other engine into this one."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as source:
            environment = {**os.environ, "DOCKER_HOST": self.host}
            subprocess.run(["docker", "load", "--quiet"], stdin=source.stdout, check=True, env=environment)

    def remove(self) -> None:
        self.stop()
        _unmount(self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        with contextlib.suppress(OSError):
            _delete_bridge(self._bridge)


def _runs(pid: int) -> bool:
    """A process that has ended and waits to be reaped has no command line any more."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def _unmount(root: Path) -> None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1]
        if place.startswith(f"{root}/"):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def _make_bridge(name: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as control:
        fcntl.ioctl(control, _ADD_BRIDGE, name.encode() + b"\0")
        for number, value in ((_SET_ADDRESS, address), (_SET_MASK, "255.255.255.0")):
            wanted = struct.pack("16sH2x4s8x", name.encode(), socket.AF_INET, socket.inet_aton(value))
            fcntl.ioctl(control, number, wanted)
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", name.encode(), _UP))


def _delete_bridge(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as control:
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", name.encode(), 0))
        fcntl.ioctl(control, _DELETE_BRIDGE, name.encode() + b"\0")
