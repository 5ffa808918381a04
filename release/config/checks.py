"""The manifest's `checks`: what is asked of a candidate before it sees traffic. A check left out is not asked."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from release.config.quantities import Seconds
from release.config.section import RepositoryPath, Section, UrlPath


class Request(Section):
    """A request to the service. `{source}` in the JSON body or path is replaced by a case's source text."""

    method: Literal["GET", "POST", "PUT"] = Field("POST", description="HTTP method")
    path: UrlPath = Field("/", description="path and query; `{source}` in it is replaced by the case's source text")
    json_: Any = Field(
        None, alias="json", description="JSON body; `{source}` in any text of it is replaced by the case's source text"
    )
    headers: dict[str, str] = Field(default_factory=dict, description="request headers")
    timeout: Seconds = Field(30.0, description="how long one answer may take; later counts as unanswered")


class Health(Section):
    """Is the candidate ready, and does it stay so?"""

    path: UrlPath = Field("/health", description="answers 2xx once the service is ready to serve")
    timeout: Seconds = Field(60.0, description="how long it may take to become ready")
    settle: Seconds = Field(2.0, description="how long it has to stay ready, and the same container")


class WarmUp(Section):
    """Requests before the gates, so that the first user does not pay for a cold model."""

    requests: int = Field(20, ge=0, description="most requests sent; it ends earlier once latency settles")
    request: Request | None = Field(
        None, description="what is sent; default: the quality check's request, else GET the health path"
    )


class Contract(Section):
    """Does the candidate's OpenAPI description break a caller of the live release?"""

    openapi: UrlPath = Field("/openapi.json", description="where the service serves its OpenAPI description")
    allow: tuple[str, ...] = Field((), description="breaking changes that are meant, as the check prints them")


class Integration(Section):
    """The service's own pytest suite, against the candidate's address."""

    suite: RepositoryPath = Field("tests/integration", description="file or folder that pytest runs, in the repository")
    retries: int = Field(
        3, ge=0, description="retries of the first connection only; a failed assertion is never retried"
    )
    timeout: Seconds = Field(600.0, description="how long the whole suite may take")
    args: tuple[str, ...] = Field((), description="further arguments for pytest")


class Metric(Section):
    """The demands on one score. All are on sacrebleu's scale of 0 to 100."""

    floor: float | None = Field(None, description="the candidate's score may not be lower (bleu, chrf)")
    ceiling: float | None = Field(None, description="the candidate's score may not be higher (ter, an error rate)")
    margin: float = Field(2.0, gt=0, description="how much worse than live, in points, still counts as not worse")


class Quality(Section):
    """Is the candidate's model at least as good as the live one, on the benchmark set?"""

    cases: RepositoryPath = Field(description="JSON Lines: source, reference, optional group and document")
    request: Request = Field(description="the request that answers one case")
    answer: str = Field(description="JMESPath expression that finds the answer in the response")
    metrics: dict[Literal["bleu", "chrf", "ter"], Metric] = Field(description="the scores that are judged")
    concurrency: int = Field(4, ge=1, description="requests in flight at once")
    resamples: int = Field(1000, ge=100, description="paired bootstrap resamples behind the intervals")
    anchor: str | None = Field(None, description="a pinned release to compare with as well, such as v1.0.0-abc1234")
    groups: bool = Field(True, description="judge every group by itself too")
    min_group: int = Field(100, ge=2, description="a group with fewer cases is shown and not judged")
    hold: int = Field(0, ge=0, description="show this many answers and wait for --approve")
    worst: int = Field(5, ge=0, description="how many of the worst cases are shown, side by side")

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, value: dict[str, Metric]) -> dict[str, Metric]:
        if not value:
            raise ValueError("name at least one metric: bleu, chrf or ter")
        for name, metric in value.items():
            if name == "ter" and metric.floor is not None:
                raise ValueError("ter is an error rate: it has a ceiling, not a floor")
            if name != "ter" and metric.ceiling is not None:
                raise ValueError(f"{name} is a score: it has a floor, not a ceiling")
        return value


class Latency(Section):
    """Is the candidate fast enough, by itself and next to the live release?"""

    requests: int = Field(200, ge=20, description="requests sent to each of the two, interleaved")
    concurrency: int = Field(4, ge=1, description="requests in flight at once")
    p95: Seconds | None = Field(None, description="budget: 95 of 100 requests are answered within this time")
    ratio: float | None = Field(
        None, gt=1.0, description="how many times slower than live is too slow, at the same percentile"
    )
    request: Request | None = Field(None, description="what is sent; default: the quality check's request")


class Checks(Section):
    """The gates, in the order in which they run. Health and warm-up always run; the others where they are given."""

    health: Health = Field(default_factory=Health, description="ready, and still the same container for a moment")
    warmup: WarmUp = Field(default_factory=WarmUp, description="real requests until latency settles")
    contract: Contract | None = Field(None, description="OpenAPI of the candidate against the live release's")
    integration: Integration | None = Field(None, description="the service's own pytest suite")
    quality: Quality | None = Field(None, description="the benchmark set: floors, and not worse than live")
    latency: Latency | None = Field(None, description="budget, and ratio to the live release")
