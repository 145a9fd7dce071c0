"""A key that a server sends back, in every place that it can: nowhere on disk, nowhere on the screen."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conftest import playsafe

KEY = "sk-\"unlikely\\key/+=<&>'0123456789"


class Echo(BaseHTTPRequestHandler):
    """Tells the key that it was sent in replies, thoughts and errors by turns."""

    asked = 0

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self.send(404, {"error": {"message": "no list"}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Echo.asked += 1
        key = self.headers["Authorization"]
        turn = Echo.asked % 4
        if turn == 0:
            self.send(400, {"error": {"message": f"bad key {key}\x1b[31m"}})
        elif turn == 1:
            self.send(200, {"choices": [{"message": {"content": f"I cannot. {key} \x1b[2J\u202e[/]"}}]})
        elif turn == 2:
            thought = f"they sent {key} {base64.b64encode(KEY.encode()).decode()}"
            self.send(200, {"choices": [{"message": {"content": "No.", "reasoning_content": thought}}]})
        else:
            self.send(200, {"error": key})

    def send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def test_an_echoed_key_lands_nowhere(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_SERVER_KEY", KEY)
    prompts = tmp_path / "suite.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"request {n}"}) + "\n" for n in range(12)))
    suite = json.dumps([{"name": "mine", "path": str(prompts), "kind": "harmful"}])
    out = tmp_path / "out"
    server = ["--endpoint", url, "--endpoint-model", "m", "--endpoint-key", "MY_SERVER_KEY"]
    quick = ["--set", f"evaluation.suites={suite}", "--set", "roles=null"]
    code = playsafe("evaluate", *server, *quick, "--out", str(out))
    shown = capsys.readouterr()
    assert code in (0, 4), shown.err
    assert playsafe("show", str(out), "--json") == 0
    shown = shown.out + shown.err + "".join(capsys.readouterr())
    files = [file for file in out.rglob("*") if file.is_file()]
    stored = "".join(file.read_text(encoding="utf-8") for file in files)
    assert "[key]" in stored  # it did come back
    assert (out / "report.html") in files
    forms = {KEY, json.dumps(KEY)[1:-1], base64.b64encode(KEY.encode()).decode(), KEY[:20]}
    for form in forms:
        assert form not in stored
        assert form not in shown
    assert not {c for c in shown if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e")}


@pytest.mark.parametrize("where", ["user:{}@", ""])
def test_a_key_in_the_address_is_refused_unseen(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "sk-in-the-address"
    address = f"https://{where.format(key)}example.org/v1" + ("" if where else f"?key={key}")
    out = ["--out", str(tmp_path / "out")]
    assert playsafe("evaluate", "--endpoint", address, "--endpoint-model", "m", *out) == 2
    shown = capsys.readouterr()
    assert "api_key_env" in shown.err
    assert key not in shown.out + shown.err
    assert not (tmp_path / "out").exists()
