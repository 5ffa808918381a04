"""What Prometheus is told: requests, seconds, what is loaded and how large, switches, failed loads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from modelhost.http.roles import Role
from modelhost.http.service import ModelHttp
from tests.modelhost.http.site import CONFIGURATION, Site
from tests.modelhost.loading.published import damage
from tests.modelhost.serving.workshop import eventually

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _samples(site: Site) -> Samples:
    answer = site.ask("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for each in family.samples:
            found[each.name, tuple(sorted(each.labels.items()))] = each.value
    return found


def _both(component: str, version: str, **more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"component": component, "version": version, **more}.items()))


def test_requests_memory_and_switches_per_component_and_version(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    host = site.start()
    for _ in range(3):
        assert site.infer().status_code == 200
    back = {"model": "1.0.0", "tokenizer": "1.0.0"}
    assert site.ask("POST", "/promote", {"versions": back, "reason": "x"}, role=Role.OPERATOR).status_code == 200
    assert site.ask("POST", "/rollback", {"reason": "x"}, role=Role.OPERATOR).status_code == 200
    assert host.serving.events.flush(60)
    found = _samples(site)
    assert found["modelhost_requests_total", _both("model", "1.1.0", outcome="answered")] == 3
    assert found["modelhost_requests_total", _both("tokenizer", "1.1.0", outcome="answered")] == 3
    assert found["modelhost_request_seconds_count", _both("model", "1.1.0")] == 3
    assert found["modelhost_loaded", _both("model", "1.1.0")] == 1
    assert found["modelhost_loaded_bytes", _both("model", "1.1.0")] == 64
    assert found["modelhost_serving", _both("model", "1.1.0")] == 1
    assert found["modelhost_swaps_total", _both("model", "1.0.0")] == 1
    assert found["modelhost_rollbacks_total", _both("model", "1.1.0")] == 1
    assert found["modelhost_generation", ()] == 3
    assert found["modelhost_load_seconds", _both("model", "1.1.0")] > 0
    for kind in ("swap", "rollback"):
        assert found["modelhost_swap_seconds_count", (("kind", kind),)] == 1
        assert found["modelhost_swap_seconds_sum", (("kind", kind),)] > 0
    assert found["modelhost_record_dropped_total", ()] == 0


def test_a_load_that_fails_is_counted(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    damage(site.service.shop.registry.find("model", "1.0.0"), "cut")
    site.start()
    answer = site.ask("POST", "/v2/repository/models/model/load?version=1.0.0", {}, role=Role.OPERATOR)
    assert (answer.status_code, answer.json()["kind"]) == (422, "IntegrityError")
    assert _samples(site)["modelhost_load_failures_total", _both("model", "1.0.0")] == 1


def test_a_request_that_fails_is_told_apart(site: Site) -> None:
    site.pair("1.1.0")
    host = site.start()
    try:
        with host.request() as models:
            models["model"]
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    eventually(lambda: _samples(site).get(("modelhost_requests_total", _both("model", "1.1.0", outcome="failed"))) == 1)


def test_a_start_on_an_older_version_is_an_alert_and_the_load_that_failed_is_counted(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    damage(site.service.shop.registry.find("model", "1.1.0"), "cut")
    site.service.write(CONFIGURATION)
    (site.path / "tokens.jsonl").touch()
    http = ModelHttp.open(site.service.file, {"safetensors": site.service.loader}, hangup=False)
    site.service.open_hosts.append(http.host)
    assert http.host.serving.current().versions["model"] == "1.0.0"
    assert http.host.serving.events.flush(60)
    told = http.metrics.text().decode().splitlines()
    assert "modelhost_alerts_total 1.0" in told
    assert 'modelhost_swaps_total{component="model",version="1.0.0"} 1.0' in told
    assert any(line.startswith('modelhost_load_failures_total{component="model",version="1.1.0"}') for line in told)


def test_a_member_of_a_cluster_says_which_one_it_is(site: Site) -> None:
    site.pair("1.0.0")
    site.service.write(CONFIGURATION + "cluster: {group: shop, member: anna}\n")
    (site.path / "tokens.jsonl").touch()
    http = ModelHttp.open(site.service.file, {"safetensors": site.service.loader}, hangup=False)
    try:
        assert 'modelhost_member{member="anna"} 1.0' in http.metrics.text().decode().splitlines()
    finally:
        http.close()
