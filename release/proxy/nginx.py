"""An nginx of our own, run from the state directory: installed, started, asked, rotated, taken down. No root needed."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

from release.config.model import Manifest
from release.errors import ProxyError
from release.proxy import logs, ports, questions, render, systemd, worker
from release.proxy.base import ProxyStatus, Traffic, TrafficSwitch
from release.proxy.durable import make_directory, write_file
from release.proxy.master import Master, emergencies
from release.proxy.questions import Listeners
from release.proxy.traffic import FlagSwitch

_CONFIRM = 5.0  # seconds within which a new configuration has to answer


class ManagedNginx:
    """Implements Proxy with a whole nginx.conf in `<state>/nginx`."""

    kind = "managed"

    def __init__(self, manifest: Manifest, state: Path) -> None:
        self.manifest = manifest
        self.state = state.absolute()
        self.directory = self.state / "nginx"
        self.conf = self.directory / "nginx.conf"
        self.access_log = self.directory / "logs" / "access.json"
        self.traffic = self.state / "traffic"
        self.switch: TrafficSwitch = FlagSwitch(self.traffic)
        self.listeners = listeners(manifest)
        self.public_url = self.listeners.public
        self.admin_url = self.listeners.admin
        self._master = Master(manifest.proxy.command[0], self.conf, self.directory)

    def install(self) -> bool:
        with _mapped(self.directory):
            self._make_directories()
            rendered = self._render()
            if self._text() == rendered.text and questions.live_config(self.listeners) == rendered.config:
                return False
            self._test(rendered)
            self._replace(rendered)
        return True

    def ensure_running(self) -> bool:
        if not self.conf.exists():
            return self.install()
        if self._master.pid() is not None:
            if questions.live_config(self.listeners) is None:
                raise ProxyError(
                    f"the managed nginx runs and does not answer on {self.admin_url}",
                    hint=f"see {self.directory}/logs/error.log; `release proxy uninstall` and `install` renew it",
                )
            return False
        with _mapped(self.directory):
            self._make_directories()
            self._start()
        return True

    def status(self) -> ProxyStatus:
        live = questions.live_config(self.listeners)
        current = live is not None and self.directory.exists() and live == self._render().config
        return ProxyStatus(
            installed=self.conf.exists(),
            running=live is not None,
            current=current,
            survives_reboot=systemd.installed(self.manifest.scope),
            problems=tuple(self._problems(live, current)),
        )

    def verify(self, traffic: Traffic, timeout: float = 2.0) -> None:
        questions.await_traffic(self.listeners, traffic, timeout)

    def rotate_logs(self) -> None:
        """Rotates the logs that have reached 64 MB, and keeps five old ones of each."""
        with _mapped(self.directory):
            full = logs.due(self.directory / "logs")
            for log in full:
                logs.shift(log)
        if full and self._master.pid() is not None:
            self._master.signal(signal.SIGUSR1)

    def uninstall(self) -> None:
        """Stops nginx and removes what it ran from; its logs and the flag tree stay."""
        systemd.remove(self.manifest.scope)
        with _mapped(self.directory):
            self._master.stop()
            for path in (self.conf, self.directory / "nginx.pid"):
                path.unlink(missing_ok=True)

    def _render(self) -> render.Rendered:
        user = worker.choose(self.traffic).directive
        return render.managed(self.manifest, render.Layout(self.state, salt(self.directory), user))

    def _text(self) -> str | None:
        return self.conf.read_text(encoding="utf-8") if self.conf.exists() else None

    def _make_directories(self) -> None:
        for directory in (self.directory / "logs", self.directory / "tmp", self.traffic):
            make_directory(directory)

    def _test(self, rendered: render.Rendered) -> None:
        """Lets nginx test the text beside the live file, so that a refused one is never in its place."""
        candidate = self.directory / f".candidate-{os.getpid()}.conf"
        try:
            write_file(candidate, rendered.text)
            self._master.test(candidate)
        finally:
            candidate.unlink(missing_ok=True)

    def _replace(self, rendered: render.Rendered) -> None:
        """Puts the configuration in place and makes it live, or leaves everything as it was."""
        before = self._text()
        write_file(self.conf, rendered.text)
        try:
            if self._master.pid() is None:
                self._start()
            else:
                self._reload(rendered.config)
        except BaseException:
            if before is None:
                self.conf.unlink(missing_ok=True)
            else:
                write_file(self.conf, before)
            raise

    def _start(self) -> None:
        self._master.clear_orphans()
        self._refuse_held_ports(self._addresses())
        if not (systemd.installed(self.manifest.scope) and systemd.start(self.manifest.scope)):
            self._master.start()
        if not questions.await_config(self.listeners, render.config_of(self._text() or ""), _CONFIRM, in_a_row=1):
            raise ProxyError(
                f"nginx started and does not answer on {self.admin_url}",
                hint=f"see {self.directory / 'logs' / 'error.log'}",
            )

    def _reload(self, config: str) -> None:
        """HUP, then ask until only the new configuration answers: nginx reports no failed reload otherwise."""
        log = self.directory / "logs" / "error.log"
        offset = log.stat().st_size if log.exists() else 0
        self._master.signal(signal.SIGHUP)
        if questions.await_config(self.listeners, config, _CONFIRM):
            return
        self._refuse_held_ports([at for at in self._addresses() if questions.ask(at_url(*at), "/")[0] == 0])
        with log.open("rb") as file:
            file.seek(offset)
            said = emergencies(file.read().decode(errors="replace"))
        raise ProxyError(
            f"nginx was told to load a new configuration and keeps the old one: {said or 'no reason given'}",
            hint=f"the old configuration is back in {self.conf}; see {log}",
        )

    def _addresses(self) -> list[tuple[str, int]]:
        return [
            (self.manifest.proxy.address, self.manifest.proxy.listen),
            ("127.0.0.1", self.manifest.proxy.admin_port),
        ]

    def _refuse_held_ports(self, addresses: list[tuple[str, int]]) -> None:
        for address, port in addresses:
            if not ports.free(address, port):
                raise ports.conflict(address, port)

    def _problems(self, live: str | None, current: bool) -> Iterator[str]:
        if not self.conf.exists():
            yield "nginx is not installed: `release proxy install`"
        elif live is None:
            yield "nginx does not run: `release proxy install` starts it"
        elif not current:
            yield "nginx runs with an older configuration than the manifest's: `release proxy install` renews it"
        user = worker.choose(self.traffic)
        if os.geteuid() == 0 and user.uid == 0:
            closed = "; ".join(worker.unreadable_by_worker(self.traffic))
            yield f"nginx's workers run as root, since no lesser account can read the flag tree: {closed}"
        if not systemd.installed(self.manifest.scope):
            yield f"nginx will not be back after a reboot: {systemd.advice(self.manifest.scope)}"


@contextlib.contextmanager
def _mapped(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProxyError(
            f"cannot install nginx in {directory}: {error.strerror or error} ({error.filename})",
            hint=f"check permissions and free space of {directory}",
        ) from error


def listeners(manifest: Manifest) -> Listeners:
    proxy = manifest.proxy
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}
    host = None if proxy.server_name == "_" else proxy.server_name.split()[0]
    public = at_url(everywhere.get(proxy.address, proxy.address), proxy.listen)
    return Listeners(manifest.scope, f"http://127.0.0.1:{proxy.admin_port}", public, host)


def at_url(address: str, port: int) -> str:
    return f"http://{render.listen(address, port)}"


def salt(directory: Path) -> str:
    """The state directory's own salt for client keys, made at the first call: logs of two services do not join."""
    path = directory / "salt"
    if not path.exists():
        write_file(path, secrets.token_hex(8), mode=0o640)
    return path.read_text(encoding="utf-8").strip()
