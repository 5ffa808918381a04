"""Requests of those who mean no good: each is refused with a reason, takes little, and the next one is served."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests

from modelhost.http.audit import Action, Strangers
from modelhost.http.roles import Role
from tests.modelhost.http.site import Site

LENGTH = "Inference-Header-Content-Length"
LOAD = "/v2/repository/models/model/load"
LONG = "1.0.0-" + "a" * 5000


@pytest.fixture
def standing(site: Site) -> Iterator[Site]:
    site.pair("1.0.0")
    site.start()
    yield site
    assert site.infer().status_code == 200


def tensors(**numbers: Any) -> dict[str, Any]:
    text = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    return {"inputs": [text, {"name": "numbers", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4, **numbers}]}


def send(site: Site, body: bytes, **headers: str) -> requests.Response:
    """Raw bytes to the model, and no more than 64 MiB of memory for it."""
    process = psutil.Process()
    before, most, done = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        url = f"http://127.0.0.1:{site.port}/v2/models/model/infer"
        return requests.post(
            url, data=body, headers={name.replace("_", "-"): v for name, v in headers.items()}, timeout=60
        )
    finally:
        done.set()
        watching.join()
        assert most[0] - before < 64 << 20


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(tensors()).replace("[0.0,", "[1e300,"),
        json.dumps(tensors()).replace("[0.0,", "[NaN,"),
        json.dumps(tensors()).replace("[0.0,", f"[{'9' * 4000},"),
        json.dumps(tensors(shape=[2**200, 4], data=[])),
        json.dumps(tensors(shape=[0, 2**63], data=[])),
        json.dumps(tensors(data=[])).replace("[]", "[" * 50_000 + "]" * 50_000),
        '{"inputs": [' + ",".join(["0"] * 100_000) + "]}",
        json.dumps({"inputs": [{"name": "", "datatype": "FP32", "shape": []}] * 5_000}),
        '{"inputs": "\\ud800"}',
    ],
)
def test_tensors_that_are_none(standing: Site, body: str) -> None:
    answer = send(standing, body.encode())
    assert (answer.status_code, answer.json()["kind"]) == (400, "InvalidRequest")
    assert len(answer.text) < 1000


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "٣", "", "100000"])
def test_lengths_of_a_header_that_are_none(standing: Site, length: str) -> None:
    headers = {LENGTH: length.encode()}
    url = f"http://127.0.0.1:{standing.port}/v2/models/model/infer"
    answer = requests.post(url, data=json.dumps(tensors()), headers=headers, timeout=60)  # type: ignore[arg-type]
    assert (answer.status_code, LENGTH in answer.json()["error"]) == (400, True), answer.text


@pytest.mark.parametrize("elements", [200_000_000, 2**62])
def test_elements_that_somebody_made_up_take_no_memory(standing: Site, elements: int) -> None:
    asked = tensors()
    asked["inputs"][0] = {
        "name": "text",
        "datatype": "BYTES",
        "shape": [elements],
        "parameters": {"binary_data_size": 4},
    }
    described = json.dumps(asked).encode()
    answer = send(standing, described + bytes(4), **{LENGTH: str(len(described))})
    assert (answer.status_code, "ends before its" in answer.json()["error"]) == (400, True)


def test_much_json_is_refused_before_it_is_read(standing: Site) -> None:
    body = json.dumps(tensors()).encode() + b" " * (8 << 20)
    answer = send(standing, body)
    assert (answer.status_code, "binary data" in answer.json()["hint"]) == (413, True)


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"version": {"a": 1}}, 400),
        ({"version": [1]}, 400),
        ({"version": "../../etc"}, 404),
        ({"version": "1.0.0/../1.0.0"}, 404),
        ({"version": LONG}, 404),
        ({"version": "1.0." + "9" * 6000}, 404),
        ({"version": "\x00"}, 404),
        ({"config": "[" * 30_000}, 400),
        ({"config": 7}, 400),
        ({"config": '{"version_policy": {"specific": {"versions": {"1.0.0": 1}}}}'}, 400),
        ({"config": '{"version_policy": {"specific": {"versions": 7}}}'}, 400),
        ({"config": '{"version_policy": {"specific": {"versions": "1.0.0"}}}'}, 400),
    ],
)
def test_versions_that_are_none(standing: Site, parameters: dict[str, Any], status: int) -> None:
    answer = standing.ask("POST", LOAD, {"parameters": parameters}, role=Role.OPERATOR)
    assert answer.status_code == status, answer.text
    assert len(answer.text) < 1000
    assert str(standing.path) not in answer.text


@pytest.mark.parametrize("name", ["%2e%2e", "..%2f..%2fetc", "a%00b", "model%0a", "%c3%a9", "a" * 5000])
def test_components_that_are_none(standing: Site, name: str) -> None:
    for path in (f"/v2/repository/models/{name}/load", f"/promote/{name}", f"/rollback/{name}"):
        body = {"version": "1.0.0", "reason": "x"} if "promote" in path else {}
        assert standing.ask("POST", path, body, role=Role.OPERATOR).status_code in (400, 404)
    assert standing.ask("GET", f"/v2/models/{name}/ready").status_code == 404


def test_who_has_no_token_cannot_fill_the_trail(standing: Site) -> None:
    for _ in range(70):
        assert standing.ask("POST", "/promote", {}, headers={"Authorization": "Bearer mh_x_y"}).status_code == 401
    standing.ask("POST", "/promote", {}, role=Role.VIEWER)
    trail = standing.audit()
    assert len(trail) == 61
    assert (trail[-1]["who"], trail[-1]["status"]) == ("viewer-of-tests", 403)


def test_what_has_no_line_is_counted_in_the_next() -> None:
    now = [0.0]
    strangers = Strangers(2, 60.0, lambda: now[0])
    assert [strangers.admit(Action("promote")) for _ in range(5)] == [True, True, False, False, False]
    now[0] = 60.0
    later = Action("promote", error="no token")
    assert strangers.admit(later)
    assert later.error == "no token (3 more without a valid token have no line)"
