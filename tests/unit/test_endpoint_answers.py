"""A server that answers every kind of nonsense among good answers: each is an error of its own prompt."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from playsafe.config import EndpointConfig
from playsafe.endpoint import Endpoint
from playsafe.errors import BadInput
from playsafe.settings import parse_section

BOMB = gzip.compress(b" " * 20_000_000)
KEY = "sk-Very/secret+key=0123456789"
GOOD = {"choices": [{"message": {"content": "a good answer"}, "finish_reason": "stop"}]}


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **more}, "finish_reason": "stop"}]}


class Nonsense(BaseHTTPRequestHandler):
    """Answers as the prompt's text asks it to; tells of the headers that it got."""

    protocol_version = "HTTP/1.1"
    seen: list[dict[str, str]]

    def log_message(self, *args: Any) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Nonsense.seen.append(dict(self.headers.items()))
        try:
            getattr(self, f"do_{body['messages'][-1]['content']}")()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(self, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_good(self) -> None:
        self.send(GOOD)

    def do_echo(self) -> None:
        self.send(said(f"your key is {self.headers['Authorization']}"))

    def do_echo_error(self) -> None:
        self.send({"error": {"message": f"bad {self.headers['Authorization']} " + "x" * 280}}, 400)

    def do_echo_thought(self) -> None:
        self.send(said("fine", reasoning_content=json.dumps(self.headers["Authorization"])))

    def do_unauthorised(self) -> None:
        self.send({"error": {"message": f"unknown key {self.headers['Authorization']}"}}, 401)

    def do_missing(self) -> None:
        self.send({"error": {"message": "no such model"}}, 404)

    def do_broken(self) -> None:
        self.send(json.dumps(GOOD).encode()[:-9])

    def do_empty(self) -> None:
        self.send(b"")

    def do_list(self) -> None:
        self.send([1, 2, 3])

    def do_null(self) -> None:
        self.send(said(None))

    def do_deep(self) -> None:
        self.send(b"[" * 100_000)

    def do_digits(self) -> None:
        self.send(b'{"choices": [' + b"9" * 5_000 + b"]}")

    def do_html(self) -> None:
        self.send(b"<html>\x1b[31mred\x1b[0m</html>", 502, Content_Type="text/html")

    def do_redirect(self) -> None:
        self.send(b"", 307, Location="http://127.0.0.1:9/v1/chat/completions")

    def do_bomb(self) -> None:
        self.send(BOMB, 200, Content_Encoding="gzip")

    def do_bomb_error(self) -> None:
        self.send(BOMB, 500, Content_Encoding="gzip")

    def do_large(self) -> None:
        self.send(b" " * 30_000_000)

    def do_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def do_drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for n in range(100):
            self.wfile.write(f"X-{n}: y\r\n".encode())
            self.wfile.flush()
            time.sleep(0.1)

    def do_hang_up(self) -> None:
        self.close_connection = True


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


@pytest.fixture
def ask(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MY_KEY", KEY)
    Nonsense.seen = []

    def answers(*kinds: str, key: str | None = "MY_KEY", **settings: Any) -> dict[str, Any]:
        given = {"base_url": url, "model": "m", "api_key_env": key, "retries": 0, "timeout": 1.0, **settings}
        endpoint = Endpoint(EndpointConfig(**given))
        turns = {f"{n}:{kind}": [{"role": "user", "content": kind}] for n, kind in enumerate(kinds)}
        return {name.partition(":")[2]: reply for name, reply in endpoint.ask(turns, {"max_tokens": 8})}

    return answers


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("broken", "no JSON"),
        ("empty", "empty"),
        ("list", "no object"),
        ("null", "no text"),
        ("deep", "no JSON"),
        ("digits", "no JSON"),
        ("html", "html"),
        ("redirect", ""),
        ("bomb", "compressed (gzip)"),
        ("bomb_error", "compressed (gzip)"),
        ("large", "over 8 MB"),
        ("drip", "no whole answer within"),
        ("drip_headers", "no whole answer within"),
        ("hang_up", ""),
        ("unauthorised", "unknown key"),
        ("missing", "no such model"),
    ],
)
def test_nonsense_is_an_error_of_its_prompt(ask: Any, kind: str, reason: str) -> None:
    began = time.monotonic()
    found = ask("good", kind, "good")
    assert found["good"].text == "a good answer"
    assert not found["good"].error
    assert found[kind].error
    assert reason in found[kind].error
    assert not found[kind].text
    assert len(found[kind].error) <= 400
    assert time.monotonic() - began < 30  # no answer holds a run up for as long as its server likes


def test_the_key_comes_back_nowhere(ask: Any) -> None:
    found = ask("echo", "echo_error", "echo_thought", "good")
    assert "[key]" in found["echo"].text
    for reply in found.values():
        assert KEY not in f"{reply.text}{reply.error}{reply.thought}"
        assert json.dumps(KEY)[1:-1] not in reply.thought


def test_refusals_alone_stop_with_the_reason_and_without_the_key(ask: Any) -> None:
    with pytest.raises(BadInput, match="refuses the key") as refused:
        ask("unauthorised", "unauthorised")
    assert KEY not in str(refused.value)


def test_only_the_named_key_is_sent(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody-else")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody-else")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Token: token-of-somebody-else")
    ask("good", key=None)
    ask("good")
    without, with_key = Nonsense.seen
    assert "somebody-else" not in str(Nonsense.seen)
    assert "authorization" not in {name.lower() for name in without}
    assert with_key["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"base_url": "http://192.0.2.1/v1"}, "plain http"),
        ({"api_key_env": "NOT_SET_ANYWHERE"}, "is not set"),
    ],
)
def test_a_key_is_not_sent(
    url: str, given: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(BadInput, match=reason):
        Endpoint(EndpointConfig(**{"base_url": url, "model": "m", "api_key_env": "MY_KEY", **given}))


@pytest.mark.parametrize(
    "given",
    [
        {"base_url": "https://user:sk-in-the-address@example.org/v1"},
        {"base_url": "https://example.org/v1?key=sk-in-the-address"},
        {"api_key_env": "sk-in-the-address"},
    ],
)
def test_keys_are_not_written_into_a_configuration(given: dict[str, str]) -> None:
    with pytest.raises(BadInput) as refused:
        parse_section(EndpointConfig, {"base_url": "https://example.org/v1", "model": "m", **given}, "here")
    assert "sk-in-the-address" not in str(refused.value)
