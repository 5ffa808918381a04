"""Several versions in one running service: asked for by name, promoted, rolled back, and what is answered meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.http as triton

from tests.translator.running import ROOT, Running, Start, launch
from translator import bundle
from translator.settings import MODELS, model_folders

TEXT = "今天天气很好。我们去公园吧！"
OLD, NEW = "v1.0.0", "v1.1.0"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of tokens, and the token of an operator."""
    file = tmp_path_factory.mktemp("tokens") / "tokens.jsonl"
    command = [sys.executable, "-m", "modelhost.http.tokens", "--file", str(file), "add", "ann", "operator"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return file, done.stdout.split()[-1]


@pytest.fixture(scope="module")
def hosted(token: tuple[Path, str]) -> Iterator[Running]:
    """The service, whose models an operator may switch."""
    running = launch(TRANSLATOR_TOKENS=str(token[0]))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def translate(running: Running, version: str | None = None, header: bool = False, text: Any = TEXT) -> httpx.Response:
    named = {"headers": {"X-Model-Version": version}} if header else {"params": {"version": version}}
    return httpx.post(f"{running.url}/translate", json={"text": text}, timeout=120, **(named if version else {}))


def act(running: Running, token: str, path: str, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{running.url}{path}", json=body, headers=headers, timeout=120)


def serving(running: Running) -> str:
    return str(httpx.get(f"{running.url}/version", timeout=60).json()["model_version"])


def test_a_person_may_name_a_version_and_gets_another_translation(hosted: Running) -> None:
    old, new = translate(hosted, OLD), translate(hosted, NEW, header=True)
    assert (old.json()["model_version"], new.json()["model_version"]) == (OLD, NEW)
    assert (old.headers["X-Model-Version"], new.headers["X-Model-Version"]) == (OLD, NEW)
    assert old.json()["translation"] != new.json()["translation"]
    assert old.json()["request_id"] != new.json()["request_id"]
    assert 0 < old.json()["confidence"] < 1
    assert old.headers["X-Model-Confidence"] == f"{old.json()['confidence']:.4g}"
    assert "tokenizer=" in old.headers["X-Model-Set"] and "model=1.0.0" in old.headers["X-Model-Set"]


def test_the_number_alone_names_it_too(hosted: Running) -> None:
    assert translate(hosted, "1.0.0").json()["model_version"] == OLD


def test_a_version_that_is_not_there_is_a_404_that_lists_what_there_is(hosted: Running) -> None:
    answer = translate(hosted, "7.0.0")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_version"
    assert "1.1.0" in answer.json()["error"]["message"] and "1.0.0" in answer.json()["error"]["message"]


def test_two_names_for_one_request_are_refused(hosted: Running) -> None:
    answer = httpx.post(
        f"{hosted.url}/translate",
        params={"version": OLD},
        headers={"X-Model-Version": NEW},
        json={"text": TEXT},
        timeout=60,
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_version")


def test_what_may_be_asked_for_is_listed(hosted: Running) -> None:
    translate(hosted, OLD)
    listed = httpx.get(f"{hosted.url}/versions", timeout=60).json()
    assert listed["serving"] == NEW
    states = {each["version"]: each["state"] for each in listed["versions"]}
    assert states == {NEW: "serving", OLD: "loaded"}
    assert all(each["note"] and each["engine"] == "ctranslate2" for each in listed["versions"])


def test_nobody_switches_without_a_token(hosted: Running) -> None:
    answer = httpx.post(f"{hosted.url}/promote/model", json={"version": "1.0.0", "reason": "because"}, timeout=60)
    assert answer.status_code == 401
    assert serving(hosted) == NEW


def test_a_switch_under_load_fails_nothing_and_each_answer_is_of_the_version_it_names(
    hosted: Running, token: tuple[Path, str]
) -> None:
    expected = {name: translate(hosted, name).json()["translation"] for name in (OLD, NEW)}
    wrong: list[Any] = []
    seen: set[str] = set()
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=120) as client:
            while not stop.is_set():
                answer = client.post(f"{hosted.url}/translate", json={"text": TEXT})
                body = answer.json()
                if answer.status_code != 200 or body["translation"] != expected[body["model_version"]]:
                    wrong.append((answer.status_code, body))
                    return
                seen.add(body["model_version"])

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    try:
        for _ in range(10):
            back = act(hosted, token[1], "/promote/model", version="1.0.0", reason="to the older one")
            assert back.status_code == 200, back.text
            assert serving(hosted) == OLD
            forth = act(hosted, token[1], "/promote/model", version="1.1.0", reason="to the newer one")
            assert forth.status_code == 200, forth.text
            assert serving(hosted) == NEW
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert wrong == []
    assert seen == {OLD, NEW}


def test_the_open_inference_protocol_translates(hosted: Running) -> None:
    client = triton.InferenceServerClient(hosted.url.removeprefix("http://"))
    assert client.is_server_ready() and client.is_model_ready("model")
    import numpy as np

    given = triton.InferInput("text", [2], "BYTES")
    given.set_data_from_numpy(np.array([TEXT, "请把门关上。"], dtype=object))
    found = client.infer("model", [given], model_version="1.0.0").as_numpy("translation")
    assert found is not None
    assert [each.decode() for each in found] == translate(hosted, OLD, text=[TEXT, "请把门关上。"]).json()[
        "translation"
    ]
    client.close()


def test_prometheus_counts_by_component_and_version(hosted: Running) -> None:
    translate(hosted, OLD)
    text = httpx.get(f"{hosted.url}/metrics", timeout=60).text
    assert 'modelhost_requests_total{component="model",outcome="answered",version="1.0.0"}' in text
    assert 'translator_model_info{version="v1.1.0"} 1.0' in text
    assert "translator_tokens_total" in text


def test_a_rollback_in_a_fresh_service_goes_to_the_older_stable_version_and_then_to_the_dictionary(
    start: Start, token: tuple[Path, str], tmp_path: Path
) -> None:
    running = start(TRANSLATOR_TOKENS=str(token[0]), TRANSLATOR_STATE=str(tmp_path))
    running.wait_until_ready()
    assert act(running, token[1], "/rollback/model", reason="it invents names").status_code == 200
    assert serving(running) == OLD
    assert act(running, token[1], "/rollback/model", reason="this one too").status_code == 200
    answer = translate(running)
    assert answer.status_code == 200
    assert answer.json()["fallback"] is True and answer.json()["model_version"] == ""
    assert answer.headers["X-Model-Fallback"] == "model"
    assert "today" in answer.json()["translation"].lower()
    history = (tmp_path / "history.jsonl").read_text(encoding="utf-8")
    assert "it invents names" in history and "this one too" in history


def test_both_engines_give_a_version(start: Start) -> None:
    running = start(TRANSLATOR_ENGINE="torch")
    running.wait_until_ready()
    assert httpx.get(f"{running.url}/version", timeout=60).json()["engine"] == "torch"
    assert translate(running, OLD).json()["model_version"] == OLD


def test_a_registry_of_ones_own_keeps_what_was_switched(start: Start, token: tuple[Path, str], tmp_path: Path) -> None:
    registry, state = tmp_path / "registry", tmp_path / "state"
    registry.mkdir()
    settings = {"TRANSLATOR_REGISTRY": str(registry), "TRANSLATOR_STATE": str(state)}
    running = start(TRANSLATOR_TOKENS=str(token[0]), **settings)
    running.wait_until_ready()
    assert act(running, token[1], "/promote/model", version="1.0.0", reason="a trial").status_code == 200
    running.stop()
    again = start(**settings)
    again.wait_until_ready()
    assert serving(again) == OLD


def test_a_registry_that_is_not_there_ends_it_with_a_reason(start: Start, tmp_path: Path) -> None:
    running = start(TRANSLATOR_REGISTRY=str(tmp_path / "not-mounted"))
    output, _ = running.process.communicate(timeout=300)
    assert running.process.returncode == 2
    assert "mounted" in output


CONFIGURATION = """
registry: {{root: registry}}
components:
  model: {{routable: [1.0.0], fallback: "translator.fallback:dictionary"}}
  tokenizer: {{}}
  postprocessing: {{}}
sets: {{translation: [model, tokenizer, postprocessing]}}
routing:
  translation:
    rules: [{{name: short, when: text_length < {limit}, version: 1.0.0}}]
http: {{record: {{path: requests.jsonl, preview: 4}}}}
"""


def test_rules_of_a_configuration_of_ones_own_decide_and_a_hangup_reads_it_again(start: Start, tmp_path: Path) -> None:
    folders = model_folders(MODELS)
    bundle.fill(tmp_path / "registry", folders)
    bundle.mark_stable(tmp_path / "registry", folders, "a test")
    file = tmp_path / "modelhost.yaml"
    file.write_text(CONFIGURATION.format(limit=4))
    running = start(TRANSLATOR_CONFIG=str(file), TRANSLATOR_STATE=str(tmp_path / "state"))
    running.wait_until_ready()

    def answered(text: str) -> str:
        return str(translate(running, text=text).json()["model_version"])

    eventually(lambda: answered("你好。") == OLD)  # a rule's version is loaded beside what serves
    assert answered(TEXT) == NEW
    file.write_text(CONFIGURATION.format(limit=100))
    running.process.send_signal(signal.SIGHUP)
    eventually(lambda: answered(TEXT) == OLD)
    file.write_text("registry: nonsense")
    running.process.send_signal(signal.SIGHUP)
    assert answered(TEXT) == OLD
    running.stop()
    kept = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["version"] for line in kept} == {"1.0.0", "1.1.0"}
    assert all(len(line["preview"]) <= 4 for line in kept)


def test_two_services_on_one_registry_switch_together(start: Start, token: tuple[Path, str], tmp_path: Path) -> None:
    folders = model_folders(MODELS)
    bundle.fill(tmp_path / "registry", folders)
    bundle.mark_stable(tmp_path / "registry", folders, "a test")
    both = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "modelhost.yaml"
        text = CONFIGURATION.format(limit=0).replace("root: registry", "root: ../registry")
        text = text.replace("http: {", f"http: {{tokens: {token[0]}, ")
        file.write_text(text + "cluster: {group: translators}\n")
        both.append(start(TRANSLATOR_CONFIG=str(file), TRANSLATOR_STATE=str(tmp_path / name / "state")))
    for running in both:
        running.wait_until_ready()
    assert [serving(running) for running in both] == [NEW, NEW]
    assert act(both[0], token[1], "/promote/model", version="1.0.0", reason="a trial").status_code == 200
    eventually(lambda: [serving(running) for running in both] == [OLD, OLD])
    assert act(both[1], token[1], "/rollback/model", reason="it was worse").status_code == 200
    eventually(lambda: [serving(running) for running in both] == [NEW, NEW])


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
