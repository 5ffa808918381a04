"""The tables of docs/modelhost-http.md and -operations.md have every endpoint with its role, every error with its
status, and every series of the metrics, and no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from prometheus_client.parser import text_string_to_metric_families

from modelhost import errors
from modelhost.http import answers, route
from modelhost.http.roles import Role
from modelhost.http.service import ModelHttp
from tests.modelhost.http.site import CONFIGURATION, Site
from tests.modelhost.serving.workshop import eventually

DOCS = Path(__file__).parents[3] / "docs"
ROW = re.compile(r"^\|(.+?)\|(.+?)\|(.*)\|$", re.MULTILINE)
OF_A_MODEL = ("/v2/models/M", "/v2/models/M/versions/V")
NOT_OFFERED = ("/config", "/stats")  # a 404 that says where else to look
OF_THE_SITE = ("/say", "/v{major}")


def _rows(page: str, section: str) -> Iterator[tuple[str, str, str]]:
    """The first two cells of each row of a section's first table, and the rest."""
    text = (DOCS / page).read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    table = re.search(r"(^\|.*\|\n)+", text, re.MULTILINE)
    assert table is not None
    for first, second, rest in ROW.findall(table[0])[2:]:
        yield first.strip(), second.strip(), rest.strip()


def _endpoints() -> dict[tuple[str, str], str]:
    """Method and path → who may call it, as the page says."""
    found: dict[tuple[str, str], str] = {}
    for cell, role, _ in _rows("modelhost-http.md", "Endpoints"):
        method = ""
        for each in re.findall(r"`([^`]+)`", cell):
            named, _, path = each.rpartition(" ")
            method = named or method
            paths = [f"{model}{path[1:]}" for model in OF_A_MODEL] if path.startswith("…") else [path]
            for one in paths:
                assert (method, one) not in found, one
                found[method, one] = role.rstrip("¹²")
    return found


def _offered(site: Site) -> set[tuple[str, str]]:
    """As the application's contract has them; the site has some of its own."""
    found = set()
    for path, methods in site.ask("GET", "/openapi.json").json()["paths"].items():
        named = re.sub(r"\{(name|component)\}", "M", path).replace("{version}", "V")
        if not named.endswith(NOT_OFFERED) and not named.startswith(OF_THE_SITE):
            found |= {(method.upper(), named) for method in methods}
    return found


def test_every_endpoint_is_described_and_needs_the_role_that_the_page_names(site: Site) -> None:
    site.pair("1.0.0")
    site.start()
    told = _endpoints()
    of_sets = {(method, path) for method, path in told if path.endswith("/SET")}
    assert told.keys() - of_sets == _offered(site)
    assert {path for _, path in of_sets} == {"/promote/SET", "/rollback/SET"}
    for (method, path), role in told.items():
        asked = path.replace("/M", "/model").replace("/V", "/1.0.0").replace("/SET", "/translation")
        answer = site.ask(method, asked)
        if role == "anybody":
            assert answer.status_code != 401, path
        else:
            needed = f"this needs a token of the role {Role.named(role)}"
            assert answer.status_code == 401 and answer.json()["error"].startswith(needed), path


def _kinds(*modules: ModuleType) -> dict[str, int]:
    found = {}
    for module in modules:
        for name, each in inspect.getmembers(module, inspect.isclass):
            if issubclass(each, errors.ModelHostError) and not name.startswith("_"):
                found[name] = each.status
    return found


def test_every_error_is_described_with_its_status() -> None:
    told = {kind: int(status) for status, kinds, _ in _rows("modelhost-http.md", "Errors") for kind in _names(kinds)}
    assert told == _kinds(errors, answers, route)


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _series(exposition: str) -> dict[str, set[str] | None]:
    """The name of each, as it is asked for, and its labels; None of one that nothing was counted of."""
    found: dict[str, set[str] | None] = {}
    for family in text_string_to_metric_families(exposition):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = [set(sample.labels) - {"le"} for sample in family.samples if not sample.name.endswith("_created")]
        found[name] = set[str]().union(*labels) if labels else None
    return found


def test_every_series_is_described_with_its_labels(site: Site) -> None:
    """Those of a member of a cluster that has answered a request."""
    site.pair("1.0.0", "1.1.0")
    site.service.write(CONFIGURATION + "cluster: {group: shop}\n")
    (site.path / "tokens.jsonl").touch()
    http = ModelHttp.open(site.service.file, {"safetensors": site.service.loader}, hangup=False)
    try:
        eventually(lambda: not http.control.why_not_ready())
        with http.host.request() as models:
            assert models["model"].version == "1.1.0"
        eventually(lambda: "modelhost_cluster_members" in _series(http.metrics.text().decode()))
        offered = _series(http.metrics.text().decode())
    finally:
        http.close()
    told: dict[str, set[str]] = {}
    for names, labels, _ in _rows("modelhost-operations.md", "Metrics"):
        told |= {name: {*_names(labels)} for name in _names(names)}
    assert told.pop("modelhost_process_up") == {"process"}  # of several
    assert told.keys() == offered.keys()
    counted = {name: labels for name, labels in offered.items() if labels is not None}
    assert {"modelhost_requests_total", "modelhost_swap_seconds", "modelhost_loaded"} < counted.keys()
    assert {name: told[name] for name in counted} == counted
