"""What the services that read a registry use of it. Of those outside clusters the registry knows nothing: who removes
versions asks them, or says that there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release.errors import UsageError
from release.operations.models import in_memory
from release.pipeline.events import Report, Said

if TYPE_CHECKING:
    from release.models.service import ModelService


def used(
    where: str, services: Sequence[ModelService], *, none_there: bool, dry_run: bool, report: Report
) -> list[tuple[str, str]]:
    """Component and version of all that the services serve or hold.

    Without a service and without the word that there is none (`none_there`), nothing may be removed: a version that a
    service began with, or was told to serve by its configuration, may be of any age and status. A dry run warns of it.
    Raises UsageError for that, ModelsError where a service cannot be asked.
    """
    if services and none_there:
        raise UsageError(
            f"{services[0].url} is a service: --no-service says that none reads the registry", hint="one of the two"
        )
    if not services and not none_there:
        unasked = f"no service was asked which versions of {where} it serves"
        if not dry_run:
            raise UsageError(
                f"nothing was removed: {unasked}",
                hint="--url URL asks one (more than once, where several read it); --no-service says that none does but "
                "members of clusters; --dry-run shows what would go",
            )
        report(Said(f"{unasked}: what one does may be among what would go (--url URL, or --no-service)", "warning"))
    return [name for service in services for name in in_memory(service)]
