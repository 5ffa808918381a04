"""The switch by flag files: traffic moves by one rename(2) that every later request sees. nginx is not told.

    <state>/traffic/green -> shares/<owner>/<green>     the truth about what serves, durable and visible to `ls`
    <state>/traffic/shares/<owner>/<green>/             prepared material, see shares.py
    <state>/traffic/shares/<owner>/<green>.link         the symlink that `set` moves, so that it creates nothing

What is in the share directories is told in shares.py; how nginx reads them, in the templates.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from release.errors import ProxyError
from release.proxy import shares
from release.proxy.base import Switched, Traffic
from release.proxy.durable import make_directory, sync_directory
from release.proxy.shares import BUCKETS


class FlagSwitch:
    """TrafficSwitch on a directory of a local disk. It locks nothing: callers hold the traffic lock."""

    kind = "flags"

    def __init__(self, traffic: Path) -> None:
        self.directory = traffic
        self.link = traffic / "green"
        self.shares = traffic / "shares"

    def get(self) -> Traffic | None:
        with self._mapped("read what serves"):
            target = self._target()
            if target is None:
                return None
            try:
                said = shares.read(self.directory / target)
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(target, f"is damaged: {error}") from error
            except FileNotFoundError as error:
                raise self._damaged(target, "is not there") from error
        if target != self._relative(said):
            raise self._damaged(target, f"says it is {self._relative(said)}")
        return said

    def prepare(self, owner: str, shares: Sequence[int]) -> None:
        with self._mapped("prepare the shares"):
            for green in dict.fromkeys(shares):
                self._prepare(Traffic(green, owner))

    def set(self, traffic: Traffic) -> Switched:
        with self._mapped(f"give green {traffic.green} per mille"):
            self._prepare(traffic)
            return self._move(traffic, durable=True)

    def restore(self, traffic: Traffic) -> Switched:
        """As `set`. Where nothing can be written, any share directory that moves the same traffic will do."""
        with self._mapped(f"give green {traffic.green} per mille again"):
            try:
                self._prepare(traffic)
            except OSError:
                traffic = self._twin(traffic)
            return self._move(traffic, durable=False)

    def clear(self) -> None:
        with self._mapped("take all traffic away"):
            try:
                self.link.unlink()
            except FileNotFoundError:
                return
            sync_directory(self.directory)

    def forget(self, keep: Sequence[str]) -> None:
        with self._mapped("remove old shares"):
            target = self._target()
            serving = {Path(target).parts[1]} if target is not None else set()
            for owner in self._owners():
                if owner.name not in serving | set(keep):
                    self._remove(owner)
            self._sweep()

    def _prepare(self, traffic: Traffic) -> None:
        path = self.directory / self._relative(shares.checked(traffic))
        if not (path / "ok").exists():
            make_directory(self.directory)
            shares.build(path, traffic)
        with contextlib.suppress(OSError):  # only spares `set` an inode; it makes its own where this one is missing
            self._spare(traffic).symlink_to(self._relative(traffic))

    def _move(self, traffic: Traffic, *, durable: bool) -> Switched:
        before = self._before()
        fresh = self._fresh_link(traffic)
        started = time.perf_counter_ns()
        fresh.rename(self.link)
        microseconds = (time.perf_counter_ns() - started) / 1000
        try:
            sync_directory(self.directory)
        except OSError:
            if durable:
                self._put_back(before)
                raise
        with contextlib.suppress(OSError):
            self._spare(traffic).symlink_to(self._relative(traffic))
        return Switched(before, traffic, microseconds)

    def _fresh_link(self, traffic: Traffic) -> Path:
        """A symlink to the share, ready to be renamed over the live one: the prepared one, else a new one."""
        spare = self._spare(traffic)
        if spare.is_symlink():
            return spare
        fresh = self.directory / f".new-green-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._relative(traffic))
        return fresh

    def _put_back(self, before: Traffic | None) -> None:
        with contextlib.suppress(OSError):
            if before is None:
                self.link.unlink()
            else:
                self._fresh_link(before).rename(self.link)

    def _twin(self, traffic: Traffic) -> Traffic:
        """Somebody else's share directory that routes every request alike; only whole shares have one."""
        if traffic.green in (0, BUCKETS):
            for owner in self._owners():
                if (owner / str(traffic.green) / "ok").exists():
                    return Traffic(traffic.green, owner.name)
        raise ProxyError(
            f"green's share of {traffic.green} was not prepared and cannot be written to {self.shares}",
            hint="free some space there, or mend its permissions, and try again",
        )

    def _before(self) -> Traffic | None:
        """What served until now; unlike `get`, a tree that is damaged is no reason not to leave it."""
        with contextlib.suppress(ProxyError):
            return self.get()
        return None

    def _target(self) -> str | None:
        """Where the live link points, or None where there is none. Raises OSError and ProxyError."""
        try:
            target = str(self.link.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise ProxyError(
                    f"{self.link} is no symlink",
                    hint="every request is answered 503: `release rollback --to RELEASE` puts one in its place",
                ) from error
            raise
        parts = target.split("/")
        if len(parts) != 3 or parts[0] != "shares" or not parts[2].isdigit():
            raise self._damaged(target, "is none of ours")
        return target

    def _owners(self) -> list[Path]:
        try:
            return sorted(path for path in self.shares.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []

    def _remove(self, owner: Path) -> None:
        """Takes an owner's shares away in one rename, so that none of them is ever seen half-empty."""
        gone = self.shares / f".gone-{owner.name}"
        shutil.rmtree(gone, ignore_errors=True)
        owner.rename(gone)
        shutil.rmtree(gone)

    def _sweep(self) -> None:
        """What an earlier run began and did not end."""
        leftovers = [*self.directory.glob(".new-*"), *self.shares.glob(".gone-*"), *self.shares.glob("*/.new-*")]
        for path in leftovers:
            if path.is_symlink():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, ignore_errors=True)

    def _relative(self, traffic: Traffic) -> str:
        return f"shares/{traffic.owner}/{traffic.green}"

    def _spare(self, traffic: Traffic) -> Path:
        return self.shares / traffic.owner / f"{traffic.green}.link"

    def _damaged(self, target: str, what: str) -> ProxyError:
        return ProxyError(
            f"{self.link} points at {target}, which {what}",
            hint="every request is answered 503 until traffic is set again: `release rollback --to RELEASE` does it",
        )

    @contextlib.contextmanager
    def _mapped(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ProxyError(
                f"cannot {doing} in {self.directory}: {error.strerror or error}",
                hint=f"check permissions and free space of {self.directory}",
            ) from error
