"""The Open Inference Protocol over a real connection: JSON tensors, raw tensors, versions, errors."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pytest

from modelhost.http.roles import Role
from tests.modelhost.http.site import Site

WHO = ["model 1.1.0 with tokenizer 1.1.0: a", "model 1.1.0 with tokenizer 1.1.0: b"]


def test_server_health_and_metadata(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    assert "binary_tensor_data" in site.ask("GET", "/v2").json()["extensions"]
    assert site.ask("GET", "/v2/health/live").status_code == 200
    assert site.ask("GET", "/v2/health/ready").status_code == 200
    described = site.ask("GET", "/v2/models/model").json()
    assert (described["name"], described["versions"], described["platform"]) == ("model", ["1.1.0"], "safetensors")
    assert described["inputs"][1] == {"name": "numbers", "datatype": "FP32", "shape": [-1, 4]}
    assert site.ask("GET", "/v2/models/model/ready").status_code == 200
    assert site.ask("GET", "/v2/models/model/versions/1.0.0/ready").status_code == 404


def test_json_tensors_in_and_out_and_the_headers_say_what_answered(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    answer = site.infer()
    assert answer.status_code == 200, answer.text
    outputs = {each["name"]: each for each in answer.json()["outputs"]}
    assert outputs["who"] == {"name": "who", "datatype": "BYTES", "shape": [2], "data": WHO}
    assert outputs["sums"] == {"name": "sums", "datatype": "FP32", "shape": [2], "data": [10.0, 0.5]}
    assert answer.json()["model_version"] == "1.1.0"
    assert answer.headers["X-Model-Version"] == "1.1.0"
    assert answer.headers["X-Model-Set"] == "model=1.1.0, tokenizer=1.1.0"
    assert (answer.headers["X-Model-Generation"], answer.headers["X-Model-Confidence"]) == ("1", "0.75")


def test_raw_tensors_behind_the_json(site: Site) -> None:
    site.pair("1.1.0")
    site.start()
    text = b"".join(struct.pack("<I", len(each)) + each for each in (b"a", b"b"))
    numbers = struct.pack("<8f", 1, 2, 3, 4, 0, 0, 0, 0.5)
    call = {
        "parameters": {"binary_data_output": True},
        "inputs": [
            _raw("text", "BYTES", [2], text),
            _raw("numbers", "FP32", [2, 4], numbers),
        ],
        "outputs": [{"name": "sums"}, {"name": "who", "parameters": {"binary_data": False}}],
    }
    head = json.dumps(call).encode()
    answer = site.session.post(
        f"http://127.0.0.1:{site.port}/v2/models/model/infer",
        data=head + text + numbers,
        headers={"Inference-Header-Content-Length": str(len(head))},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["Inference-Header-Content-Length"])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert [each["name"] for each in outputs] == ["sums", "who"]
    assert struct.unpack("<2f", answer.content[length:]) == (10.0, 0.5)
    assert outputs[1]["data"] == WHO


def _raw(name: str, datatype: str, shape: list[int], content: bytes) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(content)}}


def test_the_public_names_only_what_is_in_memory(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    host = site.start(wait=30.0)
    refused = site.infer("/v2/models/model/versions/1.0.0/infer")
    assert refused.status_code == 404
    assert refused.json()["error"].startswith("model 1.0.0 is not in memory, and not `routable`; an operator loads it")
    assert "1.1.0" in refused.json()["hint"]
    assert site.ask("GET", "/v2/models/model/versions/1.0.0").json()["error"] == refused.json()["error"]
    host.load("model", "1.0.0")
    answer = site.infer("/v2/models/model/versions/1.0.0/infer")
    assert answer.json()["outputs"][0]["data"][0] == "model 1.0.0 with tokenizer 1.0.0: a"
    assert site.infer("/v2/models/model/infer?version=1.0.0").json()["model_version"] == "1.0.0"
    assert site.infer(headers={"X-Model-Version": "1.0.0"}).json()["model_version"] == "1.0.0"
    assert site.infer("/v2/models/model/versions/1.0.0/infer?version=1.1.0").status_code == 400


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "texts"}, "it takes text, numbers"),
        ({"datatype": "FP32"}, "it must be BYTES"),
        ({"shape": [3]}, "its shape [3] says 3"),
        ({"shape": [2, 1]}, "it must fit [-1]"),
        ({"data": ["a", 1]}, "every element must be BYTES"),
        ({"data": None}, "send a list, or binary data"),
        ({"datatype": "TEXT"}, "inputs.0.datatype is 'TEXT', which is no datatype; there are BOOL, INT8, INT16,"),
        ({"shape": [10**12]}, "says 1000000000000"),
        ({"parameters": {"binary_data_size": 5}}, "0 are left"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_wrong(site: Site, change: dict[str, Any], said: str) -> None:
    site.pair("1.1.0")
    site.start()
    text = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "b"], **change}
    numbers = {"name": "numbers", "datatype": "FP32", "shape": [2, 4], "data": [0.0] * 8}
    answer = site.ask("POST", "/v2/models/model/infer", {"inputs": [text, numbers]})
    assert answer.status_code == 400
    assert said in f"{answer.json()['error']}: {answer.json()['hint']}"


def test_unknown_models_large_bodies_and_models_without_tensors(site: Site) -> None:
    site.pair("1.1.0")
    site.start(most_bytes=1000)
    assert site.infer("/v2/models/other/infer").status_code == 404
    assert site.ask("POST", "/v2/models/model/infer", {"inputs": ["x" * 2000]}).status_code == 413
    answer = site.infer("/v2/models/tokenizer/infer")
    assert answer.status_code == 422
    assert "not asked by tensors" in answer.json()["error"]


def test_a_version_that_loads_is_a_503_with_retry_after(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    gate = site.service.loader.gate("model 1.0.0")
    site.start(CONFIG_WITH_ROUTABLE)
    answer = site.infer("/v2/models/model/versions/1.0.0/infer")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    gate.set()


CONFIG_WITH_ROUTABLE = """
registry: {root: models}
components: {model: {routable: [1.0.0]}, tokenizer: {}}
sets: {translation: [model, tokenizer]}
memory: {budget: 10MB}
http: {tokens: tokens.jsonl, audit: audit.jsonl}
"""


def test_inference_may_need_a_token(site: Site) -> None:
    site.pair("1.1.0")
    site.start(inference=Role.VIEWER)
    refused = site.infer()
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert site.infer(role=Role.VIEWER).status_code == 200
    assert site.infer(headers={"Authorization": "Bearer mh_000000000000_wrong"}).status_code == 401
    assert site.ask("GET", "/v2/health/ready").status_code == 200


def test_a_services_own_endpoint_has_errors_and_headers_of_modelhost(site: Site) -> None:
    site.pair("1.0.0", "1.1.0")
    site.start()
    answer = site.ask("GET", "/say/hello")
    assert answer.json() == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.1.0"}
    assert answer.headers["X-Model-Version"] == "1.1.0"
    refused = site.ask("GET", "/say/hello?version=9.9.9")
    assert (refused.status_code, refused.json()["kind"]) == (404, "Unknown")


def test_a_caller_that_leaves_in_the_middle_of_a_body_harms_nobody(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.pair("1.1.0")
    host = site.start()
    with socket.create_connection(("127.0.0.1", site.port)) as leaving:
        leaving.sendall(b"POST /v2/models/model/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert site.infer().status_code == 200
    assert not [record for record in caplog.records if record.exc_info]
    assert all(each.leases == len(each.holders) for each in host.pool.residents())
