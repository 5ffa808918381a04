"""A service whose registry lies elsewhere pulls what it loads, and nothing to see what a version is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from modelhost.errors import MateMismatch, Refused
from modelhost.host.host import ModelHost
from modelhost.http.control import HostControl
from modelhost.registry.base import Status
from modelhost.registry.remote import RemoteRegistry
from tests.modelhost.host.service import Service, words

ELSEWHERE = """registry: {{url: "{url}", cache: cache}}
components: {{model: {{}}, tokenizer: {{}}}}
memory: {{budget: 10MB}}
"""
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


@pytest.fixture
def host(service: Service) -> ModelHost:
    """Serves 1.0.0 of both; 1.1.0 is another pair, and model 1.2.0 is rejected."""
    service.pair("1.0.0", "1.1.0")
    service.shop.publish("model", "1.2.0", stable=False)
    service.shop.mark("model", "1.2.0", Status.REJECTED)
    host = service.open(ELSEWHERE.format(url=service.shop.root.as_uri()), start=False)
    host.start({"model": "1.0.0", "tokenizer": "1.0.0"})
    return host


def _restore(host: ModelHost) -> None:
    assert host.restore("model", "1.2.0", who="ann", why="it was the data") == "1.2.0"


def _promote_a_rejected_one(host: ModelHost) -> None:
    with pytest.raises(Refused, match=r"1\.2\.0 is rejected"):
        host.promote({"model": "1.2.0"}, who="ann", why="better")


def _promote_what_does_not_fit(host: ModelHost) -> None:
    with pytest.raises(MateMismatch, match=r'"tokenizer": "1\.1\.0"'):
        host.promote({"model": "1.1.0"}, who="ann", why="better")


def _load_a_rejected_one(host: ModelHost) -> None:
    with pytest.raises(Refused, match=r"1\.2\.0 is rejected"):
        host.load("model", "1.2.0")


def _unload_what_is_not_there(host: ModelHost) -> None:
    HostControl(host).unload("model", "1.1.0", who="ann")


@pytest.mark.parametrize(
    "work",
    [
        _restore,
        _promote_a_rejected_one,
        _promote_what_does_not_fit,
        _load_a_rejected_one,
        _unload_what_is_not_there,
    ],
)
def test_what_is_only_looked_at_is_not_pulled(host: ModelHost, work: Callable[[ModelHost], None]) -> None:
    assert _copied(host) == ["model 1.0.0", "tokenizer 1.0.0"]
    work(host)
    assert _copied(host) == ["model 1.0.0", "tokenizer 1.0.0"]


def test_what_is_switched_to_is_pulled_and_serves(host: ModelHost) -> None:
    host.promote({"model": "1.1.0", "tokenizer": "1.1.0"}, who="ann", why="better")
    assert words(host) == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.1.0"}
    assert "model 1.1.0" in _copied(host)


def _copied(host: ModelHost) -> list[str]:
    assert isinstance(host.registry, RemoteRegistry)
    return [
        f"{name} {each}" for name in ("model", "tokenizer") for each in VERSIONS if host.registry.has_copy(name, each)
    ]
