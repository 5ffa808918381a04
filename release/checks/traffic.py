"""Requests of the benchmark set through the public listener: what an observation asks for where users send too few."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.checks import cases
from release.checks.base import Subject
from release.checks.http import Client, takes_source
from release.checks.lanes import Lanes
from release.config.model import Request
from release.errors import UsageError

if TYPE_CHECKING:
    from release.config.model import Manifest

_LANES = 4


def top_up(manifest: Manifest, url: str, subject: Subject, count: int) -> int:
    """Sends `count` requests to `url`, each once; gives how many were sent (0 where the manifest names no request).

    The answers are judged by whoever reads the access log, not here. Raises only what `subject.alive` raises.
    """
    checks = manifest.checks
    request = checks.quality.request if checks.quality is not None else checks.warmup.request
    if request is None:
        request = Request(method="GET", path=checks.health.path)
    sources = [""]
    if takes_source(request):
        if checks.quality is None:
            return 0
        try:
            sources = [case.source for case in cases.load(subject.tree, checks.quality.cases).cases]
        except UsageError:
            return 0
    wanted = [sources[number % len(sources)] for number in range(count)]
    with Lanes(_LANES, lambda: Client(url), subject.alive) as lanes:
        for done, _ in enumerate(lanes.map(lambda client, source: client.send(request, source), wanted), 1):
            subject.progress(f"{done}/{count} requests of the benchmark set")
    return count
