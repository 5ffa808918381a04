"""LibreTranslate's documented requests, by its own client library and as they are written down."""

from __future__ import annotations

import json
import re
import urllib.error
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from libretranslatepy import LibreTranslateAPI

from tests.translator.faces import Model, serving
from tests.translator.running import Running
from translator.errors import busy, loading
from translator.libre import add_libre
from translator.settings import Limits

LIMITS = Limits(chars=100, texts=4, total_chars=200)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def url(model: Model) -> Iterator[str]:
    with serving(lambda app: add_libre(app, model.translate, LIMITS)) as base:
        yield f"{base}/libretranslate"


def ask(url: str, **fields: Any) -> Any:
    """A JSON request to /translate; zh to en unless said otherwise."""
    answer = httpx.post(f"{url}/translate", json={"source": "zh", "target": "en", **fields}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wrong(url: str, **fields: Any) -> str:
    """The error of a request that is refused with 400."""
    fields = {"q": "你好", "source": "zh", "target": "en", **fields}
    answer = httpx.post(
        f"{url}/translate", json={name: value for name, value in fields.items() if value is not None}, timeout=60
    )
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    said: str = answer.json()["error"]
    return said


def test_the_client_library_from_pypi_translates_detects_and_lists(url: str) -> None:
    client = LibreTranslateAPI(url, api_key="xyz")
    assert client.translate("你好！", "zh", "en") == "<你好！>"
    assert client.translate("你好！", "auto", "en") == "<你好！>"
    assert client.detect("今天天气很好。") == [{"language": "zh", "confidence": 85.7}]
    assert client.languages()[0] == {"code": "zh", "name": "Chinese", "targets": ["en"]}
    with pytest.raises(urllib.error.HTTPError, match="400"):
        client.translate("你好！", "zh", "de")


def test_a_text_is_answered_with_a_text_and_nothing_that_was_not_asked_for(url: str) -> None:
    assert ask(url, q="你好！") == {"translatedText": "<你好！>"}
    assert ask(url, q="你好！", format="text", alternatives=0, api_key="") == {"translatedText": "<你好！>"}


def test_an_array_is_one_batch_and_is_answered_in_its_order(url: str, model: Model) -> None:
    assert ask(url, q=["一", "二", "三"]) == {"translatedText": ["<一>", "<二>", "<三>"]}
    assert model.batches == [["一", "二", "三"]]
    assert ask(url, q=["一"]) == {"translatedText": ["<一>"]}


def test_auto_says_what_it_detected_as_one_or_for_each_text(url: str) -> None:
    single = ask(url, q="今天天气很好。", source="auto")
    assert single == {
        "translatedText": "<今天天气很好。>",
        "detectedLanguage": {"language": "zh", "confidence": 85.7},
    }
    several = ask(url, q=["今天天气很好。", "OK"], source="auto")
    assert [each["language"] for each in several["detectedLanguage"]] == ["zh", "en"]


def test_what_holds_no_chinese_comes_back_as_it_was_and_costs_no_model(url: str, model: Model) -> None:
    assert ask(url, q="Hello  there", source="auto")["translatedText"] == "Hello  there"
    assert ask(url, q=["OK", "12 %"], source="zh") == {"translatedText": ["OK", "12 %"]}
    assert ask(url, q="你好", source="en") == {"translatedText": "你好"}
    assert model.batches == []
    assert ask(url, q=["OK", "你好", " "]) == {"translatedText": ["OK", "<你好>", " "]}
    assert model.batches == [["你好"]]


@pytest.mark.parametrize("text", ["これは日本語です", "안녕하세요", "Привет"])
def test_auto_refuses_a_language_that_is_not_served_and_says_which_text(url: str, model: Model, text: str) -> None:
    assert "not supported" in wrong(url, q=text, source="auto")
    assert wrong(url, q=["你好", text], source="auto").startswith("Text 1 of q is")
    assert model.batches == []


def test_html_keeps_its_markup_and_what_a_model_says_never_becomes_markup(url: str, model: Model) -> None:
    answer = ask(url, q='<p class="green">你好！</p><script>"你"</script>', format="html")
    assert answer == {"translatedText": '<p class="green">&lt;你好！&gt;</p><script>"你"</script>'}
    several = ask(url, q=["<b>一</b><i>二</i>", "<hr>", "三 &amp; 四"], format="html")
    assert several["translatedText"] == ["<b>&lt;一&gt;</b><i>&lt;二&gt;</i>", "<hr>", "&lt;三 &amp; 四&gt;"]
    assert model.batches[-1] == ["一", "二", "三 & 四"]
    assert ask(url, q="<p>你好</p>", format="text") == {"translatedText": "<<p>你好</p>>"}


def test_alternatives_are_asked_for_and_there_are_none(url: str) -> None:
    assert ask(url, q="你好", alternatives=3)["alternatives"] == []
    assert ask(url, q=["你好", "一"], alternatives=3)["alternatives"] == [[], []]


@pytest.mark.parametrize("code", ["zh", "ZH", "zh-Hans", "zh_Hans", "zh-CN", "zh-SG"])
def test_chinese_has_the_names_that_callers_use(url: str, code: str) -> None:
    assert ask(url, q="你好", source=code) == {"translatedText": "<你好>"}


def test_forms_are_read_url_encoded_multipart_and_from_the_query(url: str) -> None:
    fields = {"q": "你好，\r\n世界=&", "source": "zh", "target": "en", "alternatives": "1", "api_key": ""}
    expected = {"translatedText": "<你好，\r\n世界=&>", "alternatives": []}
    assert httpx.post(f"{url}/translate", data=fields, timeout=60).json() == expected
    assert (
        httpx.post(f"{url}/translate", files={name: (None, text) for name, text in fields.items()}, timeout=60).json()
        == expected
    )
    assert httpx.post(f"{url}/translate", params=fields, timeout=60).json() == expected
    several = httpx.post(f"{url}/translate", data={**fields, "q": ["一", "二"]}, timeout=60).json()
    assert several == {"translatedText": ["<一>", "<二>"], "alternatives": [[], []]}


@pytest.mark.parametrize("name", ["q", "source", "target"])
def test_what_is_missing_is_named(url: str, name: str) -> None:
    assert wrong(url, **{name: None}) == f"Invalid request: missing {name} parameter"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"q": []}, "missing q"),
        ({"q": 7}, "neither a string nor an array"),
        ({"q": ["你", None]}, "neither a string nor an array"),
        ({"q": "你" * 101}, "request (101) exceeds text limit (100)"),
        ({"q": ["你" * 100, "你" * 100, "你"]}, "request (201) exceeds text limit (200)"),
        ({"q": ["你"] * 5}, "request (5) exceeds batch size limit (4)"),
        ({"source": "fr"}, "fr is not supported"),
        ({"source": ["zh"]}, "missing source"),
        ({"target": "auto"}, "auto is not supported"),
        ({"target": "zh"}, "zh is not supported as a target"),
        ({"format": "markdown"}, "markdown format is not supported"),
        ({"alternatives": "many"}, "alternatives"),
        ({"alternatives": -1}, "alternatives"),
        ({"alternatives": True}, "alternatives"),
        ({"format": ["html"]}, "format is not supported"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_a_400_that_says_so(url: str, fields: dict[str, Any], said: str) -> None:
    assert said in wrong(url, **fields)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[]", "application/json; charset=utf-8"),
        (b"[" * 5000, "application/json"),
        (b'{"q": "\xff", "source": "zh", "target": "en"}', "application/json"),
        (b'{"q": "\\ud800\xe4\xbd\xa0", "source": "zh", "target": "en"}', "application/json"),
        (b"q=%FF", "application/x-www-form-urlencoded"),
        (b"q", "multipart/form-data; boundary=x"),
        (b"q", "multipart/form-data"),
        (b"", "application/json"),
        (b"", ""),
    ],
    ids=str,
)
def test_a_body_that_is_no_request_is_a_400(url: str, content: bytes, kind: str) -> None:
    answer = httpx.post(f"{url}/translate", content=content, headers={"Content-Type": kind}, timeout=60)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_what_the_service_refuses_keeps_its_status_in_this_form(url: str, model: Model) -> None:
    for model.refuse in (loading(), busy(9)):
        answer = httpx.post(f"{url}/translate", json={"q": "你好", "source": "zh", "target": "en"}, timeout=60)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json() == {"error": model.refuse.message}


