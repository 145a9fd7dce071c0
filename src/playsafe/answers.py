"""What a chat-completions server answered, in whatever shape: text, a thought, or why there is neither."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from playsafe.secrets import redacted
from playsafe.thoughts import split_thought


class Reply(NamedTuple):
    """text and tokens as the server says. thought: what it told of the model's reasoning. finish: as in
    `records.Completion`. error: why there is no text, "" where there is one. unfinished: it ends in its
    thought."""

    text: str
    tokens: int
    finish: Literal["stop", "length", "filtered"]
    error: str = ""
    thought: str = ""
    unfinished: bool = False


def failed(why: object) -> Reply:
    """A reply that is an error, in one short line."""
    return Reply("", 0, "stop", short(why))


def short(error: object) -> str:
    return " ".join(redacted(str(error)).split())[:300]


def read_answer(body: bytes) -> Reply:
    """The reply in the body of an answer of /chat/completions (or of /completions). Never raises."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return failed("the answer is empty")
    if text.startswith(("data:", "event:")):
        return failed("the answer is an event stream, which was not asked for")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        return failed(f"the answer is no JSON ({error}): {text[:80]}")
    if not isinstance(answer, dict):
        return failed("the answer is no object")
    if answer.get("error"):
        told = answer["error"]
        return failed(told.get("message") or told if isinstance(told, dict) else told)
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return failed("the answer holds no choice")
    return _read_choice(choice, answer.get("usage"))


def _read_choice(choice: dict[str, Any], usage: Any) -> Reply:
    message = choice.get("message")
    if not isinstance(message, dict):  # the older form has the text in its place
        message = {"content": choice.get("text")}
    text = _text(message.get("content"), "text")
    if not text.strip() and isinstance(message.get("refusal"), str):
        text = message["refusal"]
    thought = _text(message.get("content"), "thought")
    for key in ("reasoning_content", "reasoning", "thinking"):
        thought = thought or _text(message.get(key), "text")
    text, thought = (_whole(one) for one in (text, thought))
    told = usage.get("completion_tokens") if isinstance(usage, dict) else None
    tokens = told if isinstance(told, int) else len(text.split())
    reason = choice.get("finish_reason")
    said, answer = split_thought(text, cut=reason == "length")
    thought, text = "\n\n".join(filter(None, [thought, said])), answer or ""
    if text.strip():
        cut = reason in ("length", "content_filter")  # a filter in the middle of a reply cuts it
        return Reply(text, tokens, "length" if cut else "stop", "", thought)
    if reason == "content_filter":
        return Reply("", tokens, "filtered", "", thought)
    if thought.strip() or answer is None:
        return Reply("", tokens, "length" if reason == "length" else "stop", "", thought, True)
    if message.get("tool_calls") or message.get("function_call"):
        return failed("the answer calls a tool and holds no text")
    if isinstance(message.get("content"), str):
        return Reply("", tokens, "length" if reason == "length" else "stop")
    return failed("the answer holds no text")


def _text(content: Any, wanted: Literal["text", "thought"]) -> str:
    """The text of a content: a string, typed parts, or one part. wanted: the answer's or the thought's."""
    if isinstance(content, str):
        return content if wanted == "text" else ""
    if isinstance(content, list):
        return "".join(_text(part, wanted) for part in content)
    if not isinstance(content, Mapping):
        return ""
    kind = str(content.get("type") or "text")
    thinks = kind.startswith(("thinking", "reasoning", "thought"))
    if thinks != (wanted == "thought"):
        return ""
    for key in ("text", "thinking", "reasoning", "refusal", "value", "content", "summary"):
        if key in content:
            return _text(content[key], "text")
    return ""


def _whole(text: str) -> str:
    """Half surrogate pairs replaced."""
    return text.encode("utf-8", "replace").decode()
