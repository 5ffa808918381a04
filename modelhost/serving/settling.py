"""What a rollback left undone whose process died, or whose registry was away: what it rejected is marked so."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from modelhost.errors import ModelHostError, Unknown
from modelhost.registry.base import Registry, Status, StatusChange
from modelhost.serving.history import Outcome, Record

_log = logging.getLogger(__name__)


def settle(registry: Registry, records: Iterable[Record]) -> dict[str, str]:
    """Marks as rejected what the records say was left for good, unless it is marked so, or was marked otherwise since.

    Returns component → version of what it marked. Never raises: what cannot be marked is logged, and left for the next
    start.
    """
    marked: dict[str, str] = {}
    logs: dict[str, list[StatusChange]] = {}
    for record in records:
        for component, version in record.rejected.items() if record.outcome is Outcome.SWITCHED else ():
            if component not in logs:
                logs[component] = _log_of(registry, component)
            if _is_open(logs[component], version, record) and _reject(registry, component, version, record):
                marked[component] = version
    return marked


def _log_of(registry: Registry, component: str) -> list[StatusChange]:
    """The component's status log; of a version it is asked alone, because to find one may be to pull it."""
    try:
        return registry.log(component)
    except Unknown:
        return []
    except ModelHostError as error:
        _log.warning("which versions of %s are rejected is not known: %s", component, error)
        return []


def _is_open(log: list[StatusChange], version: str, record: Record) -> bool:
    said = [change for change in log if change.version == version]
    return bool(said) and said[-1].status is not Status.REJECTED and said[-1].at <= record.at


def _reject(registry: Registry, component: str, version: str, record: Record) -> bool:
    try:
        registry.mark(component, version, Status.REJECTED, record.who, record.why)
    except Unknown:
        return False  # its files were collected
    except ModelHostError:
        _log.exception("%s %s could not be marked as rejected", component, version)
        return False
    _log.warning("%s %s is marked as rejected: %s went back from it (%s)", component, version, record.who, record.why)
    return True
