"""An nginx of our own, run from the state directory: installed, started, reloaded, taken down. No root needed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from release.config.manifest import Manifest
from release.errors import ProxyError
from release.proxy import questions, render, systemd, worker
from release.proxy.durable import write_file
from release.proxy.installation import CONFIRM, Installation
from release.proxy.master import Master, emergencies


class ManagedNginx(Installation):
    """Implements Proxy with a whole nginx.conf in `<state>/nginx`."""

    kind = "managed"

    def __init__(self, manifest: Manifest, state: Path) -> None:
        super().__init__(manifest, state)
        self._master = Master(manifest.proxy.command[0], self.conf, self.directory)

    def ensure_running(self) -> bool:
        text = self.installed()
        if text is None:
            return self.install()
        if self._master.pid() is not None:
            if self._live(text) is None:
                raise ProxyError(
                    f"the managed nginx runs and does not answer on {self.admin_url}",
                    hint=f"see {self.directory}/logs/error.log; `release proxy uninstall` and `install` renew it",
                )
            return False
        with self.mapped():
            self._make_directories()
            self._start()
        return True

    def uninstall(self) -> None:
        """Stops nginx and removes what it ran from; its logs and the flag tree stay."""
        systemd.remove(self.manifest.scope)
        with self.mapped():
            self._master.stop()
            for path in (self.conf, self.directory / "nginx.pid"):
                path.unlink(missing_ok=True)

    def units(self, rotate: tuple[str, ...] = ()) -> dict[str, str]:
        """systemd units for `systemd.install`; `rotate` is a command that calls `rotate_logs`."""
        return systemd.units(self.manifest.scope, self._master.path(), self.directory, rotate)

    def _reopen_logs(self) -> bool:
        if self._master.pid() is None:
            return False
        self._master.signal(signal.SIGUSR1)
        return True

    def _render(self) -> render.Rendered:
        user = worker.choose(self.traffic).directive
        return render.managed(self.manifest, render.Layout(self.state, self._salt(), user))

    def _try(self, rendered: render.Rendered) -> None:
        self._test(rendered)
        before = self._text() or ""
        ours = self._master.pid() is not None or self._master.orphans()
        self._refuse_held(self._fresh_addresses(rendered.text, before if ours else ""))

    def _test(self, rendered: render.Rendered) -> None:
        """Lets nginx test the text beside the live file, so that a refused one is never in its place."""
        candidate, pid = self.directory / f".candidate-{os.getpid()}.conf", self.directory / "nginx.pid"
        made = not pid.exists()  # a test makes it, and leaves it empty
        try:
            write_file(candidate, rendered.text)
            self._master.test(candidate)
        finally:
            candidate.unlink(missing_ok=True)
            if made:
                pid.unlink(missing_ok=True)

    def _replace(self, rendered: render.Rendered) -> None:
        self._test(rendered)
        before = self._text()
        ran = self._master.pid() is not None
        if ran:
            self._refuse_held(self._fresh_addresses(rendered.text, before or ""))
        self._put(rendered.text)
        try:
            if ran:
                self._reload(rendered)
            else:
                self._start()
        except BaseException:
            self._put(before)
            with contextlib.suppress(ProxyError):
                if ran:  # it may take the new one yet, or have taken it where this was interrupted
                    self._master.signal(signal.SIGHUP)
                else:
                    self._master.stop()
            raise

    def _start(self) -> None:
        text = self._text() or ""
        self._master.clear_orphans()
        self._refuse_held(render.addresses(text))
        if not (systemd.installed(self.manifest.scope) and systemd.start(self.manifest.scope)):
            self._master.start()
        if not questions.await_config(self._asked(text), render.config_of(text), CONFIRM, in_a_row=1):
            raise ProxyError(
                f"nginx started and does not answer on {self.admin_url}", hint=f"see {self.directory}/logs/error.log"
            )

    def _reload(self, rendered: render.Rendered) -> None:
        """HUP, then ask until only the new configuration answers: nginx reports no failed reload otherwise."""
        log = self.directory / "logs" / "error.log"
        offset = log.stat().st_size if log.exists() else 0
        self._master.signal(signal.SIGHUP)
        if questions.await_config(self._asked(rendered.text), rendered.config, CONFIRM):
            return
        with log.open("rb") as file:
            file.seek(offset)
            said = emergencies(file.read().decode(errors="replace"))
        raise ProxyError(
            f"nginx was told to load a new configuration and keeps the old one: {said or 'no reason given'}",
            hint=f"the old configuration is back in {self.conf}; see {log}",
        )

    def _survives_reboot(self) -> bool:
        return systemd.installed(self.manifest.scope)

    def _problems(self, live: str | None, current: bool) -> Iterator[str]:
        if not self.conf.exists():
            yield "nginx is not set up for this service: the first `release deploy` or `release proxy install` does it"
        elif live is None:
            yield "nginx does not run: `release proxy install` starts it"
        elif not current:
            yield "nginx runs with an older configuration than the manifest's: `release proxy install` renews it"
        if os.geteuid() == 0 and worker.choose(self.traffic).uid == 0:
            closed = "; ".join(worker.unreadable_by_worker(self.traffic))
            yield f"nginx's workers run as root, since no lesser account can read the flag tree: {closed}"
        if not self._survives_reboot():
            yield f"nginx will not be back after a reboot: {systemd.advice(self.manifest.scope)}"
