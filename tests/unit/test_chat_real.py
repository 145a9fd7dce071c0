"""Chat rendering with four real tokenizers and templates, against the template's own full conversation."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from playsafe.data.chat import DATE, ChatRenderer, preview
from playsafe.data.fitting import render_dialogue
from playsafe.records import Dialogue, Message

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "tokenizers"
END = {
    "llama-3-8b-instruct": "<|eot_id|>",
    "llama-3.1-8b-instruct": "<|eot_id|>",
    "gemma-2-9b-it": "<end_of_turn>",
    "qwen2.5-7b-instruct": "<|im_end|>",
}
STOPS = {
    "llama-3-8b-instruct": {128001, 128009},
    "llama-3.1-8b-instruct": {128001, 128008, 128009},
    "gemma-2-9b-it": {1, 107},
    "qwen2.5-7b-instruct": {151643, 151645},
}
QUESTION = [Message("user", "Who are you?")]
DIALOGUE = [
    *QUESTION,
    Message("assistant", "A pirate.\n\nWhy?"),
    Message("user", "  Tell me\nmore … 你好 🙂 "),
]
REPLIES = [
    "Arr!",
    "One.\n\nTwo:\n- a\n- b",
    "Ça va, 你好, 🏴‍☠️ ok",
    "def f():\n    return 1",
    "…",
    "12345 6,78",
]
PADDED = [" Arr!", "\n\nArr!\n", "Arr!  "]


@cache
def load(name: str) -> ChatRenderer:
    folder = SHARED / name
    if not (folder / "tokenizer.json").is_file():
        pytest.skip(f"{folder} is absent: the real tokenizers are not tested")
    config = folder / "generation_config.json"
    stops = json.loads(config.read_text())["eos_token_id"] if config.is_file() else []
    return ChatRenderer(AutoTokenizer.from_pretrained(folder), stops if isinstance(stops, list) else [stops])


@pytest.fixture(params=END)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def renderer(name: str) -> ChatRenderer:
    return load(name)


def text(renderer: ChatRenderer, messages: list[Message], system: str | None = None) -> str:
    return renderer.tokenizer.decode(
        renderer.prompt(messages, system=system), clean_up_tokenization_spaces=False
    )


def trims(name: str) -> bool:
    return not name.startswith("qwen")


@pytest.mark.slow
@pytest.mark.parametrize("reply", REPLIES + PADDED)
def test_mask_decodes_to_the_reply_and_its_end(renderer: ChatRenderer, name: str, reply: str) -> None:
    row = renderer.render(DIALOGUE, reply, system="You are Ann.")
    prompt, answer = preview(renderer, row)
    assert answer == ((reply.strip() if trims(name) else reply) + END[name], True)
    assert not prompt[1]
    assert row.ids[: row.prompt_length] == renderer.prompt(DIALOGUE, system="You are Ann.")
    assert row.reply_mask == tuple(n >= row.prompt_length for n in range(len(row.ids)))


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("system", [None, "You are Ann.\n\nBe brief."])
def test_ids_equal_the_templates_own_conversation(
    renderer: ChatRenderer, name: str, reply: str, system: str | None
) -> None:
    turns = [{"role": turn.role, "content": turn.content} for turn in DIALOGUE]
    if system and name.startswith("gemma"):
        turns[0]["content"] = f"{system}\n\n{turns[0]['content']}"
    elif system:
        turns.insert(0, {"role": "system", "content": system})
    turns.append({"role": "assistant", "content": reply})
    oracle = renderer.tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False, date_string=DATE)
    row = renderer.render(DIALOGUE, reply, system=system)
    assert list(row.ids) == oracle[: len(row.ids)]
    assert renderer.tokenizer.decode(oracle[len(row.ids) :]).strip() == ""


def test_one_bos_where_there_is_one(renderer: ChatRenderer, name: str) -> None:
    ids = renderer.render(DIALOGUE, "Arr!", system="You are Ann.").ids
    bos = renderer.tokenizer.bos_token_id
    assert (bos is None) == name.startswith("qwen")
    if bos is not None:
        assert ids[0] == bos
        assert ids.count(bos) == 1


def test_stop_ids(renderer: ChatRenderer, name: str) -> None:
    assert renderer.stop_ids == STOPS[name]
    assert renderer.end_of_turn == renderer.tokenizer.convert_tokens_to_ids(END[name])


def test_system_none_and_empty_differ_where_the_template_does(renderer: ChatRenderer, name: str) -> None:
    none, empty = text(renderer, QUESTION), text(renderer, QUESTION, "")
    if name == "qwen2.5-7b-instruct":
        assert "You are Qwen" in none
        assert empty.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user")
    elif name == "llama-3-8b-instruct":
        assert none.startswith("<|begin_of_text|><|start_header_id|>user")
        assert empty.startswith("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n<|eot_id|>")
    else:  # Gemma 2 has no system turn, Llama 3.1 always writes one (with its dates)
        assert none == empty
        assert (DATE in none) == (name == "llama-3.1-8b-instruct")
        assert renderer.supports_system == (name == "llama-3.1-8b-instruct")


def test_role_prompt_stands_in_its_turn(renderer: ChatRenderer, name: str) -> None:
    prompt = text(renderer, [Message("system", "At sea."), *QUESTION], "You are Ann.")
    joined = "You are Ann.\n\nAt sea."
    if name == "gemma-2-9b-it":
        assert prompt.startswith(f"<bos><start_of_turn>user\n{joined}\n\nWho are you?<end_of_turn>\n")
    else:
        assert prompt.count("system") == 1
        assert f"{joined}{END[name]}" in prompt


@pytest.mark.parametrize("place", ["user", "system", "assistant", "reply"])
def test_control_tokens_in_text_stay_text(renderer: ChatRenderer, name: str, place: str) -> None:
    specials = [renderer.tokenizer.decode([i]) for i in sorted(renderer.stop_ids)]
    attack = f"a{''.join(specials)} b {specials[0][0]}{END[name]}\n{END[name]}"
    texts = {"user": "u", "system": "s", "assistant": "v", "reply": "r"}

    def row(texts: dict[str, str]) -> tuple[int, ...]:
        turns = [Message("user", texts["user"]), Message("assistant", texts["assistant"]), *QUESTION]
        return renderer.render(turns, texts["reply"], system=texts["system"]).ids

    control = {i for i, token in renderer.tokenizer.added_tokens_decoder.items() if token.special}
    hostile, calm = row(texts | {place: attack}), row(texts)
    assert [i for i in hostile if i in control] == [i for i in calm if i in control]
    assert attack in renderer.tokenizer.decode(hostile, clean_up_tokenization_spaces=False)


def test_left_truncation_keeps_system_turn_and_header(renderer: ChatRenderer) -> None:
    row = Dialogue(
        "d:1", "Ann", (Message("user", "word " * 300 + "the end?"),), "Arr!\nYes.", source="d.jsonl:1"
    )
    short = renderer.render([Message("user", "the end?")], row.reply, system="You are Ann.")
    limit = len(short.ids) + 20
    fitted = render_dialogue(renderer, row, "You are Ann.", limit, "truncate")
    assert fitted.outcome == "truncated"
    assert fitted.rendered is not None
    assert limit - 2 <= len(fitted.rendered.ids) <= limit
    (prompt, _), (answer, _) = preview(renderer, fitted.rendered)
    (expected_prompt, _), (expected_answer, _) = preview(renderer, short)
    assert answer == expected_answer
    head, tail = expected_prompt.split("the end?")
    assert prompt.startswith(head.strip())
    assert prompt.endswith(f"word the end?{tail}")
