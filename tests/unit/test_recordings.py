"""Recorded replies in the formats of other tools: prompt and reply of each row written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from playsafe.data.recordings import read_recordings
from playsafe.errors import BadInput
from playsafe.records import Message, Prompt
from playsafe.targets import Recorded

ASK, SAY = "Is it deep?", "I do not know."


def written(tmp_path: Path, content: Any, name: str = "replies.jsonl") -> Path:
    path = tmp_path / name
    lines = [json.dumps(row) for row in content] if name.endswith("l") else [json.dumps(content)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


GOLD = "Deep enough."
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "completion": ({"prompt": ASK, "completion": SAY}, SAY),
    "response": ({"question": ASK, "response": SAY}, SAY),
    "generation": ({"prompt": ASK, "generation": SAY}, SAY),
    "a right answer beside it": ({"question": ASK, "answer": GOLD, "output": SAY}, SAY),
    "a right answer as text": ({"question": ASK, "text": GOLD, "response": SAY}, SAY),
    "the prompt once more as text": ({"prompt": ASK, "text": ASK, "response": SAY}, SAY),
    "the prompt as text, an answer": ({"prompt": ASK, "text": ASK, "answer": SAY}, SAY),
    "target and prediction": ({"input": ASK, "target": GOLD, "prediction": SAY}, SAY),
    "reference and model output": ({"prompt": ASK, "reference": GOLD, "model_output": SAY}, SAY),
    "an answer alone": ({"question": ASK, "answer": SAY}, SAY),
    "messages as prompt": ({"prompt": [{"role": "user", "content": ASK}], "completion": SAY}, SAY),
    "typed parts": ({"prompt": ASK, "completion": [{"type": "text", "text": SAY}]}, SAY),
    "a list of one": ({"prompt": ASK, "response": [SAY]}, SAY),
    "the same twice": ({"prompt": ASK, "response": [SAY, SAY]}, SAY),
    "alpaca": ({"instruction": ASK, "output": SAY}, SAY),
    "chat": (
        {
            "messages": [
                {"role": "system", "content": "You are Ilse."},
                {"role": "user", "content": ASK},
                {"role": "assistant", "content": SAY},
            ]
        },
        SAY,
    ),
    "sharegpt": ({"conversations": [{"from": "human", "value": ASK}, {"from": "gpt", "value": SAY}]}, SAY),
    "lm-eval": (
        {
            "doc_id": 0,
            "doc": {"question": ASK, "answer": GOLD},
            "target": GOLD,
            "arguments": {"gen_args_0": {"arg_0": f"Q: {ASK}\nA:", "arg_1": {"until": ["\n"]}}},
            "resps": [[f"{SAY} \n"]],
            "filtered_resps": [SAY],
        },
        SAY,
    ),
    "lm-eval without a question": ({"doc": {"id": 1}, "arguments": [[ASK, {}]], "resps": [[SAY]]}, SAY),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_reply_of_a_row(tmp_path: Path, name: str) -> None:
    row, reply = ROWS[name]
    [found] = read_recordings(written(tmp_path, [row]))
    assert (found.asked, found.reply) == ((ASK,), reply)


@pytest.mark.parametrize(
    "content",
    [
        {"samples": [{"id": 1, "input": ASK, "output": {"completion": SAY, "choices": []}, "target": GOLD}]},
        {
            "eval": {"task": "t"},
            "samples": [
                {
                    "input": [{"role": "user", "content": ASK}],
                    "output": {"choices": [{"message": {"role": "assistant", "content": SAY}}]},
                }
            ],
        },
        {"behaviour 1": [{"test_case": ASK, "generation": SAY}]},
        {"data": [{"prompt": ASK, "completion": SAY}]},
        [{"prompt": ASK, "completion": SAY}],
    ],
)
def test_the_reply_of_a_log(tmp_path: Path, content: Any) -> None:
    [found] = read_recordings(written(tmp_path, content, "log.json"))
    assert (found.asked, found.reply) == ((ASK,), SAY)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": ASK, "response": SAY, "output": GOLD}], "'response' or in 'output'"),
        ([{"prompt": ASK, "text": SAY, "answer": GOLD}], "'answer' or in 'text'"),
        ([{"prompt": ASK, "reference": GOLD}], "has the keys prompt, reference"),
        ([{"prompt": ASK, "response": [SAY, GOLD]}], "2 different replies"),
        ([{"prompt": ASK, "completion": SAY}, {"prompt": ASK, "completion": GOLD}], "two different replies"),
        ([{"prompt": ASK, "completion": SAY}, {"prompt": "other", "answer": GOLD}], "has no 'completion'"),
        ([{"prompt": 5, "completion": SAY}], "the prompt is a number"),
        ([{"messages": [{"role": "user", "content": ASK}]}], "not the assistant's"),
        ([{"doc": {}, "resps": [[SAY, GOLD]]}], "no single text"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, rows: list[Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        Recorded(written(tmp_path, rows))
    assert said in str(refused.value)
    assert "replies.jsonl" in str(refused.value)


def prompt(name: str, *texts: str) -> Prompt:
    turns = [Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts)]  # type: ignore[arg-type]
    return Prompt(name, "s", tuple(turns))


def test_prompts_are_found_whatever_blanks_and_unicode_form(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{ASK} \n", "completion": "one"},
        {"prompt": "Caf\u00e9?\r\nNow.", "completion": "two"},
        {"id": "theirs-7", "prompt": "Seven?", "completion": "three"},
        {
            "prompt": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Ho"},
                {"role": "user", "content": "Deep?"},
            ],
            "completion": "four",
        },
        {"prompt": "Null?", "completion": None},
        {"id": "a", "prompt": "Twice?", "completion": "five"},
        {"id": "b", "prompt": "Twice?", "completion": "six"},
    ]
    prompts = [
        *(prompt("s:1", ASK), prompt("s:2", "Cafe\u0301?\nNow."), prompt("s:3", "Seven?")),
        *(prompt("s:4", "Hi", "Ho", "Deep?"), prompt("s:5", "Null?"), prompt("b", "Twice?")),
        *(prompt("s:7", "Twice?"), prompt("s:8", "Never recorded")),
    ]
    [found] = Recorded(written(tmp_path, rows)).answers(prompts, None, ())
    assert [c.text for c in found] == ["one", "two", "three", "four", "", "six", "", ""]
    assert [c.finish for c in found] == ["stop"] * 4 + ["error", "stop", "error", "error"]
    assert "is null" in found[4].error
    assert "2 different replies" in found[6].error
    assert "has no reply" in found[7].error
