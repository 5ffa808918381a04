"""A registry of models as the toolkit asks it: in a directory, here or mounted, or on an object store.

Made by `opening.opened`. All of its errors are the toolkit's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import semver

from modelhost.errors import IntegrityError, RegistryUnavailable, Unknown
from modelhost.metadata import canonical_version
from modelhost.registry import collect
from modelhost.registry.base import Entry, Status
from modelhost.registry.caching import tidy
from modelhost.registry.clearing import gc_remote
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import Named
from modelhost.registry.upload import publish_remote
from modelhost.registry.verify import check_files, damage
from modelhost.registry.wishes import shelf_at
from release.models.base import LATEST, Change, Collected, Described, Kept, Verified, Version
from release.models.failures import Tell, mapped
from release.models.place import Place


class ModelRegistry:
    """A directory is read where it lies. What a URL leads to is pulled into a cache only where files are asked for."""

    def __init__(self, place: Place, tell: Tell) -> None:
        self.where = place.where
        self._tell = tell
        folder = place.directory
        self._registry: DirectoryRegistry | RemoteRegistry
        if folder is not None:
            self._registry = DirectoryRegistry(folder)
        else:
            self._registry = RemoteRegistry(place.where, place.pulled)

    # -- looking -----------------------------------------------------------------------------------------------

    def components(self) -> list[str]:
        with mapped(self._tell):
            return self._registry.components()

    def versions(self, component: str | None = None) -> list[Version]:
        """Of one component or of all, each component's newest first."""
        with mapped(self._tell):
            names = self._registry.components() if component is None else [component]
            return [version for name in names for version in self._known(name)[1]]

    def stable(self, component: str) -> list[str]:
        """Numbers of the stable versions, the newest first: that is what `latest` means, also where it is broken."""
        with mapped(self._tell):
            return self._stable(component)

    def number(self, component: str, version: str) -> str:
        """The number of a version that is there, readable or not. Raises UsageError that lists what there is."""
        with mapped(self._tell):
            number = _number(version)
            published = self._published(component)
            if number not in published:
                self._registry.versions(component)  # raises where there is no such component
                there = ", ".join(sorted(published, key=_order, reverse=True))
                raise Unknown(f"no version {version} of {component}", f"there is {there}")
            return number

    def describe(self, component: str, version: str = LATEST) -> Described:
        """Without pulling its files. Raises UsageError that lists what there is."""
        with mapped(self._tell):
            number = _number(version)
            for entry, one in zip(*self._known(component), strict=True):
                if one.version == number or (version == LATEST and one.latest):
                    log = [change for change in self._registry.log(component) if change.version == one.version]
                    changes = (Change(each.at, each.version, str(each.status), each.who, each.why) for each in log)
                    return Described(one, entry.info.model_dump(mode="json"), tuple(changes))
            self._registry.find(component, version)  # it cannot be read, or is not there: this says which
            raise Unknown(f"no version {version} of {component}", "`release models list` shows what there is")

    # -- changing ----------------------------------------------------------------------------------------------

    def publish(
        self, source: Path | Mapping[str, Path], metadata: Mapping[str, Any], who: str, allow_pickles: Collection[str]
    ) -> tuple[Version, bool]:
        """The version, and whether it is new: repeated with the same content nothing happens."""
        with mapped(self._tell):
            registry = self._registry
            if isinstance(registry, DirectoryRegistry):
                done = publish(registry.root, source, metadata, who=who, allow_pickles=allow_pickles)
            else:
                done = publish_remote(registry, source, metadata, who=who, allow_pickles=allow_pickles)
            return _version(done.entry, latest=False), done.fresh

    def export(self, component: str, version: str, tracking: str, name: str | None) -> str:
        """Register it with MLflow at `tracking`, under its component's name where none is given; MLflow's number."""
        with mapped(self._tell):
            from modelhost.registry.exchange.mlflow import write_registered

            return write_registered(self._registry.find(component, version), tracking, name)

    def check(self, component: str, version: str) -> None:
        """Raises Refused where its files are not those that were published; from a URL they are pulled for this."""
        with mapped(self._tell):
            check_files(self._registry.find(component, version))

    def mark(self, component: str, version: str, status: str, who: str, why: str) -> None:
        """Appends to the status log; durable on return."""
        with mapped(self._tell):
            self._registry.mark(component, version, Status(status), who, why)

    # -- keeping house -----------------------------------------------------------------------------------------

    def verify(self, component: str, full: bool, version: str | None = None) -> list[Verified]:
        """Every version of a component, broken ones too, or one. `full`: by sha256; of a URL, what lies there now."""
        with mapped(self._tell):
            names = self._published(component) if version is None else [version]
            if not names:
                self._registry.versions(component)  # raises, and says which components there are
            found = ((name, self._problems(component, name, full)) for name in sorted(names, key=_order, reverse=True))
            return [Verified(component, name, problems) for name, problems in found if problems is not None]

    def collect(
        self,
        in_use: Collection[tuple[str, str]],
        pinned: Collection[tuple[str, str]],
        keep: int,
        grace: float,
        dry: bool,
        places: Collection[str] = (),
    ) -> Collected:
        """Removes what may go; `grace` in seconds. What the registry's clusters want stays, and those of `places`."""
        with mapped(self._tell):
            used, pins, elsewhere = _named(in_use), _named(pinned), [shelf_at(place) for place in places]
            span, registry = timedelta(seconds=grace), self._registry
            if isinstance(registry, DirectoryRegistry):
                done = collect.gc(
                    registry, in_use=used, pinned=pins, keep=keep, grace=span, dry_run=dry, elsewhere=elsewhere
                )
            else:
                done = gc_remote(
                    registry, in_use=used, pinned=pins, keep=keep, grace=span, dry_run=dry, elsewhere=elsewhere
                )
                if not dry:
                    tidy(registry, keep=keep)
            kept = tuple(
                Kept(one.entry.component, one.entry.version, one.stays, one.reason, one.entry.info.bytes)
                for one in done.verdicts
            )
            size = sum(one.bytes for one in kept if not one.stays)
            return Collected(kept, not dry, size, tuple(done.swept))

    def _published(self, component: str) -> list[str]:
        registry = self._registry
        return (registry if isinstance(registry, DirectoryRegistry) else registry.origin).published(component)

    def _stable(self, component: str) -> list[str]:
        standing = {change.version: change.status for change in self._registry.log(component)}
        numbers = [name for name in self._published(component) if standing.get(name) is Status.STABLE]
        return sorted(numbers, key=_order, reverse=True)

    def _known(self, component: str) -> tuple[list[Entry], list[Version]]:
        """Those that can be read, the newest first; where `latest` means one that cannot, none of them is it."""
        entries = self._registry.versions(component)
        newest = next(iter(self._stable(component)), None)
        return entries, [_version(entry, entry.version == newest) for entry in entries]

    def _problems(self, component: str, version: str, full: bool) -> tuple[str, ...] | None:
        """None where it is no version after all: one that somebody publishes at this moment."""
        registry = self._registry
        try:
            if isinstance(registry, RemoteRegistry):
                if registry.describe(component, version) is None:
                    return None
                if full:
                    registry.discard(component, version)
            entry = registry.find(component, version)
            others = [other.info for other in registry.versions(component)]
            found = tuple(damage(entry.path, entry.info, full=full, others=others))
            if found and entry.heal is not None:
                entry.heal(found, full)  # that was the copy here; raises where the version itself is damaged
                return ()
            return found
        except IntegrityError as error:
            return (error.message,)
        except Unknown:
            return None
        except RegistryUnavailable as error:
            if isinstance(registry, RemoteRegistry):
                raise
            return (error.message,)


def _version(entry: Entry, latest: bool) -> Version:
    info = entry.info
    return Version(
        component=entry.component,
        version=entry.version,
        status=str(entry.status),
        latest=latest,
        created=info.created,
        loader=info.loader,
        note=info.note,
        bytes=info.bytes,
        digest=info.digest,
        metrics=dict(info.metrics),
        mates=dict(info.mates),
    )


def _number(version: str) -> str:
    """Written without a v; what is no number stays, and is then no version of anything."""
    try:
        return canonical_version(version)
    except (ValueError, TypeError):
        return version


def _order(version: str) -> semver.Version:
    return semver.Version.parse(version)


def _named(names: Collection[tuple[str, str]]) -> list[Named]:
    return [Named(component, _number(version)) for component, version in names]
