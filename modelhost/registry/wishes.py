"""What clusters want of a registry: versions that their desired states name, that members hold or serve, and those that
a rollback may go to.

Read for those who remove versions; `modelhost.cluster` writes it, and its `place` draws the whole. What cannot be read
raises: nobody may remove on a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from modelhost.errors import IntegrityError, RegistryUnavailable
from modelhost.registry.base import Entry, Status
from modelhost.registry.bucket import Bucket
from modelhost.registry.layout import CLUSTERS
from modelhost.registry.retention import Named

_STATE = re.compile(r"[0-9]{12}\.json")
_FORMAT = 1
_READ_TIMEOUT = 30.0
_TRIES = 2
Usable = Callable[[Named], bool]
"""Whether a rollback could take a version: it is there, and not rejected."""


class Shelf(Protocol):
    """Where files lie below a root: a `Bucket`, or a `Folder`."""

    def read(self, key: str) -> bytes | None: ...
    def names(self, folder: str) -> list[str]: ...


class Folder:
    """A directory as a Shelf."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, key: str) -> bytes | None:
        """The file's bytes; None where there is none. Raises RegistryUnavailable."""
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryUnavailable(f"{self._root / key} cannot be read: {error}") from error

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, without what is hidden there, sorted; nothing where there is none."""
        try:
            return sorted(path.name for path in (self._root / folder).iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RegistryUnavailable(f"{self._root / folder} cannot be read: {error}") from error


def shelf_at(where: str | Path) -> Shelf:
    """What lies at a folder or URL that is some cluster's place. Raises ConfigError, RegistryUnavailable where there is
    no such folder."""
    parts = urlsplit(str(where))
    if parts.scheme not in ("", "file"):
        return Bucket(str(where), read_timeout=_READ_TIMEOUT, tries=_TRIES)
    folder = Path(unquote(parts.path)) if parts.scheme else Path(where)
    if not folder.is_dir():
        raise RegistryUnavailable(f"there is no folder {folder}", "is the file system mounted?")
    return Folder(folder)


class Clusters:
    """The clusters of a registry with these `entries`, wherever they keep what they desire."""

    def __init__(self, entries: Iterable[Entry], shelves: Iterable[Shelf]) -> None:
        standing = {Named(each.component, each.version): each.status for each in entries}
        self._shelves = list(shelves)
        self._usable: Usable = lambda name: standing.get(name, Status.REJECTED) is not Status.REJECTED

    def want(self) -> dict[Named, str]:
        """Version → which cluster wants it at this moment, and as what. Raises IntegrityError for a state that cannot
        be read, RegistryUnavailable."""
        found: dict[Named, str] = {}
        for shelf in self._shelves:
            for group in shelf.names(CLUSTERS):
                for name, what in _of_group(shelf, f"{CLUSTERS}/{group}", self._usable):
                    found.setdefault(name, f"{what} the cluster {group}")
        return found


def _of_group(shelf: Shelf, base: str, usable: Usable) -> Iterator[tuple[Named, str]]:
    state = _newest_state(shelf, f"{base}/desired")
    committed, previous = state.get("committed") or {}, state.get("previous") or []
    yield from _named(committed, "desired by")
    yield from _named(state.get("proposal") or {}, "proposed to")
    yield from ((name, "held in memory by") for name in _held(state) if usable(name))
    if committed:
        yield from ((name, "the way back of") for name in _ways_back(committed, previous, usable))
    for member in shelf.names(f"{base}/members"):
        yield from _named(_beat(shelf, f"{base}/members/{member}"), "served by a member of")


def _newest_state(shelf: Shelf, folder: str) -> dict[str, Any]:
    numbers = [name for name in shelf.names(folder) if _STATE.fullmatch(name)]
    for name in reversed(numbers):
        if (content := shelf.read(f"{folder}/{name}")) is None:
            continue  # cleared away meanwhile
        try:
            state = json.loads(content)
            if state["format"] != _FORMAT:
                raise ValueError(f"it is of the format {state['format']}")
            list(_named(state.get("committed") or {}, ""))
            list(_held(state))
            return dict(state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(
                f"{folder}/{name} cannot be read: {error}",
                "what its cluster wants is not known, and nothing is removed; the next switch writes it anew",
            ) from error
    return {}


def _beat(shelf: Shelf, key: str) -> Mapping[str, Any]:
    """A member's sign of life. One that cannot be read says nothing: the desired state counts."""
    try:
        beat = json.loads(shelf.read(key) or b"{}")
        list(_named(beat, ""))
    except (ValueError, TypeError, AttributeError):
        return {}
    return dict(beat)


def _named(part: Mapping[str, Any], what: str) -> Iterator[tuple[Named, str]]:
    for component, version in part.get("versions", {}).items():
        yield Named(component, version), what


def _held(state: Mapping[str, Any]) -> Iterator[Named]:
    for each in (state.get("held") or {}).get("holds", []):
        yield Named(each["component"], each["version"])


def _ways_back(committed: Mapping[str, Any], previous: list[Mapping[str, Any]], usable: Usable) -> Iterator[Named]:
    """The last set before what is committed that a rollback may take, and of each component the last version."""
    serves: dict[str, str] = committed["versions"]
    left = {Named(*item) for each in (*previous, committed) for item in (each.get("rejected") or {}).items()}

    def may(component: str, version: str) -> bool:
        return version == serves[component] or (
            Named(component, version) not in left and usable(Named(component, version))
        )

    sets = [{name: each["versions"].get(name, serves[name]) for name in serves} for each in reversed(previous)]
    whole = next((one for one in sets if one != serves and all(may(*each) for each in one.items())), {})
    yield from (Named(*each) for each in whole.items())
    for name, version in serves.items():
        before = next((one[name] for one in sets if one[name] != version and may(name, one[name])), None)
        if before is not None:
            yield Named(name, before)
