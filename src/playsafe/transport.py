"""How a request travels: only the key that was named for its host goes along, and an answer has an end.

An answer that drips, that is larger than any reply, or that is compressed (a small body may unpack to any
size) is an error of its request, whatever the server means by it.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import threading
import time
from typing import Any
from urllib.request import getproxies, proxy_bypass

from playsafe.errors import MissingExtra

LARGEST = 8 << 20  # bytes of an answer; replies have some ten thousand
SENT = frozenset(("host", "accept", "connection", "user-agent", "content-type", "content-length"))


class Unreadable(Exception):
    """An answer that is not read to its end; says why."""


def client(host: str, key: str | None, timeout: float) -> Any:
    """An HTTP client of the library that `openai` uses. key: sent to this host alone. timeout: seconds from
    sending a request to the end of its answer. Redirections are not followed."""
    http = _library()
    proxies: dict[str, str] = {} if proxy_bypass(host) else getproxies()

    class Transport(http.BaseTransport):  # type: ignore[name-defined]
        def __init__(self, scheme: str) -> None:
            self.inner = http.HTTPTransport(proxy=proxies.get(scheme) or proxies.get("all"))

        def handle_request(self, request: Any) -> Any:
            headers = _headers(request.headers, key if request.url.host == host else None)
            stripped = http.Request(
                request.method,
                request.url,
                headers=headers,
                stream=request.stream,
                extensions=request.extensions,
            )
            answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
            # the library's limits are of one read each: a server that sends a byte a second meets none
            threading.Thread(target=self._read, args=(stripped, answers), daemon=True).start()
            try:
                found = answers.get(timeout=timeout)
            except queue.Empty:
                raise Unreadable(f"no whole answer within {timeout:g} s") from None
            if isinstance(found, BaseException):
                raise found
            return found

        def _read(self, request: Any, answers: queue.SimpleQueue[Any]) -> None:
            until = time.monotonic() + timeout
            try:
                answer = self.inner.handle_request(request)
                try:
                    body = _body(answer, until)
                finally:
                    answer.close()
                kept = [(k, v) for k, v in answer.headers.multi_items() if k.lower() != "transfer-encoding"]
                answers.put(http.Response(answer.status_code, headers=kept, content=body))
            except BaseException as error:
                answers.put(error)

        def close(self) -> None:
            self.inner.close()

    mounts = {f"{scheme}://": Transport(scheme) for scheme in ("http", "https")}
    return http.Client(mounts=mounts, timeout=timeout, trust_env=False)


def _library() -> Any:
    for name in ("httpx2", "httpx"):  # older versions of openai stand on its predecessor
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise MissingExtra("openai", "asking a server")


def _headers(given: Any, key: str | None) -> dict[str, str]:
    """What a request needs: other headers come from variables that were set for somebody else."""
    kept = {name: value for name, value in given.items() if name.lower() in SENT}
    kept["accept-encoding"] = "identity"
    return kept | ({"authorization": f"Bearer {key}"} if key is not None else {})


def _body(answer: Any, until: float) -> bytes:
    packed = answer.headers.get("content-encoding", "identity")
    if packed not in ("", "identity"):
        raise Unreadable(f"the answer is compressed ({packed[:20]}), which was not asked for")
    parts, size = [], 0
    for part in answer.stream:
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise Unreadable(f"the answer has over {LARGEST >> 20} MB")
        if time.monotonic() > until:
            raise Unreadable("no whole answer within the time limit")
    return b"".join(parts)
