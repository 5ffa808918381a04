"""Whatever goes wrong below modelhost's paths is one shape of answer, names its request, and tells nothing of the
inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy
import pytest
import requests
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from modelhost.http.roles import Role
from tests.modelhost.http.site import CONFIGURATION, Site


def broken(models: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    raise KeyError("a secret of the service")


def is_problem(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    said: dict[str, Any] = answer.json()
    assert {"error", "hint", "kind"} <= said.keys() and answer.headers["X-Request-Id"]
    return said


def test_an_exception_of_a_model_says_nothing_of_the_inside_and_the_log_has_its_traceback(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pair("1.1.0")
    site.start(infer={"model": broken})
    answer = site.infer(headers={"X-Request-Id": "r-1"})
    assert is_problem(answer, 500)["kind"] == "InternalError"
    assert answer.headers["X-Request-Id"] == "r-1" and "r-1" in answer.json()["hint"]
    assert "secret" not in answer.text
    (line,) = [each for each in caplog.records if each.exc_info and each.name.startswith("modelhost")]
    assert "request r-1 failed" in line.getMessage() and "a secret of the service" in str(line.exc_info)


def test_a_request_without_a_name_has_one_and_the_same_in_its_record_and_its_error(site: Site) -> None:
    site.pair("1.1.0")
    named: list[str] = []

    def refusing(models: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        named.append(models.id)
        return broken(models, inputs)

    site.start(infer={"model": refusing})
    assert [site.infer().headers["X-Request-Id"]] == named


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/model/config", 404),
        ("GET", "/v2/models/model/versions/1.1.0/config", 404),
        ("GET", "/v2/models/model/stats", 404),
        ("GET", "/v2/models/stats", 404),
        ("GET", "/v2/models/model/trace/setting", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/promote/model/further", 404),
        ("GET", "/v2/models/model/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("GET", "/promote/model", 405),
        ("DELETE", "/metrics", 405),
        ("POST", "/promote/model", 401),
        ("POST", "/v2/models/other/infer", 404),
    ],
)
def test_every_way_to_go_wrong_is_one_shape(site: Site, method: str, path: str, status: int) -> None:
    site.pair("1.1.0")
    site.start()
    answer = site.ask(method, path)
    said = is_problem(answer, status)
    assert ("Allow" in answer.headers) == (status == 405)
    if path.startswith("/v2"):
        assert said["hint"] in said["error"], "clients of the protocol show nothing else"


def test_a_query_that_is_none_is_one_shape_too(site: Site) -> None:
    site.pair("1.1.0")
    site.start()
    assert "limit" in is_problem(site.ask("GET", "/history?limit=0", role=Role.VIEWER), 400)["error"]


def test_what_is_the_services_own_stays_as_it_is(site: Site) -> None:
    site.pair("1.1.0")
    site.start()
    assert site.ask("GET", "/nothing").json() == {"detail": "Not Found"}
    assert site.ask("POST", "/say/x").json() == {"detail": "Method Not Allowed"}
    assert is_problem(site.ask("GET", "/say/x?version=9.9.9"), 404)["kind"] == "Unknown"


def test_tritons_client_shows_what_went_wrong_and_what_to_do(site: Site) -> None:
    site.pair("1.1.0")
    site.start(CONFIGURATION, infer={"model": broken})
    client = triton.InferenceServerClient(f"127.0.0.1:{site.port}")
    text = triton.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(numpy.array([b"a"], dtype=object))
    numbers = triton.InferInput("numbers", [1, 4], "FP32")
    numbers.set_data_from_numpy(numpy.zeros((1, 4), dtype=numpy.float32))
    try:
        with pytest.raises(InferenceServerException, match="the service failed at this request; its log"):
            client.infer("model", [text, numbers])
        with pytest.raises(InferenceServerException, match=r"it takes text, numbers"):
            client.infer("model", [text])
        with pytest.raises(InferenceServerException, match=r"not offered here; GET /v2/models/<model>"):
            client.get_model_config("model")
        with pytest.raises(InferenceServerException, match=r"not offered here; GET /metrics"):
            client.get_inference_statistics("model")
        with pytest.raises(InferenceServerException, match="Authorization: Bearer"):
            client.load_model("model")
    finally:
        client.close()
