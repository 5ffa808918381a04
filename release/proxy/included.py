"""A file of ours in the conf.d of an nginx that somebody else runs. It is reloaded for a new topology, never to move
traffic; where it is down, that is for its owner to mend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from release.config.model import Manifest
from release.errors import ProxyError
from release.proxy import questions, render, systemd, worker
from release.proxy.base import ProxyStatus
from release.proxy.foreign import ForeignNginx
from release.proxy.installation import CONFIRM, Installation


class IncludedNginx(Installation):
    """Implements Proxy with the file that the manifest names as `proxy.include`."""

    kind = "included"

    def __init__(self, manifest: Manifest, state: Path) -> None:
        super().__init__(manifest, state, Path(manifest.proxy.include or ""))
        self._nginx = ForeignNginx(manifest.proxy.command)

    def install(self) -> bool:
        with self.mapped():
            self._make_directories()
            rendered = self._render()
            if self._text() == rendered.text and questions.live_config(self.listeners) == rendered.config:
                return False
            self._require_readable()
            self._replace(rendered)
        return True

    def ensure_running(self) -> bool:
        """Raises ProxyError where nginx does not answer for this service; it is not ours to start."""
        if not self.conf.exists():
            return self.install()
        if questions.live_config(self.listeners) is None:
            raise ProxyError(
                f"nginx does not answer on {self.admin_url}",
                hint="start it (`systemctl start nginx`) and see that it includes " + str(self.conf),
            )
        return False

    def status(self) -> ProxyStatus:
        live = questions.live_config(self.listeners)
        with self.mapped():
            current = live is not None and self.conf.exists() and live == self._render().config
            return ProxyStatus(
                installed=self.conf.exists(),
                running=live is not None,
                current=current,
                survives_reboot=systemd.enabled("nginx.service"),
                problems=tuple(self._problems(live, current)),
            )

    def uninstall(self) -> None:
        """Removes the file and reloads; logs and the flag tree stay. A silent nginx has nothing to reload."""
        with self.mapped():
            if not self.conf.exists():
                return
            self._put(None)
        if questions.live_config(self.listeners) is not None:
            self._nginx.reload()
            questions.await_silence(self.listeners, CONFIRM)

    def _reopen_logs(self) -> bool:
        self._nginx.reopen()
        return True

    def _render(self) -> render.Rendered:
        return render.included(self.manifest, render.Layout(self.state, self._salt()))

    def _require_readable(self) -> None:
        closed = worker.unreadable_by(self._nginx.worker(), self.traffic)
        if closed:
            raise ProxyError("nginx could not read the flag tree, and would answer 503", hint="\n  ".join(closed))

    def _replace(self, rendered: render.Rendered) -> None:
        """Puts the file in place and makes it live, or leaves everything as it was."""
        before = self._text()
        self._refuse_held(self._fresh_addresses(before or ""))
        self._put(rendered.text)
        try:
            self._nginx.test()
            self._nginx.reload()
            if not questions.await_config(self.listeners, rendered.config, CONFIRM):
                raise ProxyError(
                    "nginx was told to load a new configuration and keeps the old one",
                    hint=f"see its error log; {self.conf} is as it was. Does nginx include it?",
                )
        except BaseException:
            self._put(before)
            raise

    def _problems(self, live: str | None, current: bool) -> Iterator[str]:
        if not self.conf.exists():
            yield f"{self.conf} is not there: `release proxy install` writes it"
        elif live is None:
            yield f"nginx does not answer on {self.admin_url}: start it, and see that it includes {self.conf}"
        elif not current:
            yield "nginx runs with an older configuration than the manifest's: `release proxy install` renews it"
        if self.conf.exists():
            yield from worker.unreadable_by(self._nginx.worker(), self.traffic)
        if not systemd.enabled("nginx.service"):
            yield "nginx will not be back after a reboot, as far as systemd knows: `systemctl enable nginx`"
