"""How a registry of models is opened; modelhost is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from release.models.failures import mapped
from release.models.place import Place

if TYPE_CHECKING:
    from release.models.registry import ModelRegistry


def opened(place: Place, tell: Callable[[str], None]) -> ModelRegistry:
    """The registry there; nothing of it is read yet. Raises UsageError for a URL that cannot be used, ModelsError."""
    with mapped(tell):
        from release.models.registry import ModelRegistry

        return ModelRegistry(place, tell)