def test_other_paths_and_methods_are_answered_in_this_form_too(url: str) -> None:
    answer = httpx.get(f"{url}/translate", timeout=60)
    assert (answer.status_code, answer.headers["Allow"], list(answer.json())) == (405, "POST", ["error"])
    answer = httpx.post(f"{url}/translate_file", timeout=60)
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_settings_and_health_say_what_there_is(url: str) -> None:
    settings = httpx.get(f"{url}/frontend/settings", timeout=60).json()
    assert (settings["charLimit"], settings["keyRequired"], settings["suggestions"]) == (100, False, False)
    assert settings["language"] == {
        "source": {"code": "zh", "name": "Chinese"},
        "target": {"code": "en", "name": "English"},
    }
    assert httpx.get(f"{url}/health", timeout=60).json() == {"status": "ok"}
    with serving(lambda app: add_libre(app, Model().translate, LIMITS, health=lambda: "loading")) as base:
        answer = httpx.get(f"{base}/libretranslate/health", timeout=60)
        assert (answer.status_code, answer.json()["error"]) == (503, "The service is not ready: loading")


def test_detect_takes_what_clients_send_and_never_claims_what_it_cannot_know(url: str) -> None:
    assert httpx.post(f"{url}/detect", json={"q": "これは"}, timeout=60).json()[0]["language"] == "ja"
    assert httpx.post(f"{url}/detect", data={"q": "Привет"}, timeout=60).json() == [
        {"language": "en", "confidence": 0.0}
    ]
    assert httpx.post(f"{url}/detect", json={"q": "Bonjour le monde"}, timeout=60).json()[0]["confidence"] < 50
    assert httpx.post(f"{url}/detect", json={}, timeout=60).status_code == 400


