"""A file of ours in the conf.d of an nginx that somebody else runs. It is reloaded for a new topology, never to move
traffic; where it is down, that is for its owner to mend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from release.errors import ProxyError
from release.proxy import questions, render, worker
from release.proxy.guest import Guest
from release.proxy.installation import CONFIRM


class IncludedNginx(Guest):
    """Implements Proxy with a file that holds the whole of the service: both slots, its server, the flags."""

    kind = "included"

    def uninstall(self) -> None:
        """Removes the file and reloads; logs and the flag tree stay. A silent nginx has nothing to reload."""
        with self.mapped():
            text = self._text()
            if text is None or not self._is_ours(text):
                return
            self._put(None)
        if self._live(text) is not None:
            self._nginx.reload()
            questions.await_silence(self._asked(text), CONFIRM)

    def _render(self) -> render.Rendered:
        return render.included(self.manifest, render.Layout(self.state, self._salt()))

    def _require_readable(self) -> None:
        closed = worker.unreadable_by(self._nginx.worker(), self.traffic)
        if closed:
            raise ProxyError("nginx could not read the flag tree, and would answer 503", hint="\n  ".join(closed))

    def _try(self, rendered: render.Rendered) -> None:
        self._require_readable()
        super()._try(rendered)

    def _replace(self, rendered: render.Rendered) -> None:
        before = self._text()
        self._refuse_anothers(before)
        self._require_readable()
        self._refuse_held(self._fresh_addresses(rendered.text, before or ""))
        self._put(rendered.text)
        told = False
        try:
            self._nginx.test()
            told = True
            self._nginx.reload()
            if not questions.await_config(self._asked(rendered.text), rendered.config, CONFIRM):
                raise ProxyError(
                    "nginx was told to load a new configuration and keeps the old one",
                    hint=f"see its error log; {self.conf} is as it was. Does nginx include it?",
                )
        except BaseException:
            self._put(before)
            if told:  # it may take the new one yet, or have taken it where this was interrupted
                with contextlib.suppress(ProxyError):
                    self._nginx.reload()
            raise

    def _problems(self, live: str | None, current: bool) -> Iterator[str]:
        yield from super()._problems(live, current)
        if self.conf.exists():
            yield from worker.unreadable_by(self._nginx.worker(), self.traffic)
