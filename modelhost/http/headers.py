"""What every answer says of itself: the version that made it, its set and generation, and how sure it is."""

from __future__ import annotations

from modelhost.host.request import Request as Models
from modelhost.http.answers import REQUEST_ID
from modelhost.routing.request import HEADER as VERSION

SET = "X-Model-Set"
GENERATION = "X-Model-Generation"
VARIANT = "X-Model-Variant"
FALLBACK = "X-Model-Fallback"
CONFIDENCE = "X-Model-Confidence"


def headers_of(models: Models) -> dict[str, str]:
    """Header → value; the variant, the fallbacks and the confidence only where there are any."""
    found = {
        VERSION: models.version,
        SET: ", ".join(f"{name}={version}" for name, version in models.versions.items()),
        GENERATION: str(models.generation),
        VARIANT: models.variant,
        FALLBACK: ", ".join(models.fallbacks),
        CONFIDENCE: "" if models.confidence is None else f"{models.confidence:.4g}",
        REQUEST_ID: models.id,
    }
    return {name: value for name, value in found.items() if value}
