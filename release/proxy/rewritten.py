"""Somebody else's nginx of which only the file with `upstream <service>` is ours; rewrite.py moves traffic in it."""

from __future__ import annotations

from pathlib import Path

from release.config.manifest import Manifest
from release.errors import ProxyError
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

    def put_back(self, text: str) -> bool:
        rendered = render.retold(text, self._switch.get())
        if rendered is None:
            raise ProxyError(
                f"{self.conf} cannot be as it was: traffic has been moved since",
                hint="`release proxy install` renders it from the manifest",
            )
        return super().put_back(rendered.text)

    def _replace(self, rendered: render.Rendered) -> None:
        self._refuse_anothers(self._text())
        self._switch.put(rendered, self._asked(rendered.text))

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
