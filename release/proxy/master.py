"""One nginx of our own as a process: found, tested, started, signalled, stopped. What it serves is not known here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from release.errors import ProxyError

_PATIENCE = 10.0  # seconds for nginx to start or to end; it retries a busy port for 2.5 s
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


class Master:
    """The nginx whose configuration is `conf`. It outlives whoever starts it."""

    def __init__(self, binary: str, conf: Path, directory: Path) -> None:
        self.binary = binary
        self.conf = conf
        self.directory = directory

    def path(self) -> str:
        """The binary with its directory, as systemd wants it."""
        return shutil.which(self.binary) or self.binary

    def test(self, conf: Path) -> None:
        """`nginx -t` on a configuration file. Raises ProxyError with nginx's own words."""
        done = self._run("-t", "-q", "-c", str(conf))
        if done.returncode != 0:
            raise ProxyError(
                f"nginx refuses the configuration {conf}: {emergencies(done.stdout) or done.stdout.strip()}",
                hint="check the manifest's proxy section; `nginx -t -c` on that file repeats the test",
            )

    def start(self) -> None:
        """Returns once nginx has bound its ports and gone to the background. Raises ProxyError."""
        done = self._run("-c", str(self.conf))
        if done.returncode != 0:
            raise ProxyError(
                f"nginx did not start: {emergencies(done.stdout) or done.stdout.strip()}",
                hint=f"the whole story is in {self.directory / 'logs' / 'error.log'}",
            )

    def pid(self) -> int | None:
        """The running master's process id, checked to be ours: after a reboot a pid file names a stranger."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.directory / "nginx.pid").read_text())
            if self._ours(pid):
                return pid
        return next((pid for pid in _nginx_processes() if self._ours(pid)), None)

    def signal(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is None or not _tell(pid, number):
            raise ProxyError("the managed nginx is not running", hint="`release proxy install` starts it")

    def stop(self) -> None:
        """Lets requests in flight finish for a moment, then ends it. Absent is fine."""
        for number, patience in ((signal.SIGQUIT, 2.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            pid = self.pid()
            if pid is None:
                break
            _tell(pid, number)
            _wait_for_end(pid, patience)
        self.clear_orphans()

    def clear_orphans(self) -> None:
        """Ends workers whose master was killed: they go on serving, and hold the ports against a new master."""
        orphans = self.orphans()
        for number, patience in ((signal.SIGQUIT, 0.5), (signal.SIGKILL, 5.0)):
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            for pid in orphans:
                _wait_for_end(pid, patience)

    def orphans(self) -> list[int]:
        """Workers of ours that go on serving without a master."""
        return [pid for pid in _nginx_processes() if self._orphan(pid)]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """nginx in a session of its own, with nothing inherited: no descriptor (locks!), no runner's tracking id."""
        command = [self.binary, "-e", "stderr", "-p", str(self.directory), *arguments]
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        said = self.directory / f".start-{os.getpid()}.log"  # a file: a pipe that a daemon holds never ends
        try:
            with said.open("w+", encoding="utf-8", errors="replace") as output:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                    timeout=_PATIENCE,
                    check=False,
                )
            return subprocess.CompletedProcess(command, done.returncode, said.read_text(errors="replace"), "")
        except FileNotFoundError as error:
            raise ProxyError(
                f"there is no {self.binary}", hint="install nginx (Debian: apt install nginx-light)"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ProxyError(
                f"nginx did not come back within {_PATIENCE:g} s",
                hint=f"see {self.directory / 'logs' / 'error.log'}",
            ) from error
        except OSError as error:
            raise ProxyError(
                f"cannot run nginx in {self.directory}: {error.strerror}", hint="check its permissions and free space"
            ) from error
        finally:
            said.unlink(missing_ok=True)

    def _ours(self, pid: int) -> bool:
        """A master that has only just gone to the background does not call itself one yet."""
        words = _command_line(pid)
        return f" -c {self.conf} " in words and ("master process" in words or _name(pid) == "nginx")

    def _orphan(self, pid: int) -> bool:
        """A worker with our log open whose parent is no nginx of ours."""
        if "worker process" not in _command_line(pid) or self._ours(_parent(pid)):
            return False
        return any(name.startswith(f"{self.directory}/logs/") for name in _opened(pid))


def _tell(pid: int, number: signal.Signals) -> bool:
    """False where it has ended meanwhile."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise ProxyError(
            f"cannot signal the managed nginx (pid {pid}): {error.strerror}",
            hint="run this as the user who started it, or as root",
        ) from error
    return True


def emergencies(text: str) -> str:
    """The lines of nginx's log that say why it gave up, without time and process id."""
    lines = [line.partition("[emerg] ")[2] for line in text.splitlines() if "[emerg]" in line]
    reasons = [line.partition(": ")[2] if "#" in line.partition(": ")[0] else line for line in lines]
    return "; ".join(dict.fromkeys(reason for reason in reasons if "still could not bind" not in reason))


def _nginx_processes() -> Iterator[int]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _name(int(process.name)) == "nginx":
            yield int(process.name)


def _name(pid: int) -> str:
    """The program's own name; empty for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _opened(pid: int) -> Iterator[str]:
    """The paths that a process has open; one that it closes meanwhile, as of a request that ends, is passed over."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(link.readlink())


def _command_line(pid: int) -> str:
    """The words with a space after each; empty for a process that has ended, or has and is not yet reaped."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
    return f"{words} " if words else ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _wait_for_end(pid: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while _command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
