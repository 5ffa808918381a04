"""Requests of the benchmark set through the public listener: what an observation asks for where users send too few."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.checks import cases
from release.checks.base import Subject
from release.checks.http import Client, takes_source
from release.checks.lanes import Lanes
from release.config.checks import Request
from release.errors import UsageError

if TYPE_CHECKING:
    from release.config.manifest import Manifest

_LANES = 4


def top_up(manifest: Manifest, url: str, subject: Subject, count: int) -> int:
    """Sends `count` requests to `url`, each once; gives how many were sent (0 where the manifest names no request).

    The answers are judged by whoever reads the access log, not here. Raises only what `subject.alive` raises.
    """
    checks, request = manifest.checks, _request(manifest)
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
            subject.progress(f"{done}/{count} requests sent")
    return count


def sends(manifest: Manifest) -> str:
    """What `top_up` sends, for a person."""
    request = _request(manifest)
    named = f"{request.method} {request.path.partition('?')[0]}"
    if manifest.checks.quality is not None and takes_source(request):
        return f"the benchmark set goes ({named})"
    return f"{named} goes" + ("" if manifest.checks.warmup.request or manifest.checks.quality else " (the health path)")


def _request(manifest: Manifest) -> Request:
    checks = manifest.checks
    request = checks.quality.request if checks.quality is not None else checks.warmup.request
    return request if request is not None else Request(method="GET", path=checks.health.path)
