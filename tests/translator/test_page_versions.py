"""The page's choice of versions, two side by side, and thumbs, in a real Chromium against the real service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.translator.running import ROOT, Running, Start, launch

pytestmark = pytest.mark.browser
SIZES = {"desktop": (1280, 800), "tablet": (800, 900), "phone": (390, 844)}
TEXT = "如果文件不存在，则会引发异常。"


@pytest.fixture(scope="module")
def thumbs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the service writes thumbs into."""
    return tmp_path_factory.mktemp("state") / "feedback.jsonl"


@pytest.fixture(scope="module")
def service(thumbs: Path) -> Iterator[Running]:
    """The service as it is shipped, ready, with a file for feedback."""
    running = launch(TRANSLATOR_FEEDBACK=str(thumbs))
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def versions(service: Running) -> tuple[str, str]:
    """The version that serves, and another."""
    offered = httpx.get(f"{service.url}/versions", timeout=60).json()
    other = next(each["version"] for each in offered["versions"] if each["version"] != offered["serving"])
    return offered["serving"], other


def opened(browser: Browser, url: str, size: str) -> Iterator[Page]:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: problems.append(sent.url) if not sent.url.startswith(url) else None)
    yield page
    context.close()
    assert problems == []


@pytest.fixture(params=list(SIZES))
def page(browser: Browser, service: Running, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page in each size, loaded."""
    for each in opened(browser, service.url, request.param):
        each.goto(service.url)
        yield each


@pytest.fixture
def blank(browser: Browser, service: Running) -> Iterator[Page]:
    """A browser page before it loads, for a service that answers something else."""
    yield from opened(browser, service.url, "desktop")


def panes(page: Page) -> list[Locator]:
    """The panes with translations."""
    return page.locator(".pane.target").all()


def translated(pane: Locator) -> str:
    """The translation, once it is there."""
    expect(pane.locator("[data-part=took]")).to_have_text(re.compile("ms"))
    return pane.locator("output").inner_text()


def test_at_first_it_is_the_version_that_serves_and_no_other_is_asked_for(
    page: Page, versions: tuple[str, str]
) -> None:
    expect(page.get_by_role("combobox", name="Version of the model")).to_have_value("")
    with page.expect_request("**/translate*") as asked:
        page.get_by_role("textbox", name="Chinese").fill(TEXT)
    assert asked.value.url.endswith("/translate")
    translated(panes(page)[0])
    expect(page.locator("#version")).to_have_text(f"Model {versions[0]}")


def test_another_version_can_be_chosen_and_translates_at_once(page: Page, versions: tuple[str, str]) -> None:
    page.get_by_role("textbox", name="Chinese").fill(TEXT)
    translated(panes(page)[0])
    page.get_by_role("combobox", name="Version of the model").select_option(versions[1])
    expect(page.locator("#version")).to_have_text(f"Model {versions[1]}")
    page.get_by_role("combobox", name="Version of the model").select_option("")
    expect(page.locator("#version")).to_have_text(f"Model {versions[0]}")


def test_two_versions_side_by_side_translate_the_same_text_and_each_is_named(
    page: Page, service: Running, versions: tuple[str, str]
) -> None:
    page.get_by_role("textbox", name="Chinese").fill(TEXT)
    page.get_by_role("button", name="Compare").click()
    first, second = panes(page)
    for pane, version in ((first, versions[0]), (second, versions[1])):
        expect(pane.locator("[data-part=version]")).to_have_text(f"Model {version}")
        answer = httpx.post(f"{service.url}/translate?version={version}", json={"text": TEXT}, timeout=60).json()
        assert translated(pane) == answer["translation"]
    expect(page.get_by_role("combobox", name="Second version of the model")).to_have_value(versions[1])
    page.get_by_role("textbox", name="Chinese").fill("我们去公园吧。")
    said = httpx.post(f"{service.url}/translate?version={versions[1]}", json={"text": "我们去公园吧。"}, timeout=60)
    expect(second.locator("output")).to_have_text(said.json()["translation"])
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".pane.target")).to_have_count(1)


def test_with_two_nothing_is_wider_than_the_screen_and_every_control_can_be_touched(page: Page) -> None:
    page.get_by_role("textbox", name="Chinese").fill(TEXT)
    page.get_by_role("button", name="Compare").click()
    for pane in panes(page):
        translated(pane)
        pane.locator("[data-thumb=up]").click()
        expect(pane.locator("[data-part=thanks]")).to_have_text("Thank you, noted.")
    assert page.viewport_size is not None
    width = page.viewport_size["width"]
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    frame = page.locator(".panes").bounding_box()
    assert frame is not None
    for control in page.locator("button:visible, select:visible").all():
        box = control.bounding_box()
        assert box is not None
        assert box["x"] >= 0 and box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
        assert box["height"] >= (44 if width < 500 else 36)
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))


def test_a_thumb_is_taken_for_the_answer_that_it_was_given_to_and_can_be_changed(
    page: Page, versions: tuple[str, str], thumbs: Path
) -> None:
    before = len(thumbs.read_text().splitlines()) if thumbs.exists() else 0
    page.get_by_role("textbox", name="Chinese").fill(TEXT)
    page.get_by_role("button", name="Compare").click()
    first, second = panes(page)
    translated(first), translated(second)
    second.get_by_role("button", name="Bad translation").click()
    expect(second.get_by_role("button", name="Bad translation")).to_have_attribute("aria-pressed", "true")
    expect(second.get_by_role("status").filter(has_text="Thank you")).to_be_visible()
    expect(first.get_by_role("button", name="Bad translation")).to_have_attribute("aria-pressed", "false")
    second.get_by_role("button", name="Good translation").focus()
    page.keyboard.press("Enter")
    expect(second.get_by_role("button", name="Good translation")).to_have_attribute("aria-pressed", "true")
    expect(second.get_by_role("button", name="Bad translation")).to_have_attribute("aria-pressed", "false")
    lines = [json.loads(line) for line in thumbs.read_text().splitlines()[before:]]
    assert [(line["version"], line["thumb"]) for line in lines] == [(versions[1], "down"), (versions[1], "up")]
    assert lines[0]["request_id"] == lines[1]["request_id"]


def test_a_new_answer_has_no_thumb_yet(page: Page) -> None:
    source = page.get_by_role("textbox", name="Chinese")
    expect(page.locator("#state")).to_have_text("Ready")
    expect(page.get_by_role("button", name="Good translation")).to_have_count(0)
    source.fill(TEXT)
    page.get_by_role("button", name="Good translation").click()
    expect(page.locator("[data-part=thanks]")).to_have_text("Thank you, noted.")
    source.fill("你好。")
    expect(page.locator("[data-part=thanks]")).to_have_text("")
    expect(page.get_by_role("button", name="Good translation")).to_have_attribute("aria-pressed", "false")


def test_a_thumb_that_the_service_does_not_take_is_not_shown_as_taken(blank: Page, service: Running) -> None:
    def forgotten(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "request_id": "forgotten"})

    blank.route("**/translate", forgotten)
    blank.goto(service.url)
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    blank.get_by_role("button", name="Good translation").click()
    expect(blank.locator("[data-part=thanks]")).to_have_text("This answer is too old to be judged.")
    expect(blank.get_by_role("button", name="Good translation")).to_have_attribute("aria-pressed", "false")


def test_a_thumb_for_an_answer_of_another_replica_goes_with_what_the_page_saw(
    blank: Page, service: Running, versions: tuple[str, str], thumbs: Path
) -> None:
    def elsewhere(route: Route) -> None:
        answer = route.fetch()
        headers = {**answer.headers, "X-Model-Variant": "AB:treatment"}
        route.fulfill(headers=headers, json={**answer.json(), "request_id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9"})

    blank.route("**/translate", elsewhere)
    blank.goto(service.url)
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    blank.get_by_role("button", name="Good translation").click()
    expect(blank.locator("[data-part=thanks]")).to_have_text("Thank you, noted.")
    line = json.loads(thumbs.read_text().splitlines()[-1])
    assert (line["version"], line["variant"], line["verified"]) == (versions[0], "AB:treatment", False)


def test_behind_an_older_release_a_thumb_goes_without_what_that_does_not_know(blank: Page, service: Running) -> None:
    def older(route: Route) -> None:
        known = set(route.request.post_data_json) == {"request_id", "thumb"}
        route.fulfill(status=204) if known else route.fulfill(status=422, json={"error": {"code": "wrong_type"}})

    blank.route("**/feedback", older)
    blank.goto(service.url)
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    blank.get_by_role("button", name="Good translation").click()
    expect(blank.locator("[data-part=thanks]")).to_have_text("Thank you, noted.")


def test_behind_an_older_release_the_page_is_what_it_was(blank: Page, service: Running) -> None:
    def older(route: Route) -> None:
        answer = route.fetch().json()
        route.fulfill(json={name: answer[name] for name in ("translation", "model_version", "took_ms")})

    blank.route("**/versions", lambda route: route.fulfill(status=404, json={"error": {"code": "not_found"}}))
    blank.route("**/translate", older)
    blank.goto(service.url)
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    translated(panes(blank)[0])
    expect(blank.locator("select")).to_be_hidden()
    expect(blank.locator("#compare")).to_be_hidden()
    expect(blank.locator(".thumbs")).to_be_hidden()


def test_a_rollback_shows_in_the_next_answer_and_the_fallback_says_that_it_is_one(
    browser: Browser, start: Start, versions: tuple[str, str], tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.jsonl"
    command = [sys.executable, "-m", "modelhost.http.tokens", "--file", str(tokens), "add", "ann", "operator"]
    added = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    running = start(TRANSLATOR_TOKENS=str(tokens))
    running.wait_until_ready()

    def roll_back() -> None:
        headers = {"Authorization": f"Bearer {added.stdout.split()[-1]}"}
        httpx.post(
            f"{running.url}/rollback/model", json={"reason": "x"}, headers=headers, timeout=60
        ).raise_for_status()

    for page in opened(browser, running.url, "desktop"):
        page.goto(running.url)
        source = page.get_by_role("textbox", name="Chinese")
        expect(page.locator("#version")).to_have_text(f"Model {versions[0]}")
        expect(page.locator("select")).to_be_visible()
        roll_back()
        source.fill(TEXT)
        expect(page.locator("#version")).to_have_text(f"Model {versions[1]}")
        expect(page.locator("select")).to_be_hidden()  # the version that was left is rejected: nothing to choose from
        expect(page.locator("[data-part=notice]")).to_be_hidden()
        roll_back()
        source.fill("我爱你。")
        expect(page.locator("[data-part=notice]")).to_have_text(re.compile("No model can serve .* no translation"))
        expect(page.locator("output")).to_have_text("I love you.")
        page.get_by_role("button", name="Good translation").click()
        expect(page.locator("[data-part=thanks]")).to_have_text("Thank you, noted.")
        page.reload()
        expect(page.locator("#version")).to_have_text("No model")


def test_a_version_that_still_loads_is_waited_for(blank: Page, service: Running, versions: tuple[str, str]) -> None:
    asked: list[Route] = []

    def loads_first(route: Route) -> None:
        asked.append(route)
        if len(asked) == 1:  # the second waits until what was said meanwhile has been seen
            error = {"code": "loading", "message": "It is being loaded."}
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": error})

    blank.route("**/translate?version=*", loads_first)
    blank.goto(service.url)
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    translated(panes(blank)[0])
    blank.get_by_role("combobox").select_option(versions[1])
    expect(blank.locator("output")).to_have_text(f"{versions[1]} is being loaded …")
    deadline = time.monotonic() + 60
    while len(asked) < 2:
        assert time.monotonic() < deadline, "it did not ask again"
        blank.wait_for_timeout(50)
    asked[1].continue_()
    expect(blank.locator("#version")).to_have_text(f"Model {versions[1]}")
    assert len(asked) == 2


def test_what_an_answer_shows_to_have_changed_is_asked_for_again(
    blank: Page, service: Running, versions: tuple[str, str]
) -> None:
    calls: list[Route] = []

    def at_first_not_loaded(route: Route) -> None:
        calls.append(route)
        offered = route.fetch().json()
        for each in offered["versions"]:
            each["state"] = "available" if len(calls) == 1 and each["version"] == versions[1] else each["state"]
        route.fulfill(json=offered)

    blank.route("**/versions", at_first_not_loaded)
    blank.goto(service.url)
    option = blank.get_by_role("combobox").locator(f"option[value='{versions[1]}']")
    expect(option).to_have_text(f"{versions[1]} · loads first")
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    blank.get_by_role("combobox").select_option(versions[1])
    expect(option).to_have_text(versions[1])
    expect(blank.get_by_role("combobox")).to_have_value(versions[1])


def test_a_version_that_is_gone_is_named_in_the_services_own_words(blank: Page, service: Running) -> None:
    def with_one_more(route: Route) -> None:
        offered = route.fetch().json()
        offered["versions"].append({"version": "v9.9.9", "state": "loaded", "engine": "torch", "note": ""})
        route.fulfill(json=offered)

    blank.route("**/versions", with_one_more)
    blank.goto(service.url)
    blank.get_by_role("textbox", name="Chinese").fill(TEXT)
    blank.get_by_role("combobox").select_option("v9.9.9")
    expect(blank.locator("output")).to_have_text(re.compile("9.9.9"))
    expect(blank.locator("output")).to_have_class("error")
