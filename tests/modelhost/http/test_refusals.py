"""Versions that are not what was published, or do not fit: refused at every door with what differs, while what serves
goes on serving. In a directory, at a remote that is pulled from, and in the verified cache of one out of reach, which
heals by itself within reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
import requests

from modelhost.errors import Refused
from modelhost.http.roles import Role
from modelhost.registry.base import Status
from modelhost.registry.remote import RemoteRegistry
from tests.modelhost.http.harm import HARMS, Harm
from tests.modelhost.http.site import CONFIGURATION, INTERFACE, Site
from tests.modelhost.serving.workshop import eventually

REMOTE = CONFIGURATION.replace("{root: models}", "{url: 'URL', cache: cache}")
SECOND = ("components: {model: {}, tokenizer: {}}", "components: {model: {default: 1.1.0}, tokenizer: {}}")


class Kept:
    """A site whose models lie in one of three places. 1.0.0 is whole and stable, 1.1.0 will be harmed."""

    def __init__(self, site: Site, place: str, harm: Harm) -> None:
        self.site, self.place, self.harm = site, place, harm
        self.models = site.path / "models"
        self.url = self.models.as_uri()
        self.configuration = CONFIGURATION if place == "directory" else REMOTE.replace("URL", self.url)
        shop = site.service.shop
        tokenizer = shop.publish("tokenizer", "1.0.0", interface=INTERFACE)
        described = {"interface": INTERFACE, "mates": {"tokenizer": tokenizer}}
        shop.publish("model", "0.9.0", stable=False, **described)
        shop.publish("model", "1.0.0", **described)
        shop.publish("model", "1.1.0", stable=False, **{**described, **harm.metadata})

    def do_harm(self) -> None:
        """Once: to the cache what was pulled into it, before the remote went away; else to where the registry lies."""
        if self.place == "cache":
            self.harm_the_cache()
            self.models.rename(self.site.path / "out of reach")
        else:
            self.harm.do(self.models / "model")

    def harm_the_cache(self) -> None:
        cache = RemoteRegistry(self.url, self.site.path / "cache")
        for version in ("0.9.0", "1.0.0", "1.1.0"):
            cache.find("model", version)
        cache.find("tokenizer")
        self.harm.do(self.site.path / "cache" / "model")

    def mark(self) -> None:
        """Somebody calls it stable, so that it is what `latest` means."""
        self.site.service.shop.mark("model", "1.1.0", Status.STABLE)


@pytest.fixture(params=["directory", "remote", "cache"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def answered(site: Site) -> Iterator[None]:
    """Requests all the while, and each is answered by 1.0.0."""
    done, others = Event(), list[str]()
    asked = 0

    def ask() -> None:
        nonlocal asked
        with requests.Session() as session:
            while not done.is_set():
                answer = session.get(f"http://127.0.0.1:{site.port}/say/x", timeout=30)
                asked += 1
                if answer.json() != {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}:
                    others.append(answer.text)

    asking = Thread(target=ask)
    asking.start()
    try:
        yield
        eventually(lambda: asked > 0)  # it may not have had its turn yet
    finally:
        done.set()
        asking.join()
    assert not others, others


@pytest.mark.parametrize("name", HARMS)
def test_a_running_service_refuses_it_and_goes_on_serving(site: Site, place: str, name: str) -> None:
    kept = Kept(site, place, harm := HARMS[name])
    if (place, name) == ("remote", "not described"):
        kept.do_harm()  # what was read once of a remote version holds, as it never changes
    site.start(kept.configuration)
    if (place, name) != ("remote", "not described"):
        kept.do_harm()
    with answered(site):
        promoted = site.ask("POST", "/promote/model", {"version": "1.1.0", "reason": "better"}, role=Role.OPERATOR)
        loaded = site.ask("POST", "/v2/repository/models/model/load?version=1.1.0", {}, role=Role.OPERATOR)
    for answer in (promoted, loaded):
        assert answer.status_code == 422, answer.text
        assert re.search(harm.said, answer.json()["error"]), answer.text
    assert [(each["what"], each["result"]) for each in site.audit()] == [("promote", "refused"), ("load", "refused")]
    status = site.ask("GET", "/status", role=Role.VIEWER).json()
    assert status["serving"]["model"]["version"] == "1.0.0"
    assert {each["version"] for each in status["resident"] if each["component"] == "model"} == {"1.0.0"}


@pytest.mark.parametrize("default", ["named", "latest"])
@pytest.mark.parametrize("name", HARMS)
def test_a_first_start_is_refused(site: Site, place: str, name: str, default: str) -> None:
    kept = Kept(site, place, harm := HARMS[name])
    kept.mark()
    site.service.shop.mark("model", "1.0.0", Status.UNSTABLE)  # or it would serve instead
    kept.do_harm()
    with pytest.raises(Refused, match=harm.said):
        site.start(kept.configuration.replace(*SECOND) if default == "named" else kept.configuration)


@pytest.mark.parametrize("name", HARMS)
def test_a_first_start_takes_the_older_stable_version_and_says_why(site: Site, place: str, name: str) -> None:
    kept = Kept(site, place, harm := HARMS[name])
    kept.mark()
    kept.do_harm()
    host = site.start(kept.configuration.replace(*SECOND))
    assert host.serving.current().versions["model"] == "1.0.0"
    assert re.search(harm.said, " ".join(host.serving.history.records()[-1].notes))


@pytest.mark.parametrize("name", HARMS)
def test_a_service_that_served_before_starts_with_that_and_says_why(site: Site, place: str, name: str) -> None:
    kept = Kept(site, place, harm := HARMS[name])
    site.start(kept.configuration)
    site.stop()
    kept.mark()
    kept.do_harm()
    site.start(kept.configuration.replace(*SECOND))
    with answered(site):
        status = site.ask("GET", "/status", role=Role.VIEWER).json()
    assert status["serving"]["model"]["version"] == "1.0.0"
    told = site.ask("GET", "/history", role=Role.VIEWER).json()[0]
    assert re.search(harm.said, " ".join(told["notes"])), told


@pytest.mark.parametrize("name", [name for name, harm in HARMS.items() if not harm.metadata])
def test_a_copy_in_the_cache_is_healed_by_the_promotion_that_finds_it_harmed(site: Site, name: str) -> None:
    kept = Kept(site, "cache", HARMS[name])
    site.start(kept.configuration)
    kept.harm_the_cache()
    answer = site.ask("POST", "/promote/model", {"version": "1.1.0", "reason": "better"}, role=Role.OPERATOR)
    assert answer.status_code == 200, answer.text
    said = requests.get(f"http://127.0.0.1:{site.port}/say/x", timeout=30).json()
    assert said == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.0.0"}
    assert "modelhost_load_failures_total{" not in site.ask("GET", "/metrics").text


@pytest.mark.parametrize("name", [name for name, harm in HARMS.items() if not harm.metadata])
def test_a_start_heals_what_is_harmed_in_the_cache(site: Site, name: str) -> None:
    kept = Kept(site, "cache", HARMS[name])
    kept.mark()
    kept.harm_the_cache()
    host = site.start(kept.configuration)
    assert host.serving.current().versions["model"] == "1.1.0"
    assert host.serving.history.records()[-1].notes == ()
