"""The API as it runs: a real process, the shipped model, real connections."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.translator.running import ROOT, Running
from translator.settings import Settings


def test_the_services_own_suite_passes(service: Running) -> None:
    """The suite that every candidate has to pass, run the way the toolkit runs it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "translator/integration"]
    env = {**os.environ, "RELEASE_CANDIDATE_URL": service.url, "RELEASE_RELEASE": "v0.0.0-abc1234"}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_version_states_release_model_and_the_digest_of_the_very_file(service: Running) -> None:
    version = httpx.get(f"{service.url}/version", timeout=60).json()
    folder = Settings.from_environment(os.environ).model_dir
    assert version["release"] == "v0.0.0-abc1234"
    assert version["revision"] == "abc1234"
    assert version["model_version"] == folder.name
    assert version["weights_sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_many_keep_alive_clients_are_all_answered_and_health_meanwhile(service: Running) -> None:
    def client(number: int) -> list[int]:
        texts = [f"我有{number}本书，他有{turn}本。" for turn in range(4)]
        with httpx.Client(base_url=service.url, timeout=120) as http:
            return [http.post("/translate", json={"text": text}).status_code for text in texts]

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        clients = [pool.submit(client, number) for number in range(24)]
        with httpx.Client(base_url=service.url, timeout=120) as http:
            while not all(done.done() for done in clients):
                assert http.get("/health").status_code == 200
    assert [status for done in clients for status in done.result()] == [200] * 96


def test_a_list_as_long_as_allowed_is_answered_and_one_more_is_refused(service: Running) -> None:
    answer = httpx.post(f"{service.url}/translate", json={"text": ["你好。"] * 64}, timeout=120)
    assert len(answer.json()["translation"]) == 64
    refused = httpx.post(f"{service.url}/translate", json={"text": ["你好。"] * 65}, timeout=120)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_long")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"text"', 400, "bad_json"),
        (b'{"text": "\xff\xfe"}', 400, "bad_json"),
        (b"[" * 100_000, 400, "bad_json"),
        (b'{"text": ' + b"9" * 5000 + b"}", 400, "bad_json"),
        (b"", 422, "wrong_type"),
        (b"null", 422, "wrong_type"),
        (b'{"text": 7}', 422, "wrong_type"),
        (b'{"text": ["\\ud800\xe4\xbd\xa0"]}', 422, "wrong_type"),
        (b'{"text": "' + b"x" * 1_000_000 + b'"}', 413, "too_long"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else value,
)
def test_a_body_that_is_no_request_is_the_clients_fault_and_says_which(
    service: Running, body: bytes, status: int, code: str
) -> None:
    answer = httpx.post(
        f"{service.url}/translate", content=body, headers={"Content-Type": "application/json"}, timeout=60
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_body_without_an_end_is_refused_while_it_comes(service: Running) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(4096):
            yield b"x" * 65536

    try:
        answer = httpx.post(f"{service.url}/translate", content=endless(), timeout=60)
    except httpx.TransportError:
        return  # the connection was closed while more was sent
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_long")


@pytest.mark.parametrize("path", ["/translate", "/libretranslate/translate"])
@pytest.mark.parametrize(("size", "connection"), [(1 << 20, None), (4 << 20, "close")])
def test_the_connection_ends_with_a_body_that_is_much_too_large_and_not_with_a_little_excess(
    service: Running, path: str, size: int, connection: str | None
) -> None:
    answer = httpx.post(
        service.url + path, content=b"x" * size, headers={"Content-Type": "application/json"}, timeout=60
    )
    assert (answer.status_code, answer.headers.get("Connection")) == (413, connection)
    assert answer.json()["error"]


def test_a_path_that_takes_another_method_says_so(service: Running) -> None:
    for method, path, allowed in (("GET", "/translate", "POST"), ("POST", "/health", "GET")):
        answer = httpx.request(method, service.url + path, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed


def test_metrics_count_errors_tokens_and_sentences(service: Running) -> None:
    httpx.post(f"{service.url}/translate", json={"text": "hello"}, timeout=60)
    httpx.post(f"{service.url}/translate", json={"text": "他来了。她走了。"}, timeout=120)
    text = httpx.get(f"{service.url}/metrics", timeout=60).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values['translator_errors_total{code="not_chinese"}']) >= 1
    assert float(values['translator_tokens_total{side="source"}']) > float(values["translator_sentences_total"]) >= 2
    assert float(values['translator_tokens_total{side="target"}']) > 0
    assert values["translator_ready"] == "1.0"
    assert float(values['translator_request_seconds_count{path="/translate"}']) >= 2


def test_the_contract_describes_every_answer_that_is_given(service: Running) -> None:
    contract = httpx.get(f"{service.url}/openapi.json", timeout=60).json()
    responses = contract["paths"]["/translate"]["post"]["responses"]
    for status in ("400", "413", "422", "503"):
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("/ErrorAnswer")
    assert "HTTPValidationError" not in contract["components"]["schemas"]


@pytest.mark.parametrize("path", ["/page.css", "/page.js", "/icon.svg", "/"])
def test_the_page_allows_nothing_from_elsewhere(service: Running, path: str) -> None:
    answer = httpx.get(service.url + path, timeout=60)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert answer.headers["Cache-Control"] == "no-cache"


def test_files_outside_the_page_are_out_of_reach(service: Running) -> None:
    for path in ("/../app.py", "/%2e%2e/app.py", "/..%2fsettings.py"):
        assert httpx.get(service.url + path, timeout=60).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_below_modelhosts_paths_what_is_not_there_is_said_in_its_form_and_elsewhere_in_the_translators(
    service: Running, method: str
) -> None:
    for path in ("/v2/nothing", "/promote/translation/further"):
        answer = httpx.request(method, service.url + path, timeout=60)
        said = answer.json()
        assert (answer.status_code, said["kind"]) == (404, "Unknown"), answer.text
        assert path in said["error"] and said["hint"]
    elsewhere = httpx.request(method, f"{service.url}/nowhere", timeout=60)
    expected = {"GET": (404, "not_found"), "POST": (405, "method_not_allowed")}[method]
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == expected
    own = httpx.get(f"{service.url}/translate", timeout=60)
    assert (own.status_code, own.json()["error"]["code"]) == (405, "method_not_allowed")


def test_the_page_folder_names_no_other_host() -> None:
    for file in (ROOT / "translator" / "page").iterdir():
        text = Path(file).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file


@pytest.mark.parametrize("path", ["/", "/health", "/version", "/nowhere"])
def test_every_answer_names_the_model_in_a_header(service: Running, path: str) -> None:
    version = httpx.get(f"{service.url}/version", timeout=60).json()["model_version"]
    assert httpx.get(f"{service.url}{path}", timeout=60).headers["X-Model-Version"] == version
