"""The page in a real Chromium: what a person sees and does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.translator.running import Running

pytestmark = pytest.mark.browser


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def page(browser: Browser, service: Running, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("requestfailed", lambda failed: problems.append(f"{failed.url}: {failed.failure}"))
    opened.on("request", lambda sent: problems.append(sent.url) if not sent.url.startswith(service.url) else None)
    opened.goto(service.url)
    yield opened
    context.close()
    assert [problem for problem in problems if "ERR_ABORTED" not in problem] == []


def test_it_says_that_it_is_ready_and_which_model_serves(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("Ready")
    expect(page.locator("#version")).to_have_text(re.compile(r"Model \S+"))
    expect(page.get_by_role("textbox", name="Chinese")).to_be_focused()


def test_it_translates_while_typing_and_shows_how_long_it_took(page: Page) -> None:
    page.get_by_role("textbox", name="Chinese").press_sequentially("今天天气很好。")
    expect(page.locator("#took")).to_have_text(re.compile(r"\d+ ms"))
    expect(page.locator("#target")).to_have_text(re.compile("[a-z]+"))
    expect(page.locator("#count")).to_have_text("7 / 2,000")


def test_the_button_and_the_keys_translate_too(page: Page) -> None:
    source = page.get_by_role("textbox", name="Chinese")
    source.fill("你好。")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#took")).to_have_text(re.compile("ms"))
    first = page.locator("#target").inner_text()
    source.fill("如果文件不存在，则会引发异常。")
    source.press("Control+Enter")
    expect(page.locator("#target")).not_to_have_text(first)


def test_an_example_is_one_touch_and_clear_starts_over(page: Page) -> None:
    page.locator(".examples button").first.click()
    expect(page.locator("#took")).to_have_text(re.compile("ms"))
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("textbox", name="Chinese")).to_have_value("")
    expect(page.locator("#target")).to_have_text("The translation appears here.")
    expect(page.get_by_role("button", name="Copy")).to_be_disabled()
    expect(page.get_by_role("button", name="Translate")).to_be_disabled()


def test_copy_puts_the_translation_on_the_clipboard(page: Page, service: Running) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
    page.get_by_role("textbox", name="Chinese").fill("谢谢你的帮助。")
    expect(page.locator("#took")).to_have_text(re.compile("ms"))
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == page.locator("#target").inner_text()


def test_a_refusal_is_shown_in_the_services_own_words(page: Page) -> None:
    page.get_by_role("textbox", name="Chinese").fill("Good morning")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#target")).to_have_text(re.compile("no Chinese in it"))
    expect(page.get_by_role("button", name="Copy")).to_be_disabled()


def test_an_older_answer_never_replaces_a_newer_one(page: Page) -> None:
    held: list[Route] = []

    def hold_the_first(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    page.route("**/translate", hold_the_first)
    source = page.get_by_role("textbox", name="Chinese")
    source.fill("第一句话。")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#target")).to_have_attribute("aria-busy", "true")
    source.fill("第二句话很长，它后来才被翻译。")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#took")).to_have_text(re.compile("ms"))
    newer = page.locator("#target").inner_text()
    held[0].fulfill(json={"translation": "OLD", "model_version": "x", "took_ms": 1})
    page.wait_for_timeout(200)
    assert page.locator("#target").inner_text() == newer


def test_nothing_is_wider_than_the_screen_and_panes_lie_as_they_should(page: Page) -> None:
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    source, target = page.locator(".pane").first.bounding_box(), page.locator(".pane").last.bounding_box()
    assert source is not None and target is not None
    if page.viewport_size == {"width": 1280, "height": 800}:
        assert source["y"] == target["y"] and target["x"] > source["x"]
    else:
        assert source["x"] == target["x"] and target["y"] > source["y"]


def test_every_control_has_a_name_and_room_for_a_finger(page: Page) -> None:
    page.get_by_role("textbox", name="Chinese").fill("你好。")
    for control in page.locator("button:visible, select:visible, textarea, a").all():
        name = control.inner_text() or control.get_attribute("placeholder")
        assert name
        box = control.bounding_box()
        assert box is not None
        phone = page.viewport_size is not None and page.viewport_size["width"] < 500
        if phone and control.evaluate("element => element.tagName") in ("BUTTON", "SELECT"):
            assert box["height"] >= 44, name
