"""Somebody else's nginx of which only the file with `upstream <service>` is ours; rewrite.py moves traffic in it."""

from __future__ import annotations

from pathlib import Path

from release.config.model import Manifest
from release.errors import ProxyError
from release.proxy import questions, render, systemd
from release.proxy.base import ProxyStatus, Traffic
from release.proxy.foreign import ForeignNginx
from release.proxy.installation import Installation
from release.proxy.rewrite import RewriteSwitch


class RewrittenNginx(Installation):
    """Implements Proxy for an nginx of which only the file with `upstream <service>` is ours."""

    kind = "rewrite"

    def __init__(self, manifest: Manifest, state: Path) -> None:
        super().__init__(manifest, state, Path(manifest.proxy.include or ""))
        self._nginx = ForeignNginx(manifest.proxy.command)
        self._switch = RewriteSwitch(self.conf, self._nginx, self.listeners, self._render)
        self.switch = self._switch

    def install(self) -> bool:
        with self.mapped():
            self._make_directories()
            traffic = self.switch.get()
            rendered = self._render(traffic)
            if self._text() == rendered.text and questions.live_config(self.listeners) == rendered.config:
                return False
            self._switch.put(traffic)
        return True

    def ensure_running(self) -> bool:
        """Raises ProxyError where nginx does not answer for this service; it is not ours to start."""
        if not self.conf.exists():
            return self.install()
        if questions.live_config(self.listeners) is None:
            raise ProxyError(
                f"nginx does not answer on {self.admin_url}",
                hint=f"start it (`systemctl start nginx`) and see that it includes {self.conf}",
            )
        return False

    def status(self) -> ProxyStatus:
        live = questions.live_config(self.listeners)
        with self.mapped():
            current = live is not None and live == self._render(self._switch.get()).config
        problems = [] if current else [f"nginx does not answer from {self.conf}: `release proxy install` renews it"]
        if not systemd.enabled("nginx.service"):
            problems.append("nginx will not be back after a reboot, as far as systemd knows: `systemctl enable nginx`")
        return ProxyStatus(
            self.conf.exists(), live is not None, current, systemd.enabled("nginx.service"), tuple(problems)
        )

    def verify(self, traffic: Traffic, timeout: float = 2.0) -> None:
        """Asks the admin location, and that anybody answers publicly: their server cannot be asked for the slot."""
        questions.await_rewritten(self.listeners, traffic, timeout)

    def uninstall(self) -> None:
        """Removes what was prepared. The live file stays: without its upstream, their nginx would not start again."""
        with self.mapped():
            for path in self._switch.prepared():
                path.unlink(missing_ok=True)

    def _reopen_logs(self) -> bool:
        self._nginx.reopen()
        return True

    def _render(self, traffic: Traffic | None) -> render.Rendered:
        return render.rewritten(self.manifest, render.Layout(self.state, self._salt()), traffic)
