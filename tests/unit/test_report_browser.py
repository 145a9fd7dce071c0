"""The page in Chromium: no error, no request, nothing harmful on the screen before it is asked for."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_report_study import HOSTILE, RICH, ROLES, write_study

from playsafe.report import write_page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)

pytestmark = pytest.mark.slow


class Browser:
    """As much of WebDriver as these tests need."""

    def __init__(self, driver: str, binary: str, profile: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen([driver, f"--port={port}"], stdout=quiet, stderr=quiet)
        self.base = f"http://127.0.0.1:{port}"
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": binary}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL", "performance": "ALL"}
        self._wait()
        self.base += f"/session/{self.post('/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def _wait(self) -> None:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{self.base}/status")
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        raise TimeoutError("chromedriver does not answer")

    def post(self, path: str, **body: Any) -> Any:
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), head)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script: str) -> Any:
        return self.post("/execute/sync", script=script, args=[])

    def until(self, script: str) -> Any:
        """The first true value of an expression, asked again for some seconds."""
        for _ in range(100):
            if value := self.run(f"return {script}"):
                return value
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}")

    def close(self) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"))
        finally:
            self.process.terminate()
            self.process.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or binary is None:
        pytest.skip("NO CHROMIUM: chromium or chromedriver is not installed, the page was not opened")
    root = write_study(tmp_path_factory.mktemp("study"), roles=dict(ROLES) | {HOSTILE: "cruel"}, plan=RICH)
    browser = Browser(driver, binary, tmp_path_factory.mktemp("profile"))
    try:
        browser.post("/url", url=write_page(root).as_uri())
        yield browser
    finally:
        browser.close()


def choose(browser: Browser, selector: str, label: str) -> None:
    """Choose an entry of a list by what it says."""
    place = json.dumps(selector)
    browser.run(
        f"const list = document.querySelector({place});"
        f"list.value = [...list.options].find((one) => one.textContent === {json.dumps(label)}).value;"
        "list.dispatchEvent(new Event('change'));"
    )


def visible(browser: Browser) -> str:
    return str(browser.run("return document.body.innerText"))


def test_harmful_texts_are_invisible_until_clicked(browser: Browser) -> None:
    browser.until("document.querySelectorAll('#items details').length > 0")
    assert "SECRET" not in browser.run("return document.getElementById('items').textContent")
    assert "forge the passport" not in visible(browser)
    browser.run("document.querySelector('#items summary').click()")
    browser.until("document.querySelector('#items .prompt')")
    assert "SECRET harmful prompt" in visible(browser)
    assert browser.run("return document.querySelector('#items mark').textContent") == "I will not help"


def test_an_attacked_reply_stands_beside_what_it_says(browser: Browser) -> None:
    choose(browser, "#filters select[name=suite]", "harmful + caesar, role prompt")
    browser.until("document.querySelectorAll('#items details:not([open])').length > 0")
    assert "SECRET" not in browser.run("return document.getElementById('items').textContent")
    browser.run("document.querySelector('#items summary').click()")
    browser.until("document.querySelector('#items .sent')")
    assert browser.run("return document.querySelector('#items .prompt').innerText").startswith(
        "SECRET harmful"
    )
    assert browser.run("return document.querySelector('#items .sent').innerText").startswith("ENCODED SECRET")
    arm = "document.querySelectorAll('#items .arm')[0]"
    raw, decoded = (browser.run(f"return {arm}.querySelectorAll('.reply')[{n}].textContent") for n in (0, 1))
    assert raw == decoded[::-1]
    badges = browser.run(f"return [...{arm}.querySelectorAll('.badge')].map((b) => b.textContent)")
    assert badges[:2] == ["rules: refused", "rubric: refused"]
    assert badges[2] in ("in character", "out of character")
    choose(browser, "#filters select[name=suite]", "harmful")


def test_disagreements_are_hidden_and_filtered(browser: Browser) -> None:
    listed = "document.getElementById('apart')"
    hidden = browser.run(f"return [...{listed}.children].filter((item) => !item.open).length")
    assert hidden > 0
    assert "SECRET harmful" not in browser.run(f"return {listed}.textContent")
    browser.run(f"{listed}.querySelector('details:not([open]) > summary').click()")
    browser.until(f"{listed}.textContent.includes('SECRET harmful')")
    assert "rubric: “Ask the sea”" in browser.run(f"return {listed}.textContent")
    choose(browser, "#apart-filters select", "dark")
    titles = browser.run(f"return [...{listed}.querySelectorAll('summary')].map((line) => line.textContent)")
    assert titles
    assert all(title.startswith("dark · ") for title in titles)


def test_one_suite_of_the_outcomes_is_shown_at_a_time(browser: Browser) -> None:
    panels = "[...document.querySelectorAll('[data-tabs=outcomes] > div')]"
    shown = f"return {panels}.filter((panel) => panel.offsetHeight > 0).map((panel) => panel.dataset.tab)"
    assert browser.run(shown) == ["harmful · rules"]
    choose(browser, "#outcomes select", "dark · rubric")
    assert browser.run(shown) == ["dark · rubric"]
    widths = browser.run(
        f"return {panels}.filter((panel) => !panel.hidden)[0].querySelectorAll('.bar').length && "
        f"[...{panels}.filter((panel) => !panel.hidden)[0].querySelectorAll('.bar')].map((bar) => "
        "[...bar.children].reduce((sum, part) => sum + part.getBoundingClientRect().width + 1, -1) / "
        "bar.getBoundingClientRect().width)"
    )
    assert widths
    assert all(0.99 < width < 1.01 for width in widths)


def test_stronger_colours_are_higher_shares(browser: Browser) -> None:
    """The darkness of a cell follows its number, so the scale also reads without colours."""
    cells = browser.run(
        "const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });"
        "return [...document.querySelectorAll('.hot')].map((cell) => {"
        "  context.fillStyle = getComputedStyle(cell).backgroundColor; context.fillRect(0, 0, 1, 1);"
        "  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;"
        "  return [parseFloat(cell.textContent), 0.2126 * r + 0.7152 * g + 0.0722 * b]; })"
    )
    assert len(cells) == 2 * 3 * 4
    light = [brightness for _, brightness in sorted(cells)]
    assert light == sorted(light, reverse=True)
    assert light[0] - light[-1] > 25


def test_every_figure_is_drawn_and_every_choice_works(browser: Browser) -> None:
    count = browser.run("return document.querySelectorAll('[data-panel]').length")
    assert count == 5
    browser.run("document.querySelectorAll('[data-panel]').forEach((panel) => panel.scrollIntoView())")
    for number in range(count):
        panel = f"document.querySelectorAll('[data-panel]')[{number}]"
        browser.run(f"{panel}.scrollIntoView({{behavior: 'instant'}})")
        browser.until(f"{panel}.querySelector('.main-svg')")
    browser.run("document.querySelectorAll('.choices button').forEach((button) => button.click())")
    browser.run(
        "document.querySelectorAll('.choices select').forEach((s) => "
        "{ s.selectedIndex = s.length - 1; s.dispatchEvent(new Event('change')); })"
    )
    browser.run("document.querySelector('#estimates details').open = true")
    browser.until("document.querySelectorAll('#every tbody tr').length > 50")


def test_hostile_text_stays_text(browser: Browser) -> None:
    browser.run("document.querySelectorAll('#items details').forEach((item) => { item.open = true; })")
    assert browser.run("return document.querySelectorAll('main img, main script, svg a').length") == 0
    assert browser.run("return document.title") == "five voices · PlaySafe"
    assert "<script>alert(1)</script>" in browser.run("return document.getElementById('roles').textContent")


def test_tables_are_copied_and_saved_as_text(browser: Browser) -> None:
    browser.run(
        "navigator.clipboard.writeText = async (text) => { window.copied = text; };"
        "URL.createObjectURL = (file) => { file.text().then((t) => { window.saved = t; }); return '#'; };"
        "document.querySelector('[data-copy=summary]').click();"
        "document.querySelector('[data-csv=every]').click();"
    )
    lines = browser.until("window.copied").splitlines()
    assert lines[0].startswith("| role | temper | method | refusal |")
    assert lines[1].startswith("| --- | --- |")
    assert "\\<script\\>" in "".join(lines)
    saved = browser.until("window.saved").splitlines()
    assert saved[0].lstrip("\ufeff").startswith('"role","method","seed","suite","metric","judge","value"')
    assert len(saved) > 50


def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser) -> None:
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    narrow = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.post("/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=narrow)
    browser.until("innerWidth === 360 && document.documentElement.scrollWidth <= 360")
    browser.post("/goog/cdp/execute", cmd="Emulation.clearDeviceMetricsOverride", params={})


def test_the_scheme_of_the_reader_is_followed(browser: Browser) -> None:
    ink = "document.querySelector('#roles .xtick text').style.fill"
    light = browser.run(f"return {ink}")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.post("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": features})
    browser.until(f"{ink} !== {json.dumps(light)}")


def test_no_error_and_no_request(browser: Browser) -> None:
    """Last: it reads what the browser logged during all tests above."""
    assert browser.post("/se/log", type="browser") == []
    entries = browser.post("/se/log", type="performance")
    events = [json.loads(entry["message"])["message"] for entry in entries]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked = [request["request"]["url"] for request in sent if request["documentURL"].startswith("file:")]
    assert asked
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert len([url for url in asked if url.startswith("file:")]) == 1
