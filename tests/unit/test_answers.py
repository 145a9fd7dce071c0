"""Answers of chat-completions servers in the shapes that public servers give; expected values by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from playsafe.answers import Reply, read_answer

SAID = "I cannot help with that."


def body(message: Any, finish: str = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": {"completion_tokens": 9}} | more).encode()


PART = {"type": "text", "text": SAID}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (body({"content": SAID}), Reply(SAID, 9, "stop")),
        (body({"content": SAID}, "length"), Reply(SAID, 9, "length")),
        (body({"content": SAID}, usage=None), Reply(SAID, 5, "stop")),
        (body({"content": [THINKING, PART]}), Reply(SAID, 9, "stop", "", "Hm.")),
        (body({"content": [{"type": "reasoning", "text": "Hm."}, PART]}), Reply(SAID, 9, "stop", "", "Hm.")),
        (body({"content": [{"type": "output_text", "text": SAID}]}), Reply(SAID, 9, "stop")),
        (body({"content": ["I cannot ", "help with that."]}), Reply(SAID, 9, "stop")),
        (body({"content": {"text": SAID}}), Reply(SAID, 9, "stop")),
        (body({"content": {"type": "text", "text": {"value": SAID}}}), Reply(SAID, 9, "stop")),
        (body({"content": SAID, "reasoning_content": "Hm."}), Reply(SAID, 9, "stop", "", "Hm.")),
        (body({"content": SAID, "reasoning": "Hm."}), Reply(SAID, 9, "stop", "", "Hm.")),
        (
            body({"content": None, "reasoning_content": "Hm"}, "length"),
            Reply("", 9, "length", "", "Hm", True),
        ),
        (body({"content": "", "reasoning": "Hm"}, "stop"), Reply("", 9, "stop", "", "Hm", True)),
        (body({"content": f"<think>So.</think>{SAID}"}), Reply(SAID, 9, "stop", "", "So.")),
        (
            body({"content": f"<think>So.</think>{SAID}", "reasoning": "Hm."}),
            Reply(SAID, 9, "stop", "", "Hm.\n\nSo."),
        ),
        (body({"content": "<think>"}, "length"), Reply("", 9, "length", "", "", True)),
        (body({"content": "<think>\nSo"}, "length"), Reply("", 9, "length", "", "So", True)),
        (body({"content": None, "refusal": SAID}), Reply(SAID, 9, "stop")),
        (body({"content": [{"type": "refusal", "refusal": SAID}]}), Reply(SAID, 9, "stop")),
        (body({"content": ""}, "content_filter"), Reply("", 9, "filtered")),
        (body({"content": None}, "content_filter"), Reply("", 9, "filtered")),
        (body({"content": "Take a"}, "content_filter"), Reply("Take a", 9, "length")),
        (body({"content": ""}), Reply("", 9, "stop")),
        (b'{"choices": [{"text": "I cannot help with that."}]}', Reply(SAID, 5, "stop")),
        (body({"content": "caf"}).replace(b"caf", b"caf\xe9"), Reply("caf\ufffd", 9, "stop")),
        (body({"content": "half \ud800"}), Reply("half ?", 9, "stop")),
    ],
)
def test_text_and_thought(answer: bytes, reply: Reply) -> None:
    assert read_answer(answer) == reply


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b'{"choices": [{"mess', "no JSON"),
        (b"<html>502 Bad Gateway</html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no object"),
        (b'"text"', "no object"),
        (b"{}", "no choice"),
        (b'{"choices": []}', "no choice"),
        (b'{"choices": null}', "no choice"),
        (b'{"choices": ["text"]}', "no choice"),
        (b'{"choices": [{"message": null, "finish_reason": "error"}]}', "no text"),
        (b'data: {"choices": []}\n\ndata: [DONE]\n\n', "event stream"),
        (b'{"error": {"message": "rate limit exceeded", "code": 429}}', "rate limit exceeded"),
        (b'{"error": "overloaded"}', "overloaded"),
        (b'{"error": {"code": 5}}', "5"),
        (body({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls"), "calls a tool"),
        (body({"content": None}), "no text"),
        (body({"content": 5}), "no text"),
    ],
)
def test_what_is_no_reply_is_one_clear_error(answer: bytes, said: str) -> None:
    found = read_answer(answer)
    assert said in found.error
    assert found.text == ""
    assert "\n" not in found.error
    assert len(found.error) <= 300
