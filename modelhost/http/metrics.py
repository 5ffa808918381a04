"""Prometheus metrics per component and version: what is counted comes from the host, what stands is asked for.

Where several processes of a service answer at one port, each of them tells what all say, every series with the label
`process`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelhost.host.host import ModelHost
from modelhost.host.watch import Answered, LoadFailure, Reloaded
from modelhost.http.control import Control
from modelhost.http.exposition import packed, together
from modelhost.http.members import Members
from modelhost.http.processes import Processes
from modelhost.serving.events import Event
from modelhost.serving.history import Kind, Outcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SWAP_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PROCESSES_FOLDER = "processes"
PATIENCE_SECONDS = 3.0
_BOTH = ("component", "version")


class Metrics:
    """The metrics of one host, and of the cluster where `control` has one. `close` ends the counting.

    `processes`: those that share a folder of state and the socket of a port. `member`: what the cluster calls this one.
    """

    def __init__(self, host: ModelHost, control: Control, processes: Processes, member: str = "") -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "modelhost_requests", "Requests that a version answered", (*_BOTH, "outcome"), registry=self.registry
        )
        self._variants = Counter(
            "modelhost_variant_requests", "Requests of an experiment", ("variant", "outcome"), registry=self.registry
        )
        self._seconds = Histogram(
            "modelhost_request_seconds", "From lease to release", _BOTH, buckets=BUCKETS, registry=self.registry
        )
        self._failures = Counter("modelhost_load_failures", "Loads that failed", _BOTH, registry=self.registry)
        self._swaps = Counter("modelhost_swaps", "Swaps to a version", _BOTH, registry=self.registry)
        self._rollbacks = Counter("modelhost_rollbacks", "Rollbacks to a version", _BOTH, registry=self.registry)
        self._swapping = Histogram(
            "modelhost_swap_seconds",
            "Switches, from the call to the new set, its loads included",
            ("kind",),
            buckets=SWAP_BUCKETS,
            registry=self.registry,
        )
        self._alerts = Counter("modelhost_alerts", "Switches that need a person", registry=self.registry)
        self.registry.register(_Standing(host))
        self.registry.register(Members(control, host))
        if member:
            self.registry.register(_Member(member))
        self._processes = processes
        self._several = False
        self._ends = (host.watch(self._watch), host.serving.subscribe(self._switched))

    def text(self) -> bytes:
        """The exposition, in Prometheus' text format: of all processes of the service that answer within a moment.

        A process that was ever one of several says so in every series from then on.
        """
        others = self._processes.others(PATIENCE_SECONDS)
        self._several = self._several or bool(others)
        if not self._several:
            return generate_latest(self.registry)
        return together({self._processes.name: self.packed(), **others})

    def packed(self) -> bytes:
        """Those of this process, for another."""
        return packed(self.registry.collect())

    def close(self) -> None:
        """Counts nothing any more."""
        for end in self._ends:
            end()

    def _watch(self, what: Answered | LoadFailure | Reloaded) -> None:
        if isinstance(what, Reloaded):
            return
        if isinstance(what, LoadFailure):
            self._failures.labels(what.component, what.version).inc()
            return
        outcome = "failed" if what.failed else "answered"
        for component, version in what.used.items():
            self._requests.labels(component, version, outcome).inc()
            self._seconds.labels(component, version).observe(what.seconds)
        if what.variant:
            self._variants.labels(what.variant, outcome).inc()

    def _switched(self, event: Event) -> None:
        record = event.record
        if event.alert:
            self._alerts.inc()
        if record.outcome is not Outcome.SWITCHED:
            return
        counter = self._rollbacks if record.kind is Kind.ROLLBACK else self._swaps
        for component, version in record.changed.items():
            counter.labels(component, version).inc()
        if record.changed and "total" in record.seconds:
            self._swapping.labels(str(record.kind)).observe(record.seconds["total"])


class _Member(Collector):
    """Which member of its cluster a process is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def collect(self) -> Iterator[Metric]:
        """One series."""
        family = GaugeMetricFamily("modelhost_member", "1, for the name of this member", labels=("member",))
        family.add_metric((self._name,), 1)
        yield family


class _Standing(Collector):
    """Gauges that are right at the moment of a scrape."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def describe(self) -> list[Metric]:
        """Nothing: so that registering asks the host nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What is loaded, how large it is, what serves."""
        host = self._host
        loaded = GaugeMetricFamily("modelhost_loaded", "1 for a version in memory", labels=_BOTH)
        size = GaugeMetricFamily("modelhost_loaded_bytes", "Bytes of it, mapped ones included", labels=_BOTH)
        took = GaugeMetricFamily(
            "modelhost_load_seconds", "Its load, with checks and the warm-up of a version in memory", labels=_BOTH
        )
        for each in host.pool.residents():
            took.add_metric((each.component, each.version), each.timing.load + each.timing.warm_up)
            loaded.add_metric((each.component, each.version), 1)
            size.add_metric((each.component, each.version), each.bytes)
        serving = GaugeMetricFamily("modelhost_serving", "1 for the version that serves", labels=_BOTH)
        live = host.serving.live.serving()
        for name, version in live.versions.items() if live else ():
            serving.add_metric((name, version), 1)
        yield from (loaded, size, took, serving)
        yield CounterMetricFamily(
            "modelhost_record_dropped", "Requests that the record of requests lacks", value=host.unrecorded
        )
        yield GaugeMetricFamily("modelhost_generation", "Number of the last flip", value=host.serving.live.generation)
        yield GaugeMetricFamily(
            "modelhost_configuration_generation", "Configurations that took over", value=host.configuration.generation
        )
        yield GaugeMetricFamily("modelhost_memory_bytes", "Bytes reserved on the CPU", value=host.pool.budget.used())
        yield GaugeMetricFamily(
            "modelhost_memory_limit_bytes", "Bytes that may be reserved", value=host.pool.budget.limit()
        )
