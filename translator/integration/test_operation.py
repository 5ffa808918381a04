"""What those who run the service rely on: readiness, identity, contract, metrics, the page."""

from __future__ import annotations

import requests


def test_it_is_ready(candidate: requests.Session) -> None:
    answer = candidate.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_it_says_which_release_and_which_weights_answer(candidate: requests.Session) -> None:
    version = candidate.get("/version").json()
    assert set(version) >= {"release", "revision", "created", "model_version", "weights_sha256"}
    assert len(version["weights_sha256"]) == 64
    answer = candidate.post("/translate", json={"text": "你好。"}).json()
    assert answer["model_version"] == version["model_version"]


def test_it_is_the_release_that_was_asked_for(candidate: requests.Session, candidate_release: str) -> None:
    said = candidate.get("/version").json()["release"]
    assert not candidate_release or not said or said == candidate_release


def test_it_publishes_its_contract(candidate: requests.Session) -> None:
    contract = candidate.get("/openapi.json").json()
    assert set(contract["paths"]) >= {"/translate", "/health", "/version", "/metrics"}
    translate = contract["paths"]["/translate"]["post"]
    assert set(translate["responses"]) >= {"200", "400", "413", "422", "503"}


def test_it_counts_what_it_does(candidate: requests.Session) -> None:
    def translated() -> float:
        lines = candidate.get("/metrics").text.splitlines()
        wanted = 'translator_requests_total{method="POST",path="/translate",status="200"}'
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(wanted))

    before = translated()
    assert candidate.post("/translate", json={"text": "谢谢。"}).status_code == 200
    assert translated() >= before + 1


def test_unknown_paths_and_methods_get_the_same_form_of_error(candidate: requests.Session) -> None:
    for answer, status in ((candidate.get("/nowhere"), 404), (candidate.delete("/translate"), 405)):
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message"}


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(candidate: requests.Session) -> None:
    page = candidate.get("/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "://" not in page.text
    for file in ("page.css", "page.js", "icon.svg"):
        assert file in page.text
        assert candidate.get(f"/{file}").status_code == 200
