"""Shares of traffic between versions. Who has a key stays with a variant; who has none is dealt out by chance.

Each variant draws for itself: its own salted hash of the key, held against the share of what the variants before it
left over. So a share that grows out of the rest keeps all whom it had; what comes before it in the list is never
touched; and with one variant beside the rest nobody moves who need not. Variants behind the one that grows may
exchange a few people: list first what is to stay, and grow the last. (Shares as neighbouring intervals of one hash
would move a whole later variant.) The experiment's name and salt are part of the hash: two experiments deal the same
people out independently of each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from modelhost.errors import ConfigError

WHOLE = 1_000_000  # a share is counted in millionths
_DIGEST_BYTES = 8
_DRAWS = 1 << (8 * _DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Variant:
    """A named share of the traffic for one version; `version` None is the default stable one. `share` in millionths."""

    name: str
    version: str | None
    share: int


@dataclass(frozen=True)
class Experiment:
    """Variants and their shares; what is left of the whole goes to the default, outside the experiment."""

    name: str
    variants: tuple[Variant, ...]
    salt: str = ""

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ConfigError(f"the experiment {self.name} has two variants of one name", "name each once")
        if any(variant.share < 0 for variant in self.variants):
            raise ConfigError(f"the experiment {self.name} has a share below 0 %", "a share is 0 % to 100 %")
        total = sum(variant.share for variant in self.variants)
        if total > WHOLE:
            raise ConfigError(
                f"the shares of the experiment {self.name} make {total * 100 / WHOLE:g} %",
                "make them 100 % or less; what is left goes to the default version",
            )

    def label(self, variant: Variant) -> str:
        """How answers, records and log lines call a variant: `AB:treatment`."""
        return f"{self.name}:{variant.name}"

    def assign(self, key: str | None, chance: Callable[[], float]) -> Variant | None:
        """The variant of a key, the same in every process and for ever; None is the rest.

        Without a key `chance` is asked once for a number in [0, 1).
        """
        if not key:
            return self._at(int(chance() * WHOLE))
        left = WHOLE
        for variant, seed in zip(self.variants, self._seeds, strict=True):
            if left and self._draw(seed, key) * left < variant.share * _DRAWS:
                return variant
            left -= variant.share
        return None

    @cached_property
    def _seeds(self) -> tuple[bytes, ...]:
        # 64 bytes is what BLAKE2b takes as a key, so names of any length go through a hash first.
        return tuple(
            hashlib.blake2b("\0".join((self.salt, self.name, variant.name)).encode(), digest_size=32).digest()
            for variant in self.variants
        )

    @staticmethod
    def _draw(seed: bytes, key: str) -> int:
        text = key.encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=_DIGEST_BYTES, key=seed).digest(), "big")

    def _at(self, point: int) -> Variant | None:
        for variant in self.variants:
            if point < variant.share:
                return variant
            point -= variant.share
        return None
