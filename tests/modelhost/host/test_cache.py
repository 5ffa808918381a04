"""What a host keeps in its local cache of a registry elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from modelhost.host.host import ModelHost
from modelhost.registry.remote import RemoteRegistry
from modelhost.registry.retention import Named
from tests.modelhost.host.service import Service, words

ELSEWHERE = """registry: {{url: "{url}", cache: cache}}
components: {{model: {{routable: [1.1.0]}}}}
memory: {{budget: 10MB}}
"""


@pytest.fixture
def host(service: Service) -> ModelHost:
    """Served 1.0.0, then 1.2.0, went on to 1.3.0; 1.4.0 to 1.7.0 are in its cache too, since two days."""
    service.shop.publish("model", *(f"1.{minor}.0" for minor in range(8)))
    host = service.open(ELSEWHERE.format(url=service.shop.root.as_uri()), start=False)
    assert isinstance(host.registry, RemoteRegistry)
    host.registry.clock = lambda: datetime.now(UTC) + timedelta(days=2)
    host.start({"model": "1.0.0"})
    for version in ("1.2.0", "1.3.0"):
        host.promote({"model": version}, who="ann", why="better")
    for minor in range(8):
        host.registry.find("model", f"1.{minor}.0")
    return host


def test_what_serves_was_served_lately_or_is_routable_stays_with_the_newest_stable_ones(host: ModelHost) -> None:
    assert isinstance(host.registry, RemoteRegistry)
    assert [each.version for each in host.cache.tidy()] == ["1.4.0"]
    assert sorted(host.registry.cache.published("model")) == [
        "1.0.0",
        "1.1.0",
        "1.2.0",
        "1.3.0",
        "1.5.0",
        "1.6.0",
        "1.7.0",
    ]
    assert words(host)["model"] == "model 1.3.0"


def test_what_somebody_else_wants_stays(host: ModelHost) -> None:
    host.cache.wanted.append(lambda: [Named("model", "1.4.0")])
    assert host.cache.tidy() == []


def test_a_registry_that_is_read_where_it_lies_has_no_cache(service: Service) -> None:
    service.shop.publish("model", "1.0.0")
    host = service.open("registry: {root: models}\ncomponents: {model: {}}\nmemory: {budget: 1MB}\n")
    assert not host.cache.is_one and host.cache.tidy() == []
