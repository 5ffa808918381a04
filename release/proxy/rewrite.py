"""The switch for an nginx whose configuration is somebody else's: their `proxy_pass http://<service>` stays, and the
file with `upstream <service>` is rewritten and nginx reloaded. A reload loses requests of clients that keep their
connections; docs/nginx.md has the figures. Where that matters, use flags."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from release.errors import ProxyError
from release.proxy import questions, render
from release.proxy.base import Switched, Traffic
from release.proxy.durable import sync_directory, write_file
from release.proxy.foreign import ForeignNginx
from release.proxy.installation import CONFIRM
from release.proxy.questions import Listeners
from release.proxy.shares import BUCKETS, checked

_MARK = "# release "


class RewriteSwitch:
    """TrafficSwitch on one file. Shares between 0 and 1000 are refused: an upstream file has no sticky buckets."""

    kind = "rewrite"

    def __init__(
        self,
        path: Path,
        nginx: ForeignNginx,
        listeners: Listeners,
        text: Callable[[Traffic | None], render.Rendered],
    ) -> None:
        self.path = path
        self._nginx = nginx
        self._listeners = listeners
        self._text = text

    def get(self) -> Traffic | None:
        with self._mapped("read what serves"):
            try:
                first = self.path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            except FileNotFoundError:
                return None
        try:
            said = json.loads(first.removeprefix(_MARK)) if first.startswith(_MARK) else {}
            return None if said is None else Traffic(int(said["green"]), str(said["owner"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ProxyError(
                f"{self.path} is not as this toolkit wrote it", hint="remove it, and run `release proxy install`"
            ) from error

    def prepare(self, owner: str, shares: Sequence[int]) -> None:
        """Writes the files beside the live one, where nginx does not look."""
        with self._mapped("prepare the shares"):
            for green in dict.fromkeys(shares):
                self._prepare(_whole(Traffic(green, owner)))

    def set(self, traffic: Traffic) -> Switched:
        with self._mapped(f"give green {traffic.green} per mille"):
            prepared = self._prepare(_whole(traffic))
            before = self._before()
            started = time.perf_counter_ns()
            self._move(prepared, self._text(traffic).config, self._listeners)
        return Switched(before, traffic, (time.perf_counter_ns() - started) / 1000)

    def restore(self, traffic: Traffic) -> Switched:
        """As `set`. Where nothing can be written, any prepared file with the same traffic will do."""
        try:
            return self.set(traffic)
        except ProxyError as error:
            twin = self._twin(traffic) if isinstance(error.__cause__, OSError) else None
            if twin is None:
                raise
            return self.set(twin)

    def clear(self) -> None:
        with self._mapped("take all traffic away"):
            if self.path.exists():
                self.put(self._text(None), self._listeners)

    def put(self, rendered: render.Rendered, listeners: Listeners) -> None:
        """Writes the file, whatever was there, and sees that every worker answers from it."""
        fresh = self.path.with_name(f".{self.path.name}.fresh")
        write_file(fresh, rendered.text)
        try:
            self._move(fresh, rendered.config, listeners)
        finally:
            fresh.unlink(missing_ok=True)

    def forget(self, keep: Sequence[str]) -> None:
        serving = self.get()
        kept = {*keep, serving.owner if serving is not None else ""}
        with self._mapped("remove old shares"):
            for path in self.prepared():
                if path.name.removeprefix(f".{self.path.name}.").rpartition(".")[0] not in kept:
                    path.unlink(missing_ok=True)

    def _prepare(self, traffic: Traffic) -> Path:
        path = self.path.with_name(f".{self.path.name}.{traffic.owner}.{traffic.green}")
        text = self._text(traffic).text
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_file(path, text)
        return path

    def _move(self, prepared: Path, config: str, listeners: Listeners) -> None:
        """Puts a second name of `prepared` in place, tests, reloads, asks; puts the old file back where that fails."""
        backup = self.path.with_name(f".{self.path.name}.before")
        backup.unlink(missing_ok=True)
        if self.path.exists():
            os.link(self.path, backup)
        try:
            self._replace(prepared)
            self._nginx.test()
            self._nginx.reload()
            if not questions.await_config(listeners, config, CONFIRM):
                raise ProxyError(
                    "nginx was told to load a new upstream and does not answer from it",
                    hint=f"see its error log; {self.path} is as it was. Does nginx include it?",
                )
        except BaseException:
            self._put_back(backup)
            raise
        finally:
            backup.unlink(missing_ok=True)

    def _replace(self, source: Path) -> None:
        second = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        second.unlink(missing_ok=True)
        os.link(source, second)
        second.rename(self.path)
        second.unlink(missing_ok=True)  # rename(2) does nothing where both names are one file already
        sync_directory(self.path.parent)

    def _put_back(self, backup: Path) -> None:
        """The old file again, and a reload in case nginx took the new one after all."""
        if backup.exists():
            self._replace(backup)
        else:
            self.path.unlink(missing_ok=True)
        with contextlib.suppress(ProxyError):
            self._nginx.reload()

    def _before(self) -> Traffic | None:
        with contextlib.suppress(ProxyError):
            return self.get()
        return None

    def _twin(self, traffic: Traffic) -> Traffic | None:
        for path in self.prepared():
            owner, _, green = path.name.removeprefix(f".{self.path.name}.").rpartition(".")
            if green == str(traffic.green):
                return Traffic(traffic.green, owner)
        return None

    def prepared(self) -> list[Path]:
        """The files that `prepare` left beside the live one."""
        paths = self.path.parent.glob(f".{self.path.name}.*")
        return sorted(path for path in paths if path.name.rpartition(".")[2] in ("0", str(BUCKETS)))

    @contextlib.contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ProxyError(
                f"cannot {doing} in {self.path}: {error.strerror or error}",
                hint=f"check permissions and free space of {self.path.parent}",
            ) from error


def _whole(traffic: Traffic) -> Traffic:
    if checked(traffic).green not in (0, BUCKETS):
        raise ProxyError(
            f"a share of {traffic.green} per mille cannot be had by rewriting an upstream",
            hint="use proxy.switch: flags for a canary; rewrite moves all traffic or none",
        )
    return traffic
