"""What the services that read a registry use of it. Of those outside clusters the registry knows nothing: who removes
versions asks them, or says that there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release.errors import UsageError
from release.models.base import Held
from release.operations.models import in_memory
from release.pipeline.events import Report, Said

if TYPE_CHECKING:
    from release.models.registry import ModelRegistry
    from release.models.service import ModelService


def used(
    registry: ModelRegistry, services: Sequence[ModelService], *, none_there: bool, dry_run: bool, report: Report
) -> list[tuple[str, str]]:
    """Component and version of all that the services serve or hold.

    Without a service and without the word that there is none (`none_there`), nothing may be removed: a version that a
    service began with, or was told to serve by its configuration, may be of any age and status. A dry run warns of it.
    Raises UsageError for that, and for a service that reads another registry; ModelsError where one cannot be asked.
    """
    if services and none_there:
        raise UsageError(
            f"{services[0].url} is a service: --no-service says that none reads the registry", hint="one of the two"
        )
    if not services and not none_there:
        unasked = f"no service was asked which versions of {registry.where} it serves"
        if not dry_run:
            raise UsageError(
                f"nothing was removed: {unasked}",
                hint="--url URL asks one (more than once, where several read it); --no-service says that none does but "
                "members of clusters; --dry-run shows what would go",
            )
        report(Said(f"{unasked}: what one does may be among what would go (--url URL, or --no-service)", "warning"))
    for service in services:
        _demand_reader(service, registry)
    return [name for service in services for name in in_memory(service)]


def _demand_reader(service: ModelService, registry: ModelRegistry) -> None:
    """Whoever serves nothing of this registry was named by mistake, and says nothing of who reads it."""
    serving = [one for one in service.held() if one.serves]
    there = {(one.component, one.version): one.digest for one in registry.versions()}
    if serving and not any(_is_it(one, there.get((one.component, one.version))) for one in serving):
        names = ", ".join(f"{one.component} {one.version}" for one in serving)
        raise UsageError(
            f"nothing was removed: {service.url} serves {names}, which is not in {registry.where}",
            hint="name the services that read this registry, or the registry that this one reads",
        )


def _is_it(one: Held, digest: str | None) -> bool:
    """Whether what serves is what the registry has under its name: of this digest, where the service tells its own."""
    return digest is not None and one.digest in ("", digest)
