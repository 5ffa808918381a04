"""The page in a real Chromium, in a service that shares requests out between two versions: a person stays with one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.translator.running import Running, launch
from translator import bundle
from translator.settings import MODELS, model_folders

pytestmark = pytest.mark.browser
CONFIGURATION = """
registry: {root: registry}
components: {model: {}, tokenizer: {}, postprocessing: {}}
sets: {translation: [model, tokenizer, postprocessing]}
routing:
  translation:
    weights:
      name: AB
      variants: {control: {version: stable, share: 50%}, treatment: {version: 1.0.0, share: 50%}}
"""
TEXTS = ["你好。", "今天天气很好。", "我们去公园吧。", "请把门关上。", "谢谢你的帮助。"]
REFUSED = """
Object.defineProperty(window, "localStorage", { get() { throw new DOMException("refused", "SecurityError"); } });
"""
NO_UUID = "delete Crypto.prototype.randomUUID;"  # as on an origin without HTTPS


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service, half of whose users get another version."""
    path, folders = tmp_path_factory.mktemp("experiment"), model_folders(MODELS)
    bundle.fill(path / "registry", folders)
    bundle.mark_stable(path / "registry", folders, "a test")
    (path / "modelhost.yaml").write_text(CONFIGURATION)
    running = launch(TRANSLATOR_CONFIG=str(path / "modelhost.yaml"))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def people(service: Running) -> dict[str, str]:
    """An id of somebody in each variant, once both can answer."""
    deadline = time.monotonic() + 120
    found: dict[str, str] = {}
    while set(found) != {"AB:control", "AB:treatment"}:
        assert time.monotonic() < deadline
        for number in range(20):
            person = f"{number:032x}"
            answer = httpx.post(
                f"{service.url}/translate", json={"text": TEXTS[0]}, headers={"X-User-Id": person}, timeout=60
            )
            version = {"AB:control": "v1.1.0", "AB:treatment": "v1.0.0"}.get(answer.headers.get("X-Model-Variant", ""))
            if version == answer.json()["model_version"]:
                found[answer.headers["X-Model-Variant"]] = person
    return found


@contextmanager
def opened(browser: Browser, url: str, *scripts: str) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    for script in scripts:
        context.add_init_script(script)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert problems == []


def asked(page: Page) -> set[tuple[str, str]]:
    """The ids that the page sends with several texts, and the variants that answer."""
    found = set()
    for text in TEXTS:
        with page.expect_response("**/translate") as answer:
            page.get_by_role("textbox", name="Chinese").fill(text)
        variant = answer.value.header_value("x-model-variant") or ""
        found.add((answer.value.request.header_value("x-user-id") or "", variant))
        expect(page.locator("#target")).not_to_have_class("waiting")
    return found


def test_a_person_stays_with_one_variant_and_is_known_again_by_the_next_visit(
    browser: Browser, service: Running, people: dict[str, str]
) -> None:
    with opened(browser, service.url, NO_UUID) as page:
        ((person, variant),) = asked(page)
        assert re.fullmatch("[0-9a-f]{32}", person) and variant in people
        page.reload()
        assert asked(page) == {(person, variant)}
    with opened(browser, service.url) as page:
        ((somebody_else, _),) = asked(page)
        assert somebody_else != person


@pytest.mark.parametrize("variant", ["AB:control", "AB:treatment"])
def test_the_id_that_the_browser_keeps_decides(
    browser: Browser, service: Running, people: dict[str, str], variant: str
) -> None:
    keep = f"localStorage.setItem('translator-browser', '{people[variant]}');"
    with opened(browser, service.url, keep) as page:
        assert asked(page) == {(people[variant], variant)}


def test_where_storage_is_refused_it_holds_as_long_as_the_page(browser: Browser, service: Running) -> None:
    with opened(browser, service.url, REFUSED, NO_UUID) as page:
        ((person, _),) = asked(page)
        assert re.fullmatch("[0-9a-f]{32}", person)


def test_what_is_no_id_of_ours_is_replaced(browser: Browser, service: Running) -> None:
    with opened(browser, service.url, "localStorage.setItem('translator-browser', '我\\n');") as page:
        ((person, _),) = asked(page)
        assert re.fullmatch("[0-9a-f]{32}", person)


def test_an_answer_of_the_experiment_does_not_make_the_page_ask_what_there_is(
    browser: Browser, service: Running, people: dict[str, str]
) -> None:
    keep = f"localStorage.setItem('translator-browser', '{people['AB:treatment']}');"
    with opened(browser, service.url, keep) as page:
        expect(page.get_by_role("combobox")).to_be_visible()  # it has asked at its start
        calls: list[str] = []
        page.on("request", lambda sent: calls.append(sent.url.rsplit("/", 1)[1]))
        ((_, variant),) = asked(page)
        assert variant == "AB:treatment"
        assert calls.count("translate") == len(TEXTS)
        assert "versions" not in calls, calls  # the browser fetches what it likes, such as the icon
