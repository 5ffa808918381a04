"""The configuration that runs. A reload takes over as a whole or not at all; a bad file leaves the running one.

Who depends on it follows it: `prepare` does all that may fail (and may refuse), `commit` flips to what was prepared.
Only when everybody is prepared is anything committed; where one refuses, or fails at the last moment, `abort` takes
back what the others had prepared or committed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelhost.config.load import load
from modelhost.config.model import Settings
from modelhost.errors import ModelHostError

_log = logging.getLogger(__name__)


class Prepared(Protocol):
    """One follower's change, ready to be made."""

    def commit(self) -> None:
        """Flip. Quick, and should not fail."""

    def abort(self) -> None:
        """Let go of what was prepared; after `commit`, go back to what was before."""


Prepare = Callable[[Settings, Settings], Prepared]
"""Called with the new and the running settings; any exception refuses the reload."""


@dataclass(frozen=True, slots=True)
class Reload:
    """How a reload went. `changed`: names of the sections that differ; `error`: why the running one was left;
    `warnings`: what was taken over and has no effect as it is."""

    ok: bool
    generation: int
    changed: tuple[str, ...] = ()
    error: str = ""
    warnings: tuple[str, ...] = ()


class Configuration:
    """Holds the settings that run. Raises ConfigError when the first file is bad: there is nothing to go on with."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.last_error = ""
        self._environ = environ
        self._current = load(path, environ)
        self._generation = 1
        self._followers: list[tuple[str, Prepare]] = []
        self._lock = threading.RLock()

    @property
    def current(self) -> Settings:
        """The settings that run; one reference, read once for each thing to do."""
        return self._current

    @property
    def generation(self) -> int:
        """1 for the first file, one more for each that took over."""
        return self._generation

    def follow(self, name: str, prepare: Prepare) -> None:
        """Ask `prepare` at every reload, in the order of following; `name` is for messages."""
        with self._lock:
            self._followers.append((name, prepare))

    def reload(self, who: str = "", why: str = "", also: Sequence[tuple[str, Prepare]] = ()) -> Reload:
        """Read the file again and take it over as a whole. Never raises; one at a time, others wait. `who` asks for
        it, and `why`: for the log. `also`: who is asked this once, the last, and also where nothing changed here."""
        by = f" ({': '.join(' '.join(each.split()) for each in (who, why) if each)})" if who or why else ""
        with self._lock:
            try:
                changed = self._taken_over(load(self.path, self._environ), also)
            except Exception as error:  # Whatever a follower raises, the running configuration goes on.
                self.last_error = (
                    str(error) if isinstance(error, ModelHostError) else f"{type(error).__name__}: {error}"
                )
                said = "; ".join(self.last_error.splitlines())
                _log.error("the configuration stays as it was (generation %d)%s: %s", self._generation, by, said)
                return Reload(False, self._generation, error=self.last_error)
            self.last_error = ""
            what = ", ".join(changed) or "nothing changed"
            _log.info("configuration generation %d%s: %s", self._generation, by, what)
            return Reload(True, self._generation, changed)

    def _taken_over(self, new: Settings, also: Sequence[tuple[str, Prepare]]) -> tuple[str, ...]:
        changed = new.changed(self._current)
        prepared: list[tuple[str, Prepared]] = []
        try:
            for name, prepare in (*(self._followers if changed else ()), *also):
                prepared.append((name, _prepared(name, prepare, new, self._current)))
            for name, change in prepared:
                _committed(name, change)
        except Exception:
            _abort(prepared)
            raise
        if changed:
            self._current = new
            self._generation += 1
        return changed


class Refusal(ModelHostError):
    """A follower did not take the new settings."""

    status = 422


def _prepared(name: str, prepare: Prepare, new: Settings, old: Settings) -> Prepared:
    try:
        return prepare(new, old)
    except Exception as error:
        raise Refusal(f"{name} refused it: {_said(error)}") from error


def _committed(name: str, change: Prepared) -> None:
    try:
        change.commit()
    except Exception as error:
        raise Refusal(f"{name} could not take it over: {_said(error)}") from error


def _abort(prepared: list[tuple[str, Prepared]]) -> None:
    for name, change in reversed(prepared):
        try:
            change.abort()
        except Exception:  # The others must be taken back all the same.
            _log.exception("%s did not go back to the configuration before", name)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ModelHostError) else f"{type(error).__name__}: {error}"
