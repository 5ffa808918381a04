"""Checks: questions about a candidate. URLs in, verdicts out; none of them knows engine, proxy or ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.verdict import Verdict, skipped

if TYPE_CHECKING:
    from release.checks.base import Check
    from release.config.manifest import Manifest

# The order in which a deployment asks them: what is cheap and kills most comes first.
ORDER = ("health", "warmup", "contract", "integration", "quality", "latency")


def build(manifest: Manifest, *, approved: bool = False) -> list[Check]:
    """The checks that the manifest configures, in ORDER. `approved`: a person has looked at the held sample."""
    from release.checks.health import HealthCheck
    from release.checks.warmup import WarmUpCheck

    sections = manifest.checks
    found: list[Check] = [
        HealthCheck(sections.health),
        WarmUpCheck(sections.warmup, sections.health, sections.quality),
    ]
    if sections.contract is not None:
        from release.checks.contract import ContractCheck

        found.append(ContractCheck(sections.contract))
    if sections.integration is not None:
        from release.checks.integration import IntegrationCheck

        found.append(IntegrationCheck(sections.integration))
    if sections.quality is not None:
        from release.checks.quality import QualityCheck

        found.append(QualityCheck(sections.quality, approved=approved))
    if sections.latency is not None:
        from release.checks.latency import LatencyCheck

        found.append(LatencyCheck(sections.latency, sections.quality))
    return found


def unconfigured(manifest: Manifest) -> list[Verdict]:
    """A skipped verdict for every check that the manifest leaves out: silence never looks like success."""
    missing = [name for name in ORDER if getattr(manifest.checks, name) is None]
    return [skipped(name, f"not configured (checks.{name})") for name in missing]
