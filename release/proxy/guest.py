"""What holds for a file of ours in an nginx that somebody else runs: whose file it is, and who starts and reloads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from release.config.manifest import Manifest
from release.errors import ProxyError
from release.proxy import questions, render, systemd
from release.proxy.durable import write_file
from release.proxy.foreign import ForeignNginx
from release.proxy.installation import Installation


class Guest(Installation):
    """`conf` is the file that the manifest names as `proxy.include`."""

    def __init__(self, manifest: Manifest, state: Path) -> None:
        super().__init__(manifest, state, Path(manifest.proxy.include or ""))
        self._nginx = ForeignNginx(manifest.proxy.command)

    def ensure_running(self) -> bool:
        """Raises ProxyError where nginx does not answer for this service; it is not ours to start."""
        text = self.installed()
        if text is None:
            return self.install()
        self._require_answer(text)
        return False

    def _try(self, rendered: render.Rendered) -> None:
        """Their configuration is left alone: ours is tested by itself, with the least around it that nginx takes."""
        before = self._text()
        self._refuse_anothers(before)
        if before is not None:
            self._require_answer(before)
        if not os.access(self.conf.parent, os.W_OK):
            raise ProxyError(
                f"cannot write {self.conf}", hint=f"{self.conf.parent} has to be there, and this account's to write"
            )
        self._refuse_held(self._fresh_addresses(rendered.text, before or ""))
        candidate = self.directory / f".candidate-{os.getpid()}.conf"
        pid = candidate.with_suffix(".tmp")
        try:
            write_file(candidate, render.alone(rendered, self.directory, pid))
            self._nginx.test(candidate)
        finally:
            candidate.unlink(missing_ok=True)
            pid.unlink(missing_ok=True)

    def _require_answer(self, text: str) -> None:
        asked = self._asked(text)
        if questions.live_config(asked) is None:
            raise ProxyError(
                f"nginx does not answer on {asked.admin}",
                hint=f"start it (`systemctl start nginx`) and see that it includes {self.conf}",
            )

    def _reopen_logs(self) -> bool:
        self._nginx.reopen()
        return True

    def _refuse_anothers(self, text: str | None) -> None:
        """Raises ProxyError where the file is somebody's own, or another service's: it would be lost."""
        if text is not None and not self._is_ours(text):
            raise ProxyError(
                f"{self.conf} is not as this toolkit wrote it for {self.manifest.scope}",
                hint="name a file of its own under proxy.include, or remove that one where nobody needs it",
            )

    def _is_ours(self, text: str) -> bool:
        sign = f"# {self.manifest.scope}: written by release"
        return any(line.startswith(sign) for line in text.split("\n", 2)[:2])

    def _survives_reboot(self) -> bool:
        return systemd.enabled("nginx.service")

    def _problems(self, live: str | None, current: bool) -> Iterator[str]:
        if not self.conf.exists():
            yield f"{self.conf} is not there: `release proxy install` writes it"
        elif live is None:
            yield f"nginx does not answer on {self.admin_url}: start it, and see that it includes {self.conf}"
        elif not current:
            yield "nginx runs with an older configuration than the manifest's: `release proxy install` renews it"
        if not self._survives_reboot():
            yield "nginx will not be back after a reboot, as far as systemd knows: `systemctl enable nginx`"
