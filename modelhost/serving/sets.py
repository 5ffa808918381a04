"""A set of loaded versions that serves as one. Immutable: whoever holds one sees the same versions until the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Protocol

from modelhost.errors import ModelHostError
from modelhost.loading.base import Loaded


class ServingSet(Mapping[str, Loaded]):
    """Component → what serves for it. `generation` counts the flips; `digest` names versions and contents."""

    __slots__ = ("_members", "digest", "fallbacks", "generation", "versions")

    def __init__(self, generation: int, members: Iterable[Loaded]) -> None:
        self._members = {each.component: each for each in sorted(members, key=lambda each: each.component)}
        self.generation = generation
        self.versions: Mapping[str, str] = MappingProxyType({n: each.version for n, each in self._members.items()})
        self.fallbacks = tuple(name for name, each in self._members.items() if each.fallback)
        self.digest = _digest(self._members.values())

    def __getitem__(self, component: str) -> Loaded:
        return self._members[component]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"ServingSet({self.generation}, {dict(self.versions)})"


def _digest(members: Iterable[Loaded]) -> str:
    """`sha256:<hex>`, the same in every process that serves these versions."""
    lines = sorted(f"{each.component} {each.version} {each.entry.info.digest}\n" for each in members)
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def spoken(versions: Mapping[str, str]) -> str:
    """`decoder 2.0.0, encoder 2.0.0`, of component → version."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


class SetKeeper(Protocol):
    """Takes leases of sets back."""

    def _take_back(self, lease: SetLease) -> None: ...


class SetLease:
    """Permission to use one set, until `release` or the end of a `with` block; a second release is harmless.

    While it is out, no member is closed. Any thread may release it; it blocks no event loop.
    """

    __slots__ = ("_held", "_keeper", "_set")

    def __init__(self, keeper: SetKeeper, serving: ServingSet, held: object) -> None:
        self._keeper = keeper
        self._set: ServingSet | None = serving
        self._held = held

    @property
    def set(self) -> ServingSet:
        """What may be used. Raises ModelHostError after the release: it may be closed by then."""
        serving = self._set
        if serving is None:
            raise ModelHostError("a lease was used after its release", "keep it until the answer is made")
        return serving

    def release(self) -> None:
        """Gives it back."""
        self._keeper._take_back(self)

    def __enter__(self) -> ServingSet:
        return self.set

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
