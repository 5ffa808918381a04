"""What every nginx in front of a service has in common: paths, what it is asked, rotation of the logs."""

from __future__ import annotations

import contextlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from release.config.manifest import Manifest
from release.errors import ProxyError
from release.proxy import logs, ports, questions, render
from release.proxy.base import ProxyStatus
from release.proxy.durable import make_directory, sync_directory, write_file
from release.proxy.front import FlagFront
from release.proxy.questions import Listeners

CONFIRM = 5.0  # seconds within which a new configuration has to answer


class Installation(FlagFront, ABC):
    """One scope's nginx. `conf` is the file that this toolkit writes."""

    log_limit = logs.LIMIT

    def __init__(self, manifest: Manifest, state: Path, conf: Path | None = None) -> None:
        super().__init__(manifest.scope, manifest.proxy, state)
        self.manifest = manifest
        self.state = state.absolute()
        self.directory = self.state / "nginx"
        self.conf = conf or self.directory / "nginx.conf"
        self.access_log = self.directory / "logs" / "access.json"
        self.traffic = self.state / "traffic"
        self.public_url = self.listeners.public
        self.admin_url = self.listeners.admin

    def status(self) -> ProxyStatus:
        live = questions.live_config(self.listeners)
        with self.mapped():
            current = live is not None and self.conf.exists() and live == self._render().config
            return ProxyStatus(
                installed=self.conf.exists(),
                running=live is not None,
                current=current,
                survives_reboot=self._survives_reboot(),
                problems=tuple(self._problems(live, current)),
            )

    def check(self) -> bool:
        with self.mapped():
            self._make_directories()
            rendered = self._render()
            if self._in_place(rendered):
                return False
            self._try(rendered)
        return True

    def install(self) -> bool:
        with self.mapped():
            self._make_directories()
            rendered = self._render()
            if self._in_place(rendered):
                return False
            self._replace(rendered)
        return True

    def installed(self) -> str | None:
        with self.mapped():
            return self._text()

    def put_back(self, text: str) -> bool:
        with self.mapped():
            self._make_directories()
            rendered = render.as_it_was(text)
            if self._in_place(rendered):
                return False
            self._replace(rendered)
        return True

    @abstractmethod
    def _try(self, rendered: render.Rendered) -> None:
        """Raises ProxyError where the text could not be put in place; nothing is changed."""

    @abstractmethod
    def _replace(self, rendered: render.Rendered) -> None:
        """Puts the text in place and makes it live, or leaves everything as it was."""

    @abstractmethod
    def _render(self) -> render.Rendered:
        """What the manifest asks for now."""

    @abstractmethod
    def _survives_reboot(self) -> bool: ...

    @abstractmethod
    def _problems(self, live: str | None, current: bool) -> Iterator[str]:
        """Sentences that name the mend; `live` is the hash of the configuration that answers, if any."""

    def rotate_logs(self) -> None:
        """Rotates the logs that have reached 64 MB, and keeps five old ones of each."""
        with self.mapped():
            full = logs.due(self.directory / "logs", self.log_limit)
            for log in full:
                logs.shift(log)
        if full and self._reopen_logs():
            logs.await_reopened(full)

    @abstractmethod
    def _reopen_logs(self) -> bool:
        """Tells nginx to; False where it does not run."""

    def _text(self) -> str | None:
        return self.conf.read_text(encoding="utf-8", errors="replace") if self.conf.exists() else None

    def _put(self, text: str | None) -> None:
        if text is None:
            self.conf.unlink(missing_ok=True)
            sync_directory(self.conf.parent)
        else:
            write_file(self.conf, text)

    def _make_directories(self) -> None:
        for directory in (self.directory / "logs", self.directory / "tmp", self.traffic):
            make_directory(directory)

    def _salt(self) -> str:
        """The state directory's own salt for client keys, made at the first call: logs of two services do not join."""
        path = self.directory / "salt"
        if not path.exists():
            write_file(path, secrets.token_hex(8), mode=0o640)
        return path.read_text(encoding="utf-8").strip()

    def _in_place(self, rendered: render.Rendered) -> bool:
        return self._text() == rendered.text and self._live(rendered.text) == rendered.config

    def _live(self, text: str) -> str | None:
        """The hash of the configuration that answers where this text says; None where none does."""
        return questions.live_config(self._asked(text))

    def _asked(self, text: str) -> Listeners:
        """Whom to ask about a text, whatever manifest it was rendered from."""
        ports = [port for _, port in render.addresses(text)]
        return replace(self.listeners, admin=f"http://127.0.0.1:{ports[-1]}") if ports else self.listeners

    def _refuse_held(self, addresses: list[tuple[str, int]]) -> None:
        for address, port in addresses:
            if not ports.free(address, port):
                raise ports.conflict(address, port)

    def _fresh_addresses(self, text: str, before: str) -> list[tuple[str, int]]:
        """Those that the text `before` does not listen on yet, so that whoever holds them is somebody else."""
        known = render.addresses(before)
        return [at for at in render.addresses(text) if at not in known]

    @contextlib.contextmanager
    def mapped(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ProxyError(
                f"cannot work with nginx in {self.directory}: {error.strerror or error} ({error.filename})",
                hint=f"check permissions and free space of {self.directory} and {self.conf.parent}",
            ) from error
