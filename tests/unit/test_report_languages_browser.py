"""The page of several languages in Chromium: what is drawn, what a narrow screen shows, and no error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from test_report_browser import Browser, choose, visible
from test_report_languages_study import write_languages

from playsafe.report import write_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or binary is None:
        pytest.skip("NO CHROMIUM: chromium or chromedriver is not installed, the page was not opened")
    root = write_languages(tmp_path_factory.mktemp("study"), turns=("none", "empty"))
    browser = Browser(driver, binary, tmp_path_factory.mktemp("profile"))
    try:
        browser.post("/url", url=write_page(root).as_uri())
        yield browser
    finally:
        browser.close()


def test_a_point_is_drawn_for_every_language_turn_and_method(browser: Browser) -> None:
    panel = "document.querySelector('[data-panel=reward]')"
    browser.run(f"{panel}.scrollIntoView({{behavior: 'instant'}})")
    browser.until(f"{panel}.querySelector('.main-svg')")
    assert browser.run(f"return {panel}.querySelectorAll('.point').length") == 4 * 2 * 3


def test_one_system_turn_is_shown_at_a_time(browser: Browser) -> None:
    panels = "[...document.querySelectorAll('[data-tabs=languages] > div')]"
    shown = f"return {panels}.filter((panel) => panel.offsetHeight > 0).map((panel) => panel.dataset.tab)"
    assert browser.run(shown) == ["system turn: none"]
    browser.run("document.querySelectorAll('#languages .choices button')[1].click()")
    assert browser.run(shown) == ["system turn: empty"]


def test_replies_to_tasks_have_no_verdict_to_miss(browser: Browser) -> None:
    assert browser.run("return document.querySelector('#filters select[name=role]')") is None
    choose(browser, "#filters select[name=suite]", "task-de")
    browser.until("document.querySelector('#items .arms')")
    assert "no verdict" not in browser.run("return document.getElementById('items').innerText")
    assert browser.run("return document.querySelector('#items .reply').dir") == "auto"
    assert "no role" not in visible(browser)


def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser) -> None:
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    narrow = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.post("/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=narrow)
    browser.until("innerWidth === 360 && document.documentElement.scrollWidth <= 360")
    browser.post("/goog/cdp/execute", cmd="Emulation.clearDeviceMetricsOverride", params={})


def test_no_error(browser: Browser) -> None:
    """Last: it reads what the browser logged during all tests above."""
    assert browser.post("/se/log", type="browser") == []
