"""Triton's own client drives the service: health, metadata, inference in its binary default, the repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from modelhost.http.control import HostControl
from modelhost.http.roles import Role
from tests.modelhost.http.site import Site


@pytest.fixture
def client(site: Site) -> Iterator[Any]:
    site.pair("1.0.0", "1.1.0")
    site.start(wait=30.0)
    made = triton.InferenceServerClient(f"127.0.0.1:{site.port}")
    yield made
    made.close()


def _inputs(binary: bool) -> list[Any]:
    text = triton.InferInput("text", [2], "BYTES")
    text.set_data_from_numpy(numpy.array([b"a", "ü".encode()], dtype=object), binary_data=binary)
    numbers = triton.InferInput("numbers", [2, 4], "FP32")
    numbers.set_data_from_numpy(numpy.arange(8, dtype=numpy.float32).reshape(2, 4), binary_data=binary)
    return [text, numbers]


def _bearer(site: Site, role: Role = Role.OPERATOR) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.tokens[role]}"}


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model")
    assert client.is_model_ready("model", "1.1.0")
    assert not client.is_model_ready("model", "1.0.0")
    assert "model_repository" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("model")["versions"] == ["1.1.0"]


@pytest.mark.parametrize("binary", [True, False])
def test_inference_in_both_forms(client: Any, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("who", "sums")]
    answer = client.infer("model", _inputs(binary), outputs=wanted, request_id="r1")
    assert answer.as_numpy("sums").tolist() == [6.0, 22.0]
    who = [each.decode() if isinstance(each, bytes) else each for each in answer.as_numpy("who")]
    assert who[1] == "model 1.1.0 with tokenizer 1.1.0: ü"
    assert answer.get_response()["id"] == "r1"


def test_inference_without_named_outputs_is_binary(client: Any) -> None:
    answer = client.infer("model", _inputs(True), model_version="1.1.0")
    assert answer.get_output("sums")["parameters"]["binary_data_size"] == 8
    assert answer.as_numpy("sums").dtype == numpy.float32


def test_asynchronous_inference(client: Any) -> None:
    assert client.async_infer("model", _inputs(True)).get_result().as_numpy("sums").tolist() == [6.0, 22.0]


def test_the_repository_brings_versions_in_and_out(site: Site, client: Any) -> None:
    bearer = _bearer(site)
    states = {
        (each["name"], each["version"]): each["state"] for each in client.get_model_repository_index(headers=bearer)
    }
    assert states["model", "1.1.0"] == "READY"
    assert states["model", "1.0.0"] == "UNAVAILABLE"
    client.load_model("model", headers=bearer, query_params={"version": "1.0.0"})
    assert client.is_model_ready("model", "1.0.0")
    who = client.infer("model", _inputs(True), model_version="1.0.0").as_numpy("who")
    assert who[0].decode() == "model 1.0.0 with tokenizer 1.0.0: a"
    client.unload_model("model", headers=bearer)
    assert not client.is_model_ready("model", "1.0.0")
    assert client.is_model_ready("model")


def test_a_model_configuration_names_the_version(site: Site, client: Any) -> None:
    config = '{"version_policy": {"specific": {"versions": ["1.0.0"]}}}'
    client.load_model("model", headers=_bearer(site), config=config)
    assert client.is_model_ready("model", "1.0.0")


def test_what_is_refused_says_why(site: Site, client: Any) -> None:
    with pytest.raises(InferenceServerException, match="this needs a token of the role operator"):
        client.load_model("model")
    with pytest.raises(InferenceServerException, match="no version 9"):
        client.load_model("model", headers=_bearer(site), query_params={"version": "9.0.0"})
    with pytest.raises(InferenceServerException, match=r"model 1\.1\.0 serves; promote another version first"):
        client.unload_model("model", headers=_bearer(site), query_params={"version": "1.1.0"})
    with pytest.raises(InferenceServerException, match="no model 'other'"):
        client.infer("other", _inputs(True))


def test_what_is_not_in_memory_is_unloaded_already_and_what_there_is_not_is_not(site: Site, client: Any) -> None:
    bearer = _bearer(site)
    client.unload_model("model", headers=bearer, query_params={"version": "v1.0.0"})
    assert not client.is_model_ready("model", "1.0.0")
    for name, version in (("model", "9.0.0"), ("other", "1.0.0")):
        with pytest.raises(InferenceServerException, match=r"no (version|component)"):
            client.unload_model(name, headers=bearer, query_params={"version": version})


def test_an_unload_of_all_says_of_each_that_stays_why(site: Site, client: Any) -> None:
    assert site.host is not None
    site.host.load("model", "1.0.0")
    site.host.pool.pin("model", "1.0.0")
    with pytest.raises(InferenceServerException, match=r"model 1\.0\.0 is pinned, 1\.1\.0 serves; promote another"):
        client.unload_model("model", headers=_bearer(site))


def test_an_unload_of_all_takes_the_others_out_where_one_has_left_since_it_looked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pair("1.0.0", "1.1.0", "1.2.0")
    host = site.start()
    for version in ("1.0.0", "1.1.0"):
        host.load("model", version)
    seen = host.pool.residents()
    host.unload("model", "1.0.0")
    monkeypatch.setattr(host.pool, "residents", lambda: seen)
    HostControl(host).unload("model", None, who="ann")
    monkeypatch.undo()
    assert [each.version for each in host.pool.residents() if each.component == "model"] == ["1.2.0"]
