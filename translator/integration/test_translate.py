"""What a caller of POST /translate relies on, whichever model answers."""

from __future__ import annotations

import re

import pytest
import requests

SENTENCES = ["今天天气很好。", "你能帮我一个忙吗？", "如果文件不存在，则会引发异常。"]
MARKS = re.compile(r"</?s>|<pad>|<unk>|\u2581|@@|\w ##\w")


def translate(candidate: requests.Session, text: str | list[str]) -> requests.Response:
    return candidate.post("/translate", json={"text": text})


def test_a_text_is_answered_with_a_text_the_model_and_the_time(candidate: requests.Session) -> None:
    answer = translate(candidate, SENTENCES[0])
    assert answer.status_code == 200
    body = answer.json()
    assert isinstance(body["translation"], str) and body["translation"].strip()
    assert isinstance(body["model_version"], str) and body["model_version"]
    assert body["took_ms"] >= 0


def test_a_list_is_answered_with_a_list_in_the_same_order(candidate: requests.Session) -> None:
    alone = [translate(candidate, sentence).json()["translation"] for sentence in SENTENCES]
    together = translate(candidate, SENTENCES).json()["translation"]
    backwards = translate(candidate, SENTENCES[::-1]).json()["translation"]
    assert len(together) == len(SENTENCES)
    assert together == backwards[::-1]
    assert together == alone


def test_the_same_text_gets_the_same_answer(candidate: requests.Session) -> None:
    answers = {translate(candidate, SENTENCES[1]).json()["translation"] for _ in range(3)}
    assert len(answers) == 1


def test_no_special_token_and_no_subword_mark_reaches_the_caller(candidate: requests.Session) -> None:
    texts = [*SENTENCES, "“引号”、（括号）和《书名》。", "运行 `ls -l` 命令。"]
    for line in translate(candidate, texts).json()["translation"]:
        assert not MARKS.search(line), line


def test_lines_stay_lines(candidate: requests.Session) -> None:
    translation = translate(candidate, "第一行。\n\n第三行。").json()["translation"]
    assert len(translation.split("\n")) == 3


def test_a_long_text_is_translated_as_a_whole(candidate: requests.Session) -> None:
    answer = translate(candidate, "我们明天早上去北京，下午回来，晚上一起吃饭。" * 20)
    assert answer.status_code == 200
    assert len(answer.json()["translation"].split()) > 20


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": ""}, 422, "empty_text"),
        ({"text": " \n "}, 422, "empty_text"),
        ({"text": []}, 422, "empty_text"),
        ({"text": "Good morning"}, 422, "not_chinese"),
        ({"text": ["你好。", "hello"]}, 422, "not_chinese"),
        ({"text": 3}, 422, "wrong_type"),
        ({"text": None}, 422, "wrong_type"),
        ({"text": ["你好。", 3]}, 422, "wrong_type"),
        ({}, 422, "wrong_type"),
        ([], 422, "wrong_type"),
        ({"text": "长" * 20_000}, 413, "too_long"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_a_reason(
    candidate: requests.Session, body: object, status: int, code: str
) -> None:
    answer = candidate.post("/translate", json=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]


def test_a_body_that_is_not_json_is_refused(candidate: requests.Session) -> None:
    answer = candidate.post("/translate", data="{not json", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_json"