def test_an_answer_names_its_model_and_its_id_and_the_fallback_says_that_it_is_one(url: str, model: Model) -> None:
    fields = {"q": "你好", "source": "zh", "target": "en"}
    answer = httpx.post(f"{url}/translate?version=v1.0.0", json=fields, timeout=60)
    assert (answer.headers["X-Model-Version"], answer.headers["X-Request-Id"]) == ("v1.0.0", "r1")
    assert "fallback" not in answer.json()
    model.fallback = True
    answer = httpx.post(f"{url}/translate", json=fields, timeout=60)
    assert answer.json()["fallback"] is True
    assert answer.headers["X-Model-Version"] == "fallback"


def test_the_contract_describes_it(url: str) -> None:
    contract = httpx.get(url.replace("/libretranslate", "/openapi.json"), timeout=60).json()
    operation = contract["paths"]["/libretranslate/translate"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["q", "source", "target"]
    assert set(contract["paths"]) == {
        f"/libretranslate/{path}" for path in ("translate", "detect", "languages", "frontend/settings", "health")
    }
    assert "HTTPValidationError" not in json.dumps(contract)


def test_the_service_as_it_is_shipped_answers_the_client_library_batches_and_thumbs(service: Running) -> None:
    base = f"{service.url}/libretranslate"
    client = LibreTranslateAPI(base)
    assert re.search("[a-z]", client.translate("如果文件不存在，则会引发异常。", "auto", "en"))
    assert [each["code"] for each in client.languages()] == ["zh", "en"]
    texts = ["今天天气很好。", "OK", "<b>你好</b>，<i>世界</i>"]
    answer = httpx.post(
        f"{base}/translate", json={"q": texts, "source": "auto", "target": "en", "format": "html"}, timeout=60
    )
    first, second, third = answer.json()["translatedText"]
    assert re.search("[a-z]", first) and second == "OK"
    assert re.findall("<.*?>", third) == ["<b>", "</b>", "<i>", "</i>"]
    thumb = {"request_id": answer.headers["X-Request-Id"], "thumb": "up"}
    assert httpx.post(f"{service.url}/feedback", json=thumb, timeout=60).status_code == 204
    assert httpx.get(f"{base}/health", timeout=60).json() == {"status": "ok"}
    too_large = httpx.post(f"{base}/translate", content=b"q=" + b"x" * 1_000_000, timeout=60)
    assert (too_large.status_code, list(too_large.json())) == (413, ["error"])
