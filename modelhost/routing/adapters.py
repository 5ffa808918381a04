"""From one API shape to another: an old client of `/v1` is served by a v2 model and sees no new field.

An adapter is a small function of one JSON object: of an answer, from the shape of the model to that of the client, or
of a request, the other way. Where no direct one leads from a shape to another, the shortest chain does; two chains of
the same length would be a choice that nobody made, so they are refused at start-up. The fields of what an adapter gives
are those that its examples show between them, of objects within objects and in lists too (`known` says how): whatever
else a function lets through is left out. Between two shapes of which no request adapter speaks, requests are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from modelhost.errors import ConfigError, InvalidRequest, ModelHostError
from modelhost.routing.examples import Example, difference
from modelhost.routing.known import ANYTHING, Known, fields_of

Json = dict[str, Any]
Convert = Callable[[Json], Json]
Of = Literal["answer", "request"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A function from answers (or requests) in the shape `source` to those in `target`, with pairs that prove it.

    `fields`: the top-level fields of the target, by default all that the examples' outcomes have between them. Of one
    that is named here and that no example has, anything goes.
    """

    source: str
    target: str
    convert: Convert
    examples: tuple[Example, ...]
    fields: frozenset[str] = field(default=frozenset())
    of: Of = "answer"
    _known: Known = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.examples:
            raise ConfigError(
                f"the adapter {self.name} has no example", "give at least one pair of `given` and `gives`"
            )
        seen = fields_of(example.gives for example in self.examples)
        fields = self.fields or frozenset(seen)
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "_known", Known({name: seen.get(name, ANYTHING) for name in fields}))

    @property
    def name(self) -> str:
        """`translation/2 → translation/1`, with `of requests` behind it where it is one."""
        return f"{self.source} → {self.target}{' of requests' if self.of == 'request' else ''}"

    def __call__(self, given: Json) -> Json:
        """It in the other shape; what is handed in is left as it was.

        Raises ModelHostError, for a request that the function fails on InvalidRequest: it came from a caller.
        """
        try:
            adapted = self.convert(copy.deepcopy(given))
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            if self.of == "request":
                message = f"the request cannot be read as {self.source} ({what})"
                raise InvalidRequest(message, f"look at how {self.source} is asked") from error
            raise ModelHostError(
                f"the adapter {self.name} failed: {what}", "add such an answer to its examples"
            ) from error
        if not isinstance(adapted, dict):
            raise ModelHostError(f"the adapter {self.name} gave a {type(adapted).__name__}", "it must return a dict")
        kept: Json = self._known.keep(adapted)
        return kept

    def prove(self) -> None:
        """Run every example. Raises ConfigError with a diff for the first that comes out otherwise."""
        for number, example in enumerate(self.examples, start=1):
            try:
                outcome = self(dict(example.given))
            except ModelHostError as error:
                raise ConfigError(f"example {number} of {self.name}: {error.message}", "mend one of the two") from error
            if diff := difference(example.gives, outcome):
                raise ConfigError(
                    f"example {number} of the adapter {self.name} comes out otherwise:\n{diff}", "mend one of the two"
                )


class Adapters:
    """All adapters of a service. On creation every example is run, and every chain is found or refused."""

    def __init__(self, adapters: Iterable[Adapter] = ()) -> None:
        adapters = list(adapters)
        self._answers = _Ways([each for each in adapters if each.of == "answer"])
        self._requests = _Ways([each for each in adapters if each.of == "request"])

    def can(self, have: str, want: str) -> bool:
        """True where a version of the shape `have` can serve a client of the shape `want`: its answers can be brought
        into that, and requests the other way."""
        return self._answers.can(have, want) and (self._same_requests(want, have) or self._requests.can(want, have))

    def path(self, have: str, want: str) -> tuple[Adapter, ...]:
        """The adapters on the way of an answer; none where the shapes are one. Raises ConfigError where no way leads
        there."""
        return self._answers.path(have, want)

    def adapt(self, answer: Json, have: str, want: str) -> Json:
        """The answer in the shape that is wanted; the same object where nothing is to do."""
        for adapter in self.path(have, want):
            answer = adapter(answer)
        return answer

    def adapt_request(self, request: Json, have: str, want: str) -> Json:
        """The request in the shape that is wanted; the same object where nothing is to do. Raises InvalidRequest for
        one that an adapter cannot read."""
        if self._same_requests(have, want):
            return request
        for adapter in self._requests.path(have, want):
            request = adapter(request)
        return request

    def _same_requests(self, one: str, other: str) -> bool:
        return one == other or not {one, other} & self._requests.shapes


class _Ways:
    """Adapters of one kind, and the chains between shapes that they make."""

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        direct: dict[str, dict[str, Adapter]] = {}
        for adapter in adapters:
            if adapter.source == adapter.target:
                raise ConfigError(f"the adapter {adapter.name} leads nowhere", "it joins two different shapes")
            if adapter.target in direct.setdefault(adapter.source, {}):
                raise ConfigError(f"two adapters lead {adapter.name}", "keep one of them")
            adapter.prove()
            direct[adapter.source][adapter.target] = adapter
        self._chains = {source: _chains(source, direct) for source in direct}
        self.shapes = frozenset(shape for each in adapters for shape in (each.source, each.target))

    def can(self, have: str, want: str) -> bool:
        return have == want or want in self._chains.get(have, {})

    def path(self, have: str, want: str) -> tuple[Adapter, ...]:
        if have == want:
            return ()
        chain = self._chains.get(have, {}).get(want)
        if chain is None:
            known = ", ".join(sorted(self._chains.get(have, {}))) or "nothing"
            raise ConfigError(f"no adapter leads from {have} to {want}", f"from {have} there is {known}; declare one")
        return chain


def _chains(source: str, direct: Mapping[str, Mapping[str, Adapter]]) -> dict[str, tuple[Adapter, ...]]:
    """Breadth first from one shape; a target that two chains of one length reach is refused by name."""
    found: dict[str, tuple[Adapter, ...]] = {}
    front: dict[str, tuple[Adapter, ...]] = {source: ()}
    while front:
        reached: dict[str, tuple[Adapter, ...]] = {}
        for shape, chain in front.items():
            for target, adapter in direct.get(shape, {}).items():
                if target in found or target == source:
                    continue
                if target in reached:
                    ways = " and ".join(_written((*way, last)) for way, last in _both(reached[target], chain, adapter))
                    raise ConfigError(
                        f"two ways of the same length lead from {source} to {target}: {ways}",
                        "declare an adapter that leads there directly",
                    )
                reached[target] = (*chain, adapter)
        found |= reached
        front = reached
    return found


def _both(
    first: tuple[Adapter, ...], chain: tuple[Adapter, ...], adapter: Adapter
) -> tuple[tuple[tuple[Adapter, ...], Adapter], tuple[tuple[Adapter, ...], Adapter]]:
    return (first[:-1], first[-1]), (chain, adapter)


def _written(chain: tuple[Adapter, ...]) -> str:
    return " → ".join([chain[0].source, *(adapter.target for adapter in chain)])
