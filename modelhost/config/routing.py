"""The sections that say who gets which version, and in which shape: rules, experiments, API versions, adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from modelhost.config.quantities import Share
from modelhost.config.values import Label, Section, code
from modelhost.metadata import Version, canonical_version
from modelhost.routing.features import Kind
from modelhost.routing.router import DEFAULT_NAMES


def _adapter_code(text: str) -> str:
    return code(text) if ":" in text else text


def _served_version(text: str) -> str | None:
    return None if text in DEFAULT_NAMES else canonical_version(text)


def _api(value: Any) -> Any:
    return {"shape": value} if isinstance(value, str) else value


Shape = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*/[1-9][0-9]*$", description="an API shape such as text/1")]
AdapterCode = Annotated[str, AfterValidator(_adapter_code), Field(min_length=1)]
DefaultOr = Annotated[str | None, AfterValidator(lambda text: None if text is None else _served_version(text))]


class RuleSection(Section):
    """Requests that `when` matches go to `version`, which may be `stable`."""

    name: Label
    when: str
    version: DefaultOr


class VariantSection(Section):
    """A share of the traffic for one version, which may be `stable`."""

    version: DefaultOr
    share: Share


class WeightsSection(Section):
    """An experiment: its `name` and the variant make the label `AB:treatment`; another `salt` deals people out anew."""

    name: Label
    salt: str = ""
    variants: Mapping[Label, VariantSection] = Field(min_length=1)


class ApiSection(Section):
    """What `/v1` answers with, and, where it is to be one version for ever, which."""

    shape: Shape
    version: Version | None = None


class RoutingSection(Section):
    """How requests for one component or set are shared out; see modelhost.routing.router for the order."""

    unknown: Literal["refuse", "default"] = "refuse"
    features: Mapping[str, Kind] = {}
    api: Mapping[Annotated[int, Field(ge=1)], Annotated[ApiSection, BeforeValidator(_api)]] = {}
    rules: tuple[RuleSection, ...] = ()
    weights: WeightsSection | None = None


class ExampleSection(Section):
    """An answer (or a request) that is given to an adapter and the one that it gives."""

    given: Mapping[str, Any]
    gives: Mapping[str, Any]


class AdapterSection(Section):
    """`use`: package.module:function or an entry point; `fields`: of the target, those of the examples where empty.

    `of`: answers go from the shape of a model to that of an old client, requests from the old client's to the model's.
    """

    source: Shape = Field(alias="from")
    target: Shape = Field(alias="to")
    of: Literal["answer", "request"] = "answer"
    use: AdapterCode
    fields: frozenset[str] = frozenset()
    examples: tuple[ExampleSection, ...] = Field(min_length=1)
