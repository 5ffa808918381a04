"""Whether what serves here, or could, is as it was published: read anew from the disk, and changed in nothing.

A damaged copy of what lies elsewhere is reported and left as it is, because it is what this process maps: the next load
replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelhost.config.model import Settings
from modelhost.errors import IntegrityError, ModelHostError, Unavailable, Unknown
from modelhost.host.assembly import section
from modelhost.metadata import VersionInfo, canonical_version
from modelhost.registry.base import LATEST, Entry, Registry
from modelhost.registry.environment import differences, running_environment
from modelhost.registry.layout import TRASH, VERSION_FILE, parse
from modelhost.registry.mates import misfits
from modelhost.registry.verify import damage, neighbours
from modelhost.serving.serving import Serving
from modelhost.serving.sets import ServingSet

_MAPPINGS = Path("/proc/self/maps")


@dataclass(frozen=True, slots=True)
class Verified:
    """`differs`: a phrase for each difference; `full`: whether sha256 was compared, or the fast hash."""

    component: str
    version: str
    full: bool
    differs: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differs


class Verifier:
    """Looks at versions of one host's components. Takes as long as reading the files does (1 GB: 0.2 s, full 3 s)."""

    def __init__(self, registry: Registry, serving: Serving, settings: Callable[[], Settings]) -> None:
        self._registry = registry
        self._serving = serving
        self._settings = settings

    def verify(self, component: str, version: str | None = None, full: bool = False) -> Verified:
        """Integrity, environment and mates of a version, or of the one that serves. One that is nowhere on this machine
        is pulled. Raises Unknown, NothingStable for `latest`, Unavailable where nothing serves, RegistryUnavailable."""
        if component not in (there := self._settings().components):
            raise Unknown(f"no component {component!r}", f"there is {', '.join(there)}")
        live = self._serving.live.serving()
        if version is None or (live is not None and _number(version) == live.versions.get(component)):
            entry = _serving(component, live)
            found = [*_described(entry), *_replaced(entry)]
        else:
            try:
                entry, found = self._registry.find(component, version), []
            except IntegrityError as error:
                return Verified(component, _number(version) or version, full, (error.message,))
        found += _damaged(entry, full)
        found += self._environment(entry.info)
        found += self._misfits(entry.info, live)
        return Verified(component, entry.version, full, tuple(dict.fromkeys(found)))

    def _environment(self, info: VersionInfo) -> list[str]:
        """Against what runs here, where the configuration wants to know of that."""
        if section(self._settings(), info.component).environment == "off":
            return []
        return differences(info.environment, running_environment(info.environment.packages))

    def _misfits(self, info: VersionInfo, live: ServingSet | None) -> list[str]:
        """With the others that serve, where this one does; else with what the registry has for it."""
        components = self._settings().components
        own = info.model_copy(update={"mates": {n: each for n, each in info.mates.items() if n in components}})
        if live is not None and live.versions.get(info.component) == info.version:
            others = [_about(each.entry.info, info.component) for each in live.values() if not each.fallback]
            stand_ins = {name: digest for name, digest in own.mates.items() if name not in live.fallbacks}
            own = own.model_copy(update={"mates": stand_ins})
            return misfits([own, *(each for each in others if each.component != info.component)])
        return [
            f"{info.component} {info.version} wants the {name} of digest {digest}, and the registry has none"
            for name, digest in own.mates.items()
            if digest not in self._digests(name)
        ]

    def _digests(self, component: str) -> set[str]:
        try:
            return {each.info.digest for each in self._registry.versions(component)}
        except Unknown:
            return set()


def _serving(component: str, live: ServingSet | None) -> Entry:
    if live is None:
        raise Unavailable("nothing serves yet", "the service is starting; name a version")
    if component not in live or live[component].fallback:
        raise Unknown(f"no version of {component} serves", "a fallback may answer for it; name a version")
    return live[component].entry


def _number(version: str) -> str | None:
    try:
        return None if version == LATEST else canonical_version(version)
    except ValueError:
        return None


def _described(entry: Entry) -> list[str]:
    """Whether version.json says what it did at the load, but for the loader, which a configuration may name."""
    where = entry.path / VERSION_FILE
    try:
        info = parse(where.read_bytes(), str(where), entry.component, entry.version)
    except ModelHostError as error:
        return [error.message]
    except OSError as error:
        return [f"{VERSION_FILE} cannot be read ({error.strerror})"]
    same = info.model_copy(update={"loader": entry.info.loader}) == entry.info
    return [] if same else [f"{VERSION_FILE} was changed"]


def _damaged(entry: Entry, full: bool) -> list[str]:
    """As `damage`, which is asked anew with whose content might lie there, where something does."""
    if not damage(entry.path, entry.info, full=full):
        return []
    return damage(entry.path, entry.info, full=full, others=neighbours(entry))


def _replaced(entry: Entry) -> Iterator[str]:
    """Files that this process still maps as they were before their directory was replaced, where /proc can say so."""
    trash = re.escape(f"{entry.path.parent.resolve()}/{TRASH}{entry.version}")
    left = re.compile(rf"{trash}-[0-9a-f]+/(.+?)( \(deleted\))?")
    try:
        lines = _MAPPINGS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        path = line.split(maxsplit=5)[5:]
        if path and (match := left.fullmatch(path[0])):
            yield f"{match[1]} was replaced since it was loaded, and what serves maps the old one: load it anew"


def _about(info: VersionInfo, component: str) -> VersionInfo:
    """Of its mates, this one alone."""
    return info.model_copy(update={"mates": {n: digest for n, digest in info.mates.items() if n == component}})
