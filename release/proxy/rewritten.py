"""Somebody else's nginx of which only the file with `upstream <service>` is ours; rewrite.py moves traffic in it."""

from __future__ import annotations

from pathlib import Path

from release.config.model import Manifest
from release.proxy import questions, render
from release.proxy.base import Traffic
from release.proxy.guest import Guest
from release.proxy.rewrite import RewriteSwitch


class RewrittenNginx(Guest):
    """Implements Proxy for an nginx of which only the file with `upstream <service>` is ours."""

    kind = "rewrite"

    def __init__(self, manifest: Manifest, state: Path) -> None:
        super().__init__(manifest, state)
        self._switch = RewriteSwitch(self.conf, self._nginx, self.listeners, self._upstream)
        self.switch = self._switch

    def install(self) -> bool:
        with self.mapped():
            self._make_directories()
            rendered = self._render()
            if self._text() == rendered.text and questions.live_config(self.listeners) == rendered.config:
                return False
            self._refuse_anothers(self._text())
            self._switch.put(self._switch.get())
        return True

    def verify(self, traffic: Traffic, timeout: float = 2.0) -> None:
        """Asks the admin location, and that anybody answers publicly: their server cannot be asked for the slot."""
        questions.await_rewritten(self.listeners, traffic, timeout)

    def uninstall(self) -> None:
        """Removes what was prepared. The live file stays: without its upstream, their nginx would not start again."""
        with self.mapped():
            for path in self._switch.prepared():
                path.unlink(missing_ok=True)

    def _render(self) -> render.Rendered:
        return self._upstream(self._switch.get())

    def _upstream(self, traffic: Traffic | None) -> render.Rendered:
        return render.rewritten(self.manifest, render.Layout(self.state, self._salt()), traffic)
