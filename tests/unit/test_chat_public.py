"""The chat templates of many model families, as TRL ships them: rows are the library's own conversation."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from test_chat import tokenizer
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from playsafe.data.chat import ChatRenderer
from playsafe.data.template import DATE
from playsafe.errors import BadInput
from playsafe.records import Message
from playsafe.thoughts import split_thought

_SPEC = importlib.util.find_spec("trl")
FOLDER = Path(str(_SPEC.origin)).parent / "chat_templates" if _SPEC else Path("no trl")
FILES = sorted(FOLDER.glob("*.jinja"))
TOKENS = re.compile(
    r"<\|[^|>\s{}]+\|>|<｜[^｜]+｜>|<(?:start|end)_of_turn>|<end_of_utterance>|<\|?turn\|?>|<\|?channel\|?>"
)
TALK = [Message("user", "hello"), Message("assistant", "aye"), Message("user", "deep?")]
# their conversations hold no thoughts
DROPPED = {
    "deepseek_r1_distill",
    "deepseekv3",
    "deepseekv3_training",
    "qwen3_5_nothink",
    "qwen3_5_nothink_training",
}
THOUGHT = "<think>\nHe is afraid.\n</think>\n\nFar enough."


def made(path: Path) -> PreTrainedTokenizerFast:
    """A small tokenizer with the template and the control tokens that it names."""
    text = path.read_text(encoding="utf-8")
    found = tokenizer(text)
    found.backend_tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token in sorted(set(TOKENS.findall(text)))]
    )
    return found


def own(renderer: ChatRenderer, reply: str) -> list[int]:
    """What the library makes of the conversation, typed parts where text alone is lost."""
    turns = [Message("system", "Be Ann."), *TALK] if renderer.supports_system else TALK
    for parts in (False, True):
        written = [
            {"role": t.role, "content": [{"type": "text", "text": t.content}] if parts else t.content}
            for t in [*turns, Message("assistant", reply)]
        ]
        try:
            text = renderer.tokenizer.apply_chat_template(written, tokenize=False, date_string=DATE)
        except UndefinedError:
            continue
        if "deep?" in text:
            return renderer.tokenizer(text, add_special_tokens=False)["input_ids"]
    raise AssertionError("no text")


@pytest.mark.skipif(not FILES, reason="trl is absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rows_are_the_librarys_own_conversation(path: Path) -> None:
    renderer = ChatRenderer(made(path))
    row = renderer.render(TALK, "Row on.", system="Be Ann." if renderer.supports_system else None)
    assert list(row.ids[:-1]) == own(renderer, "Row on.")[: len(row.ids) - 1]
    ends = own(renderer, "Row on.")[len(row.ids) - 1 :][:1]
    assert ends == [row.ids[-1]] or renderer.end_of_turn == renderer.tokenizer.eos_token_id
    asked = renderer.tokenizer.decode(renderer.prompt(TALK, generation=True))
    finished = renderer.tokenizer.decode(row.ids[: row.prompt_length])
    assert not renderer.opens_thought(row.ids[: row.prompt_length])
    assert asked.rpartition("deep?")[2][:8] == finished.rpartition("deep?")[2][:8]


@pytest.mark.skipif(not FILES, reason="trl is absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_thought_is_in_the_row_or_refused(path: Path) -> None:
    renderer = ChatRenderer(made(path))
    system = "Be Ann." if renderer.supports_system else None
    if path.stem in DROPPED:
        with pytest.raises(BadInput, match="leaves out or rewrites the thought"):
            renderer.render(TALK, THOUGHT, system=system)
        return
    row = renderer.render(TALK, THOUGHT, system=system)
    assert list(row.ids[:-1]) == own(renderer, THOUGHT)[: len(row.ids) - 1]
    prompt, said = row.ids[: row.prompt_length], row.ids[row.prompt_length : -1]
    text = renderer.tokenizer.decode(said)
    assert split_thought(text, renderer.opens_thought(prompt)) == ("He is afraid.", "Far enough.")
