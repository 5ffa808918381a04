"""Verifying what a running service serves: every difference is named, and nothing that serves is touched."""

from __future__ import annotations

import mmap
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelhost.http.roles import Role
from tests.modelhost.http.site import CONFIGURATION, INTERFACE, Site
from tests.modelhost.loading.published import damage

CACHED = CONFIGURATION.replace("root: models", "url: 'file://ROOT', cache: cache")


def _verify(site: Site, component: str = "model", **body: Any) -> dict[str, Any]:
    answer = site.ask("POST", f"/verify/{component}", body, role=Role.OPERATOR)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_is_whole_is_well_and_the_trail_says_who_looked(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    for body in ({}, {"full": True}, {"version": "v1.0.0"}):
        version = "1.0.0" if "version" in body else "1.1.0"
        full = "full" in body
        assert _verify(site, **body) == {
            "component": "model",
            "version": version,
            "full": full,
            "ok": True,
            "differs": [],
        }
    last = site.audit()[-1]
    assert (last["what"], last["who"], last["target"]) == ("verify", "operator-of-tests", {"model": "1.0.0"})


def test_who_is_no_operator_is_refused_and_what_is_not_there_is_not_found(site: Site) -> None:
    site.pair("1.0.0")
    site.start()
    assert site.ask("POST", "/verify/model", {}, role=Role.VIEWER).status_code == 403
    unknown = site.ask("POST", "/verify/model", {"version": "9.0.0"}, role=Role.OPERATOR)
    assert unknown.status_code == 404 and "1.0.0" in unknown.json()["hint"]
    assert site.ask("POST", "/verify/nobody", {}, role=Role.OPERATOR).status_code == 404
    assert site.ask("POST", "/verify/model", {"fully": True}, role=Role.OPERATOR).status_code == 400


@pytest.mark.parametrize(("how", "said"), [("cut", "is cut to"), ("changed", "was changed"), ("missing", "is missing")])
def test_damage_of_what_serves_is_named_and_it_serves_on(how: str, said: str, site: Site) -> None:
    site.pair("1.0.0")
    host = site.start()
    damage(host.registry.find("model"), how)
    for full in (False, True):
        found = _verify(site, full=full)
        assert not found["ok"] and said in found["differs"][0] and "weights.safetensors" in found["differs"][0]
    assert _verify(site, "tokenizer")["ok"]
    assert site.ask("GET", "/say/x").json()["model"] == "model 1.0.0"
    assert said in site.audit()[-2]["error"] and site.audit()[-2]["result"] == "done"


def test_a_description_that_was_changed_and_one_that_is_gone_are_named(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    host = site.start()
    where = host.registry.find("model").path / "version.json"
    where.parent.chmod(0o755)
    where.chmod(0o644)
    where.write_text(where.read_text().replace("for a test", "for a joke"))
    assert _verify(site)["differs"] == ["version.json was changed"]
    where.unlink()
    assert "version.json" in _verify(site)["differs"][0]
    assert site.ask("GET", "/say/x").json()["model"] == "model 1.1.0"


def test_another_environment_and_missing_mates_of_a_version_are_named(site: Site) -> None:
    site.pair("1.0.0")
    shop = site.service.shop
    shop.publish("model", "2.0.0", environment={"python": "2.7", "packages": {}}, interface=INTERFACE, stable=False)
    shop.publish("model", "3.0.0", mates={"tokenizer": "sha256:" + "0" * 64}, interface=INTERFACE, stable=False)
    site.start()
    assert "python 2.7 wanted" in _verify(site, version="2.0.0")["differs"][0]
    assert "the tokenizer of digest" in _verify(site, version="3.0.0")["differs"][0]
    assert _verify(site)["ok"]


def test_a_copy_in_the_cache_is_checked_and_left_as_it_is(site: Site, tmp_path: Path) -> None:
    site.pair("1.0.0")
    site.start(CACHED.replace("ROOT", str(site.service.shop.root)))
    copy = tmp_path / "cache" / "model" / "1.0.0"
    weights = copy / "weights.safetensors"
    copy.chmod(0o755)
    weights.chmod(0o644)
    weights.write_text("word by word".ljust(64))
    for full in (False, True):
        assert _verify(site, full=full)["differs"] == ["weights.safetensors was changed"]
    assert weights.read_text().startswith("word by word"), "it is what serves, and nobody replaced it"


def test_what_was_replaced_under_a_mapping_is_no_proof_of_what_serves(site: Site, tmp_path: Path) -> None:
    site.pair("1.0.0")
    site.start(CACHED.replace("ROOT", str(site.service.shop.root)))
    copy = tmp_path / "cache" / "model" / "1.0.0"
    with (copy / "weights.safetensors").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert _verify(site)["ok"]
        fresh, trash = copy.with_name("fresh"), copy.with_name(".trash-1.0.0-0123abcd")
        shutil.copytree(copy, fresh)
        copy.rename(trash)
        fresh.rename(copy)
        assert "weights.safetensors was replaced since" in _verify(site)["differs"][0]
        for each in trash.iterdir():
            trash.chmod(0o755)
            each.unlink()
        trash.rmdir()
        assert "weights.safetensors was replaced since" in _verify(site)["differs"][0]
    assert _verify(site)["ok"]


def test_while_many_verify_requests_are_answered(site: Site) -> None:
    site.pair("1.0.0")
    site.start()
    with ThreadPoolExecutor(8) as threads:
        looks = [threads.submit(_verify, site, full=True) for _ in range(8)]
        assert [site.ask("GET", "/say/x").status_code for _ in range(10)] == [200] * 10
        assert all(look.result(30)["ok"] for look in looks)
