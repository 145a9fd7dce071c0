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
from test_report_numbers import HOSTILE, ROLES, write_study

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
    root = write_study(tmp_path_factory.mktemp("study"), roles=dict(ROLES) | {HOSTILE: "cruel"})
    browser = Browser(driver, binary, tmp_path_factory.mktemp("profile"))
    try:
        browser.post("/url", url=write_page(root).as_uri())
        yield browser
    finally:
        browser.close()


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
