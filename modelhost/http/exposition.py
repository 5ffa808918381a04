"""Metrics of several processes in one text: every series says of which process it is, and none is added up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LABEL = "process"
_log = logging.getLogger(__name__)


def packed(families: Iterable[Metric]) -> bytes:
    """For another process."""
    return json.dumps(
        [
            [each.name, each.documentation, each.type, [[one.name, one.labels, one.value] for one in each.samples]]
            for each in families
        ]
    ).encode()


def together(shown: Mapping[str, bytes]) -> bytes:
    """The exposition of all processes (process → packed families, nothing for one that is silent)."""
    registry = CollectorRegistry()
    registry.register(_Together(shown))
    return generate_latest(registry)


class _Together(Collector):
    def __init__(self, shown: Mapping[str, bytes]) -> None:
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        up = GaugeMetricFamily(
            "modelhost_process_up", "1 for a process of this service that answers, 0 for a silent one", labels=(LABEL,)
        )
        for process, content in self._shown.items():
            families = _unpacked(process, content)
            up.add_metric((process,), bool(families))
            for name, documentation, kind, samples in families:
                family = found.setdefault(name, Metric(name, documentation, kind))
                for sample, labels, value in samples:
                    family.add_sample(sample, {**labels, LABEL: process}, value)
        yield from (up, *found.values())


def _unpacked(process: str, content: bytes) -> list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]:
    if not content:
        return []
    try:
        families: list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]] = json.loads(content)
    except ValueError as error:
        _log.warning("what process %s shows cannot be read: %s", process, error)
        return []
    return families
