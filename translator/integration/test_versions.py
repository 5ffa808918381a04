"""What people rely on who choose a version, give a thumb, or come with a client of LibreTranslate."""

from __future__ import annotations

import pytest
import requests

TEXT = {"text": "今天天气很好。"}


def test_each_version_on_offer_answers_and_names_itself(candidate: requests.Session) -> None:
    offered = candidate.get("/versions").json()
    names = [each["version"] for each in offered["versions"]]
    assert offered["serving"] in names
    for name in names:
        answer = candidate.post("/translate", params={"version": name}, json=TEXT)
        assert answer.status_code == 200
        assert answer.json()["model_version"] == answer.headers["X-Model-Version"] == name


def test_a_version_that_is_not_there_is_a_404_that_says_what_there_is(candidate: requests.Session) -> None:
    answer = candidate.post("/translate", params={"version": "999.0.0"}, json=TEXT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_version")


@pytest.mark.parametrize("path", ["/promote/model", "/rollback/model"])
def test_nobody_switches_without_a_token(candidate: requests.Session, path: str) -> None:
    assert candidate.post(path, json={"version": "1.0.0", "reason": "a stranger's"}).status_code == 401


def test_an_answer_may_be_given_a_thumb_and_an_unknown_one_may_not(candidate: requests.Session) -> None:
    answered = candidate.post("/translate", json=TEXT).json()["request_id"]
    assert candidate.post("/feedback", json={"request_id": answered, "thumb": "up"}).status_code == 204
    assert candidate.post("/feedback", json={"request_id": "nobody", "thumb": "up"}).status_code == 404


def test_a_client_of_libretranslate_is_answered(candidate: requests.Session) -> None:
    languages = candidate.get("/libretranslate/languages").json()
    assert "en" in languages[0]["targets"]
    asked = {"q": ["你好。", "谢谢。"], "source": "auto", "target": "en", "format": "text"}
    answer = candidate.post("/libretranslate/translate", json=asked).json()
    assert len(answer["translatedText"]) == 2 and all(answer["translatedText"])
