"""Metrics of readiness, and of a cluster as one of its members sees it. A scrape waits for no registry."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelhost.cluster.report import Report
from modelhost.host.host import ModelHost
from modelhost.http.control import Control


class Members(Collector):
    """Gauges that are right at the moment of the lookout's last look; that of readiness at the moment of a scrape."""

    def __init__(self, control: Control, host: ModelHost) -> None:
        self._control = control
        self._host = host

    def describe(self) -> list[Metric]:
        """Nothing: so that registering asks nobody."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Readiness, and in a cluster who is there and who is behind."""
        yield GaugeMetricFamily(
            "modelhost_ready", "1 where requests should be sent here", value=not self._control.why_not_ready()
        )
        seen = self._control.seen(now=False)
        if seen is None:
            return
        yield GaugeMetricFamily(
            "modelhost_cluster_registry_reached", "0 where the desired state cannot be read", value=not seen.away
        )
        if seen.report is not None:
            yield from self._of(seen.report)

    def _of(self, report: Report) -> Iterator[Metric]:
        living = [row for row in report.members if row.living is not False]
        live = self._host.serving.live.serving()
        yield GaugeMetricFamily("modelhost_cluster_members", "Members that live", value=len(living))
        yield GaugeMetricFamily(
            "modelhost_cluster_members_ready", "Of those, the ready ones", value=sum(row.ready for row in living)
        )
        yield GaugeMetricFamily(
            "modelhost_cluster_members_behind",
            "Members that live and do not serve the committed generation",
            value=len(report.behind),
        )
        yield GaugeMetricFamily(
            "modelhost_cluster_committed_generation", "What all are to serve, 0 for nothing", value=report.generation
        )
        yield GaugeMetricFamily(
            "modelhost_cluster_served_generation",
            "What this member serves, 0 for nothing",
            value=live.generation if live else 0,
        )
        yield CounterMetricFamily(
            "modelhost_cluster_switches_aborted", "Switches that came to nothing, of all members", value=report.aborts
        )
