"""From settings to what routes: rules compiled, experiments checked, adapters found and proven. Raises ConfigError."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from modelhost.config.model import Settings
from modelhost.config.routing import AdapterSection, RoutingSection
from modelhost.errors import ConfigError
from modelhost.routing.adapters import Adapter, Adapters
from modelhost.routing.examples import Example
from modelhost.routing.expression import compiled
from modelhost.routing.features import declared
from modelhost.routing.installed import installed
from modelhost.routing.router import ApiMajor, Router, Rule
from modelhost.routing.weights import Experiment, Variant


def adapters(settings: Settings) -> Adapters:
    """All adapters, found by name; every example is run."""
    return Adapters(_adapter(index, section) for index, section in enumerate(settings.adapters))


def routers(settings: Settings, proven: Adapters, chance: Callable[[], float]) -> Mapping[str, Router]:
    """A router for every component and set; without a section it knows explicit versions and the default."""
    names = [*settings.components, *settings.sets]
    return {name: router(settings.routing.get(name, RoutingSection()), proven, chance, name) for name in names}


def router(section: RoutingSection, proven: Adapters, chance: Callable[[], float], name: str) -> Router:
    """The router of one component or set; `name` is for messages."""
    api = {number: ApiMajor(major.shape, major.version) for number, major in section.api.items()}
    return Router(chance, rules(section, name), experiment(section, name), api, section.unknown, proven.can)


def rules(section: RoutingSection, name: str) -> tuple[Rule, ...]:
    """The rules, compiled. Raises ConfigError with the key of the rule that is wrong."""
    with _at(f"routing.{name}.features"):
        features = declared(section.features)
    found = []
    for index, rule in enumerate(section.rules):
        with _at(f"routing.{name}.rules[{index}].when"):
            found.append(Rule(rule.name, compiled(rule.when, features), rule.version))
    return tuple(found)


def experiment(section: RoutingSection, name: str) -> Experiment | None:
    """The weights as an experiment, in the order of the file."""
    weights = section.weights
    if weights is None:
        return None
    variants = tuple(Variant(label, one.version, one.share) for label, one in weights.variants.items())
    with _at(f"routing.{name}.weights"):
        return Experiment(weights.name, variants, weights.salt)


def _adapter(index: int, section: AdapterSection) -> Adapter:
    examples = tuple(Example(pair.given, pair.gives) for pair in section.examples)
    with _at(f"adapters[{index}]"):
        code = installed(section.use)
        if not callable(code):
            raise ConfigError(f"{section.use} is a {type(code).__name__}", f"name a function of one {section.of}")
        adapter = Adapter(section.source, section.target, code, examples, section.fields, section.of)
        adapter.prove()
        return adapter


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Puts the key before the message of a ConfigError."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.message}", error.hint) from error
